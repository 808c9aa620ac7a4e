"""PNG files: one filter for every row, and ISA-L's deflate (docs/decisions/0011-png-by-isa-l.md).

Format: W3C, Portable Network Graphics (Third Edition), https://www.w3.org/TR/png-3/.
"""

import io
import struct
from collections.abc import Sequence
from typing import Final

import numpy as np
from isal import isal_zlib
from PIL import Image

from service.engine.arrays import Pixels

FRAME_MILLISECONDS: Final = 100
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_GRAY, _RGB, _PALETTE = 0, 2, 3
_SUB: Final = 1
_LEVEL: Final = 1


def encode_png(pixels: Pixels, palette: Pixels | None = None) -> bytes:
    """(h, w, 3) uint8 RGB, or (h, w) or (h, w, 1) gray, or indices of a palette (256, 3) uint8 RGB. Lossless."""
    height, width = pixels.shape[:2]
    is_rgb = pixels.shape[2:] == (3,)
    colour = _RGB if is_rgb else _GRAY if palette is None else _PALETTE
    chunks = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))]
    if colour == _PALETTE:
        assert palette is not None, "told by its colour type"
        chunks.append(_chunk(b"PLTE", palette.tobytes()))
    rows = _filter(pixels.reshape(height, -1), 3 if is_rgb else 1)
    chunks += [_chunk(b"IDAT", isal_zlib.compress(rows, _LEVEL)), _chunk(b"IEND", b"")]
    return _SIGNATURE + b"".join(chunks)


def encode_animation(frames: Sequence[Pixels]) -> bytes:
    """Frames of one shape, (h, w, 3) RGB or (h, w) gray uint8, as an animated PNG that is played over and over."""
    first, *others = map(Image.fromarray, frames)
    buffer = io.BytesIO()
    first.save(buffer, "PNG", save_all=True, append_images=others, duration=FRAME_MILLISECONDS, compress_level=1)
    return buffer.getvalue()


def decode_png(data: bytes) -> Pixels:
    """Our own PNG back to (h, w) gray or (h, w, 3) uint8 RGB; the first frame of an animated one."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB") if image.mode == "P" else image)


def _filter(rows: Pixels, step: int) -> Pixels:
    """Rows (h, bytes): each byte's difference from the one `step` bytes before it, behind the filter's number."""
    filtered = np.empty((rows.shape[0], 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = _SUB
    filtered[:, 1 : 1 + step] = rows[:, :step]
    np.subtract(rows[:, step:], rows[:, :-step], out=filtered[:, 1 + step :])
    return filtered


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = isal_zlib.crc32(data, isal_zlib.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
