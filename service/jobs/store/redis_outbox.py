"""Webhooks and their deliveries on a Redis server: what the scripts of the outbox are given, and what they say."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from service.jobs.store.outbox import (
    MAX_OF_OWNER,
    MAX_TO_RECEIVER,
    Delivery,
    DeliveryCounts,
    Outcome,
    Settlement,
    SigningSecrets,
    WebhookStatus,
    make_secret,
)
from service.jobs.store.port import Rules
from service.jobs.store.redis_scripts import Scripts

if TYPE_CHECKING:
    from schemas.webhooks import DeliveryError, WebhookEvent


class RedisOutbox:
    """What a store of jobs on Redis does about webhooks."""

    def __init__(self, scripts: Scripts, rules: Rules) -> None:
        self._scripts = scripts
        self._rules = rules

    def claim_deliveries(self, limit: int) -> Sequence[Delivery]:
        """See Outbox."""
        lease = self._rules.delivery_lease_seconds
        _, *found = self._scripts.run("claim_deliveries", limit, lease, MAX_TO_RECEIVER, MAX_OF_OWNER)
        return [Delivery(*texts, *map(int, numbers)) for texts, numbers in ((row[:6], row[6:]) for row in found)]

    def settle(self, delivery: Delivery, outcome: Outcome) -> Settlement:
        """See Outbox."""
        reply = self._scripts.run(
            "settle",
            delivery.webhook,
            delivery.number,
            delivery.fence,
            outcome.verdict,
            "" if outcome.status is None else outcome.status,
            outcome.error or "",
            outcome.pause_seconds,
            self._rules.progress_seconds,
        )
        settlement: Settlement = reply[0]
        return settlement

    def signing_secrets(self, owner: str) -> SigningSecrets:
        """See Outbox."""
        return self._secrets(owner, make_secret(), rotate=False, seconds=0.0)

    def rotate_signing_secret(self, owner: str, secret: str, seconds: float) -> SigningSecrets:
        """See Outbox."""
        return self._secrets(owner, secret, rotate=True, seconds=seconds)

    def delivery_counts(self) -> DeliveryCounts:
        """See Outbox."""
        pending, flat = self._scripts.run("delivery_counts")
        return DeliveryCounts(int(pending), dict(zip(flat[::2], map(int, flat[1::2]), strict=True)))

    def _secrets(self, owner: str, secret: str, *, rotate: bool, seconds: float) -> SigningSecrets:
        current, *previous = self._scripts.run("signing_secrets", owner, secret, int(rotate), seconds)
        return SigningSecrets(current, previous[0], float(previous[1])) if previous else SigningSecrets(current)


def read_status(fields: dict[str, str]) -> WebhookStatus:
    """A webhook as its hash has it."""
    status, due = fields.get("last_status"), fields.get("due")
    return WebhookStatus(
        fields["receiver"],
        tuple(cast("list[WebhookEvent]", fields["events"].split())),
        ending=fields.get("ending"),  # type: ignore[arg-type]
        attempts=int(fields["attempts"]),
        last_status=int(status) if status else None,
        last_error=cast("DeliveryError | None", fields.get("last_error") or None),
        due=float(due) if due else None,
    )
