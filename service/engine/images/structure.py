"""How a picture's file is built, looked at in linear time before any decoder is: a small file can ask for much work.

Pillow goes through segments, chunks and blocks one by one in Python, and libjpeg through all pixels once per scan.
Knows no pixels; what is damaged is left to the decoders, which say so.
"""

import re
import struct
from typing import Final

from service.errors import ImageInvalidError

# Progressive JPEGs have about ten scans; programs that try for the smallest file stay below twenty. Each goes through
# all pixels: a thousand of them, in 0.2 MB, took a minute for a picture of 40 megapixels.
MAX_SCANS: Final = 50
# Segments, chunks or blocks. IDATs of 8 KB make 2,560 chunks of the largest PNG that is taken; a JPEG has some dozens.
_MAX_PIECES: Final = 2**16
_MAX_SEGMENTS: Final = 2**12
# Bytes between the segments of a JPEG, where none belong; cameras leave a few.
_MAX_JUNK: Final = 2**16
# Strips of one row each come to 65,500, tiles of 16 x 16 in 40 megapixels to 156,250.
_MAX_TILES: Final = 2**18
_MAX_TAGS: Final = 2**12
# Run lengths of a BMP are unpacked byte by byte in Python.
_MAX_RUN_LENGTH_BYTES: Final = 2**22

# Not quadratic as `\xff+[^…]` would be; stuffed zeros and restarts belong to a scan.
_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
# What has a length after it for Pillow; anything else it steps over.
_WITH_LENGTH: Final = frozenset((*range(0xC0, 0xC8), *range(0xC9, 0xD0), *range(0xDA, 0xF0), 0xFE))
_TILE_TAGS: Final = frozenset((273, 279, 324, 325))


def inspect(data: bytes) -> int:
    """The number of a JPEG's scans, 1 for other formats. Raises ImageInvalidError for what no honest program writes."""
    try:
        if data.startswith(b"\xff\xd8"):
            return _inspect_jpeg(data)
        if data.startswith(b"\x89PNG"):
            _inspect_png(data)
        elif data.startswith(b"GIF8"):
            _inspect_gif(data)
        elif data.startswith((b"II", b"MM")):
            _inspect_tiff(data)
        elif data.startswith(b"BM"):
            _inspect_bmp(data)
    except (struct.error, IndexError):
        # It is cut off: what there is has been counted.
        pass
    return 1


def _inspect_jpeg(data: bytes) -> int:
    """Pillow goes through what comes before the first scan, libjpeg through all up to the end of the image."""
    place = 2
    scans = segments = junk = 0
    while found := _MARKER.search(data, place):
        marker = data[found.end() - 1]
        segments += 1
        if not scans:
            junk += found.start() - place
        scans += marker == _START_OF_SCAN
        if scans > MAX_SCANS:
            raise ImageInvalidError(
                f"the JPEG has more than {MAX_SCANS} scans, each of which goes through the whole picture: save it anew"
            )
        if segments > _MAX_SEGMENTS or junk > _MAX_JUNK:
            raise _too_many("JPEG", "segments")
        if marker == _END_OF_IMAGE and scans:
            break
        place = found.end()
        if marker in _WITH_LENGTH:
            if place + 2 > len(data):
                break
            place += max(2, struct.unpack_from(">H", data, place)[0])
    else:
        # Padding up to the end holds no marker.
        if not scans and len(data) - place > _MAX_JUNK:
            raise _too_many("JPEG", "segments")
    return max(1, scans)


def _inspect_png(data: bytes) -> None:
    place = 8
    for _ in range(_MAX_PIECES):
        place += 12 + int(struct.unpack_from(">L", data, place)[0])
    raise _too_many("PNG", "chunks")


def _inspect_gif(data: bytes) -> None:
    """What comes before the first frame: extensions, in blocks of up to 255 bytes."""
    palette = 3 * 2 ** ((data[10] & 7) + 1) if data[10] & 0x80 else 0
    place, is_inside = 13 + palette, False
    for _ in range(_MAX_PIECES):
        byte = data[place]
        if is_inside:
            place += 1 + byte
            is_inside = byte > 0
        elif byte == ord(","):
            return
        else:
            is_inside = byte == ord("!")
            place += 2 if is_inside else 1
    raise _too_many("GIF", "blocks")


def _inspect_tiff(data: bytes) -> None:
    """The first directory; Pillow makes an object of every strip or tile that it names."""
    order = "<" if data.startswith(b"II") else ">"
    is_big = data[2] == ord("+")
    (place,) = struct.unpack_from(order + ("Q" if is_big else "L"), data, 8 if is_big else 4)
    (count,) = struct.unpack_from(order + ("Q" if is_big else "H"), data, place)
    if count > _MAX_TAGS:
        raise _too_many("TIFF", "tags")
    head, entry, size = (8, "HHQ", 20) if is_big else (2, "HHL", 12)
    for number in range(count):
        tag, _, length = struct.unpack_from(order + entry, data, place + head + number * size)
        if tag in _TILE_TAGS and length > _MAX_TILES:
            raise _too_many("TIFF", "strips or tiles")


def _inspect_bmp(data: bytes) -> None:
    (header,) = struct.unpack_from("<L", data, 14)
    if header >= 40 and struct.unpack_from("<L", data, 30)[0] in (1, 2) and len(data) > _MAX_RUN_LENGTH_BYTES:
        raise ImageInvalidError(f"a BMP with run lengths may have {_MAX_RUN_LENGTH_BYTES} bytes: save it as PNG")


def _too_many(image_format: str, pieces: str) -> ImageInvalidError:
    return ImageInvalidError(f"the {image_format} has more {pieces} than are gone through: save the picture anew")
