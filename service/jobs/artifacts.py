"""Pictures and inputs of jobs, behind fsspec: in a folder, or in object storage that several machines share.

Knows no records: what is in use it is told.
"""

import errno
import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import IO, Final

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schemas.jobs import StoredImage
from schemas.results import ResultImage
from service.errors import ConvscopeError, StorageFullError
from service.jobs.durable import remove_unless_touched, total_bytes, write_durably, write_once
from service.jobs.quota import Quota

logger = logging.getLogger(__name__)

_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_BATCH: Final = 500
_VALUES: Final = "values.zlib"


class StorageUnavailableError(ConvscopeError):
    code = "storage_unavailable"


class ArtifactMissingError(ConvscopeError):
    code = "image_not_found"


@dataclass(frozen=True)
class Kept:
    """An input that is kept. `written` names the very file that this call has made, where that can be told."""

    sha256: str
    size: int
    written: int | None


@dataclass(frozen=True)
class StorageLimits:
    """Bytes of all inputs, and of all pictures."""

    inputs: int = 2**32
    results: int = 2**34


class Artifacts:
    """Files that are written once, whole or not at all, and never changed.

    Inputs lie at `inputs/{sha256}`, pictures at `results/{job}/{chunk}-{fence}/{name}.png`, beside them numbers that
    wait for the reducer, so that two attempts at a chunk never meet. Every call may raise StorageUnavailableError.
    Safe to use from several threads.
    """

    def __init__(self, url: str, limits: StorageLimits | None = None) -> None:
        self._url = url
        limits = limits or StorageLimits()
        self._quotas = {
            "inputs": Quota(
                limits.inputs, partial(self._measure, "inputs"), _full("pictures and datasets sent with", "INPUT")
            ),
            "results": Quota(limits.results, partial(self._measure, "results"), _full("pictures of", "RESULT")),
        }

    def require_room(self, input_bytes: int = 0) -> None:
        """Raise StorageFullError where no more pictures of jobs may be written, or no input of so many bytes."""
        self._quotas["results"].take(0)
        if input_bytes:
            self._quotas["inputs"].take(input_bytes)
            self._quotas["inputs"].give(input_bytes)

    def renew_quotas(self) -> None:
        """Measure what is there, where it is time to."""
        for quota in self._quotas.values():
            quota.renew_early()

    def write_input(self, data: bytes) -> str:
        """See `keep_input`; returns the SHA-256."""
        return self.keep_input(data, hashlib.sha256(data).hexdigest()).sha256

    def keep_input(self, data: bytes | IO[bytes], sha256: str) -> Kept:
        """Keep an input, as a file where it is large; one that is there already is young again.

        Raises StorageFullError.
        """
        _require_input(sha256)
        size = len(data) if isinstance(data, bytes) else data.seek(0, os.SEEK_END)
        quota = self._quotas["inputs"]
        with _explained("write an input"):
            if not isinstance(self._files, LocalFileSystem):
                quota.take(size)
                self._write("inputs", {sha256: data})
                return Kept(sha256, size, None)
            written = write_once(Path(self._path("inputs")), sha256, data, before=partial(quota.take, size))
        return Kept(sha256, size, written)

    def forget_input(self, kept: Kept) -> None:
        """Remove an input that no record came of, unless somebody else has sent the same one since, or before.

        Only where that can be told; elsewhere it is collected later. To be asked only for what no record refers to.
        """
        if kept.written is None:
            return
        with _explained("remove an input"):
            if remove_unless_touched(Path(self._path("inputs", kept.sha256)), kept.written):
                self._quotas["inputs"].give(kept.size)

    def open_dataset(self, sha256: str) -> IO[bytes]:
        """An input as a file that can be sought in. Raises ArtifactMissingError."""
        _require_input(sha256)
        with _explained("read an input"):
            try:
                file: IO[bytes] = self._files.open(self._path("inputs", sha256), "rb")
            except FileNotFoundError as error:
                raise ArtifactMissingError("the file is no longer there: its job has been deleted") from error
        return file

    def read_input(self, sha256: str) -> bytes:
        """Raises ArtifactMissingError."""
        _require_input(sha256)
        return self._read("inputs", sha256)

    def write_pictures(self, job: str, chunk: int, fence: int, images: Sequence[ResultImage]) -> list[StoredImage]:
        """Write the pictures of one attempt, durably. Raises StorageFullError."""
        folder = f"results/{job}/{chunk}-{fence}"
        with _explained("write pictures"):
            self._quotas["results"].take(sum(len(image.data) for image in images))
            self._write(folder, {f"{image.name}.png": image.data for image in images})
        return [
            StoredImage(
                **image.model_dump(exclude={"data"}),
                file=f"{folder}/{image.name}.png",
                sha256=hashlib.sha256(image.data).hexdigest(),
                size=len(image.data),
            )
            for image in images
        ]

    def write_values(self, job: str, chunk: int, fence: int, data: bytes) -> str:
        """Write the numbers of one attempt, durably; returns their `file`. Raises StorageFullError."""
        folder = f"results/{job}/{chunk}-{fence}"
        with _explained("write the numbers of a chunk"):
            self._quotas["results"].take(len(data))
            self._write(folder, {_VALUES: data})
        return f"{folder}/{_VALUES}"

    def read(self, file: str) -> bytes:
        """The bytes of a picture, or of numbers, by their `file`. Raises ArtifactMissingError."""
        return self._read("results", file.removeprefix("results/"))

    def remove_jobs(self, jobs: Sequence[str]) -> None:
        """Remove the pictures of jobs; those of unknown ones are none."""
        for job in jobs:
            if _SEGMENT.fullmatch(job):
                with _explained("remove pictures"), suppress(FileNotFoundError):
                    self._files.rm(self._path("results", job), recursive=True)

    def remove_attempt(self, job: str, chunk: int, fence: int) -> None:
        """Remove what one attempt has written."""
        _require_names(job)
        with _explained("remove what an attempt has written"), suppress(FileNotFoundError):
            self._files.rm(self._path("results", job, f"{chunk}-{fence}"), recursive=True)

    def remove_values(self, job: str) -> None:
        """Remove the numbers of a job's chunks; its pictures stay."""
        _require_names(job)
        with _explained("remove the numbers of chunks"):
            for attempt in self._names(f"results/{job}"):
                with suppress(FileNotFoundError):
                    self._files.rm_file(self._path("results", job, attempt, _VALUES))

    def collect(
        self, known: Callable[[Sequence[str]], set[str]], inputs: Callable[[], set[str]], *, older_than_seconds: float
    ) -> int:
        """Remove what no record refers to and nobody has written lately; returns how many jobs and inputs that were.

        `known` gives those of some job ids that have a record, `inputs` the SHA-256 of every input in use.
        """
        with _explained("look for files that nobody needs"):
            self._files.invalidate_cache()
            written, jobs = self._names("inputs"), self._names("results")
        batches = [jobs[start : start + _BATCH] for start in range(0, len(jobs), _BATCH)]
        orphans = [job for batch in batches for job in sorted(set(batch) - known(batch))]
        unused = sorted(set(written) - inputs())
        return self._remove_old("results", orphans, older_than_seconds) + self._remove_old(
            "inputs", unused, older_than_seconds
        )

    @cached_property
    def _opened(self) -> tuple[fsspec.AbstractFileSystem, str]:
        # Late: the packages behind object storage take a second to import, and may be missing.
        files, root = fsspec.url_to_fs(self._url)
        return files, root

    @property
    def _files(self) -> fsspec.AbstractFileSystem:
        return self._opened[0]

    def _path(self, *parts: str) -> str:
        return "/".join((self._opened[1].rstrip("/"), *parts))

    def _write(self, folder: str, files: Mapping[str, bytes | IO[bytes]]) -> None:
        _require_names(*folder.split("/"), *files)
        if isinstance(self._files, LocalFileSystem):
            write_durably(Path(self._path(folder)), files)
            return
        for name, data in files.items():
            # One put: elsewhere an object appears whole.
            if isinstance(data, bytes):
                self._files.pipe_file(self._path(folder, name), data)
                continue
            data.seek(0)
            with self._files.open(self._path(folder, name), "wb") as target:
                shutil.copyfileobj(data, target)

    def _measure(self, folder: str) -> int:
        with _explained("measure what is kept"):
            if isinstance(self._files, LocalFileSystem):
                return total_bytes(Path(self._path(folder)))
            self._files.invalidate_cache()
            with suppress(FileNotFoundError):
                found = self._files.find(self._path(folder), detail=True)
                return sum(int(entry.get("size") or 0) for entry in found.values())
        return 0

    def _read(self, folder: str, file: str) -> bytes:
        _require_names(*file.split("/"))
        with _explained("read a file"):
            try:
                data: bytes = self._files.cat_file(self._path(folder, file))
            except (FileNotFoundError, IsADirectoryError) as error:
                raise ArtifactMissingError("the file is no longer there: its job has been deleted") from error
        return data

    def _names(self, folder: str) -> list[str]:
        with suppress(FileNotFoundError):
            return [PurePosixPath(path).name for path in self._files.ls(self._path(folder), detail=False)]
        return []

    def _remove_old(self, folder: str, names: Sequence[str], older_than_seconds: float) -> int:
        removed = 0
        for name in names:
            path = self._path(folder, name)
            # Looked at just before: a request may have written the same input again meanwhile.
            with _explained("remove what nobody needs"), suppress(FileNotFoundError):
                if time.time() - self._written(path) >= older_than_seconds:
                    self._files.rm(path, recursive=True)
                    removed += 1
        return removed

    def _written(self, path: str) -> float:
        """When the youngest file at or below the path was written, in seconds since 1970."""
        return max(float(self._files.modified(file).timestamp()) for file in self._files.find(path) or [path])


def _full(what: str, setting: str) -> str:
    return (
        f"the {what} jobs take as many bytes as they may: delete jobs that are done (DELETE /v1/jobs/{{id}}), "
        f"or wait until some expire; CONVSCOPE_LIMITS__{setting}_BYTES is the limit"
    )


def _require_input(sha256: str) -> None:
    if not _SHA256.fullmatch(sha256):
        raise ArtifactMissingError("the input's name in the record is not one of ours")


def _require_names(*parts: str) -> None:
    """Every name that becomes part of a path: records may come from another process, and be damaged."""
    if not all(_SEGMENT.fullmatch(part) for part in parts):
        raise ArtifactMissingError("the file's place in the record is not one of ours")


@contextmanager
def _explained(intention: str) -> Iterator[None]:
    """Errors of any file system as ours. What they say names places, and stays in the log."""
    try:
        yield
    except ConvscopeError:
        raise
    except Exception as error:  # each backend has exceptions of its own
        logger.error("cannot %s: %r", intention, error)
        if isinstance(error, OSError) and error.errno in _FULL:
            raise StorageFullError("the disk has no room left for the pictures of jobs: try again later") from error
        raise StorageUnavailableError("the place of jobs' pictures cannot be reached: try again later") from error
