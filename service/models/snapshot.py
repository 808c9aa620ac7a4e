"""Which models and versions there are, looked up in memory: a thread looks at the sources, and no request ever does."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event, Lock, Thread
from time import monotonic, perf_counter, sleep
from types import MappingProxyType
from typing import Final

from service.models.sources.source import ModelVersion, Source

logger = logging.getLogger(__name__)

# A request of a few milliseconds meets one piece of work, for which it waits.
_WORK_SECONDS, _REST_SECONDS = 0.0002, 0.004
# How long somebody who asks for a look waits for what lies elsewhere.
PATIENCE_SECONDS: Final = 10.0

Versions = tuple[ModelVersion, ...]


@dataclass(frozen=True)
class Snapshot:
    """Every model's versions, newest first, by its name in the order of the listing."""

    models: Mapping[str, Versions]

    def versions(self, name: str) -> Versions:
        """None where the name is nobody's."""
        return self.models.get(name, ())

    def holds(self, version: ModelVersion) -> bool:
        """Whether it is still there, as it was."""
        same = (each for each in self.versions(version.name) if each.version == version.version)
        return next(same, None) == version


class _Rest:
    """Works in small pieces: who waits for the interpreter's lock is else kept waiting for Python's own interval."""

    def __init__(self) -> None:
        self._begun = perf_counter()

    def take(self) -> None:
        """To be called often."""
        if perf_counter() - self._begun > _WORK_SECONDS:
            sleep(_REST_SECONDS)
            self._begun = perf_counter()


class SnapshotKeeper:
    """The latest snapshot of some sources. Where two hold the same name, the earlier one's model counts.

    Taken when it is first asked for and whenever `refresh` is called, and by a thread of its own once it is started.
    Safe to use from several threads.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._lock = Lock()
        self._latest: Snapshot | None = None
        self._closed = Event()
        self._is_started = False

    @property
    def latest(self) -> Snapshot:
        """The latest snapshot; the first is taken here."""
        return self._latest or self.refresh(0 if self._is_started else PATIENCE_SECONDS)

    def refresh(self, patience: float = 0, *, gently: bool = False) -> Snapshot:
        """Look at the sources, and for so many seconds at most at what lies elsewhere as well.

        `gently` lets others have the interpreter every few milliseconds, before it takes it away.
        """
        now = monotonic()
        snapshot = self._take(gently=gently)
        looked = [source.look(now, now + patience) for source in self._sources] if patience else []
        return self._take(gently=gently) if any(looked) else snapshot

    def _take(self, *, gently: bool) -> Snapshot:
        """One caller at a time; another who asks meanwhile looks again, as it may be newer."""
        with self._lock:
            models: dict[str, Versions] = {}
            rest = _Rest() if gently else None
            for source in self._sources:
                for name in source.names():
                    if rest is not None:
                        rest.take()
                    if name not in models and (versions := tuple(source.versions(name))):
                        models[name] = versions
            # What has not changed is held once, by those who have it already.
            if self._latest is None or list(models.items()) != list(self._latest.models.items()):
                self._latest = Snapshot(MappingProxyType(models))
            return self._latest

    def start(self, seconds: float, changed: Callable[[Snapshot], None]) -> None:
        """Look every so many seconds from now on, and tell of each look."""
        self._is_started = True
        Thread(target=self._run, args=(seconds, changed), name="snapshot", daemon=True).start()

    def close(self) -> None:
        self._closed.set()
        for source in self._sources:
            source.close()

    def _run(self, seconds: float, changed: Callable[[Snapshot], None]) -> None:
        while not self._closed.is_set():
            try:
                changed(self.refresh(gently=self._latest is not None))
            except Exception:
                # A folder on a network may go and come again: what is known stays.
                logger.exception("looking for models failed")
            self._closed.wait(seconds)
