"""Both stores, driven by the same random sequence of calls, show the same jobs: they cannot drift apart."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas.jobs import JobRecord
from service.errors import ConvscopeError
from service.jobs.store.bounds import Bounds, OwnerLimits
from service.jobs.store.outbox import Delivery, Outcome, Webhook
from service.jobs.store.port import Claim, JobStore, Rules, Snapshot
from service.jobs.store.redis import RedisJobStore
from service.jobs.store.sqlite import SqliteJobStore
from tests.contract.job_store.jobs import ERROR, a_chunk_result, a_record, a_worker
from tests.redis_server import RedisServer

STEPS = 250
OWNERS = ["", "a", "b"]
WORKERS = [a_worker("one"), a_worker("one"), a_worker("two"), a_worker("two")]
# A lease that has always ended, or never does; the same for what is kept.
HASTY = Rules(
    lease_seconds=-1.0,
    result_seconds=-1.0,
    max_attempts=2,
    idempotency_seconds=1000.0,
    delivery_seconds=500.0,
    progress_seconds=-1.0,
)
PATIENT = Rules(max_attempts=2, idempotency_seconds=1000.0, progress_seconds=1000.0)
WEBHOOKS = [
    Webhook(f"https://{name}.example/hook", f"https://{name}.example", events)
    for name in ("one", "two")
    for events in (("completed",), ("output",), ("completed", "output", "progress"))
]
OUTCOMES = [
    Outcome("delivered", 204),
    Outcome("delivered", 200),
    Outcome("failed", 500),
    Outcome("failed", error="timeout", pause_seconds=1000.0),
    Outcome("stopped", 410),
]


class Twin:
    """One store, the claims it gave, and how it answers a call that the other one gets too."""

    def __init__(self, patient: JobStore, hasty: JobStore) -> None:
        self._stores = {"patient": patient, "hasty": hasty}
        self._claims: list[Claim] = []
        self._deliveries: list[Delivery] = []

    def answer(self, rules: str, call: str, *arguments: Any, **options: Any) -> object:
        given = [self._claim(one) if isinstance(one, Held) else one for one in arguments]
        try:
            found = getattr(self._stores[rules], call)(*given, **options)
        except ConvscopeError as error:
            return type(error), error.detail
        if isinstance(found, Claim):
            self._claims.append(found)
        if call == "claim_deliveries":
            self._deliveries.extend(found)
        return frozenset(found) if call == "overdue" else found

    def shown(self) -> list[object]:
        store = self._stores["patient"]
        jobs = [job.record.id for job in store.list(limit=1000)]
        owned = [[job.record.id for job in store.list(limit=1000, owner=owner)] for owner in OWNERS]
        counts = store.delivery_counts()
        return [
            store.outstanding(),
            owned,
            counts,
            *((_without_times(store.get(job)), store.answers(job)) for job in jobs),
        ]

    def claims(self) -> int:
        return len(self._claims)

    def deliveries(self) -> int:
        return len(self._deliveries)

    def _claim(self, held: "Held") -> Claim | Delivery:
        return self._deliveries[held.number] if held.is_delivery else self._claims[held.number]


class Held:
    """The n-th claim that a store gave, or the n-th delivery."""

    def __init__(self, number: int, *, is_delivery: bool = False) -> None:
        self.number = number
        self.is_delivery = is_delivery


@pytest.mark.parametrize("seed", range(6))
def test_both_stores_show_the_same_after_the_same_calls(seed: int, tmp_path: Path, redis_server: RedisServer) -> None:
    redis_server.command("FLUSHALL")
    stores: list[JobStore] = []
    for rules in (PATIENT, HASTY):
        stores += [SqliteJobStore(tmp_path / "jobs.db", rules), RedisJobStore(redis_server.url, rules)]
    twins = Twin(stores[0], stores[2]), Twin(stores[1], stores[3])
    dice = random.Random(seed)
    jobs: list[JobRecord] = []
    for step in range(STEPS):
        call, arguments, options = _draw(dice, jobs, twins[0].claims(), twins[0].deliveries())
        chosen = "hasty" if dice.random() < 0.1 else "patient"
        answers = [twin.answer(chosen, call, *arguments, **options) for twin in twins]
        assert answers[0] == answers[1], f"step {step}: {call} {arguments} {options}"
        assert twins[0].shown() == twins[1].shown(), f"step {step}: {call} {arguments} {options}"
    for store in stores:
        store.close()


def _draw(
    dice: random.Random, jobs: list[JobRecord], claims: int, deliveries: int
) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    kinds = ["submit"] * 3 + ["claim"] * 6 + ["claim_deliveries"] * 3 + ["sweep", "overdue", "release", "reserve"]
    kinds += ["unreserve"] + ["settle"] * 3 * (deliveries > 0)
    kinds += ["cancel", "delete", "abandon", "known", "revision"] if jobs else []
    kinds += (["beat"] * 4 + ["finish"] * 5 + ["hand_back", "retry"]) if claims else []
    call = dice.choice(kinds)
    worker = dice.choice(WORKERS)
    key = dice.choice("abc")
    if call == "submit":
        return call, (_record(dice, jobs),), _submit_options(dice)
    if call == "settle":
        number = deliveries - 1 - min(int(dice.expovariate(0.5)), deliveries - 1)
        return call, (Held(number, is_delivery=True), dice.choice(OUTCOMES)), {}
    if call in {"beat", "finish", "hand_back", "retry"}:
        # Mostly a late claim, sometimes any: zombies too.
        number = claims - 1 - min(int(dice.expovariate(0.5)), claims - 1)
        value = {
            "beat": (dice.random(),),
            "finish": (dice.choice([a_chunk_result(), a_chunk_result("b"), ERROR]),),
            "hand_back": (),
            "retry": (),
        }
        return call, (Held(number), *value[call]), {}
    choices: dict[str, tuple[Any, ...]] = {
        "sweep": (),
        "claim_deliveries": (dice.choice([1, 2, 20]),),
        "overdue": (worker.name, dice.choice([0.0, 1000.0])),
        "release": (dice.choice(["two", *["nobody"] * 20]),),
        "reserve": (key, dice.choice("fg")),
        "unreserve": (key,),
        "abandon": (worker.process,),
        "claim": ("cpu", worker),
    }
    if call in choices:
        return call, choices[call], {}
    job = dice.choice(jobs).id
    if call == "known":
        return call, ([job, "never"],), {}
    return call, (job,), {"owner": dice.choice([None, None, *OWNERS])}


def _record(dice: random.Random, jobs: list[JobRecord]) -> JobRecord:
    if jobs and dice.random() < 0.1:
        return dice.choice(jobs)
    jobs.append(
        a_record(
            chunks=dice.choice([1, 2, 3]),
            combines=dice.random() < 0.4,
            image=dice.choice("xyz"),
            owner=dice.choice(OWNERS),
        )
    )
    return jobs[-1]


def _submit_options(dice: random.Random) -> dict[str, Any]:
    return {
        "duplicate_key": dice.choice("0123456789"),
        "fresh": dice.random() < 0.2,
        "idempotency_key": dice.choice([None, None, "a", "b", "c"]),
        "bounds": Bounds(dice.choice([None, 4]), dice.choice([None, OwnerLimits(3, 5, 250)])),
        "webhook": dice.choice([None, *WEBHOOKS]),
    }


def _without_times(job: Snapshot) -> object:
    times = job.started is None, job.finished is None
    webhooks = [replace(webhook, due=webhook.due and 1.0) for webhook in job.webhooks]
    return job.record, job.state, job.revision, job.error, job.chunks, job.answer, webhooks, times
