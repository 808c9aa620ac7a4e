"""A dataset in one ZIP: checked as a whole when it is opened, then read one by one; nothing is unpacked.

Untrusted like every picture: how much the members say they hold is added up before the first of them is read, and none
is unpacked any further than it says, or than a picture may have. The listing is bounded by what is really read of it,
as a ZIP has two places that tell its size.
"""

import errno
import hashlib
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath
from typing import IO, Final

from service.engine.images.lookalikes import LOOKALIKES, explain_lookalike, is_lookalike
from service.engine.images.zip_listing import ListedFile
from service.errors import (
    AnnotationInvalidError,
    ConvscopeError,
    DatasetEmptyError,
    DatasetInvalidError,
    DatasetTooLargeError,
    ImageInvalidError,
    ImageTooLargeError,
)

# What counts as a picture by its name; the bytes of those decide whether it is one.
SUFFIXES: Final = frozenset((".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp"))
# Files that may say where the objects of the pictures are; so may pictures in a folder of this name.
NOTES: Final = frozenset((".json", ".xml"))
MASKS: Final = "masks"
# Of a ZIP's listing: a member takes 46 bytes there and its name.
_LISTING_BYTES_PER_IMAGE: Final = 2048
# Beside a picture there may be a mask, an XML file, folders, and what macOS adds to each of them.
_ENTRIES_PER_IMAGE: Final = 8
_ENCRYPTED: Final = 0x1
# Others unpack with as much memory as the archive says.
_PACKED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]")
_MAX_STEM: Final = 100
_TIMELESS: Final = (1980, 1, 1, 0, 0, 0)
_DAMAGED: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class DatasetLimits:
    """What a dataset may cost: pictures, bytes of the ZIP, and bytes of all pictures as files."""

    max_images: int = 10_000
    max_bytes: int = 2**28
    max_unpacked_bytes: int = 2**31


@dataclass(frozen=True)
class Member:
    """One picture of a dataset. `stem` is unique in it and fit for a picture's name; `label` is its folder's name."""

    index: int
    name: str
    stem: str
    label: str | None


@dataclass(frozen=True)
class Listed:
    """What a ZIP lists of use, by name: pictures, files that may be notes on them, and pictures that are not read."""

    pictures: Sequence[zipfile.ZipInfo]
    notes: Sequence[zipfile.ZipInfo]
    lookalikes: Sequence[zipfile.ZipInfo]


class Dataset:
    """The pictures of a ZIP by name. Safe to use from several threads; `sha256` is that of the ZIP.

    `notes` are the names of files beside them that may say where objects are, `lookalikes` of those passed over.
    """

    def __init__(self, file: IO[bytes], archive: zipfile.ZipFile, listed: Listed, sha256: str) -> None:
        self.file = file
        self._archive = archive
        self.members = tuple(_number(listed.pictures))
        self.notes = tuple(item.filename for item in listed.notes)
        self.lookalikes = tuple(item.filename for item in listed.lookalikes)
        # Under their names with slashes too.
        archive.NameToInfo |= {item.filename: item for item in (*listed.pictures, *listed.notes)}
        self.sha256 = sha256

    def __len__(self) -> int:
        return len(self.members)

    def read(self, index: int, max_bytes: int) -> bytes:
        """The file of one picture. Raises ImageTooLargeError, or ImageInvalidError where the ZIP is damaged there."""
        name = self.members[index].name
        size = self._archive.getinfo(name).file_size
        if size > max_bytes:
            raise ImageTooLargeError(f"the image has {size} bytes; at most {max_bytes} are taken")
        with _explained(ImageInvalidError("the ZIP is damaged where this picture is")):
            return self._unpack(name)

    def size_of_note(self, name: str) -> int:
        """How many bytes one of `notes` says it has."""
        return self._archive.getinfo(name).file_size

    def head_of_note(self, name: str, count: int) -> bytes:
        """The first bytes of one of `notes`. Raises AnnotationInvalidError where the ZIP is damaged there."""
        with (
            _explained(AnnotationInvalidError(f"the ZIP is damaged where '{readable(name)}' is")),
            self._archive.open(self._archive.getinfo(name)) as member,
        ):
            return member.read(count)

    def read_note(self, name: str, max_bytes: int) -> bytes:
        """One of `notes`. Raises AnnotationInvalidError where it is too large or the ZIP is damaged there."""
        if self.size_of_note(name) > max_bytes:
            raise AnnotationInvalidError(f"'{readable(name)}' is too large: of it {max_bytes} bytes would be read")
        with _explained(AnnotationInvalidError(f"the ZIP is damaged where '{readable(name)}' is")):
            return self._unpack(name)

    def _unpack(self, name: str) -> bytes:
        item = self._archive.getinfo(name)
        with self._archive.open(item) as member:
            # By its size: without one, all is inflated before what is too much is cut off.
            return member.read(item.file_size)

    def close(self) -> None:
        """Let the file go."""
        self._archive.close()
        self.file.close()


