"""How pictures come to fill an input of another aspect, and where maps of that input lie over them."""

import io
from dataclasses import replace
from typing import Any, get_args

import cv2
import numpy as np
import pytest
from PIL import Image

from schemas.models import Fit
from schemas.results import Result, ResultImage
from service.engine.arrays import Pixels
from service.engine.drawing.map_over_picture import lay_over_picture, lay_over_taken
from service.engine.images.decoding import ImageLimits, fit_into
from service.engine.images.framing import frame
from service.engine.images.photo import ImageFile
from service.engine.images.preprocessing import Preprocessing
from service.engine.methods import METHODS
from service.engine.running.request import Request
from service.engine.running.run import run
from tests.unit.fakes import ClosedFormProbe, closed_form_model
from tests.unit.test_judging import png

LIMITS = ImageLimits(max_bytes=2**24, max_pixels=10**7)
WEIGHTS = [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
# Height and width of pictures and inputs: lying, standing, odd rests, much too long, of the same aspect.
SIZES = [((60, 90), (32, 32)), ((90, 61), (32, 32)), ((50, 50), (20, 31)), ((3, 400), (16, 24)), ((64, 96), (4, 6))]


def _photo(size: tuple[int, int], seed: int = 0) -> Pixels:
    noise = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    return np.asarray(cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def _ask(picture: Pixels, fit: Fit, size: tuple[int, int], **facts: Any) -> Result:
    model = replace(closed_form_model(WEIGHTS, probe=ClosedFormProbe(WEIGHTS, size=size)), fit=fit, **facts)
    method = METHODS["grad-cam"]
    params = method.params.model_validate({"class_index": 0, "colormap": "gray", "values": "raw"})
    return run(model, Request(method, params, ImageFile(png(picture))), LIMITS)


def _pixels(image: ResultImage) -> Pixels:
    with Image.open(io.BytesIO(image.data)) as opened:
        return np.array(opened.convert("RGB"))


@pytest.mark.parametrize(("size", "input_size"), SIZES)
def test_crop_is_the_largest_window_in_the_middle(size: tuple[int, int], input_size: tuple[int, int]):
    framing = frame("crop", size, input_size)
    top, left, bottom, right = framing.taken
    height, width = bottom - top, right - left
    assert (height == size[0]) or (width == size[1])
    # The aspect is the input's, but for half a pixel.
    assert abs(height * input_size[1] - width * input_size[0]) <= max(input_size) / 2
    assert abs(top - (size[0] - bottom)) <= 1
    assert abs(left - (size[1] - right)) <= 1
    assert framing.place == (0, 0, *input_size)


@pytest.mark.parametrize(("size", "input_size"), SIZES)
def test_pad_puts_the_whole_picture_into_the_middle(size: tuple[int, int], input_size: tuple[int, int]):
    framing = frame("pad", size, input_size)
    top, left, bottom, right = framing.place
    height, width = bottom - top, right - left
    assert framing.taken == (0, 0, *size)
    assert (height == input_size[0]) or (width == input_size[1])
    # The picture's aspect, but for half a pixel, and a pixel at least.
    assert height == 1 or abs(height * size[1] - width * size[0]) <= max(size) / 2
    assert abs(top - (input_size[0] - bottom)) <= 1
    assert abs(left - (input_size[1] - right)) <= 1


@pytest.mark.parametrize("fit", get_args(Fit))
def test_the_whole_picture_is_seen_when_it_has_the_aspect_of_the_input(fit: Fit):
    framing = frame(fit, (64, 96), (4, 6))
    assert framing.is_whole
    assert framing.window == (0, 0, 1, 1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("size", "input_size"), SIZES)
def test_network_sees_what_is_cut_or_padded_by_hand(size: tuple[int, int], input_size: tuple[int, int], channels: int):
    photo = _photo(size)
    mode = "L" if channels == 1 else "RGB"
    cut = frame("crop", size, input_size)
    top, left, bottom, right = cut.taken
    window = Image.fromarray(np.ascontiguousarray(photo[top:bottom, left:right])).convert(mode)
    expected = np.asarray(window.resize(input_size[::-1], Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(fit_into(photo, cut, channels), expected.reshape(*input_size, channels))
    padded = frame("pad", size, input_size)
    top, left, bottom, right = padded.place
    canvas = Image.new(mode, input_size[::-1])
    inner = Image.fromarray(photo).convert(mode).resize((right - left, bottom - top), Image.Resampling.BILINEAR)
    canvas.paste(inner, (left, top))
    np.testing.assert_array_equal(fit_into(photo, padded, channels).squeeze(), np.asarray(canvas))


@pytest.mark.parametrize("size", [(80, 130), (130, 80), (10, 17)])
def test_heat_map_is_that_of_the_window_when_the_picture_is_cut(size: tuple[int, int]):
    """Ten pixels high, it is drawn larger: by as much as the whole picture, not as the window alone."""
    photo, input_size = _photo(size), (8, 8)
    top, left, bottom, right = frame("crop", size, input_size).taken
    by_hand = _ask(np.ascontiguousarray(photo[top:bottom, left:right]), "stretch", input_size)
    whole = _ask(photo, "crop", input_size)
    assert whole.predictions == by_hand.predictions
    assert whole.values["map"] == by_hand.values["map"]
    zoom = whole.images[0].height // size[0]
    box = np.s_[top * zoom : bottom * zoom, left * zoom : right * zoom]
    plain = photo.repeat(zoom, axis=0).repeat(zoom, axis=1)
    overlay, heat = (_pixels(image) for image in whole.images[:2])
    if zoom == 1:
        np.testing.assert_array_equal(overlay[box], _pixels(by_hand.images[0]))
        np.testing.assert_array_equal(heat[box], _pixels(by_hand.images[1]))
    assert heat[box].max() == 255
    overlay[box], heat[box], plain[box] = 0, 0, 0
    np.testing.assert_array_equal(overlay, plain)
    assert not heat.any()
    expected = (top / size[0], left / size[1], bottom / size[0], right / size[1])
    assert whole.values["window"] == pytest.approx(expected)


@pytest.mark.parametrize("size", [(100, 160), (160, 100)])
def test_heat_map_is_that_of_the_padded_picture_without_its_border(size: tuple[int, int]):
    """The input is as large as the padded picture, so that both ways come to the same pixels."""
    photo, side = _photo(size), max(size)
    top, left = (side - size[0]) // 2, (side - size[1]) // 2
    canvas = np.zeros((side, side, 3), np.uint8)
    box = np.s_[top : top + size[0], left : left + size[1]]
    canvas[box] = photo
    by_hand, whole = _ask(canvas, "stretch", (side, side)), _ask(photo, "pad", (side, side))
    assert whole.predictions == by_hand.predictions
    assert whole.values["map"] == by_hand.values["map"]
    for one, other in zip(whole.images[:2], by_hand.images[:2], strict=True):
        assert (one.height, one.width) == size
        np.testing.assert_array_equal(_pixels(one), _pixels(other)[box])
    # Black has none in this network.
    assert whole.values["heat_in_border"] == 0
    shares = (-top / size[0], -left / size[1], 1 + top / size[0], 1 + left / size[1])
    assert whole.values["window"] == pytest.approx(shares)


@pytest.mark.parametrize("size", [(20, 30), (30, 20)])
def test_coarse_map_lies_where_it_would_over_the_padded_picture(size: tuple[int, int]):
    """Enlarged over the padded picture and cut is the same as laid over the picture at once."""
    heat, side = np.random.default_rng(3).random((7, 5), np.float32), max(size)
    framing = frame("pad", size, (12, 12))
    top, left = (side - size[0]) // 2, (side - size[1]) // 2
    canvas = cv2.resize(heat, (side * 4, side * 4), interpolation=cv2.INTER_LINEAR)
    expected = canvas[top * 4 : (top + size[0]) * 4, left * 4 : (left + size[1]) * 4]
    found = lay_over_taken(heat, framing, (size[0] * 4, size[1] * 4))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_heat_in_the_border_is_told_when_it_is_cut_away():
    picture = np.full((4, 8, 3), 255, np.uint8)
    # Black comes to 2, white to 1: two thirds of the heat are over the two halves of the border.
    inverted = Preprocessing("custom", (-1 / 255,), (2.0,))
    found = _ask(picture, "pad", (8, 8), preprocessing=inverted)
    assert found.values["heat_in_border"] == pytest.approx(2 / 3)
    assert _ask(picture, "pad", (8, 8)).values["heat_in_border"] == 0


def test_map_over_the_whole_picture_is_zero_where_nothing_was_seen():
    over = lay_over_picture(np.ones((7, 7), np.float32), frame("crop", (100, 300), (10, 10)))
    assert over.shape == (85, 256)
    assert over.sum() == pytest.approx(85 * 85, rel=0.02)
    assert not over[:, :85].any()
    assert not over[:, 171:].any()


def test_numbers_are_as_before_when_the_picture_is_stretched():
    found = _ask(_photo((20, 30)), "stretch", (8, 8))
    assert {"window", "heat_in_border"} & set(found.values) == set()
