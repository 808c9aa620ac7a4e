"""Takes what is due from the outbox and has it sent, a thread for each: a slow receiver holds up its own alone."""

import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Event, Thread
from typing import Final

from service.errors import ConvscopeError
from service.jobs.store.errors import JobExpiredError, JobNotFoundError, JobsUnavailableError
from service.jobs.store.outbox import Delivery, Outcome
from service.jobs.store.port import JobStore
from service.jobs.webhooks.message import make_body, sign
from service.jobs.webhooks.sending import Sender

logger = logging.getLogger(__name__)

# Of one process.
THREADS: Final = 16
POLL_SECONDS: Final = 1.0
# How long a store that has gone is waited for with an outcome in hand; the lease is longer.
_SETTLE_SECONDS: Final = 20.0


@dataclass
class Dispatcher:
    """Every service and worker has one; the store sees to it that none sends what another has in hand."""

    store: JobStore
    sender: Sender
    public_url: str = ""
    poll_seconds: float = POLL_SECONDS
    _free: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(THREADS), init=False)
    _closed: Event = field(default_factory=Event, init=False)
    _wake_up: Event = field(default_factory=Event, init=False)

    def start(self) -> None:
        Thread(target=self._run, name="webhooks", daemon=True).start()

    def close(self) -> None:
        """Begin nothing more. What is being sent is sent again by another, where this process ends before."""
        self._closed.set()
        self._wake_up.set()

    def dispatch_once(self) -> int:
        """Have what is due sent, as far as threads are free; returns how many. Raises JobsUnavailableError."""
        places = 0
        while places < THREADS and self._free.acquire(blocking=False):
            places += 1
        begun = 0
        try:
            for delivery in self.store.claim_deliveries(places) if places else ():
                Thread(target=self._deliver, args=(delivery,), name="webhook", daemon=True).start()
                begun += 1
        finally:
            for _ in range(places - begun):
                self._free.release()
        return begun

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wake_up.clear()
            try:
                self.dispatch_once()
            except ConvscopeError as error:
                logger.warning("looking for webhooks to be sent failed: %s", error.detail)
            except Exception:
                logger.exception("looking for webhooks to be sent failed unexpectedly")
            # One that has ended may leave room for the next to the same receiver.
            self._wake_up.wait(self.poll_seconds)

    def _deliver(self, delivery: Delivery) -> None:
        try:
            with suppress(JobNotFoundError, JobExpiredError):  # it was deleted, and what is to be sent with it
                self._settle(delivery, self._send(delivery))
        except ConvscopeError as error:
            logger.warning("a webhook of job %s waits for its lease to end: %s", delivery.job, error.detail)
        except Exception:
            logger.exception("a webhook of job %s failed unexpectedly", delivery.job)
        finally:
            self._free.release()
            self._wake_up.set()

    def _send(self, delivery: Delivery) -> Outcome:
        body = make_body(self.store.get(delivery.job), delivery.event, self.public_url)
        headers = sign(body, delivery.message, self.store.signing_secrets(delivery.owner))
        return self.sender.send(delivery.url, headers, body, delivery.attempt)

    def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        end = time.monotonic() + _SETTLE_SECONDS
        while True:
            try:
                settlement = self.store.settle(delivery, outcome)
                break
            except JobsUnavailableError:
                if time.monotonic() > end:
                    raise
                time.sleep(self.poll_seconds)
        # Of the URL only what holds no secret.
        logger.info(
            "webhook of job %s to %s, attempt %d: %s (%s)",
            delivery.job,
            delivery.receiver,
            delivery.attempt,
            settlement,
            outcome.status or outcome.error,
        )
