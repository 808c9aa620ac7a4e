"""PNG files, read back by two decoders that are not ours: Pillow's and OpenCV's."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from service.engine.arrays import Pixels
from service.engine.drawing.colormaps import lookup_table
from service.engine.drawing.png import decode_png, encode_animation, encode_png

SHAPES = ((1, 1), (1, 2), (7, 1), (5, 9), (224, 224))


@pytest.mark.parametrize("shape", SHAPES)
def test_pixels_are_the_same_when_rgb_is_read_back(shape: tuple[int, int]):
    pixels = noise((*shape, 3))
    png = encode_png(pixels)
    assert Image.open(io.BytesIO(png)).mode == "RGB"
    np.testing.assert_array_equal(decode_png(png), pixels)
    np.testing.assert_array_equal(read_with_opencv(png), pixels)


@pytest.mark.parametrize("shape", [*SHAPES, (5, 9, 1)])
def test_pixels_are_the_same_when_gray_is_read_back(shape: tuple[int, ...]):
    pixels = noise(shape)
    png = encode_png(pixels)
    assert Image.open(io.BytesIO(png)).mode == "L"
    np.testing.assert_array_equal(decode_png(png), pixels.reshape(shape[:2]))
    np.testing.assert_array_equal(read_with_opencv(png)[..., 0], pixels.reshape(shape[:2]))


@pytest.mark.parametrize("shape", SHAPES)
def test_colours_are_the_palettes_when_it_has_one(shape: tuple[int, int]):
    shades, palette = noise(shape), lookup_table("inferno")
    png = encode_png(shades, palette)
    assert Image.open(io.BytesIO(png)).mode == "P"
    np.testing.assert_array_equal(decode_png(png), palette[shades])
    np.testing.assert_array_equal(read_with_opencv(png), palette[shades])


def test_pixels_are_the_same_when_they_are_no_block_of_memory():
    pixels = noise((6, 8, 3))[::2, ::-1]
    np.testing.assert_array_equal(decode_png(encode_png(pixels)), pixels)


def test_no_pixel_is_lost_when_nothing_repeats_and_when_all_does():
    for pixels in (noise((512, 512, 3)), np.full((512, 512, 3), 255, np.uint8)):
        np.testing.assert_array_equal(decode_png(encode_png(pixels)), pixels)
    assert len(encode_png(pixels)) < pixels.nbytes / 100


def test_frames_are_the_same_when_they_are_animated():
    frames = list(noise((3, 12, 10, 3)))
    with Image.open(io.BytesIO(encode_animation(frames))) as animation:
        assert animation.n_frames == len(frames)  # type: ignore[attr-defined]
        for number, frame in enumerate(frames):
            animation.seek(number)
            np.testing.assert_array_equal(np.asarray(animation.convert("RGB")), frame)


def noise(shape: tuple[int, ...]) -> Pixels:
    return np.random.default_rng(shape).integers(0, 256, shape, dtype=np.uint8)


def read_with_opencv(png: bytes) -> Pixels:
    read = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert read is not None
    return np.asarray(read, np.uint8)