def open_dataset(file: IO[bytes], limits: DatasetLimits) -> Dataset:
    """Check a ZIP that can be sought in; the dataset closes it.

    Raises DatasetInvalidError, DatasetEmptyError or DatasetTooLargeError.
    """
    size = file.seek(0, 2)
    if size > limits.max_bytes:
        raise DatasetTooLargeError(f"the ZIP has {size} bytes; at most {limits.max_bytes} are taken")
    listing = ListedFile(
        file,
        max_bytes=limits.max_images * _LISTING_BYTES_PER_IMAGE,
        max_entries=limits.max_images * _ENTRIES_PER_IMAGE,
        refusal=_too_many(limits),
    )
    archive, listed = _list(listing)
    listing.finish()
    if len(listed.pictures) > limits.max_images:
        raise _too_many(limits)
    if sum(item.file_size for item in (*listed.pictures, *listed.notes)) > limits.max_unpacked_bytes:
        raise DatasetTooLargeError(
            f"the pictures of the dataset have more than {limits.max_unpacked_bytes} bytes together"
        )
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type] # any file will do
    return Dataset(file, archive, listed, digest)


def reopen_dataset(file: IO[bytes], sha256: str) -> Dataset:
    """A dataset that was checked when it was sent, and has not changed since."""
    archive, listed = _list(file)
    return Dataset(file, archive, listed, sha256)


def pack_dataset(files: Iterable[tuple[str, bytes]], target: IO[bytes]) -> None:
    """Write pictures as a ZIP: the same files, in whatever order they were put in, are the same bytes."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name, _TIMELESS), data)


def is_picture(path: PurePath) -> bool:
    """True for a picture of a dataset, by its name; one in a folder `masks` is a note on another."""
    return path.suffix.lower() in SUFFIXES and not _lies_in_masks(path)


def is_note(path: PurePath) -> bool:
    """True for a file that may say where objects are."""
    return path.suffix.lower() in NOTES or (path.suffix.lower() in SUFFIXES and _lies_in_masks(path))


def readable(name: str) -> str:
    """A name that others gave, as far as a sentence can hold it."""
    return name.encode("ascii", "backslashreplace").decode()[:80]


def _lies_in_masks(path: PurePath) -> bool:
    return any(part.casefold() == MASKS for part in path.parent.parts)


@contextmanager
def _explained(error: ConvscopeError) -> Iterator[None]:
    """What a damaged ZIP raises as this error; a place that cannot be read is none."""
    try:
        yield
    except _DAMAGED as damage:
        raise error from damage
    except OSError as damage:
        # To seek before the beginning.
        if damage.errno != errno.EINVAL:
            raise
        raise error from damage


def _list(file: IO[bytes] | ListedFile) -> tuple[zipfile.ZipFile, Listed]:
    with _explained(DatasetInvalidError("this is no ZIP, or a damaged one")):
        archive = zipfile.ZipFile(file)
    chosen = sorted(_choose(archive.infolist()), key=lambda item: item.filename)
    listed = Listed(
        *(
            [item for item in chosen if kind(PurePosixPath(item.filename))]
            for kind in (is_picture, is_note, is_lookalike)
        )
    )
    if not listed.pictures:
        others = f"; {explain_lookalike(listed.lookalikes[0].filename)}" if listed.lookalikes else ""
        raise DatasetEmptyError(f"there is no picture in the dataset: pack files named .png, .jpg and the like{others}")
    return archive, listed


def _too_many(limits: DatasetLimits) -> DatasetTooLargeError:
    return DatasetTooLargeError(f"the ZIP lists too many files: a dataset may have {limits.max_images} pictures")


def _choose(listed: Iterable[zipfile.ZipInfo]) -> Iterator[zipfile.ZipInfo]:
    """Pictures and notes, once each. Raises DatasetInvalidError for whatever no ordinary program packs."""
    seen: set[str] = set()
    for item in listed:
        _require_plain(item)
        # As Windows programs pack them; the ZIP's own name stays in `orig_filename`.
        item.filename = item.filename.replace("\\", "/")
        path = PurePosixPath(item.filename)
        # `__MACOSX/._cat.jpg` and the like are other programs' own.
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
        # Not `is_dir`, which takes the last letter of a name that may have none.
        if item.filename.endswith("/") or hidden or path.suffix.lower() not in SUFFIXES | NOTES | LOOKALIKES:
            continue
        if item.filename in seen:
            raise DatasetInvalidError(f"'{readable(item.filename)}' is in the ZIP twice")
        seen.add(item.filename)
        yield item


def _require_plain(item: zipfile.ZipInfo) -> None:
    name = item.filename
    if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or re.match(r"[A-Za-z]:", name):
        raise DatasetInvalidError(f"'{readable(name)}' leads out of the ZIP: pack files by relative names without '..'")
    if item.flag_bits & _ENCRYPTED:
        raise DatasetInvalidError("the ZIP is encrypted: send it without a password")
    if item.compress_type not in _PACKED:
        raise DatasetInvalidError(f"'{readable(name)}' is neither stored nor deflated: pack the ZIP in an ordinary way")


def _number(items: Sequence[zipfile.ZipInfo]) -> list[Member]:
    taken: set[str] = set()
    members = []
    for index, item in enumerate(items):
        path = PurePosixPath(item.filename)
        plain = _NOT_IN_NAMES.sub("-", str(path.with_suffix("")).replace("/", "--"))[-_MAX_STEM:]
        # Where a long name is cut, a dot may stand.
        plain = plain.lstrip(".") or "image"
        stem, number = plain, 1
        while stem.casefold() in taken:
            number += 1
            stem = f"{plain}-{number}"
        taken.add(stem.casefold())
        members.append(Member(index, item.filename, stem, path.parent.name or None))
    return members
