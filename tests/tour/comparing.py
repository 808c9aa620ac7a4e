"""Two tours side by side: what differs, in a line each. Names may have changed, and last bits between machines."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.tour.files import Records
from tests.tour.reading import Record, portable

_WORD: Final = re.compile(r"[\w-]+")
# Of 255: how far the colours of a picture's quarters may be apart where its bytes cannot be compared.
_COLOURS: Final = 3
# What is as small as this is rounding.
_NOISE: Final = 1e-6


@dataclass(frozen=True)
class Comparison:
    """`renamed` has new words by old ones, or new ends of paths with dots, such as `values.code`, by old ones.

    With a `tolerance`, relative to a member's greatest number, the records may be those of two machines.
    """

    tolerance: float | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)

    def differences(self, old: Records, new: Records) -> Iterator[str]:
        if self.tolerance is not None:
            old = {name: portable(answer) for name, answer in old.items()}
            new = {name: portable(answer) for name, answer in new.items()}
        before = {self._rename(name): self._rename_record(answer) for name, answer in old.items()}
        for name in before.keys() - new.keys():
            yield f"{name}: not asked any more"
        for name in new.keys() - before.keys():
            yield f"{name}: not asked before"
        for name, answer in before.items():
            if name in new:
                yield from (f"{name}: {words}" for words in self._differ(answer, new[name]))

    def _differ(self, old: Record, new: Record) -> Iterator[str]:
        if old["status"] != new["status"]:
            yield f"status {old['status']} -> {new['status']}"
        for kind, same in (("pictures", self._same_picture), ("members", self._same_member)):
            was, now = old[kind], new[kind]
            for name in sorted(was.keys() | now.keys()):
                if name not in now or name not in was:
                    yield f"{kind}: '{name}' is {'gone' if name in was else 'new'}"
                elif not same(was[name], now[name]):
                    yield f"{kind}: '{name}' {_short(was[name])} -> {_short(now[name])}"

    def _same_picture(self, old: dict[str, Any], new: dict[str, Any]) -> bool:
        if self.tolerance is None:
            return old == new
        return old["kind"] == new["kind"] and _look_alike(old["looks"], new["looks"])

    def _same_member(self, old: dict[str, Any], new: dict[str, Any]) -> bool:
        if self.tolerance is None:
            return old == new
        for kind in ("numbers", "lie"):
            if kind in old and kind in new and len(old[kind]) == len(new[kind]):
                return old.get("count") == new.get("count") and _near(old[kind], new[kind], self.tolerance)
        return old == new

    def _rename_record(self, answer: Record) -> Record:
        return {
            "status": answer["status"],
            "pictures": {self._rename(name): picture for name, picture in answer["pictures"].items()},
            "members": {self._rename(path): self._rename_texts(item) for path, item in answer["members"].items()},
        }

    def _rename_texts(self, item: dict[str, Any]) -> dict[str, Any]:
        return item | {"texts": [self._rename(text) for text in item["texts"]]} if "texts" in item else item

    def _rename(self, text: str) -> str:
        for old, new in self.renamed.items():
            if "." in old:
                text = re.sub(rf"(?<![\w-]){re.escape(old)}(?![\w-])", new, text)
        return _WORD.sub(lambda word: self.renamed.get(word[0], word[0]), text)


def _look_alike(old: str, new: str) -> bool:
    pairs = zip(bytes.fromhex(old), bytes.fromhex(new), strict=True)
    return all(abs(was - now) <= _COLOURS for was, now in pairs)


def _near(old: list[float], new: list[float], tolerance: float) -> bool:
    scale = max(map(abs, (*old, *new)), default=0.0)
    return all(abs(was - now) <= max(tolerance * scale, _NOISE) for was, now in zip(old, new, strict=True))


def _short(item: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value[:8] if isinstance(value, str) else value}" for name, value in item.items())
