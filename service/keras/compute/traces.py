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

# As measured, by the growth of the process: what TensorFlow and Python keep of each operation, and how often a kernel
# that is a constant of a graph lies in memory (three times when it is traced, five more when it has run).
OPERATION_BYTES: Final = 14 * 2**10
KERNEL_COPIES: Final = 8

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Built(Generic[Trace]):
    """A trace, the bytes of the kernels that are its constants, and the number of its operations."""

    trace: Trace
    bytes: int = 0
    operations: int = 0

    @property
    def held_bytes(self) -> int:
        """What it takes in memory."""
        return self.operations * OPERATION_BYTES + self.bytes * KERNEL_COPIES


class Traces:
    """Keeps the `limit` most recently used traces.

    As far as the kernels in them are no more than `max_bytes`, and all that they take no more than `max_held_bytes`.
    The limits are there for clients that walk through every layer of a deep network.
    """

    def __init__(self, limit: int, max_bytes: int = 2**29, max_held_bytes: int | None = None) -> None:
        self._limit = limit
        self._max_bytes = max_bytes
        self._max_held_bytes = max_held_bytes
        self._lock = Lock()
        self._futures: OrderedDict[Hashable, Future[object]] = OrderedDict()
        self._sizes: dict[Hashable, Built[object]] = {}
        self._held = 0
        self.built = 0

    @property
    def bytes(self) -> int:
        """Of the kernels in all of them."""
        with self._lock:
            return self._kernel_bytes()

    @property
    def held_bytes(self) -> int:
        """Of all of them, kernels included. Takes no lock: it may be asked where another must not be waited for."""
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
                self._sizes.pop(self._futures.popitem(last=False)[0], None)
            self._add_up()
        if mine:
            self._build(key, future, build)
        # What stands under a key was built for that key.
        return cast("Trace", future.result())

    def clear(self) -> None:
        """Let all of them go."""
        with self._lock:
            self._futures.clear()
            self._sizes.clear()
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
                self._weigh(key, future, built)
            logger.info("trace %d of a model built in %.1f s", self.built, perf_counter() - started)
            future.set_result(built.trace)

    def _add_up(self) -> None:
        self._held = sum(size.held_bytes for size in self._sizes.values())

    def _kernel_bytes(self) -> int:
        return sum(size.bytes for size in self._sizes.values())

    def _weigh(self, key: Hashable, future: Future[object], built: Built[Trace]) -> None:
        if self._futures.get(key) is future:
            self._sizes[key] = Built(None, built.bytes, built.operations)
        self._add_up()
        # The oldest first; the newest stays, whatever its size.
        for other in [other for other in self._futures if other in self._sizes and other != key]:
            too_many_kernels = self._sizes[other].bytes and self._kernel_bytes() > self._max_bytes
            if too_many_kernels or (self._max_held_bytes is not None and self._held > self._max_held_bytes):
                del self._futures[other], self._sizes[other]
                self._add_up()
