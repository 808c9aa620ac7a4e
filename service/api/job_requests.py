"""A request that is answered with a job: made, or found again; waited for where the client prefers so."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import partial

from fastapi import Request, Response

from service.api.access.callers import Caller
from service.api.dependencies import Services
from service.api.problems import prefix_of
from service.api.requests.negotiation import JSON, PNG
from service.api.requests.preferences import Preferences, read_idempotency_key, read_preferences, wants_fresh
from service.api.requests.turns import take_turns
from service.engine.model import Model
from service.engine.running import request as engine
from service.errors import ConvscopeError
from service.jobs.store.bounds import OwnerLimits
from service.jobs.store.outbox import Webhook
from service.jobs.store.port import Snapshot
from service.jobs.submission import Draft, draft_job, fingerprint
from service.jobs.view import describe, is_final, job_route, make_result, stored_images

RETRY_AFTER_SECONDS = 1


@dataclass(frozen=True)
class Asked:
    """What `caller` asked for; `version` is None where it named none, `versions` are several, to be compared.

    `webhook` is told of the job.
    """

    caller: Caller
    model: str
    version: str | None
    work: engine.Request
    media_type: str
    versions: tuple[str, ...] = ()
    webhook: Webhook | None = None


async def answer_with_job(request: Request, services: Services, asked: Asked) -> Response:
    """Answer 202 and the job; or 200, where it ended in time, and the result of it, or why there is none.

    Raises a ConvscopeError.
    """
    preferences, caller = read_preferences(request.headers), asked.caller
    snapshot = await services.jobs.get(await _submit(request, services, asked), owner=caller.sees)
    if preferences.wait_seconds is not None:
        # The store is asked at least once more, however short the wait.
        seconds = min(preferences.wait_seconds, services.jobs.max_wait_seconds)
        snapshot = await services.jobs.wait(snapshot, seconds, owner=caller.sees)
    base = prefix_of(request)
    response = await _present(services, asked, snapshot, base, waited=preferences.wait_seconds is not None)
    response.headers["Location"] = job_route(snapshot.record.id, base)
    response.headers["Vary"] = "Accept, Prefer"
    if applied := _applied(preferences, services.jobs.max_wait_seconds):
        response.headers["Preference-Applied"] = applied
    return response


async def _submit(request: Request, services: Services, asked: Asked) -> str:
    """The id of the job."""
    jobs, given = services.jobs, read_idempotency_key(request.headers)
    key = None if given is None else key_of_owner(asked.caller.owner, given)
    if key is not None:
        earlier = await jobs.call(lambda: jobs.store.reserve(key, _fingerprint(asked)))
        if earlier is not None:
            return earlier
    try:
        models = [await services.model(asked.model, version) for version in asked.versions or (asked.version,)]
        draft = await _draft(request, services, asked, models)
        send = partial(
            jobs.submissions.send,
            fresh=wants_fresh(request.headers),
            idempotency_key=key,
            webhook=asked.webhook,
            owner_limits=_limits(jobs.owner_limits, asked.caller),
        )
        submission = await jobs.call(send, draft)
    except Exception:
        if key is not None:
            with suppress(ConvscopeError):  # it frees itself after a while
                await jobs.call(jobs.store.unreserve, key)
        raise
    services.metrics.submission(asked.work.method.name, created=submission.created)
    return submission.id


async def _draft(request: Request, services: Services, asked: Asked, models: Sequence[Model]) -> Draft:
    """Datasets have threads of their own: however long they are looked at, heat maps are drawn meanwhile."""
    is_dataset = asked.work.images is not None
    turn = take_turns(request, asked.model)

    def draft() -> Draft:
        with services.allow(turn.is_abandoned, dataset_check=is_dataset) as allowance:
            work = replace(asked.work, allowance=allowance)
            return draft_job(models, work, services.jobs.rules, owner=asked.caller.owner)

    executor = services.dataset_checks if is_dataset else services.executor
    return await executor.run(draft, turn.waiter)


def _limits(limits: OwnerLimits, caller: Caller) -> OwnerLimits | None:
    """Those that the caller's key states, else those of all; None where no keys are asked for."""
    if not caller.owner:
        return None
    known = {field.name for field in fields(OwnerLimits)}
    return replace(limits, **{name: number for name, number in caller.overrides.items() if name in known})


def key_of_owner(owner: str, key: str) -> str:
    """An Idempotency-Key as the store has it: no two owners have one in common, whatever they write."""
    return fingerprint([owner, key])


def _fingerprint(asked: Asked) -> str:
    work = asked.work
    image = None if work.image is None else work.image.sha256
    params = work.params.model_dump(mode="json")
    images = None if work.images is None else work.images.sha256
    facts: list[object] = [work.method.name, asked.model, asked.version, params, image, images, asked.versions]
    # Another one is another request, but not another job.
    told = [] if asked.webhook is None else [asked.webhook.url, asked.webhook.events]
    return fingerprint(facts + told)


async def _present(services: Services, asked: Asked, snapshot: Snapshot, base: str, *, waited: bool) -> Response:
    route = job_route(snapshot.record.id, base)
    if snapshot.state == "succeeded":
        images = stored_images(snapshot)
        if asked.media_type == PNG and images:
            data = await services.jobs.call(services.jobs.artifacts.read, images[0].file)
            where = f"{route}/images/{images[0].name}"
            return Response(data, media_type=PNG, headers={"Content-Location": where})
        if waited and (result := make_result(snapshot, base)):
            return Response(result.model_dump_json(), media_type=JSON, headers={"Content-Location": route})
    content = describe(snapshot, base, shows_owner=asked.caller.sees_all).model_dump_json()
    if is_final(snapshot):
        return Response(content, media_type=JSON, headers={"Content-Location": route})
    return Response(content, 202, media_type=JSON, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def _applied(preferences: Preferences, max_wait_seconds: int) -> str:
    applied = ["respond-async"] if preferences.respond_async else []
    if preferences.wait_seconds is not None:
        applied.append(f"wait={min(preferences.wait_seconds, max_wait_seconds)}")
    return ", ".join(applied)
