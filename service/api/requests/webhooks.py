"""A webhook that a request names, looked up and judged before anything is made of it."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from service.api.requests.executor import BoundedExecutor
from service.egress.destinations import Destinations
from service.errors import ConvscopeError
from service.jobs.store.outbox import Webhook
from service.jobs.webhooks.subscription import require_destination

# A resolver that takes longer is not waited for: the host is judged again whenever something is sent to it.
_LOOKUP_SECONDS: Final = 5.0


class WebhookWithoutJobError(ConvscopeError):
    code = "webhook_without_job"
    field = "webhook"


@dataclass(frozen=True)
class WebhookChecks:
    """Looks hosts up on threads of its own: names whose servers never answer hold up nothing else."""

    destinations: Destinations
    executor: BoundedExecutor

    async def check(self, webhook: Webhook) -> None:
        """Raise AddressRefusedError where nothing would be sent there, or ServerBusyError."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOKUP_SECONDS):
                await self.executor.run(partial(require_destination, webhook, self.destinations))


def refuse_without_job() -> WebhookWithoutJobError:
    return WebhookWithoutJobError(
        "a webhook is told of jobs, and this request is answered at once: send it with 'Prefer: respond-async', "
        "or leave 'webhook' out"
    )
