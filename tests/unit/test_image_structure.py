"""Files that ask for much more work than their size tells are refused before a decoder sees them; honest ones not."""

import io
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from service.engine.images.decoding import ImageLimits, decode
from service.engine.images.structure import MAX_SCANS, inspect
from service.errors import ImageInvalidError, ImageTooManyPixelsError

LIMITS = ImageLimits(20 * 2**20, 40_000_000)


def save(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def jpeg_of_scans(count: int, side: int = 64) -> bytes:
    """A progressive JPEG whose last scan comes again and again: each adds some bytes, and goes through all pixels."""
    data = save(Image.new("RGB", (side, side)), "JPEG", progressive=True)
    starts = [place for place in range(len(data)) if data.startswith(b"\xff\xda", place)]
    last = data[starts[-1] : -2]
    return data[:-2] + last * (count - len(starts)) + b"\xff\xd9"


def _png(*chunks: bytes) -> bytes:
    data = save(Image.new("RGB", (4, 4)), "PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def _chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def _jpeg(between: bytes) -> bytes:
    data = save(Image.new("RGB", (16, 16)), "JPEG")
    return data[:2] + between + data[2:]


def _gif(between: bytes) -> bytes:
    data = save(Image.new("P", (8, 8)), "GIF")
    place = data.index(b",\0\0\0\0")
    return data[:place] + between + data[place:]


def _tiff(tags: list[tuple[int, int, int]], data: bytes = b"", order: str = "<") -> bytes:
    """Tags of type LONG, by number, count and value; `data` begins where tag 0's value would stand after them."""
    start = b"II*\0" if order == "<" else b"MM\0*"
    entries = b"".join(struct.pack(order + "HHLL", tag, 4, count, value) for tag, count, value in sorted(tags))
    return start + struct.pack(order + "LH", 8, len(tags)) + entries + bytes(4) + data


def _strips(count: int, order: str = "<") -> bytes:
    place = 10 + 9 * 12 + 4
    tags = [(256, 1, 10), (257, 1, 60_000), (258, 1, 8), (259, 1, 1), (262, 1, 1), (273, count, place), (277, 1, 1)]
    return _tiff([*tags, (278, 1, 1), (279, count, place)], bytes(4 * count), order)


def _big_tile(side: int) -> bytes:
    packed = zlib.compress(bytes(side * side), 9)
    tags = [(256, 1, 10), (257, 1, 10), (258, 1, 8), (259, 1, 8), (262, 1, 1), (277, 1, 1), (322, 1, side)]
    return _tiff([*tags, (323, 1, side), (324, 1, 134), (325, 1, len(packed))], packed)


def _run_lengths(size: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, 100, 100, 1, 8, 1, size, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1078 + size, 0, 0, 1078) + header + bytes(1024) + b"\1\1" * (size // 2)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "scans": lambda: jpeg_of_scans(MAX_SCANS + 1),
    "many-scans": lambda: jpeg_of_scans(20_000),
    "segments": lambda: _jpeg(b"\xff\xe5\0\2" * 2_000_000),
    "padding": lambda: _jpeg(b"\xff" * 18_000_000),
    "junk": lambda: _jpeg(bytes(18_000_000)),
    "segments-in-what-pillow-steps-over": lambda: _jpeg((b"\xff\xf0\xff\xff" + b"\xff\xe5\0\2" * 16_000) * 250),
    "no-end": lambda: b"\xff\xd8\xff" + b"\xff" * 18_000_000,
    "chunks": lambda: _png(_chunk(b"teSt") * 1_500_000),
    "texts": lambda: _png(_chunk(b"tEXt", b"a\0") * 900_000),
    "comments": lambda: _gif(b"!\xfe\1a\0" * 3_800_000),
    "blocks": lambda: _gif(b"!\xfe" + b"\1a" * 9_000_000 + b"\0"),
    "between-blocks": lambda: _gif(b"\1" * 18_000_000),
    "strips": lambda: _strips(2_000_000),
    "strips-big-endian": lambda: _strips(2_000_000, ">"),
    "tags": lambda: _tiff([(number, 0, 0) for number in range(65_000)]),
    "run-lengths": lambda: _run_lengths(16_000_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_file_is_refused_before_decoding_when_it_asks_for_much_work(name: str):
    data = HOSTILE[name]()
    assert len(data) <= LIMITS.max_bytes
    started = time.process_time()
    with pytest.raises(ImageInvalidError, match="save"):
        decode(data, LIMITS)
    # A guard against what takes seconds, with a wide margin: the slowest takes 0.1.
    assert time.process_time() - started < 1


def test_tile_is_refused_when_it_is_larger_than_a_picture_may_be():
    data = _big_tile(7000)
    with pytest.raises(ImageTooManyPixelsError, match="tile"):
        decode(data, LIMITS)
    assert decode(_big_tile(64), LIMITS).shape == (10, 10, 3)


def test_scans_are_counted_when_a_jpeg_is_honest():
    image = Image.radial_gradient("L").convert("RGB")
    assert inspect(save(image, "JPEG")) == 1
    assert inspect(save(image, "JPEG", progressive=True)) == 10
    assert inspect(save(image, "JPEG", progressive=True, restart_marker_rows=1)) == 10
    assert inspect(jpeg_of_scans(MAX_SCANS)) == MAX_SCANS
    assert decode(jpeg_of_scans(MAX_SCANS), LIMITS).shape == (64, 64, 3)


def test_only_the_first_picture_is_counted_when_a_file_holds_several():
    pictures = [Image.new("RGB", (40, 30), (number, 0, 0)) for number in range(20)]
    data = save(pictures[0], "MPO", save_all=True, append_images=pictures[1:], progressive=True)
    assert data.count(b"\xff\xda") > MAX_SCANS
    assert inspect(data) == 10
    # A thumbnail of its own in what comes before.
    thumbnail = jpeg_of_scans(MAX_SCANS)
    embedded = _jpeg(b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail)
    assert inspect(embedded) == 1
    assert decode(embedded, LIMITS).shape == (16, 16, 3)


@pytest.mark.filterwarnings("ignore")
def test_nothing_honest_is_refused_when_all_pictures_are_looked_at(test_data: Path):
    pictures = [path for path in (test_data / "images").rglob("*") if path.is_file() and "mnist" not in path.parts]
    assert len(pictures) > 30
    for path in pictures:
        inspect(path.read_bytes())


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"])
def test_nothing_is_raised_but_refusals_when_a_file_is_cut_off(image_format: str):
    data = save(Image.radial_gradient("L").resize((40, 30)), image_format)
    for length in range(0, len(data), 7):
        inspect(data[:length])
