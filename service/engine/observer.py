"""The port through which computation is watched: the engine knows no metrics, it tells an observer what happened."""

from collections.abc import Sequence
from typing import Protocol


class Observer(Protocol):
    """Called from any thread, often: each call is cheap, raises nothing and keeps none of what it is given."""

    def batch(self, model: str, size: int, waited_seconds: Sequence[float], compute_seconds: float) -> None:
        """One computation answered `size` calls, which had waited so long for it, one by one."""
        ...

    def cache(self, name: str, hit: bool) -> None:  # noqa: FBT001 -- what the call is about
        """Something was looked up in the cache `name`."""
        ...

    def cache_bytes(self, name: str, bytes: int) -> None:  # noqa: A002 -- the unit
        """The cache `name` holds so much now."""
        ...


class Unobserved:
    """The observer of whoever is not watched."""

    def batch(self, model: str, size: int, waited_seconds: Sequence[float], compute_seconds: float) -> None:
        pass

    def cache(self, name: str, hit: bool) -> None:  # noqa: FBT001
        pass

    def cache_bytes(self, name: str, bytes: int) -> None:  # noqa: A002
        pass


UNOBSERVED: Observer = Unobserved()
