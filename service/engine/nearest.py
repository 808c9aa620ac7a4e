"""The known names that are most like one that a client wrote, at a bounded cost. Knows nothing of what they name."""

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from typing import Final

# Comparing takes the product of two lengths, for each candidate: longer names are no misspelt ones.
MAX_LENGTH: Final = 100
_MAX_CANDIDATES: Final = 1000


def find_nearest(name: str, known: Iterable[str], *, count: int = 1, cutoff: float = 0.6) -> list[str]:
    """At most `count` of the known names, the most alike first."""
    if len(name) > MAX_LENGTH:
        return []
    candidates = (candidate for candidate in known if len(candidate) <= 2 * MAX_LENGTH)
    return get_close_matches(name, islice(candidates, _MAX_CANDIDATES), n=count, cutoff=cutoff)


def shorten(name: str) -> str:
    """A name that a client wrote, short enough to be told back."""
    return name if len(name) <= MAX_LENGTH else f"{name[:MAX_LENGTH]}…"
