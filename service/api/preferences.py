"""How a client would like to be answered: `Prefer` (RFC 7240), `Cache-Control: no-cache`, `Idempotency-Key`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers

from service.errors import ConvscopeError

_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE: Final = rf'(?:{_WORD}|"(?:[^"\\]|\\.)*")'
_PARAMETER: Final = rf"{_WORD}(?:\s*=\s*{_VALUE})?"
# A preference with its parameters, which none of ours has; whatever else stands between commas is passed over.
_PREFERENCE: Final = re.compile(
    rf"\s*(?P<name>{_WORD})(?:\s*=\s*(?P<value>{_VALUE}))?(?:\s*;\s*(?:{_PARAMETER})?)*\s*(?:,|$)"
)
_REST: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"|")*?(?:,|$)')
_KEY: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")
_MAX_HEADER: Final = 1000
_MAX_DIGITS: Final = 9


class IdempotencyKeyInvalidError(ConvscopeError):
    code = "idempotency_key_invalid"


@dataclass(frozen=True)
class Preferences:
    """`wait_seconds` is what was asked for, None where nothing was."""

    respond_async: bool
    wait_seconds: int | None


def read_preferences(headers: Headers) -> Preferences:
    """Unknown and malformed preferences are passed over, as the RFC asks; of several of one name the first counts."""
    given: dict[str, str] = {}
    for name, value in _parse(", ".join(headers.getlist("prefer"))[:_MAX_HEADER]):
        given.setdefault(name, value)
    wait = given.get("wait", "")
    seconds = int(wait) if wait.isascii() and wait.isdecimal() and len(wait) <= _MAX_DIGITS else None
    # An empty value is the same as none; any other one is another preference.
    return Preferences(given.get("respond-async") == "", seconds)


def wants_fresh(headers: Headers) -> bool:
    """Whether an earlier answer to the same request will not do."""
    directives = ",".join(headers.getlist("cache-control")).lower().split(",")
    return any(directive.partition("=")[0].strip() == "no-cache" for directive in directives)


def read_idempotency_key(headers: Headers) -> str | None:
    """Raises IdempotencyKeyInvalidError."""
    keys = headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise IdempotencyKeyInvalidError("'Idempotency-Key' must be given once, as 1 to 255 printable ASCII characters")
    return keys[0]


def _parse(text: str) -> Iterable[tuple[str, str]]:
    place = 0
    while place < len(text):
        match = _PREFERENCE.match(text, place)
        if match is not None:
            yield match["name"].lower(), _unquote(match["value"] or "")
        else:
            match = _REST.match(text, place)
        place = match.end() if match is not None and match.end() > place else place + 1


def _unquote(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
