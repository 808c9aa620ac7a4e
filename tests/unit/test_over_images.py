"""Methods over datasets on closed-form networks: batches, broken pictures, what is reported, and the whole."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from schemas.methods import MethodParams
from schemas.results import Result
from schemas.values.datasets import DatasetValues
from service.engine.chunks import JobLimits, plan, run_all
from service.engine.datasets.batches import BATCH
from service.engine.drawing.visuals import Drawn, Numbers
from service.engine.images.archive import Dataset, DatasetLimits, open_dataset, pack_dataset
from service.engine.images.decoding import ImageLimits
from service.engine.images.photo import ImageFile
from service.engine.kinds.context import Batch, Context, Reduction, Summary
from service.engine.kinds.method import DatasetMethod
from service.engine.kinds.packing import Chunk
from service.engine.methods import METHODS
from service.engine.model import Model
from service.engine.ports.network_info import NetworkInfo
from service.engine.ports.probe import Probe
from service.engine.running.request import Request
from service.engine.running.run import run
from service.errors import DatasetEmptyError, DatasetMissingError, ImageMissingError
from tests.unit.fakes import BatchingClosedFormProbe, closed_form_model

LIMITS = ImageLimits(max_bytes=2**20, max_pixels=10**6)
JOBS = JobLimits()
WEIGHTS = [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]


def photo(seed: int, size: tuple[int, int] = (6, 4)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def dataset(files: Iterable[tuple[str, bytes]]) -> Dataset:
    buffer = io.BytesIO()
    pack_dataset(files, buffer)
    return open_dataset(buffer, DatasetLimits())


def photos(count: int) -> list[tuple[str, bytes]]:
    return [(f"{'red' if number % 2 else 'green'}/{number:03}.png", photo(number)) for number in range(count)]


def _run(model: Model, request: Request, report: Callable[[float], None] = lambda _: None) -> Result:
    return run_all(model, request, LIMITS, JOBS, report)


def _grad_cam(images: Dataset | None, **params: Any) -> Request:
    method = METHODS["grad-cam"]
    return Request(method, method.params.model_validate(params), None, images=images)


def _batching() -> tuple[Model, BatchingClosedFormProbe]:
    probe = BatchingClosedFormProbe(WEIGHTS)
    return closed_form_model(WEIGHTS, probe=probe, labels=("red", "green")), probe


def test_each_picture_is_what_it_is_alone_when_it_comes_in_a_dataset():
    model, probe = _batching()
    images = dataset(photos(20))
    result = _run(model, _grad_cam(images))
    # Two are computed at once: which of them is first is open, which pictures go together is not.
    assert sorted(probe.batches) == [4, 8, 8]
    assert result.values["images"] == 20
    assert result.values["skipped"] == []
    pictures = {image.name: image for image in result.images}
    assert len(result.values["items"]) == 20
    for item, member in zip(result.values["items"], images.members, strict=True):
        alone = run(
            model,
            Request(METHODS["grad-cam"], _grad_cam(None).params, ImageFile(images.read(member.index, 2**20))),
            LIMITS,
        )
        assert (item["index"], item["name"], item["label"]) == (member.index, member.name, member.label)
        assert item["target"] == alone.target.model_dump() if alone.target else None
        assert [prediction["label"] for prediction in item["predictions"]] == [p.label for p in alone.predictions]
        assert (item["min"], item["max"], item["shape"]) == (alone.values["min"], alone.values["max"], [4, 6])
        assert pictures[item["picture"]].data == alone.images[0].data
    assert result.provenance.images_sha256 == images.sha256


def test_the_rest_is_computed_when_one_picture_is_broken():
    model, _ = _batching()
    files = photos(5)
    files[2] = (files[2][0], b"no picture at all")
    result = _run(model, _grad_cam(dataset(files)))
    assert result.values["images"] == 4
    assert [item["name"] for item in result.values["skipped"]] == [files[2][0]]
    assert result.values["skipped"][0]["code"] == "image_invalid"
    pictures = [item["picture"] for item in result.values["items"]]
    assert [image.name for image in result.images][-4:] == pictures


def test_dataset_is_refused_when_none_of_its_pictures_can_be_read():
    model, _ = _batching()
    with pytest.raises(DatasetEmptyError, match="none of the 2 pictures"):
        _run(model, _grad_cam(dataset([("a.png", b"?"), ("b.png", b"?")])))


def test_work_is_cut_into_slices_when_the_dataset_is_large():
    model, _ = _batching()
    work = plan(model, _grad_cam(dataset(photos(40))), LIMITS, JOBS)
    assert [len(chunk) for chunk in work.chunks] == [32, 8]
    assert (work.unit, work.combines) == ("images", True)


def test_progress_grows_to_the_end_when_a_dataset_is_gone_through():
    model, _ = _batching()
    seen: list[float] = []
    _run(model, _grad_cam(dataset(photos(20))), seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert len(seen) >= 3


class MeansParams(MethodParams):
    """No parameters."""


class MeansChunk(Chunk):
    sizes: list[int]
    means: list[float]


class MeansValues(DatasetValues):
    sizes: list[int]
    means: list[float]


def _means(_: Probe, batches: Iterator[Batch], __: MeansParams, ___: Context) -> Numbers[MeansChunk]:
    found = [(len(batch.members), batch.inputs.mean(axis=(1, 2, 3)).tolist()) for batch in batches]
    means = [mean for _, means in found for mean in means]
    return Numbers(None, MeansChunk(sizes=[size for size, _ in found], means=means))


def _join(chunks: Sequence[MeansChunk], _: Reduction, __: MeansParams) -> Summary:
    sizes = [size for chunk in chunks for size in chunk.sizes]
    values = MeansValues(sizes=sizes, means=[mean for chunk in chunks for mean in chunk.means])
    return Summary([Drawn("sheet", np.zeros((2, 3, 3), np.uint8))], values)


def _never(_: NetworkInfo) -> str | None:
    return None


MEANS = DatasetMethod(
    name="means",
    title="Means",
    description="For tests.",
    params=MeansParams,
    values=(MeansValues,),
    chunk=MeansChunk,
    compute=_means,
    reduce=_join,
    refuse=_never,
    slice=12,
)


def test_batches_are_full_and_in_order_when_the_method_takes_them_itself():
    files = sorted(photos(30))
    files[16] = (files[16][0], b"broken")
    images = dataset(files)
    result = _run(closed_form_model(WEIGHTS), Request(MEANS, MeansParams(), None, images=images))
    assert result.values["sizes"] == [BATCH, 4, BATCH, 3, 6]
    good = [data for number, (_, data) in enumerate(files) if number != 16]
    means = [np.asarray(Image.open(io.BytesIO(data))).mean() for data in good]
    np.testing.assert_allclose(result.values["means"], means, rtol=1e-6)
    assert [image.name for image in result.images] == ["sheet"]
    assert result.values["images"] == 29


def test_request_is_refused_when_it_has_no_pictures():
    model = closed_form_model(WEIGHTS)
    with pytest.raises(DatasetMissingError):
        plan(model, Request(MEANS, MeansParams(), None), LIMITS, JOBS)
    with pytest.raises(ImageMissingError):
        plan(model, _grad_cam(None), LIMITS, JOBS)
