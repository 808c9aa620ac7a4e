"""Decoding what Pillow can write: every mode, orientation and limit. Hostile files stand in the contract tests."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.engine.images.decoding import ImageLimits, decode, fit
from service.errors import ImageInvalidError, ImageTooLargeError, ImageTooManyPixelsError

LIMITS = ImageLimits(max_bytes=2**20, max_pixels=10_000)


def _save(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def _quadrants() -> Image.Image:
    """Red, green over blue, white; 20 wide and 10 high, so that every orientation differs."""
    pixels = np.zeros((10, 20, 3), np.uint8)
    pixels[:5, :10, 0] = pixels[:5, 10:, 1] = pixels[5:, :10, 2] = 255
    pixels[5:, 10:] = 255
    return Image.fromarray(pixels)


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


# How a camera stored the upright picture, by EXIF orientation.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", STORED)
def test_picture_is_upright_when_exif_says_it_is_not(orientation: int):
    stored = _quadrants().transpose(STORED[orientation])
    decoded = decode(_save(stored, exif=_exif(orientation)), LIMITS)
    np.testing.assert_array_equal(decoded, np.asarray(_quadrants()))


def test_transparency_lies_on_white_when_there_is_alpha():
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0] = (255, 0, 0, 255)
    pixels[0, 1] = (255, 0, 0, 128)
    decoded = decode(_save(Image.fromarray(pixels)), LIMITS)
    assert decoded[0, 0].tolist() == [255, 0, 0]
    assert decoded[0, 1].tolist() == [255, 127, 127]
    assert decoded[1, 1].tolist() == [255, 255, 255]


def test_transparency_lies_on_white_when_a_palette_marks_it():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    decoded = decode(_save(image, transparency=0), LIMITS)
    assert decoded.tolist() == [[[255, 255, 255], [200, 100, 50]]]


def test_sixteen_bits_are_scaled_when_a_gray_png_has_them():
    values = np.array([[0, 257 * 100], [257 * 200, 65535]], np.uint16)
    decoded = decode(_save(Image.fromarray(values)), LIMITS)
    assert decoded[..., 0].tolist() == [[0, 100], [200, 255]]


GRAY, COLOUR, GRAY_ALPHA, COLOUR_ALPHA = 0, 2, 4, 6


def _png(bits: int, kind: int, row: bytes, width: int, transparent: bytes = b"") -> bytes:
    """One row as it stands in the file, and a `tRNS` chunk with a transparent value, in the row's own units."""
    header = struct.pack(">IIBBBBB", width, 1, bits, kind, 0, 0, 0)
    chunks = [
        (b"IHDR", header),
        *([(b"tRNS", transparent)] if transparent else []),
        (b"IDAT", zlib.compress(b"\0" + row)),
    ]
    data = b"\x89PNG\r\n\x1a\n"
    for name, content in [*chunks, (b"IEND", b"")]:
        data += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return data


# Four pixels, of which the third alone is transparent; the fourth of sixteen bits differs in its lower byte.
@pytest.mark.parametrize(
    ("bits", "row", "transparent", "expected"),
    [
        (1, b"\x20", b"\0\1", [0, 0, 255, 0]),
        (2, b"\x19", b"\0\2", [0, 85, 255, 85]),
        (4, b"\x03\x73", b"\0\7", [0, 51, 255, 51]),
        (8, bytes((0, 3, 7, 3)), b"\0\7", [0, 3, 255, 3]),
        (16, struct.pack(">4H", 0, 257, 0x5511, 0x5512), b"\x55\x11", [0, 1, 255, 85]),
    ],
)
def test_transparent_value_is_laid_on_white_when_gray_has_any_depth(
    bits: int, row: bytes, transparent: bytes, expected: list[int]
):
    decoded = decode(_png(bits, GRAY, row, 4, transparent), LIMITS)
    assert decoded[0].tolist() == [[value] * 3 for value in expected]


@pytest.mark.parametrize("bits", [8, 16])
def test_transparent_colour_is_laid_on_white_when_it_has_any_depth(bits: int):
    colours = [0x5511, 0x2233, 0x7744, 0, 0, 0]
    numbers = colours if bits == 16 else [number >> 8 for number in colours]
    row = struct.pack(f">6{'H' if bits == 16 else 'B'}", *numbers)
    decoded = decode(_png(bits, COLOUR, row, 2, struct.pack(">3H", *numbers[:3])), LIMITS)
    assert decoded.tolist() == [[[255, 255, 255], [0, 0, 0]]]


def test_alpha_of_sixteen_bits_is_laid_on_white_when_it_is_a_channel():
    gray = struct.pack(">6H", 0x4000, 0, 0x4000, 0xFFFF, 0x4000, 0x8000)
    assert decode(_png(16, GRAY_ALPHA, gray, 3), LIMITS)[0, :, 0].tolist() == [255, 64, 159]
    colour = struct.pack(">8H", 0x4000, 0, 0, 0, 0x4000, 0, 0, 0xFFFF)
    assert decode(_png(16, COLOUR_ALPHA, colour, 2), LIMITS).tolist() == [[[255, 255, 255], [64, 0, 0]]]


@pytest.mark.parametrize(("mode", "colour"), [("L", 77), ("1", 1), ("CMYK", (0, 255, 255, 0)), ("LA", (77, 255))])
def test_picture_becomes_rgb_when_it_has_another_mode(mode: str, colour: Any):
    data = _save(Image.new(mode, (3, 2), colour), "TIFF")
    decoded = decode(data, LIMITS)
    expected = {"L": [77] * 3, "1": [255] * 3, "CMYK": [255, 0, 0], "LA": [77] * 3}[mode]
    assert decoded.shape == (2, 3, 3)
    assert decoded[1, 2].tolist() == expected


def test_first_frame_counts_when_the_picture_moves():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    decoded = decode(_save(frames[0], "GIF", save_all=True, append_images=frames[1:]), LIMITS)
    assert decoded[0, 0].tolist() == [255, 0, 0]


def test_size_is_refused_before_decoding_when_the_header_is_huge():
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    with pytest.raises(ImageTooManyPixelsError):
        decode(bomb + b"\x00\x00\x00\x00IDAT", LIMITS)


def test_size_is_refused_when_it_is_just_over_the_limit():
    with pytest.raises(ImageTooManyPixelsError, match="101 x 100"):
        decode(_save(Image.new("RGB", (101, 100))), LIMITS)
    assert decode(_save(Image.new("RGB", (100, 100))), LIMITS).shape == (100, 100, 3)


def test_bytes_are_refused_when_they_are_too_many():
    with pytest.raises(ImageTooLargeError, match="at most 10"):
        decode(b"x" * 11, ImageLimits(max_bytes=10, max_pixels=100))


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"%PDF-1.7", _save(_quadrants())[:60]])
def test_bytes_are_refused_when_they_are_no_picture(data: bytes):
    with pytest.raises(ImageInvalidError):
        decode(data, LIMITS)


def test_float_pixels_are_refused_when_they_have_no_range():
    with pytest.raises(ImageInvalidError, match="8 or 16 bits"):
        decode(_save(Image.new("F", (2, 2), 0.5), "TIFF"), LIMITS)


def test_resize_is_pillow_bilinear_when_a_picture_is_fitted():
    picture = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    expected = Image.fromarray(picture).resize((24, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(fit(picture, height=16, width=24, channels=3), np.asarray(expected))


def test_luminance_is_taken_when_the_network_is_gray():
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[..., 1] = 255
    # ITU-R 601-2: 0.587 of 255.
    assert fit(picture, height=2, width=3, channels=1).tolist() == [[[150]] * 3] * 2
