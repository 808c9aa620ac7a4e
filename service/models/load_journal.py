"""Loads that went wrong, kept in the data folder from one start to the next.

A file that was refused is not loaded again only to be refused again; nor is one in which the process has ended, which
would otherwise end at every start. Knows neither files nor networks: a load is a text that names all it depends on.
"""

import fcntl
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final, TypedDict, TypeGuard, TypeVar
from uuid import uuid4

from service.errors import ModelFailedError

logger = logging.getLogger(__name__)
Loaded = TypeVar("Loaded")

# The latest; each is a sentence.
_KEPT: Final = 256
_MAX_BYTES: Final = 2**20
# Ends within the same load after which it is not begun any more. One may be an operator's.
_ENDS: Final = 2


class Refusal(TypedDict):
    """Why a file was refused, and when, in seconds since 1970."""

    reason: str
    at: int


class LoadJournal:
    """`context` is what all loads depend on, such as versions and limits.

    With `always` a load is begun whatever is known of it, and what was known is forgotten if it succeeds. What cannot
    be read or written is no error: then every load is begun.
    """

    def __init__(self, folder: Path, context: str, *, always: bool = False) -> None:
        self._folder = folder
        self._context = context
        self._always = always

    def load(self, subject: str, file: str, begin: Callable[[], Loaded]) -> Loaded:
        """What `begin` returns. Raises ModelFailedError, with the reason of an earlier time where there is one."""
        key = hashlib.sha256(f"{self._context}\n{subject}".encode()).hexdigest()[:32]
        advice = f"'convscope doctor {file}' tries again, and if it loads, so does the next start of the service"
        if self._always:
            loaded = begin()
            self._forget(key)
            return loaded
        if (entry := self._refused().get(key)) and entry["reason"]:
            raise ModelFailedError(f"{entry['reason']} (found at an earlier start; {advice})")
        with self._marked(key, advice):
            try:
                return begin()
            except ModelFailedError as error:
                if not _passes(error):
                    self._write({**self._refused(), key: Refusal(reason=error.detail, at=int(time.time()))})
                raise

    @contextmanager
    def _marked(self, key: str, advice: str) -> Iterator[None]:
        """While this is open a file is locked, which the system unlocks whatever ends the process."""
        ended = self._left(key)
        if len(ended) >= _ENDS:
            raise ModelFailedError(
                f"the service ended while it loaded this file, {len(ended)} times in a row: out of memory, or a fault "
                f"that the file provokes; {advice}"
            )
        with ExitStack() as stack:
            try:
                self._mark(key, stack, ended)
            except OSError as error:
                logger.debug("nothing is noted of a load: %s", error)
            yield

    def _mark(self, key: str, stack: ExitStack, ended: list[Path]) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A load that was begun when a process ended is by itself now, so that no other file is blamed for it.
        gate = stack.enter_context((self._folder / "gate").open("a"))
        fcntl.flock(gate, fcntl.LOCK_EX if ended else fcntl.LOCK_SH)
        # Under its name only once it is locked.
        own = self._folder / f"{key}.{uuid4().hex}.loading"
        stream = stack.enter_context(own.with_suffix(".new").open("xb"))
        fcntl.flock(stream, fcntl.LOCK_EX)
        own.with_suffix(".new").rename(own)
        for mark in (*ended, own):
            stack.callback(mark.unlink, missing_ok=True)

    def _left(self, key: str) -> list[Path]:
        """Marks of loads that nobody is at any more."""
        return [mark for mark in self._folder.glob(f"{key}.*.loading") if _is_left(mark)]

    def _refused(self) -> dict[str, Refusal]:
        try:
            with (self._folder / "refused.json").open("rb") as stream:
                found = json.loads(stream.read(_MAX_BYTES))
        except (OSError, ValueError, RecursionError):
            return {}
        entries = found.items() if isinstance(found, dict) else ()
        return {key: entry for key, entry in entries if _is_entry(entry)}

    def _forget(self, key: str) -> None:
        known = self._refused()
        if known.pop(key, None) is not None:
            self._write(known)
        for mark in self._left(key):
            mark.unlink(missing_ok=True)

    def _write(self, entries: dict[str, Refusal]) -> None:
        latest = sorted(entries.items(), key=lambda item: item[1]["at"])[-_KEPT:]
        try:
            with NamedTemporaryFile("w", dir=self._folder, prefix="refused.", delete=False) as stream:
                stream.write(json.dumps(dict(latest), indent=1))
            Path(stream.name).replace(self._folder / "refused.json")
        except OSError as error:
            logger.debug("a refused model file is not noted: %s", error)


def _is_entry(entry: object) -> TypeGuard[Refusal]:
    return isinstance(entry, dict) and isinstance(entry.get("reason"), str) and isinstance(entry.get("at"), int)


def _is_left(mark: Path) -> bool:
    """Whether the process that made it has ended."""
    with suppress(OSError), mark.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return True
    return False


def _passes(error: BaseException | None) -> bool:
    """Whether another time may be better: memory or disk were short, not the file wrong."""
    while error is not None:
        # h5py's errors about damaged files have no number.
        short = isinstance(error, OSError) and error.errno is not None
        if short or isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            return True
        error = error.__cause__ or error.__context__
    return False
