"""Files that were fetched, kept on this machine under the SHA-256 of what is in them. Knows no URLs.

Several processes may share the folder. What is kept is bounded in bytes: the files used longest ago go.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.errors import ModelFailedError, WeightsUnavailableError
from service.models.remote.locations import explain
from service.models.remote.transfers import Transfer, Transfers, too_large

logger = logging.getLogger(__name__)

# Folders of processes that were killed, by their age; nothing takes so long.
_LEFT_SECONDS: Final = 86_400


@dataclass(frozen=True)
class Wanted:
    """A file to be fetched: `key` names it as it is now, `size` is what its listing says, if it says one.

    `write` fetches it to a path that is given, as long as what is given with it says that somebody waits.
    """

    key: str
    size: int | None
    write: Callable[[Path, Callable[[], bool]], None]


class FileCache:
    """At most `max_bytes` in `folder`; no file is fetched for longer than `seconds`."""

    def __init__(self, folder: Path, max_bytes: int, seconds: float) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._transfers = Transfers(seconds, max_bytes)

    def close(self) -> None:
        """End what is being fetched."""
        self._transfers.close()

    def find(self, wanted: Wanted) -> str | None:
        """The digest of a file that is here, which then counts as used now."""
        with suppress(OSError, UnicodeDecodeError):
            digest = self._note(wanted.key).read_text(encoding="ascii")
            return digest if self._has(digest) else None
        return None

    def fetch(self, wanted: Wanted, sha256: str | None = None) -> str:
        """The digest of a file, fetched unless it is here; with `sha256` it has to be that.

        Raises ModelFailedError where only another file or setting helps, WeightsUnavailableError where later may.
        """
        pinned = sha256.lower() if sha256 else None
        if pinned and self._has(pinned):
            return pinned
        digest = self.find(wanted) or self._join(wanted)
        if pinned not in (None, digest):
            raise ModelFailedError(
                f"the file that was fetched has the SHA-256 {digest}, but model.toml pins {pinned}: put the file that "
                "is meant there, or pin the other digest if that file is right"
            )
        return digest

    def measure(self, digest: str) -> int:
        """Bytes of a file that is here; 0 where it is no more."""
        try:
            return self._file(digest).stat().st_size
        except OSError:
            return 0

    def read(self, digest: str) -> bytes | None:
        """A small file that is here; None where it is no more."""
        try:
            return self._file(digest).read_bytes()
        except OSError:
            return None

    @contextmanager
    def opened(self, files: Mapping[str, str]) -> Iterator[Path]:
        """A folder for as long as this is open, with each digest's file at the relative path that is given for it.

        Raises WeightsUnavailableError where one has gone meanwhile.
        """
        with tempfile.TemporaryDirectory(prefix="open-", dir=self._prepared()) as name:
            for path, digest in files.items():
                target = Path(name) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                self._link(digest, target)
            yield Path(name)

    def _join(self, wanted: Wanted) -> str:
        if wanted.size is not None and wanted.size > self._max_bytes:
            raise too_large(self._max_bytes)
        try:
            return self._transfers.join(wanted.key, lambda transfer: self._fetch(wanted, transfer))
        except WeightsUnavailableError as error:
            if error.__cause__ is not None:
                logger.warning("%s: %s", error.detail, explain(error.__cause__))
            raise
        except OSError as error:
            logger.warning("a file cannot be kept: %s", error)
            raise WeightsUnavailableError(
                f"its file cannot be kept on this machine ({error.strerror}): see to CONVSCOPE_FETCHED, then ask again"
            ) from error

    def _fetch(self, wanted: Wanted, transfer: Transfer) -> str:
        """While this runs nobody else fetches the same, in this process or another."""
        folder = self._prepared()
        with (folder / f"{_hash(wanted.key)[:2]}.lock").open("a") as lock:
            # Two that share a lock only wait for each other.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (digest := self.find(wanted)) is not None:
                return digest
            self._make_room(wanted.size or 0)
            with tempfile.TemporaryDirectory(prefix="part-", dir=folder) as name:
                transfer.folder = Path(name)
                part = Path(name) / "file"
                wanted.write(part, transfer.go_on)
                return self._keep(wanted, part)

    def _keep(self, wanted: Wanted, part: Path) -> str:
        size = part.stat().st_size
        if wanted.size not in (None, size):
            raise WeightsUnavailableError("its file is not as large as was told: ask again, it may be being written")
        with part.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        self._make_room(size)
        part.replace(self._file(digest))
        note = part.with_name("note")
        note.write_text(digest, encoding="ascii")
        note.replace(self._note(wanted.key))
        return digest

    def _link(self, digest: str, target: Path) -> None:
        """A second name, so that the file stays although another may need its room."""
        file = self._file(digest)
        try:
            os.link(file, target)
        except FileNotFoundError as error:
            raise WeightsUnavailableError("its file had to make room for another: ask again") from error
        except OSError:
            # There are file systems without second names.
            shutil.copyfile(file, target)
        with target.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() == digest:
                return
        file.unlink(missing_ok=True)
        raise WeightsUnavailableError("its file was damaged on this machine: ask again, and it is fetched anew")

    def _make_room(self, needed: int) -> None:
        """Whoever has a file open keeps it."""
        found = [(file.stat(), file) for file in (self.folder / "files").iterdir()]
        total = needed + sum(status.st_size for status, _ in found)
        gone = set()
        for status, file in sorted(found, key=lambda item: item[0].st_mtime_ns):
            if total <= self._max_bytes:
                break
            file.unlink(missing_ok=True)
            total -= status.st_size
            gone.add(file.name)
        for note in (self.folder / "notes").iterdir() if gone else ():
            with suppress(OSError):
                if note.read_text(encoding="ascii") in gone:
                    note.unlink()

    def _has(self, digest: str) -> bool:
        try:
            os.utime(self._file(digest))
        except OSError:
            return False
        return True

    def _prepared(self) -> Path:
        """The folder, for its owner alone, without what killed processes left."""
        try:
            for place in (self.folder, self.folder / "files", self.folder / "notes"):
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise WeightsUnavailableError(
                f"fetched files cannot be kept ({error.strerror}): see to CONVSCOPE_FETCHED, then ask again"
            ) from error
        for path in (*self.folder.glob("part-*"), *self.folder.glob("open-*")):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _LEFT_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)
        return self.folder

    def _file(self, digest: str) -> Path:
        return self.folder / "files" / digest

    def _note(self, key: str) -> Path:
        """Says which file was found under a key."""
        return self.folder / "notes" / _hash(key)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
