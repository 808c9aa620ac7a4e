"""Strips come to the same bytes as the whole picture at once, as it was done before there were strips."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from service.engine.arrays import Pixels
from service.engine.images.decoding import ImageLimits, decode
from service.engine.images.upright import to_upright_rgb
from service.errors import ImageInvalidError

# Three strips, the last of them shorter.
WIDTH, HEIGHT = 1024, 2100
MODES = ("1", "L", "P", "LA", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV", "LAB", "I;16", "I")


def _whole(image: Image.Image) -> Pixels:
    """All at once: Pillow turns it, in 64 bits the least range becomes 8, and white is laid below the whole picture."""
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I"):
        values = np.asarray(image).astype(np.int64)
        most = next(2**bits - 1 for bits in (8, 10, 12, 14, 16) if values.max() < 2**bits)
        return np.asarray(Image.fromarray(np.round(values / most * 255).astype(np.uint8)).convert("RGB"))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def _noise(mode: str) -> Image.Image:
    random = np.random.default_rng(MODES.index(mode))
    if mode in ("I;16", "I"):
        values = random.integers(0, 2**16, (HEIGHT, WIDTH))
        return Image.fromarray(values.astype(np.uint16 if mode == "I;16" else np.int32))
    bands = len(Image.new(mode, (1, 1)).getbands())
    image = Image.frombytes(mode, (WIDTH, HEIGHT), random.bytes(WIDTH * HEIGHT * bands)) if mode != "1" else None
    image = image or Image.fromarray(random.integers(0, 256, (HEIGHT, WIDTH), np.uint8)).convert("1")
    if mode in ("P", "PA"):
        image.putpalette(random.bytes(768))
    return image


@pytest.mark.parametrize("mode", MODES)
def test_picture_is_the_same_in_strips_when_it_has_any_mode(mode: str):
    np.testing.assert_array_equal(to_upright_rgb(_noise(mode)), _whole(_noise(mode)))


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_picture_is_the_same_in_strips_when_a_colour_is_transparent(mode: str):
    def make() -> Image.Image:
        image = _noise(mode)
        image.info["transparency"] = {"P": bytes(range(256)), "L": 7}.get(mode, (1, 2, 3))
        return image

    np.testing.assert_array_equal(to_upright_rgb(make()), _whole(make()))


@pytest.mark.parametrize("orientation", range(10))
def test_picture_is_the_same_in_strips_when_it_is_turned(orientation: int):
    def make() -> Image.Image:
        image = _noise("RGB")
        image.getexif()[0x0112] = orientation
        return image

    np.testing.assert_array_equal(to_upright_rgb(make()), _whole(make()))


def test_all_values_are_the_same_when_they_have_sixteen_bits():
    values = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    image = Image.fromarray(values)
    np.testing.assert_array_equal(to_upright_rgb(image), _whole(image))


@pytest.mark.parametrize("value", [-1, 2**16])
def test_picture_is_refused_when_a_value_in_its_last_strip_has_no_range(value: int):
    values = np.zeros((HEIGHT, WIDTH), np.int32)
    values[-1, -1] = value
    with pytest.raises(ImageInvalidError, match="32-bit"):
        to_upright_rgb(Image.fromarray(values))


@pytest.mark.filterwarnings("ignore")
def test_files_are_the_same_in_strips_when_they_are_hostile(test_data: Path):
    decoded = 0
    for path in sorted((test_data / "images").glob("[eh]*/*")):
        data = path.read_bytes()
        try:
            found = decode(data, ImageLimits(20 * 2**20, 40_000_000))
        except Exception:  # noqa: BLE001 - the contract tests know which are none
            continue
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            try:
                expected = _whole(image)
            except (TypeError, ValueError, SyntaxError, OSError):
                expected = np.asarray(image.convert("RGB"))
        np.testing.assert_array_equal(found, expected, path.name)
        decoded += 1
    assert decoded > 15
