"""A repository folder looked at again and again, every second: whatever has not changed costs next to nothing.

Versions come and go by the folder of their model, whose time tells; when it has changed, those whose own folders have
another time are looked at. Looked at anew each time are the newest version, those that are no model yet, and a few
others in turn, so that a file replaced in place is seen as well, and one that came within the same tick of the clock.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.models.sources.repository import Found, find_models, find_versions, look_again, time_of, with_config

# Versions of one model that are looked at in turn.
_TURN: Final = 4


@dataclass
class _Known:
    """What was found of one model; `turn` is whose turn it is next."""

    changed: int | None
    found: tuple[Found, ...]
    turn: int = 0


class RepositoryScan:
    """Not to be used by several threads at once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, _Known] = {}

    def names(self) -> list[str]:
        """See `find_models`."""
        names = list(find_models(self._root))
        there = set(names)
        self._known = {name: known for name, known in self._known.items() if name in there}
        return names

    def versions(self, name: str) -> tuple[Found, ...]:
        """See `find_versions`; the same object as long as nothing has changed."""
        changed = time_of(self._root / name)
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = _Known(changed, tuple(find_versions(self._root, name)))
            return known.found
        if len(known.found) <= _TURN:
            found = find_versions(self._root, name)
        else:
            found = list(known.found)
            if changed is None or known.changed != changed:
                found = find_versions(self._root, name, {each.version: each for each in known.found})
            self._look_at_due(known, found)
        known.changed = changed
        if tuple(found) != known.found:
            known.found = tuple(found)
        return known.found

    def _look_at_due(self, known: _Known, found: list[Found]) -> None:
        if not found:
            return
        is_same = found == list(known.found)
        for place in self._due(known, found):
            seen = look_again(found[place])
            is_same = is_same and seen == found[place]
            if seen != found[place] or seen.changed != found[place].changed:
                found[place] = seen
        if not is_same:
            # What model.toml says is every version's.
            found[:] = [with_config(each, found[0]) for each in found]

    def _due(self, known: _Known, found: list[Found]) -> Iterator[int]:
        count = len(found)
        yield 0
        yield from (place for place in range(1, count) if found[place].file is None)
        for step in range(_TURN):
            yield (known.turn + step) % count
        known.turn = (known.turn + _TURN) % count
