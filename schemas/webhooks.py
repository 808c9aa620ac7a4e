"""Webhooks of a job: what a client asks to be told, and how the deliveries stand, as the job shows them."""

from datetime import datetime
from typing import Final, Literal

from pydantic import Field

from schemas.base import Schema

WebhookEvent = Literal["completed", "output", "progress"]
# Whoever is to be told of several is told of the first of these: it says all that the others say.
WEBHOOK_EVENTS: Final[tuple[WebhookEvent, ...]] = ("completed", "output", "progress")
WebhookState = Literal["waiting", "pending", "delivered", "failed", "stopped"]
DeliveryError = Literal["unreachable", "timeout", "certificate", "address_refused"]


class JobWebhook(Schema):
    """Where a job's events are sent, and how that stands; of the URL only what holds no secret."""

    receiver: str = Field(
        description="Scheme, host and port of the URL; its path and query are not shown.",
        examples=["https://hooks.example.com"],
    )
    events: list[WebhookEvent] = Field(examples=[["completed"]])
    state: WebhookState = Field(
        description="`waiting`: nothing to be sent yet; `pending`: being sent, or to be sent again; `delivered`: the "
        "receiver has all; `failed`: given up after a day; `stopped`: the receiver answered 410."
    )
    attempts: int = Field(description="How often the latest event was sent, or tried to be.", examples=[1])
    last_status: int | None = Field(description="The status of the receiver's last answer.", examples=[204])
    last_error: DeliveryError | None = Field(description="Why there was no answer at the last attempt.")
    next_at: datetime | None = Field(description="When it is sent next at the earliest.")


class WebhookSecret(Schema):
    """What an owner's webhooks are signed with, as Standard Webhooks has it."""

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
    previous_until: datetime | None = Field(
        description="Until when deliveries are signed with the secret before it too; null where there is none."
    )
