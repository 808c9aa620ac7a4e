"""A model file to a parcel: out of the cache, or of a cell. Imports no TensorFlow."""

import errno
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from io import BufferedReader
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final, NamedTuple

from service.engine.ports.overrides import Overrides
from service.errors import ModelFailedError
from service.keras.cell.cache import NetworkCache
from service.keras.cell.parcel import (
    BrokenParcelError,
    CellRequest,
    Contents,
    OpenFile,
    Refusal,
    read_parcel,
    seal,
)
from service.keras.cell.process import Cells
from service.keras.files.admission.limits import ModelFileLimits
from service.preset_files import preset_files

logger = logging.getLogger(__name__)

# To be raised where the same file comes to be read otherwise: what is kept from before is then read anew.
_READER: Final = 1


class Parcel(NamedTuple):
    """`stream`, to be closed by whoever asked for it, stands where the arrays of `contents` begin."""

    contents: Contents
    stream: BinaryIO


class _Source(NamedTuple):
    """One file; `place` and `is_of_preset` as in OpenFile."""

    path: Path
    place: int
    is_of_preset: bool

    @property
    def name(self) -> str:
        return self.path.name


class _Files(NamedTuple):
    """A network's file and its decoder's, open, and all that decides what is read of them."""

    streams: tuple[BufferedReader, ...]
    sources: tuple["_Source", ...]
    overrides: Overrides
    limits: ModelFileLimits


class Reader:
    """`versions` is what a reading depends on beside the file and the limits, such as Keras's."""

    def __init__(self, cells: Cells, cache: NetworkCache, *, versions: str, threads: int) -> None:
        self.cells = cells
        self._cache = cache
        self._versions = versions
        self._threads = threads

    def read(self, path: Path, overrides: Overrides, limits: ModelFileLimits) -> Parcel:
        """The network of a file, and of its decoder if it has one. Raises ModelFailedError."""
        paths = [path] if overrides.decoder is None else [path, overrides.decoder]
        with ExitStack() as stack:
            sources = tuple(_sources(paths))
            streams = tuple(stack.enter_context(each.path.open("rb")) for each in sources)
            files = _Files(streams, sources, replace(overrides, decoder=None), limits)
            key = self._key(files)
            if not self._cache.prepare():
                room = Path(stack.enter_context(TemporaryDirectory(prefix="convscope-")))
                return self._make(files, room, None)
            stack.enter_context(self._cache.making(key))
            return self._find(key, limits) or self._make(
                files, Path(stack.enter_context(TemporaryDirectory(prefix="cell-", dir=self._cache.folder))), key
            )

    def _find(self, key: str, limits: ModelFileLimits) -> Parcel | None:
        stream = self._cache.open(key)
        if stream is None:
            return None
        try:
            return _require_network(_open(stream, limits))
        except ModelFailedError as error:
            # Of another version's making: it is made anew.
            logger.warning("a network that was kept cannot be used: %s", error.detail)
            stream.close()
            return None

    def _make(self, files: _Files, room: Path, key: str | None) -> Parcel:
        before = [_stamp(stream) for stream in files.streams]
        with ExitStack() as stack:
            output = stack.enter_context((room / "parcel").open("w+b"))
            self.cells.run(self._request(files, output), room)
            parcel = _require_network(_open(output, files.limits))
            if [_stamp(stream) for stream in files.streams] != before:
                error = ModelFailedError(f"'{files.sources[0].name}' was changed while it was read: ask again")
                raise error from OSError(errno.EAGAIN, "the file")
            if key is not None:
                place = output.tell()
                seal(output)
                output.seek(place)
                self._cache.keep(key, room / "parcel")
            stack.pop_all()
        return parcel

    def _request(self, files: _Files, output: BinaryIO) -> CellRequest:
        return CellRequest(
            parent=os.getpid(),
            files=tuple(
                OpenFile(
                    descriptor=stream.fileno(),
                    name=source.name,
                    size=os.fstat(stream.fileno()).st_size,
                    place=source.place,
                    is_of_preset=source.is_of_preset,
                )
                for stream, source in zip(files.streams, files.sources, strict=True)
            ),
            output=output.fileno(),
            overrides=files.overrides,
            model_limits=files.limits,
            cell_limits=self.cells.limits,
            threads=self._threads,
        )

    def _key(self, files: _Files) -> str:
        """What is stated of a network changes nothing that is read, but for these two."""
        stated = (files.overrides.input_size, files.overrides.latent_layer)
        digests = [hashlib.file_digest(stream, "sha256").hexdigest() for stream in files.streams]
        # Of a preset also which file is which.
        names = [source.name for source in files.sources if source.is_of_preset]
        parts = (_READER, self._versions, digests, names, stated, files.limits)
        return hashlib.sha256(repr(parts).encode()).hexdigest()


def _sources(paths: list[Path]) -> Iterator[_Source]:
    for place, path in enumerate(paths):
        if path.is_dir():
            yield from (_Source(file, place, is_of_preset=True) for file in preset_files(path))
        else:
            yield _Source(path, place, is_of_preset=False)


def _open(stream: BinaryIO, limits: ModelFileLimits) -> Parcel | Refusal:
    try:
        result = read_parcel(stream, limits)
    except BrokenParcelError as error:
        raise ModelFailedError(f"what was read of the file is not as it has to be: {error}") from error
    return result if isinstance(result, Refusal) else Parcel(result, stream)


def _require_network(result: Parcel | Refusal) -> Parcel:
    if isinstance(result, Parcel):
        return result
    # By its cause the load journal knows what may be better another time.
    raise ModelFailedError(result.reason) from (OSError(errno.EAGAIN, "memory or disk") if result.passing else None)


def _stamp(stream: BinaryIO) -> tuple[int, int]:
    status = os.fstat(stream.fileno())
    return status.st_mtime_ns, status.st_size
