"""The plane of the latent, on an autoencoder whose latent is the mean of each channel."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from schemas.results import Result
from service.engine.arrays import Array
from service.engine.chunks import JobLimits, plan, run_all
from service.engine.drawing.plots import draw_scatter
from service.engine.drawing.png import decode_png
from service.engine.drawing.visuals import Scatter
from service.engine.images.decoding import ImageLimits
from service.engine.methods import METHODS
from service.engine.methods.autoencoders.projection import find_plane
from service.engine.ports.network_info import Latent
from service.engine.running.request import Request
from service.errors import DatasetMissingError, LatentTooLargeError, NotFiniteError
from tests.unit.fakes import ClosedFormProbe, autoencoder_model
from tests.unit.test_over_images import dataset

LIMITS = ImageLimits(2**20, 10**6)
METHOD = METHODS["autoencoder-latents"]
# Three colours on a line, with a little of another direction, and three far from them; the last has no folder.
COLOURS = {
    "near/0.png": (0, 10, 50),
    "near/1.png": (10, 10, 50),
    "near/2.png": (20, 13, 50),
    "far/0.png": (200, 10, 50),
    "far/1.png": (210, 10, 50),
    "other.png": (100, 10, 50),
}


def flat(colour: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(buffer, "PNG")
    return buffer.getvalue()


def _request(**params: Any) -> Request:
    images = dataset([(name, flat(colour)) for name, colour in COLOURS.items()])
    return Request(METHOD, METHOD.params.model_validate(params), None, images=images)


@pytest.fixture(scope="module")
def result() -> Result:
    return run_all(autoencoder_model(), _request(steps=3), LIMITS, JobLimits(), lambda _: None)


def test_every_picture_is_listed_with_its_code(result: Result):
    found = {item["name"]: (item["label"], item["latent"]) for item in result.values["items"]}
    labels = {name: name.split("/")[0] if "/" in name else None for name in COLOURS}
    assert found == {name: (labels[name], pytest.approx(colour)) for name, colour in COLOURS.items()}
    assert (result.layer, result.values["units"], result.values["latents_left_out"]) == ("means", 3, None)


def test_ranges_and_active_units_are_those_of_the_dataset(result: Result):
    ranges, latents = result.values["ranges"], np.array(list(COLOURS.values()), float)
    assert ranges["min"] == [0, 10, 50]
    assert ranges["max"] == [210, 13, 50]
    assert ranges["mean"] == pytest.approx(latents.mean(axis=0))
    assert ranges["std"] == pytest.approx(latents.std(axis=0))
    assert ranges["percentile_99"] == pytest.approx(np.percentile(latents, 99, axis=0))
    # The second unit varies by 1.25, a five thousandth of the first.
    active = result.values["active_units"]
    assert (active["count"], active["units"], active["burda_count"]) == (1, [0], 2)


def test_plane_is_that_of_the_greatest_variance_when_there_are_three_units(result: Result):
    plane = result.values["plane"]
    assert plane["principal_components"]
    latents = np.array(list(COLOURS.values()), float)
    singular = np.linalg.svd(latents - latents.mean(axis=0), compute_uv=False) ** 2
    assert plane["explained_variance"] == pytest.approx(singular[:2] / singular.sum())
    places = np.array([item["place"] for item in result.values["items"]])
    np.testing.assert_allclose(np.ptp(places[:, 0]), 210, rtol=1e-3)
    assert np.argmax(places[:, 0]) == [item["name"] for item in result.values["items"]].index("far/1.png")


def test_silhouette_counts_labels_of_several_pictures_alone(result: Result):
    found = result.values["silhouette"]
    assert (found["labels"], found["pictures"]) == (2, 5)
    assert found["value"] > 0.9


def test_plane_is_decoded_from_its_upper_left_when_the_manifold_is_drawn(result: Result):
    assert [image.name for image in result.images] == ["latents", "manifold"]
    sheet = decode_png(result.images[1].data)
    # Nine flat pictures: red grows to the right.
    zoom = (sheet.shape[1] - 4) // 3
    reds = sheet[5, [zoom // 2, sheet.shape[1] // 2, sheet.shape[1] - 3], 0].astype(int)
    assert reds[0] < 10
    assert reds[0] < reds[1] < reds[2]
    assert reds[2] > 200


def test_latent_is_its_own_plane_when_it_has_two_units():
    latents = np.array([[0, 0], [2, 1], [4, 0]], np.float32)
    plane = find_plane(latents)
    assert (plane.axes, plane.principal) == (("unit 0", "unit 1"), False)
    np.testing.assert_array_equal(plane.project(latents), latents)
    np.testing.assert_array_equal(plane.lift(np.array([[1.0, 2.0]])), [[1, 2]])
    assert plane.explained == pytest.approx((12 / 13, 1 / 13))


def test_latent_is_a_line_when_it_has_one_unit():
    plane = find_plane(np.array([[1], [3]], np.float32))
    np.testing.assert_array_equal(plane.project(np.array([[1], [3]], np.float32)), [[1, 0], [3, 0]])
    np.testing.assert_array_equal(plane.lift(np.array([[2.0, 9.0]])), [[2]])


@pytest.mark.parametrize("shape", [(9, 5), (4, 40), (1, 3), (2, 3)])
def test_components_are_orthonormal_and_rebuild_the_latents_nearest_in_the_plane(shape: tuple[int, int]):
    latents = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    plane = find_plane(latents)
    rank = min(2, len(latents) - 1)
    gram = plane.directions @ plane.directions.T
    np.testing.assert_allclose(np.diag(gram)[:rank], 1, atol=1e-6)
    assert abs(gram[0, 1]) < 1e-6
    centred = latents - latents.mean(axis=0, dtype=float)
    left = centred - (plane.lift(plane.project(latents)) - plane.origin)
    singular = np.linalg.svd(centred, compute_uv=False)
    np.testing.assert_allclose((left**2).sum(), (singular[2:] ** 2).sum(), atol=1e-5)


def test_points_lie_where_the_axes_say_when_they_are_drawn():
    points = np.array([[0, 0], [10, 5]], np.float32)
    pixels = draw_scatter(Scatter("plot", points, ("a", "b"), ("across", "up")), None).pixels.astype(int)
    saturated = np.ptp(pixels, axis=2) > 60
    blue = np.argwhere(saturated & (pixels[..., 2] > pixels[..., 0]))
    orange = np.argwhere(saturated & (pixels[..., 0] > pixels[..., 2]))
    plot = pixels.shape[1] - 150
    below, left = blue[blue[:, 1] < plot].mean(axis=0)
    above, right = orange[orange[:, 1] < plot].mean(axis=0)
    assert below > above + 400
    assert right > left + 400
    # The legend has both.
    assert (blue[:, 1] > plot).any()
    assert (orange[:, 1] > plot).any()


class _BrokenProbe(ClosedFormProbe):
    """Its latent, or what it decodes, is not finite."""

    encoded, decoded = np.nan, 0.0

    def encode(self, images: Array) -> Array:
        return super().encode(images) * np.float32(self.encoded)

    def decode(self, latents: Array) -> Array:
        return super().decode(latents) + np.float32(self.decoded)


@pytest.mark.parametrize(("encoded", "decoded", "word"), [(np.nan, 0.0, "holds or answers"), (1.0, np.inf, "decodes")])
def test_nothing_is_shown_when_the_network_is_broken(encoded: float, decoded: float, word: str):
    model = autoencoder_model()
    probe = _BrokenProbe([[1.0], [0.0], [0.0]])
    probe.network_info, probe.encoded, probe.decoded = model.network_info, encoded, decoded
    with pytest.raises(NotFiniteError, match=word):
        run_all(replace(model, probe=probe), _request(), LIMITS, JobLimits(), lambda _: None)


def test_request_is_refused_when_the_latent_is_too_large_or_pictures_are_missing():
    model = autoencoder_model()
    object.__setattr__(model.probe.network_info, "latent", Latent("means", (100, 100)))
    with pytest.raises(LatentTooLargeError, match="10000 units"):
        plan(model, _request(), LIMITS, JobLimits())
    with pytest.raises(DatasetMissingError):
        plan(autoencoder_model(), Request(METHOD, METHOD.params(), None), LIMITS, JobLimits())
