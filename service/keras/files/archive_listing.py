"""A `.keras` archive judged by its listing: which members, how large, how packed. Unpacks nothing.

Keras reads members whole, and unpacks the whole archive as soon as it has more than three.
"""

import io
import os
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from service.errors import ModelFailedError
from service.keras.files.admission.limits import ModelFileLimits, shown

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.weights.h5"
# Assets (vocabularies of text layers) and anything else have no part in a network that looks at pictures.
_MEMBERS: Final = {CONFIG, "metadata.json", WEIGHTS}
_METADATA_BYTES: Final = 2**16
_MAX_LISTING_BYTES: Final = 2**16
_ENCRYPTED: Final = 0x1
_LINK: Final = 0o120000
_PACKED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Packed as tightly as it may be, so much is unpacked of any member.
_FREE_BYTES: Final = 2**20
_LOCAL_HEADER_BYTES: Final = 30
_DAMAGED: Final = (zipfile.BadZipFile, OSError, ValueError, OverflowError, NotImplementedError, struct.error)


def require_plain_archive(path: Path, limits: ModelFileLimits) -> None:
    """Raise ModelFailedError unless it holds what Keras writes, unpacked to a size that its bytes account for."""
    try:
        with _ShortListing(path) as stream, zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
    except _DAMAGED as error:
        raise ModelFailedError(f"'{path.name}' is a damaged .keras archive, or lists too many members") from error
    names = Counter(member.filename for member in members)
    if CONFIG not in names:
        raise ModelFailedError(f"'{path.name}' is a ZIP but no .keras archive: it has no {CONFIG}")
    for name, count in names.items():
        if name not in _MEMBERS:
            raise ModelFailedError(
                f"'{path.name}' has a member '{shown(name)}'; of a .keras archive only {', '.join(sorted(_MEMBERS))} "
                "are read: save the network again with model.save('model.keras')"
            )
        if count > 1:
            raise ModelFailedError(f"'{path.name}' has {count} members called '{name}': save the model again")
    for member in members:
        _require_plain_member(member, path, limits)


@contextmanager
def open_weights(path: Path) -> Iterator[io.IOBase | None]:
    """The stored arrays of an archive whose listing was checked, as a file to be sought in; None where it has none."""
    with zipfile.ZipFile(path) as archive:
        if WEIGHTS not in archive.namelist():
            yield None
            return
        member = archive.getinfo(WEIGHTS)
        if member.compress_type != zipfile.ZIP_STORED:
            yield io.BytesIO(archive.read(member))
            return
        archive.open(member).close()  # that both of its headers agree
    with path.open("rb") as stream, _Stretch(stream, member) as stretch:
        yield stretch


class _Stretch(io.RawIOBase):
    """A stored member where it lies. Python's own reader begins anew with each step back."""

    def __init__(self, stream: io.BufferedReader, member: zipfile.ZipInfo) -> None:
        self._stream = stream
        stream.seek(member.header_offset)
        lengths = struct.unpack_from("<HH", stream.read(_LOCAL_HEADER_BYTES), _LOCAL_HEADER_BYTES - 4)
        self._start = member.header_offset + _LOCAL_HEADER_BYTES + sum(lengths)
        self._size = member.file_size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = max(0, min(len(buffer), self._size - self._at))
        self._stream.seek(self._start + self._at)
        found = self._stream.read(wanted)
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


class _ShortListing(io.FileIO):
    """A file of which nobody reads much at once: Python makes an object of each entry before they can be counted."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_LISTING_BYTES:
            raise zipfile.BadZipFile
        return super().read(size)


def _require_plain_member(member: zipfile.ZipInfo, path: Path, limits: ModelFileLimits) -> None:
    name = member.filename
    if member.flag_bits & _ENCRYPTED:
        raise ModelFailedError(f"'{name}' in '{path.name}' is encrypted: save the model again")
    if member.external_attr >> 16 & 0o170000 == _LINK:
        raise ModelFailedError(f"'{name}' in '{path.name}' is a link: save the model again")
    if member.compress_type not in _PACKED:
        raise ModelFailedError(f"'{name}' in '{path.name}' is neither stored nor deflated: save the model again")
    if member.compress_type == zipfile.ZIP_STORED and member.compress_size != member.file_size:
        raise ModelFailedError(
            f"'{name}' in '{path.name}' is said to have {member.file_size} bytes, and {member.compress_size} where it "
            "lies: the file is damaged or was put together; save the model again"
        )
    most = {CONFIG: limits.config_bytes, WEIGHTS: 4 * limits.weight_bytes}.get(name, _METADATA_BYTES)
    if member.file_size > most:
        raise ModelFailedError(f"'{path.name}' has a {name} of {member.file_size} bytes; more than {most} are not read")
    if member.file_size > _FREE_BYTES + limits.expansion * member.compress_size:
        raise ModelFailedError(
            f"'{name}' in '{path.name}' unpacks {member.compress_size} bytes to {member.file_size}, more than "
            f"{limits.expansion} times as many (CONVSCOPE_LIMITS__MODEL_EXPANSION): save it again with model.save()"
        )
