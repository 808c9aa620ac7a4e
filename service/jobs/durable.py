"""Files that survive a crash whole or not at all: temporary file beside, fsync, rename, fsync of the folder."""

import os
import shutil
import time
from collections.abc import Callable, Mapping
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


def write_once(folder: Path, name: str, data: bytes | IO[bytes], *, before: Callable[[], object]) -> int | None:
    """Write a file unless one of that name is there, which is made young instead.

    `before` is called where there is something to write. Returns when the file was modified if this very call has made
    it, and None if another has, or where the file system cannot tell.
    """
    target = folder / name
    if _touch(target):
        return None
    before()
    _make(folder)
    draft = folder / f".{name}.{uuid4().hex}.tmp"
    try:
        _write(draft, data)
        _touch(draft)
        modified = draft.stat().st_mtime_ns
        made = _link(draft, target)
    finally:
        draft.unlink(missing_ok=True)
    _sync(folder)
    return modified if made else None


def remove_unless_touched(path: Path, modified: int) -> bool:
    """Remove a file that is still the one of `write_once`, and that nobody has made young since; True if it was."""
    try:
        if path.stat().st_mtime_ns != modified:
            return False
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def total_bytes(folder: Path) -> int:
    """Of all files below a folder; files that go meanwhile count for nothing."""
    total, waiting = 0, [str(folder)]
    while waiting:
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                    continue
                with suppress(FileNotFoundError):
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def _touch(path: Path) -> bool:
    # The kernel's own clock for files stands still for milliseconds: two touches must not look alike.
    now = time.time_ns()
    try:
        os.utime(path, ns=(now, now))
    except FileNotFoundError:
        return False
    return True


def _link(draft: Path, target: Path) -> bool:
    """Give a written file its name; False where another came first, or may have."""
    while True:
        try:
            os.link(draft, target)
        except FileExistsError:
            if _touch(target):
                return False
        except OSError:
            # A file system without links.
            draft.replace(target)
            return False
        else:
            return True


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
