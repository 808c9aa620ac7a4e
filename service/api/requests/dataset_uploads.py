"""The pictures of a dataset as they come in a request, made one ZIP in a file of its own."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import IO, Final

from starlette.datastructures import UploadFile

from service.engine.images.archive import SUFFIXES, pack_dataset

_SIGNATURES: Final = (b"PK\x03\x04", b"PK\x05\x06")


def pack_files(files: Sequence[UploadFile]) -> IO[bytes]:
    """One ZIP as it is, anything else packed. Blocks; whoever calls closes what it is given."""
    target = tempfile.TemporaryFile()  # noqa: SIM115 - who calls closes it
    try:
        if len(files) == 1 and _is_zip(files[0].file):
            shutil.copyfileobj(files[0].file, target)
        else:
            names = name_files([file.filename or "" for file in files])
            pack_dataset(((name, file.file.read()) for name, file in zip(names, files, strict=True)), target)
    except BaseException:
        target.close()
        raise
    return target


def pack_pictures(pictures: Sequence[bytes]) -> IO[bytes]:
    """The same of pictures in memory: one of them may be a ZIP itself."""
    target = tempfile.TemporaryFile()  # noqa: SIM115 - who calls closes it
    if len(pictures) == 1 and pictures[0].startswith(_SIGNATURES):
        target.write(pictures[0])
    else:
        pack_dataset(zip(name_files([""] * len(pictures)), pictures, strict=True), target)
    return target


def name_files(names: Sequence[str]) -> Iterator[str]:
    """A name for each, which says nothing of its bytes: its own, as far as it is one of a picture, and unique."""
    taken: set[str] = set()
    for number, given in enumerate(names, 1):
        path = PurePosixPath(given or f"image-{number}")
        if path.suffix.lower() not in SUFFIXES:
            path = path.with_name(f"{path.name or 'image'}.png")
        name, copy = str(path), 1
        while name in taken:
            copy += 1
            name = str(path.with_stem(f"{path.stem}-{copy}"))
        taken.add(name)
        yield name


def _is_zip(file: IO[bytes]) -> bool:
    start = file.read(4)
    file.seek(0)
    return start in _SIGNATURES
