"""How a client would like to be answered: `Prefer` (RFC 7240), `Cache-Control: no-cache`, `Idempotency-Key`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers

from service.errors import ConvscopeError

_WORD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
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


def _parse(text: str) -> Iterator[tuple[str, str]]:
    """Name and value of each preference; parameters, which none of ours has, are passed over."""
    for item in _split(text, ","):
        name, is_given, value = (part.strip() for part in next(_split(item, ";")).partition("="))
        if _WORD.fullmatch(name) and (not is_given or _WORD.fullmatch(value) or _QUOTED.fullmatch(value)):
            yield name.lower(), _unquote(value)


def _split(text: str, separator: str) -> Iterator[str]:
    """The parts between separators outside of quoted strings, each character looked at once or twice."""
    start = place = 0
    while place < len(text):
        if text[place] == separator:
            yield text[start:place]
            start = place + 1
        quoted = _QUOTED.match(text, place) if text[place] == '"' else None
        if text[place] == '"' and quoted is None:
            # It is never closed, and so quotes nothing; nor does any after it.
            yield from text[start:].split(separator)
            return
        place = quoted.end() if quoted else place + 1
    yield text[start:]


def _unquote(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
