"""Which datasets are at hand by name: folders of the operator's, and built-in ones."""

import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from service.engine.images.archive import Dataset, DatasetLimits, is_note, is_picture, open_dataset, pack_dataset
from service.engine.images.lookalikes import is_lookalike
from service.errors import DatasetNotFoundError, DatasetTooLargeError

_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")

# The pictures of a built-in dataset: their names, with folders as labels, and their files.
Draw = Callable[[], Iterable[tuple[str, bytes]]]


@dataclass(frozen=True)
class Datasets:
    """Every folder in `folder` is a dataset; one of them hides a built-in dataset of its name."""

    folder: Path
    limits: DatasetLimits
    built_in: Mapping[str, Draw] = field(default_factory=dict)

    def names(self) -> list[str]:
        """The names of all datasets, in order."""
        try:
            own = {entry.name for entry in self.folder.iterdir() if entry.is_dir() and _NAME.fullmatch(entry.name)}
        except OSError:
            own = set()
        return sorted(own | set(self.built_in))

    def open(self, name: str) -> Dataset:
        """The dataset packed as it is now. Raises DatasetNotFoundError, or what `open_dataset` raises."""
        if name not in self.names():
            raise DatasetNotFoundError(
                f"there is no dataset '{name[:80]}'; there are: {', '.join(self.names()) or 'none'}"
            )
        folder = self.folder / name
        files = self._read(folder) if folder.is_dir() else self.built_in[name]()
        packed = tempfile.TemporaryFile()  # noqa: SIM115 - who calls closes it
        try:
            pack_dataset(files, packed)
            return open_dataset(packed, self.limits)
        except BaseException:
            packed.close()
            raise

    def _read(self, folder: Path) -> Iterator[tuple[str, bytes]]:
        """The pictures of a folder and the folders in it, and what may say where objects are, in order."""
        total = pictures = 0
        for path in _walk(folder):
            if is_lookalike(path.relative_to(folder)):
                # Told of by its name; its bytes may be many.
                yield path.relative_to(folder).as_posix(), b""
                continue
            total += path.stat().st_size
            pictures += is_picture(path.relative_to(folder))
            if total > self.limits.max_bytes or pictures > self.limits.max_images:
                raise DatasetTooLargeError(
                    f"the dataset '{folder.name}' has more than {self.limits.max_images} pictures or "
                    f"{self.limits.max_bytes} bytes"
                )
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            inside = path.relative_to(folder)
            is_wanted = is_picture(inside) or is_note(inside) or is_lookalike(inside)
            if is_wanted and not name.startswith(".") and path.is_file():
                yield path
