"""No text from outside takes more than linear time: every pattern in the code, and every parser of a header."""

import ast
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Final

import pytest
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.types import Scope

from service.api.access.hosts import parse_host
from service.api.access.origins import is_foreign
from service.api.requests.negotiation import JSON, PNG, choose
from service.api.requests.preferences import read_idempotency_key, read_preferences, wants_fresh
from service.api.result_cache import find_tag
from service.api.routes.events import _parse
from service.errors import ConvscopeError
from service.jobs.webhooks.sending import read_retry_after

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = ("service", "schemas", "workers")
# Close together at first: exponential time must be seen before it is hours. The last is what a head may have.
SIZES: Final = (*range(16, 60, 4), 256, 2048, 16384)
# Up to here times are compared with what the shortest text may take, beyond with the text before.
SMALL: Final = 60
# Below this a time says nothing; and how much faster than the text a time may grow before it counts as worse.
FLOOR_SECONDS: Final = 0.005
SLACK: Final = 4.0
ENDS: Final = (("", ""), ("", "("), ("a", "("))
WAYS: Final = ("match", "fullmatch", "search", "findall", "split", "sub")

Read = Callable[[str], object]


def _header(name: str, read: Callable[[Headers], object]) -> Read:
    return lambda text: read(Headers(raw=[(name.encode(), text.encode("latin-1", "replace"))]))


def _page(origin: str) -> Scope:
    headers = [(b"host", b"localhost"), (b"origin", origin.encode("latin-1", "replace"))]
    return {"type": "http", "method": "POST", "scheme": "http", "headers": headers}


PARSERS: Final[dict[str, Read]] = {
    "Accept": lambda text: choose(text, (JSON, PNG)),
    "Cache-Control": _header("cache-control", wants_fresh),
    "Content-Type": parse_options_header,
    "Host": parse_host,
    "Idempotency-Key": _header("idempotency-key", read_idempotency_key),
    "If-None-Match": lambda text: find_tag(text, "0" * 32),
    "Last-Event-ID": _parse,
    "Origin": lambda text: is_foreign(_page(text)),
    "Prefer": _header("prefer", read_preferences),
    "Retry-After": read_retry_after,
}


def _modules() -> Iterator[tuple[Path, ast.AST]]:
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield path.relative_to(ROOT), node


def _uses() -> dict[str, set[str]]:
    """By the name of a compiled pattern: the ways it is used, wherever that is."""
    uses: dict[str, set[str]] = {}
    for _, node in _modules():
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in WAYS:
            uses.setdefault(node.value.id, set()).add(node.attr)
    return uses


def _patterns() -> Iterator[tuple[str, tuple[ast.expr, set[str]]]]:
    """Every pattern of `re` and of pydantic in the code: its place, what it is, and the ways it is used."""
    uses, names = _uses(), {}
    for path, node in _modules():
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            names[node.value] = target.id if isinstance(target, ast.Name) else ""
        if not isinstance(node, ast.Call):
            continue
        place, function = f"{path}:{node.lineno}", node.func
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "re":
            if function.attr != "escape":
                ways = uses.get(names.get(node, ""), set(WAYS)) if function.attr == "compile" else {function.attr}
                yield place, (node.args[0], ways)
        else:
            yield from ((place, (word.value, {"search"})) for word in node.keywords if word.arg == "pattern")


PATTERNS: Final = dict(_patterns())


def _pumps(hint: str) -> list[str]:
    """What is repeated: one or two of the pattern's own characters, and whole runs of them."""
    letters = sorted(set(re.sub(r"[\w\\]", "", hint)) | set(' a0",;=-\\'))[:10]
    runs = re.findall(r"[\w :,;'-]{3,}", hint)
    return [*letters, *("".join(pair) for pair in product(letters, repeat=2) if pair[0] != pair[1]), *runs]


def _time(read: Read, text: str) -> float:
    begin = perf_counter()
    with suppress(ConvscopeError, ValueError):
        read(text)
    return perf_counter() - begin


def _assert_linear(read: Read, pump: str, ends: tuple[str, str]) -> None:
    before, size_before = FLOOR_SECONDS, SIZES[0]
    for size in SIZES:
        text = ends[0] + (pump * size)[: size - len(ends[1])] + ends[1]
        allowed = SLACK * max(before, FLOOR_SECONDS) * size / size_before
        seconds = _time(read, text)
        if seconds > allowed:
            # Once more, as the machine may have been busy.
            seconds = min(seconds, _time(read, text))
        assert seconds <= allowed, f"{size} characters of {pump!r} take {seconds:.3f} s, {size_before} {before:.3f} s"
        if size > SMALL:
            before, size_before = seconds, size


@pytest.mark.parametrize("name", PARSERS)
def test_time_is_linear_when_a_header_is_hostile(name: str) -> None:
    for pump, ends in product([*_pumps(""), "; ", ' ="', '""', "q=0.5,", 'W/"a",', "bytes=0-,"], ENDS):
        _assert_linear(PARSERS[name], pump, ends)


@pytest.mark.parametrize("place", PATTERNS)
def test_time_is_linear_when_the_text_for_a_pattern_is_hostile(place: str) -> None:
    node, ways = PATTERNS[place]
    assert isinstance(node, ast.Constant), "a pattern that is put together cannot be checked here: write it out"
    expression = node.value.decode("latin-1") if isinstance(node.value, bytes) else str(node.value)
    pattern = re.compile(expression)
    for way in ways:
        read = partial(pattern.sub, "") if way == "sub" else getattr(pattern, way)
        for pump, ends in product(_pumps(expression), ENDS):
            _assert_linear(read, pump, ends)
