"""A repository folder looked at again and again, every second: whatever has not changed costs next to nothing.

Versions come and go by the folder of their model, whose time tells. Looked at anew each time are the newest version,
those that are no model yet, and a few others in turn, so that a file replaced in place is seen as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from service.models.sources.repository import Found, find_models, find_versions, look_again

# Versions of one model that are looked at in turn.
_TURN: Final = 4


@dataclass
class _Known:
    """What was found of one model; `turn` is whose turn it is next."""

    changed: int
    found: list[Found]
    turn: int = 0


class RepositoryScan:
    """Not to be used by several threads at once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, _Known] = {}

    def names(self) -> list[str]:
        """See `find_models`."""
        names = list(find_models(self._root))
        self._known = {name: known for name, known in self._known.items() if name in names}
        return names

    def versions(self, name: str) -> list[Found]:
        """See `find_versions`."""
        changed = _time_of(self._root / name)
        known = self._known.get(name)
        if known is None or changed is None or known.changed != changed or len(known.found) <= _TURN:
            found = find_versions(self._root, name)
            if changed is not None:
                self._known[name] = _Known(changed, found)
            return found
        for place in self._due(known):
            known.found[place] = look_again(known.found[place])
        newest = known.found[0]
        # What model.toml says is every version's.
        known.found = [replace(each, stamp=(each.stamp[0], newest.stamp[1])) for each in known.found]
        return known.found

    def _due(self, known: _Known) -> Iterator[int]:
        count = len(known.found)
        yield 0
        yield from (place for place in range(1, count) if known.found[place].file is None)
        for step in range(_TURN):
            yield (known.turn + step) % count
        known.turn = (known.turn + _TURN) % count


def _time_of(folder: Path) -> int | None:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return None
