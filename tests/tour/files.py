"""Records in a file, a question on a line. Of most only the members that differ from the method's first by HTTP."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.tour.reading import Record

Records = Mapping[str, Record]


def write(path: Path, records: Records) -> None:
    lines = []
    for name, answer in records.items():
        packed = _pack(answer, records.get(_first(name)) if _first(name) != name else None)
        packed["members"] = {path: _shorten(item) for path, item in packed["members"].items()}
        lines.append(f"{json.dumps(name)}: {json.dumps(packed, separators=(',', ':'), ensure_ascii=False)}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read(path: Path) -> dict[str, Record]:
    packed: dict[str, Record] = json.loads(path.read_text(encoding="utf-8"))
    records: dict[str, Record] = {}
    for answer in packed.values():
        answer["members"] = {path: _lengthen(path, item) for path, item in answer["members"].items()}
    for name, answer in packed.items():
        members = answer["members"]
        if "without" in answer:
            same = packed[_first(name)]["members"]
            members = {path: item for path, item in same.items() if path not in answer["without"]} | members
        records[name] = {"status": answer["status"], "pictures": answer["pictures"], "members": members}
    return records


def _first(name: str) -> str:
    """The first question about the method: `http shapes/grad-cam` of `terminal shapes/grad-cam/top=3`."""
    return f"http {'/'.join(name.partition(' ')[2].split('/')[:2])}"


def _pack(answer: Record, first: Record | None) -> Record:
    if first is None:
        return dict(answer)
    members, same = answer["members"], first["members"]
    changed = {path: item for path, item in members.items() if same.get(path) != item}
    without = [path for path in same if path not in members]
    return (
        answer | {"members": changed, "without": without} if len(without) < len(same) - len(changed) else dict(answer)
    )


def _shorten(item: dict[str, Any]) -> Any:
    """Numbers and texts that are kept as they are need no name."""
    return item.get("numbers", item.get("texts", item))


def _lengthen(path: str, item: Any) -> dict[str, Any]:
    kept: dict[str, Any] = {"numbers" if path.endswith("#") else "texts": item} if isinstance(item, list) else item
    return kept
