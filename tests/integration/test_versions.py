"""Versions of a model side by side: one scale, one class, and correlations as NumPy has them; on real networks."""

import io
from dataclasses import replace
from itertools import pairwise
from typing import Any

import cv2
import keras
import numpy as np
import pytest
from PIL import Image

from schemas.results import Result, ResultImage
from service.engine.chunks import JobLimits
from service.engine.images.archive import DatasetLimits, open_dataset, pack_dataset
from service.engine.images.decoding import ImageLimits
from service.engine.images.photo import ImageFile
from service.engine.images.preprocessing import Preprocessing
from service.engine.kinds.context import Context
from service.engine.methods import METHODS
from service.engine.methods.features.filter_patterns import FilterPatternsParams, filter_patterns
from service.engine.model import Model
from service.engine.running.request import Request
from service.engine.running.run import run
from service.engine.versions.comparison import compute_versions, plan_versions, run_versions
from service.errors import LayerNotFoundError, TooFewVersionsError, VersionsDifferError
from service.keras.compute.probe import KerasProbe

UNIT = Preprocessing("unit", (1 / 255,), (0.0,))
LIMITS = ImageLimits(2**20, 10**6), JobLimits()


def _model(version: int, *, scale: float = 1.0, filters: int = 4) -> Model:
    """Versions of one network: all weights of a later one are larger, and unnamed layers have names of their own."""
    keras.utils.set_random_seed(version)
    x = inputs = keras.Input((16, 12, 3))
    x = keras.layers.Conv2D(filters, 3, activation="relu", name="conv")(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    network = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="scores")(x))
    network.set_weights([scale * weights for weights in network.get_weights()])
    return Model("net", str(version), f"digest-{version}", KerasProbe(network), UNIT)


@pytest.fixture(scope="module")
def models() -> list[Model]:
    return [_model(1), _model(2, scale=3.0), _model(3, scale=9.0)]


def _photo() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 12, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _request(method: str, **params: Any) -> Request:
    chosen = METHODS[method]
    return Request(
        chosen, chosen.params.model_validate(params), ImageFile(_photo()) if chosen.consumes == "image" else None
    )


def _compare(models: list[Model], method: str, **params: Any) -> Result:
    return run_versions(models, _request(method, **params), LIMITS, lambda _: None)


def _correlation(first: Any, second: Any) -> float:
    return float(np.corrcoef(np.ravel(first), np.ravel(second))[0, 1])


def test_heat_maps_show_one_class_on_one_scale_when_versions_are_compared(models: list[Model]):
    result = _compare(models, "grad-cam", values="raw")
    entries = result.values["versions"]
    best = run(models[-1], _request("grad-cam"), LIMITS[0]).target
    assert best is not None
    assert [entry["target"]["index"] for entry in entries] == [best.index] * 3
    maps = [np.asarray(entry["values"]["map"]) for entry in entries]
    pictures = {image.name: np.asarray(Image.open(io.BytesIO(image.data))) for image in result.images}
    greatest = max(values.max() for values in maps)
    for entry, values in zip(entries, maps, strict=True):
        shades = cv2.resize(values, (12 * 14, 16 * 14), interpolation=cv2.INTER_LINEAR) * 255 / greatest
        np.testing.assert_allclose(pictures[f"v{entry['version']}--heatmap"], shades, atol=0.51)
    expected = [_correlation(one, other) for one, other in pairwise(maps)]
    assert [pair["correlation"] for pair in result.values["neighbours"]] == pytest.approx(expected, abs=1e-5)
    assert [(pair["from"], pair["to"]) for pair in result.values["neighbours"]] == [("1", "2"), ("2", "3")]
    assert result.values["min_correlation"] == pytest.approx(min(expected), abs=1e-5)
    assert result.images[0].name == "versions"
    assert result.version == "1,2,3"


def test_kernels_share_their_bounds_when_versions_are_compared(models: list[Model]):
    result = _compare(models, "filters", layer="conv")
    kernels = [model.probe.kernels("conv")[0].values for model in models]
    files = [image.data for image in result.images if image.name.endswith("--conv--rgb")]
    # Between the tiles there is nothing, which is 0.
    sheets = [np.asarray(Image.open(io.BytesIO(file))).astype(int) for file in files]
    spans = [np.ptp(sheet[sheet > 0]) for sheet in sheets]
    expected = [255 * np.ptp(kernel) / np.ptp(kernels) for kernel in kernels]
    assert spans == pytest.approx(expected, abs=4)
    assert result.values["neighbours"][0]["correlation"] is not None


def test_a_version_equals_itself_when_it_is_compared_with_a_copy(models: list[Model]):
    for method in ("grad-cam", "activations", "filters", "predictions"):
        result = _compare([models[0], models[0]], method)
        assert result.values["min_correlation"] == pytest.approx(1), method


