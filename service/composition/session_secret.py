"""What signs the page's sessions, the same for all services that share their keys: a setting, Redis, or a file."""

import logging
import os
import secrets
from pathlib import Path
from typing import Final

from service.api.access.keys.sessions import SessionsUnavailableError
from service.settings import Settings

logger = logging.getLogger(__name__)

_REDIS_KEY: Final = "convscope:session-secret"
_FILE: Final = "session-secret"
_BYTES: Final = 32
_SECONDS: Final = 2.0


def find_session_secret(settings: Settings) -> bytes:
    """The secret, which is made where there is none yet. Blocks; raises SessionsUnavailableError."""
    try:
        if settings.session_secret is not None:
            return settings.session_secret.get_secret_value().encode()
        if settings.redis_url:
            return _in_redis(settings.redis_url)
        return _in_file(settings.data_folder / _FILE)
    except OSError as error:
        logger.error("no session can begin: the secret that signs them cannot be had: %s", error)
        raise SessionsUnavailableError("the page's sessions cannot be signed for now: try again shortly") from error


def _in_redis(url: str) -> bytes:
    # Not at the top: without Redis nothing of it is imported.
    import redis

    try:
        with redis.Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS) as client:
            client.set(_REDIS_KEY, secrets.token_hex(_BYTES), nx=True)
            found = client.get(_REDIS_KEY)
    except redis.RedisError as error:
        raise OSError(f"{type(error).__name__} of Redis") from error
    if not isinstance(found, bytes) or len(found) < _BYTES:
        raise OSError(f"Redis does not keep {_REDIS_KEY}")
    return found


def _in_file(path: Path) -> bytes:
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        found = _make_file(path)
    if len(found) < _BYTES:
        raise OSError(f"{path} is too short for a secret: delete it")
    return found


def _make_file(path: Path) -> bytes:
    """Whole, or not at all; where another process was faster, its one counts."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(file, secrets.token_hex(_BYTES).encode())
        os.fsync(file)
    finally:
        os.close(file)
    try:
        os.link(new, path)
    except FileExistsError:
        pass
    finally:
        new.unlink()
    return path.read_bytes()
