"""`/v1/webhooks/secret`: what an owner's webhooks are signed with. And what is sent to them, for OpenAPI."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, FastAPI, Request, Response

from schemas.jobs import WebhookMessage
from schemas.webhooks import WebhookSecret
from service.api.access.keys.authenticator import find_key
from service.api.dependencies import CallerDependency, ServicesDependency
from service.api.fragments import Responses
from service.errors import ConvscopeError
from service.jobs.store.outbox import SigningSecrets, make_secret

# Deliveries are signed with both secrets for so long.
ROTATION_SECONDS: Final = 86_400.0
_ERRORS: Final[Responses] = {401: {}, 403: {}, 503: {}}
router = APIRouter(tags=["webhooks"], prefix="/v1/webhooks")


class BearerRequiredError(ConvscopeError):
    code = "bearer_required"


def _owner(request: Request, response: Response, caller: CallerDependency) -> str:
    """Whose secret it is: of who brings the key itself, as a page's cookie goes where its browser is led."""
    if caller.owner and find_key(request.headers) is None:
        raise BearerRequiredError(
            "this is told to a key alone, not to the page: send the key itself as 'Authorization: Bearer KEY'"
        )
    response.headers["Cache-Control"] = "no-store"
    return caller.owner


OwnerDependency = Annotated[str, Depends(_owner)]


@router.get(
    "/secret",
    summary="The secret that your webhooks are signed with",
    description="Made when it is first asked for. By `Authorization: Bearer` or `X-API-Key` alone, not by the page.",
    operation_id="get_webhook_secret",
    responses=_ERRORS,
)
async def get_webhook_secret(services: ServicesDependency, owner: OwnerDependency) -> WebhookSecret:
    return _show(await services.jobs.call(services.jobs.store.signing_secrets, owner))


@router.post(
    "/secret/rotate",
    summary="A new secret; the one before signs too for a day",
    operation_id="rotate_webhook_secret",
    responses=_ERRORS,
)
async def rotate_webhook_secret(services: ServicesDependency, owner: OwnerDependency) -> WebhookSecret:
    rotate = services.jobs.store.rotate_signing_secret
    return _show(await services.jobs.call(rotate, owner, make_secret(), ROTATION_SECONDS))


def install(app: FastAPI) -> None:
    """Have OpenAPI describe what receivers are sent."""

    @app.webhooks.post("job", summary="What a job's webhook is sent", status_code=204, tags=["webhooks"])
    async def job(body: WebhookMessage) -> None:
        """Answer with 2xx within 15 seconds; 410 ends it. Its signature is verified as Standard Webhooks says."""


def _show(secrets: SigningSecrets) -> WebhookSecret:
    until = secrets.previous_until
    return WebhookSecret(
        secret=secrets.current, previous_until=None if until is None else datetime.fromtimestamp(until, UTC)
    )
