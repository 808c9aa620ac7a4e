"""Runs the Lua scripts of the job records on a Redis server, in bounded time, and says what its failures mean.

The only file that imports redis, but for `celery_notifier`. A reply that is lost makes a script run again: every one of
them may be repeated.
"""

import hashlib
import logging
import time
from functools import cache
from importlib import resources
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.jobs.store.errors import JobsUnavailableError

# One attempt against a server that never answers takes up to two timeouts: one on a connection kept from before, one
# on a new one. No further attempt begins after LAST_START_SECONDS, so that a call ends within four seconds.
TIMEOUT_SECONDS: Final = 1.0
LAST_START_SECONDS: Final = 1.5
BACK_OFF_SECONDS: Final = (0.05, 0.2)
_LOG = logging.getLogger(__name__)

_UNREACHABLE: Final = "The job records cannot be reached. Try again shortly; check CONVSCOPE_REDIS_URL if it lasts."
_SENTENCES: Final[dict[type[redis.RedisError], str]] = {
    redis.OutOfMemoryError: "The memory for job records is full. Delete jobs, or raise Redis' maxmemory.",
    redis.BusyLoadingError: "The job records are being loaded. Try again shortly.",
    redis.ReadOnlyError: "The job records cannot be written: CONVSCOPE_REDIS_URL names a replica. Name the primary.",
    redis.AuthenticationError: "Redis refuses the service. Check user and password in CONVSCOPE_REDIS_URL.",
    redis.exceptions.NoPermissionError: "Redis refuses the service. Check what its user may do (scripts, convscope:*).",
    redis.ConnectionError: _UNREACHABLE,
    redis.TimeoutError: _UNREACHABLE,
}
_OTHER_FORM: Final = (
    "Redis holds job records of another version of convscope. Start that one until they are done and deleted or "
    "expired, or name another database in CONVSCOPE_REDIS_URL."
)
_OTHER: Final = "Redis refused to read or write the job records. Its answer is in the service's log."


class Scripts:
    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            socket_keepalive=True,
            health_check_interval=10,
            decode_responses=True,
            protocol=2,
            # redis-py nests its retries (of the command, of connecting, of the health check): ours are the only ones.
            retry=Retry(NoBackoff(), 0),
        )

    def run(self, name: str, *arguments: str | float) -> Any:
        """What the script returns, strings and lists of strings. Raises JobsUnavailableError."""
        begin = time.monotonic()
        try:
            for pause in BACK_OFF_SECONDS:
                try:
                    return self._attempt(name, arguments)
                except (redis.ConnectionError, redis.TimeoutError):
                    if time.monotonic() - begin > LAST_START_SECONDS:
                        raise
                    time.sleep(pause)
            return self._attempt(name, arguments)
        except redis.RedisError as error:
            _LOG.error("job records: script '%s' failed: %s: %s", name, type(error).__name__, error)
            raise JobsUnavailableError(_sentence(error)) from error

    def close(self) -> None:
        self._client.close()

    def _attempt(self, name: str, arguments: tuple[str | float, ...]) -> Any:
        text = _text(name)
        digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        try:
            return self._client.evalsha(digest, 0, *arguments)
        except redis.exceptions.NoScriptError:
            return self._client.eval(text, 0, *arguments)


@cache
def _text(name: str) -> str:
    """The script with the prelude behind its first line, which Redis reads itself."""
    folder = resources.files("service.jobs.store") / "scripts"
    first, rest = (folder / f"{name}.lua").read_text(encoding="utf-8").split("\n", 1)
    return f"{first}\n{(folder / 'prelude.lua').read_text(encoding='utf-8')}\n{rest}"


def _sentence(error: redis.RedisError) -> str:
    if str(error).startswith("FORM "):
        return _OTHER_FORM
    found = (sentence for kind, sentence in _SENTENCES.items() if isinstance(error, kind))
    return next(found, _OTHER)
