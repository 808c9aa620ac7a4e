"""Records in a file, a question on a line. Of most only the members that differ from the method's first."""

import json
from collections.abc import Mapping
from pathlib import Path

from tests.tour.reading import Record

Records = Mapping[str, Record]


def write(path: Path, records: Records) -> None:
    lines = []
    for name, answer in records.items():
        packed = _pack(answer, records.get(_first(name)) if _first(name) != name else None)
        lines.append(f"{json.dumps(name)}: {json.dumps(packed, separators=(',', ':'), ensure_ascii=False)}")
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
    without = [path for path in same if path not in members]
    return answer | {"members": changed, "without": without} if len(without) < len(same) - len(changed) else answer
