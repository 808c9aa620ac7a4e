"""The runner on a closed-form network: what stands in a result, and what is refused before computing."""

import hashlib
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from service.engine.images.decoding import ImageLimits
from service.engine.images.photo import ImageFile
from service.engine.methods import METHODS
from service.engine.model import Model
from service.engine.running.request import Request
from service.engine.running.run import run
from service.errors import ImageMissingError, MethodUnavailableError, NotFiniteError
from tests.unit.fakes import ClosedFormProbe, closed_form_model

LIMITS = ImageLimits(max_bytes=2**20, max_pixels=10**6)
WEIGHTS = [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]


def a_photo(width: int = 30, height: int = 20) -> bytes:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2, 0] = 200
    pixels[height // 2 :, width // 2 :, 1] = 100
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _request(method: str = "grad-cam", *, image: bytes | None = None, **params: object) -> Request:
    chosen = METHODS[method]
    return Request(chosen, chosen.params.model_validate(params), ImageFile(image or a_photo()))


def test_result_tells_all_when_a_heat_map_is_asked_for():
    photo = a_photo()
    model = closed_form_model(WEIGHTS, labels=("red", "green"))
    result = run(model, _request(image=photo, class_index=1, values="raw"), LIMITS)
    assert (result.model, result.version, result.method, result.layer) == ("closed", "1", "grad-cam", "maps")
    assert result.target is not None
    assert (result.target.index, result.target.label, result.target.kind) == (1, "green", "logit")
    assert [prediction.label for prediction in result.predictions] == ["red", "green"]
    assert [(image.name, image.width, image.height) for image in result.images] == [
        ("overlay", 240, 160),
        ("heatmap", 240, 160),
        ("input", 6, 4),
    ]
    assert np.shape(result.values["map"]) == (4, 6)
    assert result.provenance.image_sha256 == hashlib.sha256(photo).hexdigest()
    assert result.provenance.params["class_index"] == 1
    assert result.provenance.params["layer"] == "maps"
    assert result.provenance.plan == {
        "input_size": [4, 6],
        "fit": "stretch",
        "resampling": "pillow-bilinear",
        "preprocessing": "none",
    }


def test_bytes_are_identical_when_the_request_is_repeated():
    model = closed_form_model(WEIGHTS)
    first, second = (run(model, _request(), LIMITS) for _ in range(2))
    assert [image.data for image in first.images] == [image.data for image in second.images]


def test_one_picture_is_drawn_when_only_the_first_is_wanted():
    request = _request()
    only = run(closed_form_model(WEIGHTS), Request(request.method, request.params, request.image, True), LIMITS)  # noqa: FBT003
    assert [image.name for image in only.images] == ["overlay"]


def test_predictions_are_sorted_and_cut_when_top_is_given():
    weights = [[0.1, 0.3, 0.2], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    result = run(closed_form_model(weights), _request("predictions", top=2), LIMITS)
    assert [prediction.index for prediction in result.predictions] == [1, 2]
    assert result.images == []
    assert result.target is None


def test_heatmap_lies_where_the_colour_is_when_the_network_sees_red():
    result = run(closed_form_model(WEIGHTS), _request(class_index=0, colormap="gray"), LIMITS)
    heatmap = np.asarray(Image.open(io.BytesIO(result.images[1].data)).convert("L"))
    row, column = divmod(int(heatmap.argmax()), heatmap.shape[1])
    assert (row < 10, column < 15) == (True, True)
    assert heatmap[-1, -1] == 0


def test_missing_image_is_named_when_the_method_needs_one():
    request = _request()
    with pytest.raises(ImageMissingError, match="'image'"):
        run(closed_form_model(WEIGHTS), Request(request.method, request.params, None), LIMITS)


def test_method_is_refused_with_the_reason_when_the_network_has_no_classes():
    probe = ClosedFormProbe(WEIGHTS)
    probe.network_info = replace(probe.network_info, classes=None, task="features")
    model = closed_form_model(WEIGHTS, probe=probe)
    with pytest.raises(MethodUnavailableError, match="no class scores"):
        run(model, _request(), LIMITS)


def test_nan_is_refused_when_the_network_answers_it():
    with pytest.raises(NotFiniteError):
        run(closed_form_model([[float("nan"), 0], [0, 0], [0, 0]]), _request("predictions"), LIMITS)


@pytest.mark.parametrize(
    ("input_size", "expected"), [((8, 10), (8, 10)), (None, (20, 30))], ids=["model.toml says", "the picture's own"]
)
def test_open_size_is_filled_when_the_network_leaves_it(input_size: tuple[int, int] | None, expected: tuple[int, int]):
    result = run(_open_model(input_size), _request("predictions"), LIMITS)
    assert result.provenance.plan["input_size"] == list(expected)


def test_longer_side_is_at_most_512_when_the_size_is_open():
    result = run(_open_model(None), _request("predictions", image=a_photo(1000, 500)), LIMITS)
    assert result.provenance.plan["input_size"] == [256, 512]


def _open_model(input_size: tuple[int, int] | None) -> Model:
    probe = ClosedFormProbe(WEIGHTS)
    probe.network_info = replace(probe.network_info, input_shape=(None, None, 3))
    return closed_form_model(WEIGHTS, probe=probe, input_size=input_size)
