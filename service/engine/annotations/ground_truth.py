"""What a picture of a dataset shows, by the name of its folder. Knows names alone."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

_BETWEEN_WORDS: Final = re.compile(r"[\s_-]+")
_INDEX: Final = re.compile(r"[0-9]{1,9}")


def find_class(name: str, labels: Sequence[str] | None, classes: int) -> int | None:
    """The class that a name means: one of the labels, or else an index.

    None where it is neither, or the label of several classes.
    """
    found = _by_name(tuple(labels or ())).get(_plain(name), [])
    if found:
        return found[0] if len(found) == 1 else None
    return int(name) if _INDEX.fullmatch(name) and int(name) < classes else None


def same_name(one: str, other: str) -> bool:
    """True for names that differ in case, or in what stands between words, at most."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    return _BETWEEN_WORDS.sub(" ", name).strip().casefold()


@lru_cache(maxsize=16)
def _by_name(labels: tuple[str, ...]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        found.setdefault(_plain(label), []).append(index)
    return found
