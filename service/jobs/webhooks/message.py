"""One message to a receiver: the job as it stands, and the headers by which the receiver knows that it is ours."""

from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

from standardwebhooks.webhooks import Webhook as Signer

from schemas.jobs import WebhookMessage
from schemas.webhooks import WebhookEvent
from service.jobs.store.outbox import SigningSecrets
from service.jobs.store.port import Snapshot
from service.jobs.view import describe

_USER_AGENT: Final = f"convscope/{version('convscope')}"


def make_body(snapshot: Snapshot, event: WebhookEvent, public_url: str) -> bytes:
    """The job as JSON, as `GET /v1/jobs/{id}` has it, with the event's `type`; links begin with `public_url`.

    How deliveries stand is left out: it is about this one too, and names other receivers.
    """
    job = describe(replace(snapshot, webhooks=()), public_url)
    return WebhookMessage.model_validate({**dict(job), "type": f"job.{event}"}).model_dump_json().encode()


def sign(body: bytes, message: str, secrets: SigningSecrets, now: datetime | None = None) -> dict[str, str]:
    """The headers of Standard Webhooks; while a secret is being rotated there are two signatures, the newer first."""
    now = now or datetime.now(UTC)
    keys = [secrets.current, *([secrets.previous] if secrets.previous else [])]
    text = body.decode()
    return {
        "content-type": "application/json",
        "user-agent": _USER_AGENT,
        "webhook-id": message,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Signer(key).sign(message, now, text) for key in keys),
    }
