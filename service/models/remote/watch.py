"""What lies elsewhere, looked at again and again on threads of its own, so that nobody who asks has to wait.

What was seen last stays known, in a folder too, so that a process that starts while nothing answers knows it as well.
"""

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Thread
from time import monotonic
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from service.errors import ConvscopeError, WeightsUnavailableError
from service.models.remote.locations import explain

logger = logging.getLogger(__name__)

Value = TypeVar("Value", bound=BaseModel)

# What nobody asked for in so many rounds is looked at no more.
_ROUNDS: Final = 3


@dataclass(frozen=True)
class Seen(Generic[Value]):
    """What was seen last, if anything ever was, and why the latest look saw nothing, if it did not."""

    value: Value | None
    failure: ConvscopeError | None = None


@dataclass(frozen=True)
class Subject(Generic[Value]):
    """What is looked at: `look` blocks, raises ConvscopeError, and returns a `kind`.

    Subjects of one `host` are looked at one after the other, others beside each other. What is kept is made by
    `combine` of what was kept before and what was seen now.
    """

    key: str
    host: str
    kind: type[Value]
    look: Callable[[], Value]
    combine: Callable[[Value | None, Value], Value] = field(default=lambda _, latest: latest)


@dataclass
class _Entry:
    subject: Subject[Any]
    seen: Seen[Any]
    # On the monotonic clock: when it was asked for last, and when the latest look began.
    asked: float
    looked: float = float("-inf")
    # In nanoseconds since 1970: when the look began that saw what is known.
    seen_at: int = 0


class Watch:
    """Looks every so many seconds at each subject that is asked for. Safe to use from several threads."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        self._seconds = seconds
        self._changed = Condition()
        self._entries: dict[str, _Entry] = {}
        self._hosts: set[str] = set()
        # Somebody waits for a look at what was not looked at since.
        self._wanted = float("-inf")
        self._is_closed = False

    def latest(self, subject: Subject[Value]) -> Seen[Value]:
        """What was seen last, at once; from now on it is looked at."""
        with self._changed:
            entry = self._entries.get(subject.key)
            if entry is None:
                entry = self._entries[subject.key] = _Entry(subject, Seen(None), monotonic())
                self._start(subject.host)
                self._changed.notify_all()
            entry.asked = monotonic()
            self._read(entry)
            return entry.seen

    def look(self, since: float, until: float) -> bool:
        """Look at everything that was not looked at since, and wait for it; False if there is nothing to look at.

        Both times are on the monotonic clock.
        """
        with self._changed:
            entries = list(self._entries.values())
            self._wanted = max(self._wanted, since)
            self._changed.notify_all()
            while any(entry.looked < since for entry in entries) and monotonic() < until and not self._is_closed:
                self._changed.wait(max(0.0, until - monotonic()))
            return bool(entries)

    def close(self) -> None:
        """Look at nothing any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _start(self, host: str) -> None:
        if host not in self._hosts:
            self._hosts.add(host)
            Thread(target=self._run, args=(host,), name="watch", daemon=True).start()

    def _run(self, host: str) -> None:
        while (entry := self._wait(host)) is not None:
            began, began_at = monotonic(), time.time_ns()
            seen = _look(entry)
            with self._changed:
                if entry.seen.failure is None or type(seen.failure) is not type(entry.seen.failure):
                    _tell(entry, seen)
                entry.seen, entry.looked = seen, began
                if seen.failure is None:
                    entry.seen_at = began_at
                    self._write(entry)
                self._changed.notify_all()

    def _wait(self, host: str) -> _Entry | None:
        """The next entry of a host that is to be looked at; None where there is nothing left to do for the thread."""
        with self._changed:
            while not self._is_closed:
                now = monotonic()
                entries = [entry for entry in self._entries.values() if entry.subject.host == host]
                for entry in entries:
                    if now - entry.asked > _ROUNDS * self._seconds and entry.looked > entry.asked:
                        del self._entries[entry.subject.key]
                    elif entry.looked < max(self._wanted, now - self._seconds):
                        return entry
                if not any(entry.subject.key in self._entries for entry in entries):
                    break
                self._changed.wait(max(0.01, self._seconds - (now - min(entry.looked for entry in entries))))
            self._hosts.discard(host)
            return None

    def _read(self, entry: _Entry) -> None:
        """Take what another process has seen since, or an earlier run of this one."""
        with suppress(OSError, ValidationError):
            path = self._note(entry)
            seen_at = path.stat().st_mtime_ns
            if seen_at > entry.seen_at:
                value = entry.subject.kind.model_validate_json(path.read_bytes())
                entry.seen, entry.seen_at = Seen(value, entry.seen.failure), seen_at

    def _write(self, entry: _Entry) -> None:
        """The note's time is that of the look, so that nobody takes an older one for a newer."""
        path = self._note(entry)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix="new-", delete=False) as stream:
                stream.write(entry.seen.value.model_dump_json() if entry.seen.value else "")
            os.utime(stream.name, ns=(entry.seen_at, entry.seen_at))
            Path(stream.name).replace(path)
        except OSError as error:
            logger.debug("what was seen elsewhere is not noted: %s", error)

    def _note(self, entry: _Entry) -> Path:
        # A URL may hold a password: only its digest is a name.
        return self._folder / f"{hashlib.sha256(entry.subject.key.encode()).hexdigest()}.json"


def _look(entry: _Entry) -> Seen[Any]:
    before = entry.seen.value
    try:
        return Seen(entry.subject.combine(before, entry.subject.look()))
    except ConvscopeError as error:
        return Seen(before, error)
    except Exception as error:
        logger.exception("looking for models elsewhere failed")
        return Seen(before, WeightsUnavailableError(f"looking for it failed unexpectedly ({type(error).__name__})"))


def _tell(entry: _Entry, seen: Seen[Any]) -> None:
    """One line when it begins to fail, and one when it is over; not one for each look."""
    if seen.failure is not None:
        cause = seen.failure.__cause__
        words = f"{seen.failure.detail} ({explain(cause)})" if cause else seen.failure.detail
        logger.warning("%s: %s; what is known stays", entry.subject.host, words)
