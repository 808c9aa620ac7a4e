"""Gray of sixteen bits of which fewer are used: stated in the file, or found in the whole picture, and told."""

import io
import struct
import zlib
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from service.engine.chunks import JobLimits, run_all
from service.engine.images.decoding import ImageLimits, read_picture
from service.engine.images.photo import ImageFile
from service.engine.images.sample_range import SampleRange
from service.engine.methods import METHODS
from service.engine.running.request import Request
from service.engine.running.run import run
from service.errors import ImageInvalidError
from tests.unit.fakes import closed_form_model
from tests.unit.test_images import COLOUR, GRAY, _png
from tests.unit.test_over_images import dataset

LIMITS = ImageLimits(max_bytes=2**24, max_pixels=10**7)
MODEL = closed_form_model([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
PHOTOMETRIC = 262
# The least of the bits that hold it.
GREATEST = {1: 8, 255: 8, 256: 10, 1023: 10, 1024: 12, 4095: 12, 4096: 14, 16383: 14, 16384: 16, 65535: 16}


def _row(*values: int) -> NDArray[np.uint16]:
    return np.array([values], np.uint16)


def _save(values: NDArray[Any], image_format: str = "PNG", **tags: int) -> bytes:
    buffer = io.BytesIO()
    options: dict[str, Any] = {}
    if image_format == "TIFF":
        directory = ImageFileDirectory_v2()
        directory.update({int(tag[1:]): value for tag, value in tags.items()})
        options["tiffinfo"] = directory
    Image.fromarray(values).save(buffer, image_format, **options)
    return buffer.getvalue()


def _with_sbit(values: NDArray[np.uint16], bits: int) -> bytes:
    data = _png(16, GRAY, values.astype(">u2").tobytes(), values.size)
    # After the header, whose chunk has 25 bytes; Pillow does not look at the checksum of what it does not know.
    chunk = struct.pack(">I", 1) + b"sBIT" + bytes((bits,))
    return data[:33] + chunk + struct.pack(">I", zlib.crc32(chunk[4:])) + data[33:]


def _read(data: bytes) -> tuple[list[int], SampleRange | None]:
    decoded = read_picture(data, LIMITS)
    return decoded.pixels[0, :, 0].tolist(), decoded.samples


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
@pytest.mark.parametrize(("greatest", "bits"), GREATEST.items())
def test_greatest_value_decides_when_the_file_says_nothing(greatest: int, bits: int, image_format: str):
    values = _row(0, greatest // 2, greatest)
    pixels, samples = _read(_save(values, image_format))
    assert samples == SampleRange(bits, "found")
    assert pixels == np.round(values[0] / (2**bits - 1) * 255).astype(int).tolist()


@pytest.mark.parametrize("place", [0, -1])
def test_range_is_that_of_the_whole_picture_when_it_is_read_in_strips(place: int):
    values = np.full((2100, 1024), 4095, np.uint16)
    assert read_picture(_save(values), LIMITS).pixels.min() == 255
    values[place, place] = 65535
    decoded = read_picture(_save(values), LIMITS)
    assert decoded.samples == SampleRange(16, "found")
    assert (decoded.pixels[1, 1, 0], decoded.pixels[place, place, 0]) == (16, 255)


def test_black_stays_black_when_there_is_nothing_else():
    assert _read(_save(_row(0, 0))) == ([0, 0], SampleRange(16, "found"))


@pytest.mark.parametrize(("stated", "bits", "sure"), [(4095, 12, "stated"), (65535, 16, "stated"), (1000, 10, "found")])
def test_tiff_is_believed_when_its_greatest_value_is_a_number_of_bits(stated: int, bits: int, sure: Any):
    """A thousand in tag 281 is no range, but a statistic."""
    pixels, samples = _read(_save(_row(0, 1000), "TIFF", t281=stated))
    assert samples == SampleRange(bits, sure)
    assert pixels == [0, round(1000 / (2**bits - 1) * 255)]


def test_tiff_is_not_believed_when_a_value_goes_beyond_what_it_says():
    assert _read(_save(_row(0, 4096), "TIFF", t281=4095))[1] == SampleRange(14, "found")


def test_tiff_of_twelve_bits_has_them_when_they_are_packed():
    """Three bytes for two numbers: 0x010 and 0x3ff, which would be ten bits. Sixteen is what Pillow has room for."""
    order = b"II*\0" + struct.pack("<L", 8)
    packed = bytes((0x01, 0x03, 0xFF))
    tags = [(256, 2), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8 + 2 + 8 * 12 + 4), (278, 1), (279, 3)]
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags)
    data = order + struct.pack("<H", len(tags)) + entries + struct.pack("<L", 0) + packed
    assert _read(data) == ([1, 64], SampleRange(12, "stated"))


def test_white_is_zero_when_a_tiff_says_so():
    pixels, samples = _read(_tiff_white_is_zero(_row(0, 1000, 4095)))
    assert samples == SampleRange(12, "found", white_is_zero=True)
    assert pixels == [255, 193, 0]


def _tiff_white_is_zero(values: NDArray[np.uint16]) -> bytes:
    data = _save(values, "TIFF")
    entry = struct.pack("<HHL", PHOTOMETRIC, 3, 1)
    place = data.index(entry) + len(entry)
    return data[:place] + struct.pack("<H", 0) + data[place + 2 :]


@pytest.mark.parametrize(
    ("values", "significant", "bits"),
    [
        # As they came from the camera, at the lower end of the sixteen.
        ((0, 1001), 12, 12),
        ((0, 1001), 10, 10),
        # Spread over all of them as PNG wants it, with repeated bits or with zeros: a dark picture that stays dark.
        ((0, 0x0FA0), 12, 16),
        ((0, 0x7FF7), 12, 16),
        # It cannot be what it says.
        ((0, 5001), 12, 16),
    ],
)
def test_png_tells_whether_its_numbers_were_spread_when_it_has_significant_bits(
    values: tuple[int, ...], significant: int, bits: int
):
    pixels, samples = _read(_with_sbit(_row(*values), significant))
    assert samples == SampleRange(bits, "stated")
    assert pixels[1] == round(values[1] / (2**bits - 1) * 255)


def test_transparent_value_counts_for_nothing_when_the_range_is_found():
    row = struct.pack(">3H", 0, 4095, 65535)
    assert _read(_png(16, GRAY, row, 3, b"\xff\xff")) == ([0, 255, 255], SampleRange(12, "found"))


def test_numbers_of_32_bits_are_refused_when_they_go_beyond_sixteen():
    with pytest.raises(ImageInvalidError, match="32-bit"):
        read_picture(_save(np.array([[0, 70_000]], np.int32), "TIFF"), LIMITS)
    assert _read(_save(np.array([[0, 4095]], np.int32), "TIFF")) == ([0, 255], SampleRange(12, "found"))


@pytest.mark.parametrize(("greatest", "sure", "bits"), [(700, "stated", 12), (5000, "found", 14)])
def test_owner_is_believed_when_model_toml_says_how_many_bits_are_used(greatest: int, sure: Any, bits: int):
    """Unless a number goes beyond them: pictures of one camera are then as bright as they were, dark ones too."""
    decoded = read_picture(_save(_row(0, greatest)), LIMITS, bits=12)
    assert decoded.samples == SampleRange(bits, sure)
    model = replace(MODEL, sample_bits=12)
    request = Request(METHODS["predictions"], METHODS["predictions"].params(), ImageFile(_save(_row(0, greatest))))
    assert run(model, request, LIMITS).provenance.plan["sample_range"]["sure"] == sure
    white_is_zero = read_picture(_tiff_white_is_zero(_row(0, 700)), LIMITS, bits=12)
    assert white_is_zero.samples == SampleRange(12, "stated", white_is_zero=True)


def test_range_is_told_when_a_picture_has_sixteen_bits():
    method = METHODS["predictions"]

    def plan_of(data: bytes) -> dict[str, Any]:
        return run(MODEL, Request(method, method.params(), ImageFile(data)), LIMITS).provenance.plan

    assert plan_of(_save(_row(0, 4000)))["sample_range"] == {"bits": 12, "maximum": 4095, "sure": "found"}
    assert plan_of(_save(_row(0, 65535)))["sample_range"]["bits"] == 16
    assert "sample_range" not in plan_of(_save(np.zeros((2, 2), np.uint8)))


@pytest.mark.parametrize("name", ["grad-cam", "unit-activations"])
def test_pictures_that_are_drawn_brighter_are_named_when_they_are_of_a_dataset(name: str):
    files = [
        ("a.png", _save(np.full((4, 6), 3000, np.uint16))),
        ("b.png", _save(np.full((4, 6), 65535, np.uint16))),
        ("c.png", _save(np.full((4, 6), 200, np.uint8))),
        ("d.png", _save(np.full((4, 6), 700, np.uint16))),
    ]
    method = METHODS[name]
    request = Request(method, method.params(), None, images=dataset(files))
    result = run_all(MODEL, request, LIMITS, JobLimits(), lambda _: None)
    assert result.values["sample_ranges"] == [
        {"index": 0, "name": "a.png", "bits": 12, "maximum": 4095, "sure": "found"},
        {"index": 3, "name": "d.png", "bits": 10, "maximum": 1023, "sure": "found"},
    ]
    plain = Request(method, method.params(), None, images=dataset(files[1:3]))
    assert "sample_ranges" not in run_all(MODEL, plain, LIMITS, JobLimits(), lambda _: None).values


def _colours(bits: int, channels: int = 3) -> NDArray[np.uint16]:
    """Rows of numbers up to the greatest; alpha, where there is some, has all sixteen bits."""
    values = np.random.default_rng(bits).integers(0, 2**bits, (300, 7, channels)).astype(np.uint16)
    values[-1, -1, 0] = 2**bits - 1
    values[..., 3:] = 65535
    return values


def _tiff(values: NDArray[np.uint16], compression: int) -> bytes:
    order = cv2.COLOR_RGB2BGR if values.shape[-1] == 3 else cv2.COLOR_RGBA2BGRA
    done, data = cv2.imencode(".tif", cv2.cvtColor(values, order), [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    assert done
    return bytes(data)


def _colour_png(values: NDArray[np.uint16]) -> bytes:
    order = cv2.COLOR_RGB2BGR if values.shape[-1] == 3 else cv2.COLOR_RGBA2BGRA
    done, data = cv2.imencode(".png", cv2.cvtColor(values, order))
    assert done
    return bytes(data)


# Not compressed, LZW, deflate.
@pytest.mark.parametrize("compression", [None, 1, 5, 8])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_colours_are_drawn_over_the_range_that_they_use(bits: int, channels: int, compression: int | None):
    values = _colours(bits, channels)
    decoded = read_picture(_colour_png(values) if compression is None else _tiff(values, compression), LIMITS)
    assert decoded.samples == SampleRange(bits, "found")
    np.testing.assert_array_equal(decoded.pixels, np.round(values[..., :3] / (2**bits - 1) * 255))


def test_colours_are_as_they_were_when_they_use_all_sixteen_bits():
    values = _colours(16)
    decoded = read_picture(_colour_png(values), LIMITS)
    assert decoded.samples is None
    np.testing.assert_array_equal(decoded.pixels, values >> 8)


def test_transparent_colour_is_laid_on_white_when_colours_use_fewer_bits():
    row = struct.pack(">6H", 4000, 300, 20, 4095, 0, 300)
    pixels = read_picture(_png(16, COLOUR, row, 2, row[:6]), LIMITS).pixels
    assert pixels.tolist() == [[[255, 255, 255], [255, 0, 19]]]
