"""Where models come from: the port behind which folders and applications look alike."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from service.engine.model import Model


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of a model that a source can open. Two looks compare equal as long as nothing has changed.

    `at_start` says whether it is loaded when it is noticed, or only when somebody asks. `expected_bytes` is what it
    will take in memory, as far as that can be told by its file; `keep_versions` how many older ones stay loaded when it
    is. `fetch`, where its file lies elsewhere, brings that here and returns its bytes. Both it and `open` block; they
    raise ModelFailedError where only another file helps, WeightsUnavailableError where asking again later may.
    """

    name: str
    version: str
    stamp: Hashable
    at_start: bool
    open: Callable[[], Model] = field(compare=False, repr=False)
    expected_bytes: int = field(default=0, compare=False)
    keep_versions: int = field(default=0, compare=False)
    fetch: Callable[[], int] | None = field(default=None, compare=False, repr=False)


class Source(Protocol):
    """Some models. It is looked at every second or so, by one thread at a time, and answers at once."""

    def names(self) -> list[str]:
        """The names of all its models, in the order of the listing."""
        ...

    def versions(self, name: str) -> Sequence[ModelVersion]:
        """The versions of one model, newest first; none where the name is not its own.

        Of what has not changed the same object is best: then nothing is compared.
        """
        ...

    def look(self, since: float, until: float) -> bool:
        """Look at what lies elsewhere, unless that was done since, and wait for it; False where nothing does.

        Both times are on the monotonic clock.
        """
        ...

    def close(self) -> None:
        """Give up what is being fetched."""
        ...
