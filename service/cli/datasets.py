"""The dataset that a command line names: a ZIP as it is, files and folders packed, or one by its name."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path
from typing import IO

import click

from service.cli.pictures import find_pictures
from service.engine.images.archive import is_note, pack_dataset
from service.engine.images.lookalikes import is_lookalike


@dataclass(frozen=True)
class PictureDataset:
    """One of the two: paths that the user wrote, or the name of a dataset."""

    paths: Sequence[Path] = ()
    name: str | None = None

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """The pictures of the paths as a ZIP. Raises OSError."""
        if is_zip(self.paths):
            with self.paths[0].open("rb") as file:
                yield file
            return
        with tempfile.TemporaryFile() as file:
            pack_dataset(_read(self.paths), file)
            file.seek(0)
            yield file


def is_zip(paths: Sequence[Path]) -> bool:
    """True for a single ZIP, which is a dataset whatever the method."""
    return len(paths) == 1 and paths[0].suffix.lower() == ".zip" and paths[0].is_file()


def _read(paths: Sequence[Path]) -> Iterable[tuple[str, bytes]]:
    """Files under their paths from the folder that holds them all: folders in it are labels."""
    files = [picture.path for picture in find_pictures(paths)]
    if not files:
        raise click.UsageError("no pictures in " + ", ".join(f"'{path}'" for path in paths))
    files += _find_notes(paths)
    if len(paths) == 1 and paths[0].is_dir():
        root = paths[0]
    else:
        root = Path(commonpath([file.absolute().parent for file in files]))
    for file in files:
        # What is not read is told of by its name.
        data = b"" if is_lookalike(file) else file.read_bytes()
        yield file.absolute().relative_to(root.absolute()).as_posix(), data


def _find_notes(paths: Sequence[Path]) -> list[Path]:
    """What may say where objects are, in folders; masks are found as the pictures that they are."""
    folders = [path.absolute() for path in paths if path.is_dir()]
    found = {Path(root, name) for folder in folders for root, _, names in os.walk(folder) for name in names}
    return [file for file in sorted(found) if is_note(Path(file.name)) and file.is_file()]
