"""A bounded cache of compiled traces, each built once even when many threads ask at the same time."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from time import perf_counter
from typing import Any

logger = logging.getLogger(__name__)


class Traces:
    """Keeps the `limit` most recently used traces.

    A trace costs a second and some 20 MB, and only part of the memory comes back: the limit is there for clients that
    walk through every layer of a deep network.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = Lock()
        self._futures: OrderedDict[Hashable, Future[Any]] = OrderedDict()
        self.built = 0

    def get(self, key: Hashable, build: Callable[[], Any]) -> Any:
        """Return the trace of `key`, building it if there is none; others who ask meanwhile wait for the same one."""
        with self._lock:
            future = self._futures.get(key)
            mine = future is None
            if future is None:
                future = self._futures[key] = Future()
            self._futures.move_to_end(key)
            while len(self._futures) > self._limit:
                self._futures.popitem(last=False)
        if mine:
            self._build(key, future, build)
        return future.result()

    def clear(self) -> None:
        """Let all of them go."""
        with self._lock:
            self._futures.clear()

    def _build(self, key: Hashable, future: Future[Any], build: Callable[[], Any]) -> None:
        started = perf_counter()
        try:
            trace = build()
        except BaseException as error:  # noqa: BLE001 - whoever waits for this trace must hear of it
            with self._lock:
                self._futures.pop(key, None)
            future.set_exception(error)
        else:
            with self._lock:
                self.built += 1
            logger.info("trace %d of a model built in %.1f s", self.built, perf_counter() - started)
            future.set_result(trace)
