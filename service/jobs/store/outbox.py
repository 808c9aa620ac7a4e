"""The part of the job store's port that is about webhooks: who is told of a job, and what is still to be sent.

An event is queued by the very operation that causes it, so that no job ends untold. Each webhook has one event in hand:
a newer one takes its place, as what is sent is the job as it stands then. Addresses and HTTP are another room's.
"""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from schemas.webhooks import DeliveryError, WebhookEvent
from service.errors import ConvscopeError

# Of one job, equal ones counted once.
MAX_WEBHOOKS: Final = 10
# At the same time, by all processes together: to one receiver, and for one owner.
MAX_TO_RECEIVER: Final = 2
MAX_OF_OWNER: Final = 8
# How an attempt ended, as its sender says: a failed one is tried again, a stopped one is what the receiver wants.
Verdict = Literal["delivered", "failed", "stopped"]
# What came of it; `fenced`: another has taken it over.
Settlement = Literal["delivered", "retried", "given_up", "stopped", "fenced"]
# Those that are counted.
SETTLEMENTS: Final[tuple[Settlement, ...]] = ("delivered", "retried", "given_up", "stopped")


_SECRET_BYTES: Final = 32


class WebhooksFullError(ConvscopeError):
    code = "webhooks_full"
    field = "webhook"


@dataclass(frozen=True)
class Webhook:
    """`events` in the order of WEBHOOK_EVENTS; `receiver` is the URL's scheme, host and port."""

    url: str
    receiver: str
    events: tuple[WebhookEvent, ...]


@dataclass(frozen=True)
class WebhookStatus:
    """One webhook of a job as it stands. `due` is set where something is to be sent."""

    receiver: str
    events: tuple[WebhookEvent, ...]
    ending: Literal["failed", "stopped"] | None
    attempts: int
    last_status: int | None
    last_error: DeliveryError | None
    due: float | None


@dataclass(frozen=True)
class Delivery:
    """One event in the hands of one process until its lease ends; `fence` names the attempt, `number` the event."""

    webhook: str
    job: str
    owner: str
    url: str
    receiver: str
    event: WebhookEvent
    number: int
    fence: int
    attempt: int

    @property
    def message(self) -> str:
        """The same for every attempt at one event."""
        return f"msg_{self.webhook}_{self.number}"


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended: with the receiver's status, or why there is none. A failed one waits before the next."""

    verdict: Verdict
    status: int | None = None
    error: DeliveryError | None = None
    pause_seconds: float = 0.0


@dataclass(frozen=True)
class SigningSecrets:
    """An owner's: `previous` is the one before, as long as it signs too."""

    current: str
    previous: str | None = None
    previous_until: float | None = None


@dataclass(frozen=True)
class DeliveryCounts:
    """Events to be sent, and what came of all attempts so far."""

    pending: int
    outcomes: dict[str, int]


def make_secret() -> str:
    """A new secret, as Standard Webhooks writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")


class Outbox(Protocol):
    """Every call may raise JobsUnavailableError; nothing is then half done."""

    def claim_deliveries(self, limit: int) -> Sequence[Delivery]:
        """Take what is due, at most so many: of the owner first who has the least in hand, then what is due longest.

        Never more than MAX_TO_RECEIVER of one owner's to one receiver, or MAX_OF_OWNER of one owner.
        """
        ...

    def settle(self, delivery: Delivery, outcome: Outcome) -> Settlement:
        """Say how an attempt ended. An event that came meanwhile is to be sent all the same."""
        ...

    def signing_secrets(self, owner: str) -> SigningSecrets:
        """An owner's, made when they are first asked for."""
        ...

    def rotate_signing_secret(self, owner: str, secret: str, seconds: float) -> SigningSecrets:
        """Sign with `secret` from now on, and with the one before for so long. The same again changes nothing."""
        ...

    def delivery_counts(self) -> DeliveryCounts: ...
