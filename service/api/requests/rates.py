"""How many requests an owner may send in a minute: counted in Redis where services share one, else in memory.

Where Redis cannot be reached everybody is let pass: a rate is no reason to answer nothing.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from service.api.access.callers import Caller
from service.errors import ConvscopeError

logger = logging.getLogger(__name__)

_SECONDS: Final = 60
_PREFIX: Final = "convscope-rates"
# How long Redis may take to answer, and is left alone after it has not.
_REDIS_SECONDS: Final = 0.25
_PAUSE_SECONDS: Final = 5.0
_THREADS: Final = 2


@dataclass(frozen=True)
class Quota:
    """What is left of a minute's requests, and in how many seconds there is more."""

    limit: int
    left: int
    seconds: int
    granted: bool

    @property
    def headers(self) -> dict[str, str]:
        """draft-ietf-httpapi-ratelimit-headers-10."""
        return {
            "RateLimit-Policy": f'"minute";q={self.limit};w={_SECONDS}',
            "RateLimit": f'"minute";r={self.left};t={self.seconds}',
        }


class RateLimitedError(ConvscopeError):
    """`seconds` are when to come again."""

    code = "rate_limited"

    def __init__(self, detail: str, seconds: int = 1) -> None:
        super().__init__(detail)
        self.seconds = seconds


def require(quota: Quota | None) -> None:
    """Raise RateLimitedError where it is used up."""
    if quota is not None and not quota.granted:
        raise RateLimitedError(
            f"this key may send {quota.limit} requests in {_SECONDS} seconds: there is more in {quota.seconds} seconds",
            quota.seconds,
        )


class Rates:
    """To be used from the event loop alone. `redis_url` is empty where this process counts for itself."""

    def __init__(self, per_minute: int, redis_url: str = "") -> None:
        self._per_minute = per_minute
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="rates") if redis_url else None
        self._silent_until = 0.0
        self._counter = SlidingWindowCounterRateLimiter(
            RedisStorage(
                redis_url,
                key_prefix=_PREFIX,
                wrap_exceptions=True,
                socket_timeout=_REDIS_SECONDS,
                socket_connect_timeout=_REDIS_SECONDS,
            )
            if redis_url
            else MemoryStorage()
        )

    async def take(self, caller: Caller) -> Quota | None:
        """Count one request; None where nobody counts: no keys are asked for, or Redis does not answer."""
        if not caller.owner:
            return None
        limit = caller.overrides.get("requests_per_minute", self._per_minute)
        count = partial(self._count, caller.owner, limit)
        if self._threads is None:
            return count()
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._let_pass, count)

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _count(self, owner: str, limit: int) -> Quota:
        item = RateLimitItemPerMinute(limit)
        granted = self._counter.hit(item, owner)
        left = self._counter.get_window_stats(item, owner)
        seconds = min(_SECONDS, max(1, math.ceil(left.reset_time - time.time())))
        return Quota(limit, max(0, left.remaining) if granted else 0, seconds, granted)

    def _let_pass(self, count: Callable[[], Quota]) -> Quota | None:
        """None where Redis does not answer, and for a while after that without asking."""
        if time.monotonic() < self._silent_until:
            return None
        try:
            return count()
        except StorageError as error:
            if time.monotonic() >= self._silent_until:
                self._silent_until = time.monotonic() + _PAUSE_SECONDS
                logger.warning("requests of owners are not counted: Redis does not answer (%r)", error.storage_error)
            return None
