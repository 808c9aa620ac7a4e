"""Sends one message to one receiver and tells how that ended. Of the answer it reads the status and `Retry-After`."""

import asyncio
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from http import HTTPStatus
from typing import Final

import httpx2

from schemas.webhooks import DeliveryError
from service.egress.destinations import AddressRefusedError, Destinations, parse_url
from service.egress.transport import open_client
from service.jobs.store.outbox import Outcome

CONNECT_SECONDS: Final = 5.0
# From looking the name up to the head of the answer, however slowly it comes.
TOTAL_SECONDS: Final = 15.0
# After the first failed attempt, then twice as long after each further one, up to the longest.
_FIRST_PAUSE_SECONDS: Final = 5.0
_LONGEST_PAUSE_SECONDS: Final = 7200.0
# So that those which failed together are not tried again together.
_JITTER: Final = 0.2
# What a receiver may ask for.
_MAX_RETRY_AFTER_SECONDS: Final = 3600.0
_MAX_DIGITS: Final = 9
_WAITING: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(frozen=True)
class Sender:
    """Sends messages. Safe to use from several threads.

    `certificates` says whom to trust: by default the system's authorities, or those of `SSL_CERT_FILE`.
    """

    destinations: Destinations
    total_seconds: float = TOTAL_SECONDS
    first_pause_seconds: float = _FIRST_PAUSE_SECONDS
    certificates: Callable[[], ssl.SSLContext] = httpx2.create_ssl_context

    def send(self, url: str, headers: Mapping[str, str], body: bytes, attempt: int) -> Outcome:
        """POST the message; blocks for as long as an attempt may take."""
        try:
            status, retry_after = asyncio.run(self._post(url, headers, body))
        except AddressRefusedError:
            return self._fail(attempt, error="address_refused")
        except (TimeoutError, httpx2.TimeoutException):
            return self._fail(attempt, error="timeout")
        except (httpx2.HTTPError, OSError) as error:
            return self._fail(attempt, error="certificate" if _is_about_certificate(error) else "unreachable")
        if HTTPStatus(200) <= status < HTTPStatus(300):
            return Outcome("delivered", status)
        if status == HTTPStatus.GONE:
            return Outcome("stopped", status)
        wanted = min(read_retry_after(retry_after), _MAX_RETRY_AFTER_SECONDS) if status in _WAITING else 0.0
        return self._fail(attempt, status=status, at_least=wanted)

    @cached_property
    def _context(self) -> ssl.SSLContext:
        # Reading those of all authorities takes a while.
        return self.certificates()

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        async with (
            asyncio.timeout(self.total_seconds),
            open_client(self.destinations, self._context, connect_seconds=CONNECT_SECONDS) as client,
            client.stream("POST", parse_url(url), headers=headers, content=body) as response,
        ):
            return response.status_code, response.headers.get("retry-after", "")

    def _fail(
        self, attempt: int, *, status: int | None = None, error: DeliveryError | None = None, at_least: float = 0.0
    ) -> Outcome:
        pause = min(self.first_pause_seconds * 2.0 ** min(attempt - 1, 20), _LONGEST_PAUSE_SECONDS)
        return Outcome("failed", status, error, max(pause * random.uniform(1 - _JITTER, 1 + _JITTER), at_least))  # noqa: S311 - no secret


def read_retry_after(text: str) -> float:
    """Seconds from now; 0 where it says nothing that makes sense (RFC 9110: a number, or a date)."""
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:_MAX_DIGITS])
    try:
        when = parsedate_to_datetime(text[:100])
    except ValueError:
        return 0.0
    return max(0.0, (when.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def _is_about_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
