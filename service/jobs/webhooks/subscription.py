"""What a request says about webhooks, checked: a URL that something may be sent to, and events that there are."""

from typing import Final

from schemas.problems import ProblemError
from schemas.webhooks import WEBHOOK_EVENTS, WebhookEvent
from service.egress.destinations import AddressRefusedError, Destinations, LookupFailedError, origin_of, parse_url
from service.engine.parameters import InvalidParametersError, pointer
from service.jobs.store.outbox import Webhook

_MAX_EVENTS: Final = 10


def parse_webhook(url: object, events: object) -> Webhook | None:
    """The webhook of a request; None where it names none. Looks nothing up.

    `events` is a list of names, or a text of them with commas. Raises AddressRefusedError or InvalidParametersError.
    """
    if url is None:
        if events is not None:
            raise _refuse("'webhook_events' says what 'webhook' is told: name a URL in 'webhook'")
        return None
    try:
        parsed = parse_url(url)
    except AddressRefusedError as error:
        raise AddressRefusedError(error.detail, "webhook") from error
    return Webhook(str(url), origin_of(parsed), _parse_events(events))


def require_destination(webhook: Webhook, destinations: Destinations) -> None:
    """Look the host up, and refuse it where nothing would be sent to it. Raises AddressRefusedError.

    One that cannot be looked up just now is taken: it is looked up, and judged, again whenever something is sent.
    """
    try:
        destinations.find(parse_url(webhook.url))
    except LookupFailedError:
        return
    except AddressRefusedError as error:
        raise AddressRefusedError(error.detail, "webhook") from error


def _parse_events(given: object) -> tuple[WebhookEvent, ...]:
    if given is None:
        return ("completed",)
    names = given.split(",") if isinstance(given, str) else given
    if not isinstance(names, list) or not 0 < len(names) <= _MAX_EVENTS:
        raise _refuse(f"a list of events, of {', '.join(WEBHOOK_EVENTS)}")
    stripped = {name.strip() if isinstance(name, str) else "" for name in names}
    if not stripped <= set(WEBHOOK_EVENTS):
        raise _refuse(f"there is no such event; known: {', '.join(WEBHOOK_EVENTS)}")
    return tuple(event for event in WEBHOOK_EVENTS if event in stripped)


def _refuse(detail: str) -> InvalidParametersError:
    return InvalidParametersError([ProblemError(pointer=pointer("webhook_events"), detail=detail)])
