"""Files that survive a crash whole or not at all: temporary file beside, fsync, rename, fsync of the folder."""

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO
from uuid import uuid4


def write_durably(folder: Path, files: Mapping[str, bytes | IO[bytes]]) -> None:
    """Write files into one folder, made if need be; none carries its name before all are on the disk.

    Large ones may come as open files, from their beginning.
    """
    _make(folder)
    drafts = {name: folder / f".{name}.{uuid4().hex}.tmp" for name in files}
    try:
        for name, data in files.items():
            _write(drafts[name], data)
        for name, draft in drafts.items():
            draft.replace(folder / name)
    except OSError:
        for draft in drafts.values():
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        raise
    _sync(folder)


def _make(folder: Path) -> None:
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(exist_ok=True)
    # The name of a folder stands in its parent.
    _sync(folder.parent)


def _write(path: Path, data: bytes | IO[bytes]) -> None:
    with path.open("wb") as file:
        if isinstance(data, bytes):
            file.write(data)
        else:
            data.seek(0)
            shutil.copyfileobj(data, file)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
