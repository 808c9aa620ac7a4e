"""Who is told of a job, and what is still to be sent: both stores keep the one order."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from schemas.jobs import JobRecord
from schemas.webhooks import WebhookEvent
from service.jobs.store.outbox import (
    MAX_OF_OWNER,
    MAX_TO_RECEIVER,
    MAX_WEBHOOKS,
    Delivery,
    Outcome,
    SigningSecrets,
    Webhook,
    WebhooksFullError,
    WebhookStatus,
)
from service.jobs.store.port import JobStore, Rules
from tests.contract.job_store.jobs import ERROR, Opening, a_chunk_result, a_record, claim, until

DELIVERED = Outcome("delivered", 204)


def a_webhook(*events: WebhookEvent, receiver: str = "https://one.example", path: str = "/hook") -> Webhook:
    return Webhook(receiver + path, receiver, events or ("completed",))


def ask(store: JobStore, webhook: Webhook, record: JobRecord | None = None, key: str = "") -> str:
    record = record or a_record()
    return store.submit(record, duplicate_key=key or record.id, webhook=webhook).id


def finish(store: JobStore) -> None:
    store.finish(claim(store), a_chunk_result())


def take(store: JobStore, limit: int = 100) -> list[Delivery]:
    return list(store.claim_deliveries(limit))


def take_one(store: JobStore) -> Delivery:
    (delivery,) = take(store)
    return delivery


def take_later(store: JobStore) -> Delivery:
    """The one that comes to be due."""
    found: list[Delivery] = []

    def look() -> bool:
        found.extend(take(store))
        return bool(found)

    until(look, AssertionError)
    (delivery,) = found
    return delivery


def status(store: JobStore, job: str) -> WebhookStatus:
    (found,) = store.get(job).webhooks
    return found


def test_a_job_is_told_of_once_when_it_ends(store: JobStore) -> None:
    job = ask(store, a_webhook())
    assert status(store, job) == WebhookStatus("https://one.example", ("completed",), None, 0, None, None, None)
    assert take(store) == []
    finish(store)
    delivery = take_one(store)
    assert (delivery.job, delivery.event, delivery.attempt) == (job, "completed", 1)
    assert (delivery.url, delivery.receiver) == ("https://one.example/hook", "https://one.example")
    assert take(store) == []
    assert store.settle(delivery, DELIVERED) == "delivered"
    assert status(store, job) == WebhookStatus("https://one.example", ("completed",), None, 1, 204, None, None)
    assert take(store) == []
    assert store.settle(delivery, DELIVERED) == "fenced"
    assert (store.delivery_counts().pending, store.delivery_counts().outcomes) == (0, {"delivered": 1})


@pytest.mark.parametrize("way", ["failed", "cancelled", "lost"])
def test_a_job_that_ends_without_a_result_is_told_of_too(make: Opening, way: str) -> None:
    store = make(Rules(lease_seconds=0.0, max_attempts=1))
    job = ask(store, a_webhook())
    if way == "failed":
        store.finish(claim(store), ERROR)
    elif way == "cancelled":
        store.cancel(job)
    else:
        claim(store)
        store.sweep()
    assert store.get(job).state == ("failed" if way == "lost" else way)
    assert take_one(store).job == job


def test_a_failed_attempt_comes_again_after_its_pause_with_the_same_message(store: JobStore) -> None:
    ask(store, a_webhook())
    finish(store)
    first = take_one(store)
    assert store.settle(first, Outcome("failed", 500, pause_seconds=0.2)) == "retried"
    assert take(store) == []
    second = take_later(store)
    assert (second.message, second.attempt) == (first.message, 2)
    shown = status(store, first.job)
    assert (shown.last_status, shown.attempts) == (500, 2)


def test_an_attempt_whose_process_died_is_anothers_when_its_lease_ends(make: Opening) -> None:
    ask(make(Rules()), a_webhook())
    finish(make(Rules()))
    lost = take_one(make(Rules(delivery_lease_seconds=0.05)))
    taken = take_later(make(Rules()))
    assert (taken.message, taken.attempt) == (lost.message, 2)
    assert make(Rules()).settle(lost, DELIVERED) == "fenced"
    assert make(Rules()).settle(taken, DELIVERED) == "delivered"


def test_an_event_is_given_up_when_its_time_is_over(make: Opening) -> None:
    store = make(Rules(delivery_seconds=10.0))
    job = ask(store, a_webhook())
    finish(store)
    assert store.settle(take_one(store), Outcome("failed", error="timeout", pause_seconds=11.0)) == "given_up"
    shown = status(store, job)
    assert (shown.ending, shown.due, shown.last_status, shown.last_error) == ("failed", None, None, "timeout")
    assert store.delivery_counts().outcomes == {"given_up": 1}


def test_a_receiver_that_wants_no_more_is_told_no_more(store: JobStore) -> None:
    job = ask(store, a_webhook("completed", "output"), a_record(chunks=2))
    finish(store)
    assert store.settle(take_one(store), Outcome("stopped", 410)) == "stopped"
    finish(store)
    assert (take(store), status(store, job).ending) == ([], "stopped")


def test_each_output_is_told_and_the_end_in_place_of_what_is_not_told_yet(store: JobStore) -> None:
    ask(store, a_webhook("completed", "output"), a_record(chunks=3))
    finish(store)
    first = take_one(store)
    assert first.event == "output"
    finish(store)
    # In nobody's hands twice, so that they arrive in order.
    assert take(store) == []
    store.settle(first, DELIVERED)
    second = take_one(store)
    assert (second.event, second.attempt, second.message != first.message) == ("output", 1, True)
    finish(store)
    store.settle(second, Outcome("failed", 500, pause_seconds=1000.0))
    last = take_one(store)
    assert last.event == "completed"
    assert store.settle(last, DELIVERED) == "delivered"
    assert take(store) == []


def test_output_alone_has_its_last_one_too(store: JobStore) -> None:
    ask(store, a_webhook("output"))
    finish(store)
    assert take_one(store).event == "output"


def test_progress_is_told_now_and_then(make: Opening) -> None:
    store = make(Rules(progress_seconds=1000.0))
    ask(store, a_webhook("completed", "progress"), a_record(chunks=2))
    held = claim(store)
    store.beat(held, 0.2)
    first = take_one(store)
    assert first.event == "progress"
    store.settle(first, DELIVERED)
    store.beat(held, 0.4)
    store.beat(held, 0.6)
    store.finish(held, a_chunk_result())
    assert take(store) == []
    store.finish(claim(store), a_chunk_result())
    assert take_one(store).event == "completed"


def test_an_equal_request_adds_its_webhook_once(store: JobStore) -> None:
    job = ask(store, a_webhook(), key="same")
    for webhook in (a_webhook(), a_webhook(path="/other"), a_webhook("output"), a_webhook(path="/other")):
        assert ask(store, webhook, key="same") == job
    assert [found.events for found in store.get(job).webhooks] == [("completed",), ("completed",), ("output",)]
    finish(store)
    assert sorted(delivery.url[-6:] for delivery in take(store)) == ["/other", "e/hook"]


def test_a_job_that_has_ended_is_told_of_at_once_and_to_each_who_asks_again(store: JobStore) -> None:
    job = ask(store, a_webhook(), key="same")
    finish(store)
    first = take_one(store)
    store.settle(first, DELIVERED)
    ask(store, a_webhook(path="/late"), key="same")
    late = take_one(store)
    assert (late.job, late.url) == (job, "https://one.example/late")
    store.settle(late, Outcome("stopped", 410))
    ask(store, a_webhook(), key="same")
    again = take_one(store)
    assert (again.webhook, again.message != first.message) == (first.webhook, True)


def test_a_job_has_so_many_webhooks_and_a_refused_one_changes_nothing(store: JobStore) -> None:
    job = ask(store, a_webhook(path="/0"), key="same")
    for number in range(1, MAX_WEBHOOKS):
        ask(store, a_webhook(path=f"/{number}"), key="same")
    with pytest.raises(WebhooksFullError, match=job):
        ask(store, a_webhook(path="/more"), key="same")
    ask(store, a_webhook(path="/1"), key="same")
    assert len(store.get(job).webhooks) == MAX_WEBHOOKS
    # As many deletes as there were requests that were taken.
    deleted = [store.delete(job) for _ in range(MAX_WEBHOOKS + 1)]
    assert deleted == [False] * MAX_WEBHOOKS + [True]


def test_the_same_submission_again_is_told_once(store: JobStore) -> None:
    record = a_record()
    for _ in range(2):
        ask(store, a_webhook(), record)
    finish(store)
    assert len(take(store)) == 1


def test_an_idempotency_key_that_outlives_its_job_brings_nothing_back(store: JobStore) -> None:
    store.reserve("key", "f")
    record = a_record()
    store.submit(record, duplicate_key="d", idempotency_key="key")
    store.delete(record.id)
    store.submit(a_record(), duplicate_key="d", idempotency_key="key", webhook=a_webhook())
    assert (take(store), store.delivery_counts().pending) == ([], 0)


@pytest.mark.parametrize("way", ["deleted", "expired"])
def test_what_is_to_be_sent_goes_with_its_job(make: Opening, way: str) -> None:
    store = make(Rules(result_seconds=0.0))
    job = ask(store, a_webhook())
    finish(store)
    held = take_one(store)
    if way == "deleted":
        store.delete(job)
    else:
        assert store.sweep().expired == (job,)
    assert store.settle(held, Outcome("failed", 500)) == "fenced"
    assert (take(store), store.delivery_counts().pending) == ([], 0)


def test_a_receiver_that_hangs_holds_up_no_other(store: JobStore) -> None:
    for number in range(5):
        ask(store, a_webhook(receiver="https://slow.example", path=f"/{number}"))
        finish(store)
    ask(store, a_webhook(receiver="https://quick.example"))
    finish(store)
    receivers = [delivery.receiver for delivery in take(store)]
    assert receivers == ["https://slow.example"] * MAX_TO_RECEIVER + ["https://quick.example"]


def test_an_owner_with_many_receivers_holds_up_no_other(store: JobStore) -> None:
    for number in range(MAX_OF_OWNER + 3):
        ask(store, a_webhook(receiver=f"https://{number}.example"), a_record(owner="busy"))
        finish(store)
    ask(store, a_webhook(), a_record(owner="other"))
    finish(store)
    assert [delivery.owner for delivery in take(store, limit=2)] == ["busy", "other"]
    assert [delivery.owner for delivery in take(store)] == ["busy"] * (MAX_OF_OWNER - 1)


def test_no_event_is_in_two_hands(store: JobStore) -> None:
    for number in range(30):
        ask(store, a_webhook(receiver=f"https://{number % 6}.example"))
        finish(store)
    start = threading.Barrier(6)

    def send() -> list[str]:
        start.wait()
        sent = []
        for _ in range(200):
            for delivery in take(store, limit=3):
                sent.append(delivery.message)
                assert store.settle(delivery, DELIVERED) == "delivered"
        return sent

    with ThreadPoolExecutor(6) as threads:
        futures = [threads.submit(send) for _ in range(6)]
        sent = [message for future in futures for message in future.result()]
    assert (len(sent), len(set(sent))) == (30, 30)


def test_secrets_are_made_once_and_rotated(store: JobStore) -> None:
    with ThreadPoolExecutor(6) as threads:
        made = set(threads.map(lambda _: store.signing_secrets("a"), range(6)))
    ((first,), other) = made, store.signing_secrets("b")
    assert first.previous is None
    assert first.current.startswith("whsec_")
    assert first.current != other.current
    for _ in range(2):
        rotated = store.rotate_signing_secret("a", "whsec_new", 1000.0)
        assert (rotated.current, rotated.previous) == ("whsec_new", first.current)
    assert store.signing_secrets("a") == rotated
    assert store.rotate_signing_secret("a", "whsec_newer", 0.0) == SigningSecrets("whsec_newer")
    assert store.signing_secrets("b") == other
    assert store.rotate_signing_secret("c", "whsec_first", 1000.0) == SigningSecrets("whsec_first")
