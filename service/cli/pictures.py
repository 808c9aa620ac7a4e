"""Which pictures a command line names, and what each is called in the output folder. Opens none of them."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from service.engine.images.lookalikes import LOOKALIKES

# Files of other names are taken where they are named one by one; the bytes decide.
SUFFIXES = frozenset((".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp"))
_MAX_STEM_BYTES = 100


@dataclass(frozen=True)
class Picture:
    """`path` as the user would write it; `stem` is unique among the pictures of one command, upper case or not."""

    path: Path
    stem: str


def find_pictures(paths: Iterable[Path], *, leave_out: Path | None = None) -> list[Picture]:
    """Files as given, folders walked for pictures in sorted order, each file once; `leave_out` is not walked.

    Pictures that are not read are among them, so that each is told of.
    """
    files: dict[Path, Path] = {}
    for path in paths:
        for file in _walk(path, leave_out.resolve() if leave_out else None) if path.is_dir() else [path]:
            files.setdefault(file.resolve(), file)
    return _name(list(files.values()))


def _walk(folder: Path, leave_out: Path | None) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if Path(root, name).resolve() != leave_out)
        for name in sorted(names):
            file = Path(root, name)
            # `._cat.jpg` and the like are other programs' own; a pipe would be waited for.
            if file.suffix.lower() in SUFFIXES | LOOKALIKES and not name.startswith(".") and file.is_file():
                yield file


def _name(files: list[Path]) -> list[Picture]:
    taken: set[str] = set()
    pictures = []
    for file in files:
        stem = unique = shorten(file.stem)
        number = 1
        while unique.casefold() in taken:
            number += 1
            unique = f"{stem}-{number}"
        taken.add(unique.casefold())
        pictures.append(Picture(file, unique))
    return pictures


def shorten(stem: str) -> str:
    """A stem that leaves room for the rest of a file's name, and that is text whatever bytes the name had."""
    return os.fsencode(stem)[:_MAX_STEM_BYTES].decode("utf-8", "ignore") or "picture"
