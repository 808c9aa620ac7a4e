"""Keys made and revoked, in the key file, which others may read and change at the same time.

It stays the same file, changed in place: a container that has it mounted by its name goes on seeing it.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from service.api.access.callers import Role
from service.api.access.keys.key_file import PREFIX, Key, KeyFileError, hash_key, parse_keys, parse_line

_HEADER: Final = b"# name role sha256 [expires] [limit=number ...]  (convscope keys new, list, revoke)\n"
_KEY_BYTES: Final = 32


def add_key(
    path: Path, name: str, role: Role, *, expires: str | None = None, limits: Mapping[str, int] | None = None
) -> tuple[str, Key]:
    """Make a key, which nothing keeps, and add its line. Raises KeyFileError."""
    secret = PREFIX + secrets.token_hex(_KEY_BYTES)
    words = [name, role, hash_key(secret), *filter(None, [expires]), *(f"{k}={n}" for k, n in (limits or {}).items())]
    if any(not word.isascii() or "#" in word or word.split() != [word] for word in words):
        raise KeyFileError("name and expiry are words of ASCII, without space and '#'")
    line = " ".join(words).encode()
    key = parse_line(line)
    assert key is not None
    with _locked(path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as (file, data):
        before = _HEADER if not data else b"" if data.endswith(b"\n") else b"\n"
        # At once: whoever reads meanwhile sees all of the line, or none.
        _write(file, before + line + b"\n")
    return secret, key


def revoke_keys(path: Path, name_or_id: str) -> list[Key]:
    """Make comments of the lines of a name, or of the one with that id; returns their keys. Raises KeyFileError."""
    revoked = []
    with _locked(path, os.O_RDWR) as (file, data):
        start = 0
        for line in data.split(b"\n"):
            key = parse_line(line)
            if key is not None and name_or_id in (key.owner, key.id):
                said = f"# revoked {datetime.now(UTC).date()}: {key.owner} {key.role} {key.id}"
                # Shorter than the line was, which had all of the SHA-256.
                os.lseek(file, start, os.SEEK_SET)
                _write(file, said.encode().ljust(len(line)))
                revoked.append(key)
            start += len(line) + 1
    return revoked


@contextmanager
def _locked(path: Path, flags: int) -> Iterator[tuple[int, bytes]]:
    """The file, for one process at a time, and what is in it, which must be in order."""
    try:
        file = _open(path, flags)
        try:
            data = os.pread(file, os.fstat(file).st_size, 0)
            parse_keys(data)
            yield file, data
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        raise KeyFileError(f"it cannot be changed: {error.strerror}") from error


def _open(path: Path, flags: int) -> int:
    while True:
        file = os.open(path, flags | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        # An editor may have put another one in its place meanwhile.
        if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
            return file
        os.close(file)


def _write(file: int, data: bytes) -> None:
    if os.write(file, data) != len(data):
        raise KeyFileError("there was no room for all of a line: look at the end of the file")
