"""Reads server-sent events as they come."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2


@dataclass(frozen=True)
class Event:
    name: str
    data: Any
    id: int | None


class Stream:
    """The events of one open answer, one by one."""

    def __init__(self, response: httpx2.Response) -> None:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-cache"
        self._lines = response.iter_lines()

    def __iter__(self) -> Iterator[Event]:
        fields: dict[str, str] = {}
        for line in self._lines:
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
            elif not line and fields:
                given = fields.pop("id", None)
                yield Event(fields["event"], json.loads(fields["data"]), None if given is None else int(given))
                fields = {}

    def until(self, name: str) -> list[Event]:
        """The events up to the next one of that name, which is the last."""
        seen = []
        for event in self:
            seen.append(event)
            if event.name == name:
                return seen
        raise AssertionError(f"the stream ended without '{name}': {seen}")
