"""Records in a file, a question on a line. Of most only the members that differ from the method's first."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.tour.reading import Record

Records = Mapping[str, Record]


def write(path: Path, records: Records, *, hashes: bool = True) -> None:
    """Without hashes it is what another machine, whose last bits differ, can be compared with."""
    lines = []
    for name, answer in records.items():
        packed = _pack(answer, records.get(_first(name)) if _first(name) != name else None)
        kept = packed if hashes else _without_hashes(packed)
        lines.append(f"{json.dumps(name)}: {json.dumps(kept, separators=(',', ':'), ensure_ascii=False)}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read(path: Path) -> dict[str, Record]:
    packed: dict[str, Record] = json.loads(path.read_text(encoding="utf-8"))
    records: dict[str, Record] = {}
    for name, answer in packed.items():
        # The first of a method comes before the others.
        members = answer["members"]
        if "without" in answer:
            same = records[_first(name)]["members"]
            members = {path: item for path, item in same.items() if path not in answer["without"]} | members
        records[name] = {"status": answer["status"], "pictures": answer["pictures"], "members": members}
    return records


def _first(name: str) -> str:
    """The first question about the method: `http shapes/grad-cam` of `http shapes/grad-cam/top=3`."""
    return "/".join(name.split("/")[:2])


def _pack(answer: Record, first: Record | None) -> Record:
    if first is None:
        return answer
    members, same = answer["members"], first["members"]
    changed = {path: item for path, item in members.items() if same.get(path) != item}
    return answer | {"members": changed, "without": [path for path in same if path not in members]}


def _without_hashes(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_hashes(item) for name, item in value.items() if name != "sha256"}
    return value