def test_each_chunk_goes_through_all_versions_when_the_method_is_one_of_jobs(models: list[Model]):
    request = _request("filter-patterns", layer="conv", filters="0,1", size=16, steps=3)
    work = plan_versions(models, request, *LIMITS)
    assert (work.unit, work.chunks) == ("filters", [[0, 1]])
    result = run_versions(models, request, LIMITS, lambda _: None)
    names = [image.name for image in result.images]
    assert names[0] == "versions"
    assert {f"v{version}--{name}" for version in "123" for name in ("grid", "filter-0", "filter-1")} < set(names)
    context = Context(UNIT, lambda _: None, [0, 1])
    params = FilterPatternsParams.model_validate(request.params.model_dump())
    changes = [filter_patterns(model.probe, None, params, context).changes for model in models]
    for pair, one, other in zip(result.values["neighbours"], changes, changes[1:], strict=False):
        expected = {name: _correlation(one[name], other[name]) for name in ("filter-0", "filter-1")}
        assert {item["of"]: item["correlation"] for item in pair["items"]} == pytest.approx(expected, abs=1e-4)


def test_layer_is_found_by_its_place_when_each_version_names_it_otherwise(models: list[Model]):
    paths = [next(layer.path for layer in model.network_info.layers if layer.type == "ReLU") for model in models]
    assert len(set(paths)) == 3
    for method in ("activations", "grad-cam", "filter-patterns"):
        own = {"filters": "0", "size": 16, "steps": 1} if method == "filter-patterns" else {}
        result = _compare(models, method, layer=paths[-1], **own)
        assert [entry["layer"] for entry in result.values["versions"]] == paths


def test_sparsity_is_a_curve_over_versions_when_layers_are_examined(models: list[Model]):
    buffer = io.BytesIO()
    pack_dataset([("a.png", _photo()), ("b.png", _photo())], buffer)
    method = METHODS["layer-health"]
    request = Request(method, method.params(), None, images=open_dataset(buffer, DatasetLimits()))
    result = run_versions(models, request, LIMITS, lambda _: None)
    assert [image.name for image in result.images[:2]] == ["versions", "curves"]
    assert result.values["min_correlation"] < 0.9
    assert [item["of"] for item in result.values["neighbours"][0]["items"]] == ["conv", "scores"]
    assert [entry["values"]["images"] for entry in result.values["versions"]] == [2, 2, 2]


def test_sheet_says_that_each_version_has_a_scale_of_its_own_when_it_has(models: list[Model]):
    buffer = io.BytesIO()
    pack_dataset([("a/1.png", _photo()), ("b/1.png", _photo())], buffer)

    def measure_note(name: str) -> int:
        """How far the first text of the first line reaches; titles of versions are short, and lie far apart."""
        method = METHODS[name]
        request = Request(
            method, method.params(), None, images=open_dataset(io.BytesIO(buffer.getvalue()), DatasetLimits())
        )
        result = run_versions(models, request, LIMITS, lambda _: None)
        sheet = np.asarray(Image.open(io.BytesIO(result.images[0].data)).convert("L"))
        assert result.images[0].name == "versions"
        inked = np.flatnonzero((sheet[10:26] < 128).any(axis=0))
        return int(inked[np.append(np.diff(inked), 100) > 40][0])

    assert measure_note("unit-activations") > 300
    assert measure_note("grad-cam") > 300


def test_progress_grows_to_the_end(models: list[Model]):
    seen: list[float] = []
    run_versions(models, _request("activations"), LIMITS, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_versions_are_refused_when_they_do_not_go_together(models: list[Model]):
    with pytest.raises(VersionsDifferError, match="'conv'"):
        plan_versions([models[0], _model(4, filters=5)], _request("grad-cam"), *LIMITS)
    with pytest.raises(TooFewVersionsError):
        plan_versions(models[:1], _request("grad-cam"), *LIMITS)
    with pytest.raises(LayerNotFoundError):
        plan_versions(models, _request("grad-cam", layer="none"), *LIMITS)


@pytest.mark.parametrize("over", ["dataset", "picture", "filters"])
def test_pictures_are_given_away_as_they_are_drawn(models: list[Model], over: str):
    request = (
        _request("filter-patterns", layer="conv", filters="0-2", steps=2)
        if over == "filters"
        else _request("grad-cam", layer="conv")
    )
    if over == "dataset":
        file = io.BytesIO()
        pack_dataset([(f"{name}.png", _photo()) for name in ("a", "b")], file)
        request = replace(request, image=None, images=open_dataset(file, DatasetLimits()))
    (items,) = plan_versions(models, request, *LIMITS).chunks
    whole = compute_versions(models, request, items, LIMITS[0], lambda _: None)
    given: list[ResultImage] = []
    counts: list[int] = []

    def write(image: ResultImage) -> ResultImage:
        given.append(image)
        return image.model_copy(update={"data": b""})

    def report(_: float) -> None:
        counts.append(len(given))

    result = compute_versions(models, replace(request, write=write), items, LIMITS[0], report)
    assert len(whole.images) >= len(models)
    assert [image.name for image in result.images] == [image.name for image in whole.images]
    assert {image.data for image in result.images} == {b""}
    by_name = {image.name: image for image in given}
    assert [by_name[image.name] for image in whole.images] == whole.images
    # Between the versions, not in the end; of one picture all are drawn on one scale once all have been seen.
    assert (0 < counts[-2] < len(given)) or over == "picture"
    assert result.values["neighbours"] == whole.values["neighbours"]
