"""The key file, read: who has a key, what it may do and until when. Knows no HTTP, and of a key its SHA-256 alone.

A line is `name role sha256 [expires] [limit=number …]`, and what follows `#` a comment. No error repeats what stands in
a line: somebody may have put the key itself there.
"""

import hashlib
import hmac
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Final, get_args

from service.api.access.callers import Caller, Role

ROLES: Final[tuple[Role, ...]] = get_args(Role)
LIMITS: Final = ("requests_per_minute", "requests_at_a_time", "queued_jobs", "job_items", "stored_bytes")
PREFIX: Final = "convscope_"
_KEY: Final = re.compile(r"convscope_[0-9a-f]{64}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_LIMIT: Final = re.compile(r"([a-z_]{1,40})=([1-9][0-9]{0,14})")
# Some thousand keys.
_MAX_BYTES: Final = 2**20
_ID_DIGITS: Final = 16


class KeyFileError(Exception):
    """What is wrong with a key file, with the number of the line, and what to do."""


@dataclass(frozen=True)
class Key:
    """A line of the file. `id` names it in cookies, lists and logs, and gives nothing of the key away."""

    owner: str
    role: Role
    sha256: str = field(repr=False)
    expires: datetime | None = None
    overrides: Mapping[str, int] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.sha256[:_ID_DIGITS]

    @property
    def caller(self) -> Caller:
        return Caller(self.owner, self.role, self.overrides)

    def is_over(self, now: float) -> bool:
        """Whether its time is over; `now` in seconds since the epoch."""
        return self.expires is not None and self.expires.timestamp() <= now


class Keys:
    """All keys of a file."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._by_id = {key.id: key for key in keys}

    def __iter__(self) -> Iterator[Key]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def find(self, given: str) -> Key | None:
        """The line of a key that somebody brought, whether its time is over or not."""
        if _KEY.fullmatch(given) is None:
            return None
        digest = hash_key(given)
        # How long the look-up takes may tell of the digest's beginning, of which no key follows.
        found = self._by_id.get(digest[:_ID_DIGITS])
        return found if found is not None and hmac.compare_digest(found.sha256, digest) else None

    def get(self, key_id: str) -> Key | None:
        """The key of an id."""
        return self._by_id.get(key_id)


def hash_key(key: str) -> str:
    """As the file has it. A plain hash does: a key is 256 random bits, which nobody tries out."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_keys(path: Path) -> Keys:
    """The keys of a file. Raises KeyFileError."""
    try:
        # A pipe would block, and could not be read again.
        if not stat.S_ISREG(path.stat().st_mode):
            raise KeyFileError("it is no file")
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"it cannot be read: {error.strerror}") from error
    return parse_keys(data)


def parse_keys(data: bytes) -> Keys:
    """The keys of a file's content. Raises KeyFileError."""
    if len(data) > _MAX_BYTES:
        raise KeyFileError(f"it has more than {_MAX_BYTES} bytes")
    keys: dict[str, tuple[int, Key]] = {}
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            key = parse_line(line)
        except KeyFileError as error:
            raise KeyFileError(f"line {number}: {error}") from None
        if key is not None and (before := keys.setdefault(key.id, (number, key)))[0] != number:
            raise KeyFileError(f"line {number}: the same key as in line {before[0]}")
    return Keys(key for _, key in keys.values())


def parse_line(line: bytes) -> Key | None:
    """The key of a line, None of an empty one. Raises KeyFileError."""
    try:
        words = line.partition(b"#")[0].decode("ascii").split()
    except UnicodeDecodeError:
        raise KeyFileError("a character is not ASCII, but in a comment") from None
    if not words:
        return None
    if len(words) < 3:
        raise KeyFileError("a line is `name role sha256 [expires] [limit=number …]`")
    name, role, sha256, *more = words
    if _NAME.fullmatch(name) is None:
        raise KeyFileError("first comes a name: up to 64 letters, digits and ._@-, no sign at its beginning")
    if role not in ROLES:
        raise KeyFileError(f"second comes the role: {', '.join(ROLES)}")
    if _SHA256.fullmatch(sha256) is None:
        raise KeyFileError("third comes the key's SHA-256, 64 hexadecimal digits in lower case, never the key itself")
    expires = parse_expiry(more.pop(0)) if more and "=" not in more[0] else None
    return Key(name, role, sha256, expires, parse_limits(more))


def parse_expiry(text: str) -> datetime:
    """When a key's time is over; a date is its first moment in UTC. Raises KeyFileError."""
    try:
        if _DATE.fullmatch(text):
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise KeyFileError("expires is a date such as 2027-06-30, or a time with its zone such as 2027-06-30T12:00Z")
    return moment


def parse_limits(words: Iterable[str]) -> dict[str, int]:
    """Limits by name, of words such as `queued_jobs=50`. Raises KeyFileError."""
    limits: dict[str, int] = {}
    for word in words:
        match = _LIMIT.fullmatch(word)
        if match is None or match[1] not in LIMITS or match[1] in limits:
            raise KeyFileError(f"a limit is NAME=NUMBER, each once, of: {', '.join(LIMITS)}")
        limits[match[1]] = int(match[2])
    return limits
