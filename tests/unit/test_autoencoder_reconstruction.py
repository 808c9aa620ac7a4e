"""Reconstruction on an autoencoder whose latent is the mean of each channel, with errors worked out by hand."""

import io

import numpy as np
import pytest
from PIL import Image

from service.engine.chunks import JobLimits, run_all
from service.engine.drawing.png import decode_png
from service.engine.drawing.reconstructions import GAP
from service.engine.images.decoding import ImageLimits
from service.engine.images.photo import ImageFile
from service.engine.images.preprocessing import Preprocessing
from service.engine.methods import METHODS
from service.engine.running.request import Request
from service.engine.running.run import run
from service.errors import DatasetEmptyError, MethodUnavailableError
from tests.unit.fakes import autoencoder_model, closed_form_model
from tests.unit.test_over_images import dataset

LIMITS = ImageLimits(2**20, 10**6)
METHOD = METHODS["autoencoder-reconstruction"]
UNIT = Preprocessing("unit", (1 / 255,), (0.0,))


def _stripes(low: int, high: int) -> bytes:
    """(4, 6): columns that are dark and bright in turn."""
    pixels = np.full((4, 6, 3), low, np.uint8)
    pixels[:, 1::2] = high
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_errors_are_in_the_networks_units_when_a_picture_is_painted():
    image = _stripes(0, 102)
    raw = run(autoencoder_model(), Request(METHOD, METHOD.params(), ImageFile(image)), LIMITS)
    # All is decoded as 51: everywhere 51 too much or too little.
    assert (raw.values["mse"], raw.values["mae"]) == (pytest.approx(51**2), pytest.approx(51))
    assert raw.values["error"] == {"min": pytest.approx(-51), "max": pytest.approx(51)}
    unit = run(autoencoder_model(preprocessing=UNIT), Request(METHOD, METHOD.params(), ImageFile(image)), LIMITS)
    assert (unit.values["mse"], unit.values["mae"]) == (pytest.approx(0.04), pytest.approx(0.2))
    for values, span in ((raw.values, 255), (unit.values, 1)):
        assert values["units"]["span"] == pytest.approx(span)
        assert values["psnr"] == pytest.approx(20 * np.log10(5))
    assert unit.layer == "means"


def test_noise_ratio_is_null_when_the_painting_is_perfect():
    result = run(autoencoder_model(), Request(METHOD, METHOD.params(), ImageFile(_stripes(9, 9))), LIMITS)
    assert (result.values["mse"], result.values["psnr"]) == (0, None)


def test_too_bright_is_red_and_too_dark_is_blue_when_the_error_is_drawn():
    result = run(autoencoder_model(), Request(METHOD, METHOD.params(), ImageFile(_stripes(0, 200))), LIMITS)
    pictures = {image.name: decode_png(image.data) for image in result.images}
    assert list(pictures) == ["comparison", "input", "reconstruction", "error"]
    zoom = pictures["input"].shape[1] // 6
    too_bright, too_dark = (pictures["error"][0, place].astype(int) for place in (0, zoom))
    assert too_bright[0] > too_bright[2] + 50
    assert too_dark[2] > too_dark[0] + 50
    assert pictures["input"][0, zoom].tolist() == [200, 200, 200]
    assert (pictures["reconstruction"] == 100).all()
    width = pictures["input"].shape[1]
    assert pictures["comparison"].shape[1] == 3 * width + 4 * GAP


def test_mean_error_and_the_worst_come_first_when_it_is_a_dataset():
    files = [(f"x/{number}.png", _stripes(0, high)) for number, high in enumerate((20, 100, 60))]
    request = Request(METHOD, METHOD.params(worst=2), None, images=dataset(files))
    result = run_all(autoencoder_model(), request, LIMITS, JobLimits(), lambda _: None)
    assert result.values["mse"] == pytest.approx((10**2 + 50**2 + 30**2) / 3)
    assert result.values["mae"] == pytest.approx(30)
    assert [worst["name"] for worst in result.values["worst"]] == ["x/1.png", "x/2.png"]
    names = [image.name for image in result.images]
    assert names == ["worst", "x--0", "x--1", "x--2"]
    worst, first, second = (decode_png(result.images[place].data) for place in (0, 2, 3))
    np.testing.assert_array_equal(worst, np.hstack([first, second]))


def test_dataset_is_refused_when_none_of_its_pictures_can_be_read():
    request = Request(METHOD, METHOD.params(), None, images=dataset([("a.png", b"?")]))
    with pytest.raises(DatasetEmptyError):
        run_all(autoencoder_model(), request, LIMITS, JobLimits(), lambda _: None)


def test_network_is_refused_when_it_is_no_autoencoder():
    with pytest.raises(MethodUnavailableError, match="no autoencoder"):
        run(
            closed_form_model([[1.0], [0.0], [0.0]]),
            Request(METHOD, METHOD.params(), ImageFile(_stripes(0, 9))),
            LIMITS,
        )
