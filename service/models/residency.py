"""How many of the models that are loaded on demand stay in memory, and whether there is room for another.

Those asked for last stay. One that has to go answers the requests that have it already, and leaves its memory with the
last of them. Knows neither sources nor loads.
"""

import gc
import weakref
from threading import Lock

from service.engine.model import Model
from service.errors import ServerBusyError
from service.models.memory import Collector


class Residency:
    """At most `limit` models stay, and as many again may be on their way in or out. Safe to use from any thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = Lock()
        self._alive: list[weakref.ref[Model]] = []
        self._collector = Collector()

    def surplus(self, count: int) -> int:
        """How many of so many models have to go."""
        return max(0, count - self._limit)

    def note(self, model: Model) -> None:
        """Count a model until nobody holds it any more; then see to it that its memory comes back."""
        with self._lock:
            self._alive.append(weakref.ref(model))
        weakref.finalize(model, self._collector.collect_soon).atexit = False

    def require_room(self, loading: int) -> None:
        """Raise ServerBusyError where no further model may be loaded while so many are."""
        if self._count() + loading < 2 * self._limit:
            return
        # What holds one may be garbage itself.
        gc.collect()
        if self._count() + loading >= 2 * self._limit:
            raise ServerBusyError("as many models are in use or being loaded as may be: try again in a moment")

    def _count(self) -> int:
        with self._lock:
            self._alive = [model for model in self._alive if model() is not None]
            return len(self._alive)
