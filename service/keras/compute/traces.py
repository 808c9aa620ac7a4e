"""A bounded cache of compiled traces, each built once even when many threads ask at the same time."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock
from time import perf_counter
from typing import Final, Generic, TypeVar, cast

Trace = TypeVar("Trace")

# Of a graph without its weights, as measured.
TRACE_BYTES: Final = 20 * 2**20

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Built(Generic[Trace]):
    """A trace, and the bytes of the weights that it holds itself."""

    trace: Trace
    bytes: int = 0


class Traces:
    """Keeps the `limit` most recently used traces, as far as the weights in them take no more than `max_bytes`.

    A trace costs a second and some 20 MB, and only part of the memory comes back: the limits are there for clients
    that walk through every layer of a deep network.
    """

    def __init__(self, limit: int, max_bytes: int = 2**29) -> None:
        self._limit = limit
        self._max_bytes = max_bytes
        self._lock = Lock()
        self._futures: OrderedDict[Hashable, Future[object]] = OrderedDict()
        self._bytes: dict[Hashable, int] = {}
        self._held = 0
        self.built = 0

    @property
    def bytes(self) -> int:
        """Of the weights in all of them."""
        with self._lock:
            return sum(self._bytes.values())

    @property
    def held_bytes(self) -> int:
        """Of all of them, weights included. Takes no lock: it may be asked where another must not be waited for."""
        return self._held

    def get(self, key: Hashable, build: Callable[[], Built[Trace]]) -> Trace:
        """Return the trace of `key`, building it if there is none; others who ask meanwhile wait for the same one."""
        with self._lock:
            future = self._futures.get(key)
            mine = future is None
            if future is None:
                future = self._futures[key] = Future()
            self._futures.move_to_end(key)
            while len(self._futures) > self._limit:
                self._bytes.pop(self._futures.popitem(last=False)[0], None)
            self._add_up()
        if mine:
            self._build(key, future, build)
        # What stands under a key was built for that key.
        return cast("Trace", future.result())

    def clear(self) -> None:
        """Let all of them go."""
        with self._lock:
            self._futures.clear()
            self._bytes.clear()
            self._add_up()

    def _build(self, key: Hashable, future: Future[object], build: Callable[[], Built[Trace]]) -> None:
        started = perf_counter()
        try:
            built = build()
        except BaseException as error:  # noqa: BLE001 - whoever waits for this trace must hear of it
            with self._lock:
                self._futures.pop(key, None)
            future.set_exception(error)
        else:
            with self._lock:
                self.built += 1
                self._weigh(key, future, built.bytes)
                self._add_up()
            logger.info("trace %d of a model built in %.1f s", self.built, perf_counter() - started)
            future.set_result(built.trace)

    def _add_up(self) -> None:
        self._held = sum(self._bytes.values()) + len(self._futures) * TRACE_BYTES

    def _weigh(self, key: Hashable, future: Future[object], size: int) -> None:
        if size and self._futures.get(key) is future:
            self._bytes[key] = size
        # The oldest first; the newest stays, whatever its size.
        for other in [other for other in self._futures if other in self._bytes and other != key]:
            if sum(self._bytes.values()) <= self._max_bytes:
                break
            del self._futures[other], self._bytes[other]
