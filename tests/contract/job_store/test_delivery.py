"""From the record to a real receiver: a job that ends is told of, over both stores, whatever the receiver does."""

import datetime as dt
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from service.egress.addresses import parse_allowed
from service.egress.destinations import Destinations
from service.jobs.store.outbox import Webhook, make_secret
from service.jobs.store.port import JobStore, Rules
from service.jobs.store.redis import RedisJobStore
from service.jobs.webhooks.dispatcher import Dispatcher
from service.jobs.webhooks.message import sign
from service.jobs.webhooks.sending import Sender
from tests.contract.job_store.jobs import Opening, a_chunk_result, a_record, claim
from tests.receiver import Answer, Receiver
from tests.redis_server import RedisServer

LOCAL = Destinations(parse_allowed(["127.0.0.1"]), "CONVSCOPE_WEBHOOKS_ALLOW")
# Attempts come as fast as a test can wait.
HASTY_SENDER = Sender(LOCAL, total_seconds=1.0, first_pause_seconds=0.02)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


@contextmanager
def dispatching(store: JobStore, sender: Sender = HASTY_SENDER) -> Iterator[None]:
    dispatcher = Dispatcher(store, sender, "https://vision.example.com/tools", poll_seconds=0.02)
    dispatcher.start()
    try:
        yield
    finally:
        dispatcher.close()


def ask(store: JobStore, url: str, *events: str, chunks: int = 1, owner: str = "") -> str:
    record = a_record(chunks=chunks, owner=owner)
    origin = "/".join(url.split("/")[:3])
    webhook = Webhook(url, origin, events or ("completed",))  # type: ignore[arg-type]
    return store.submit(record, duplicate_key=record.id, webhook=webhook).id


def finish(store: JobStore) -> None:
    store.finish(claim(store), a_chunk_result())


def is_settled(store: JobStore) -> bool:
    return store.delivery_counts().pending == 0


def test_a_job_arrives_signed_and_with_links_that_lead_back(store: JobStore, receiver: Receiver) -> None:
    job = ask(store, f"{receiver.url}/hook?token=1")
    finish(store)
    with dispatching(store):
        (message,) = receiver.wait()
        receiver.wait_until(lambda: is_settled(store), "it is settled")
    assert message.path == "/hook?token=1"
    body = message.verify(store.signing_secrets("").current)
    assert (body["id"], body["state"], body["type"], body["webhooks"]) == (job, "succeeded", "job.completed", [])
    assert body["links"]["self"] == f"https://vision.example.com/tools/v1/jobs/{job}"
    assert body["result"]["images"][0]["href"].startswith(f"https://vision.example.com/tools/v1/jobs/{job}/images/")
    assert message.headers["content-type"] == "application/json"
    assert message.headers["host"] == f"127.0.0.1:{receiver.port}"


def test_no_forged_message_verifies(store: JobStore, receiver: Receiver) -> None:
    ask(store, receiver.url, owner="a")
    finish(store)
    with dispatching(store):
        (message,) = receiver.wait()
    secret = store.signing_secrets("a").current
    message.verify(secret)
    now = str(int(time.time()) - 1)
    old = sign(message.body, message.id, store.signing_secrets("a"))
    forged = [
        replace(message, body=message.body.replace(b"succeeded", b"failed")),
        replace(message, body=message.body + b" "),
        replace(message, headers=message.headers | {"webhook-id": message.id + "1"}),
        replace(message, headers=message.headers | {"webhook-timestamp": now}),
        replace(message, headers=message.headers | {"webhook-signature": "v1,AAAA"}),
        replace(message, headers=message.headers | {"webhook-signature": "v1a,AAAA"}),
        replace(message, headers={name: value for name, value in old.items() if name != "webhook-signature"}),
    ]
    for one in forged:
        with pytest.raises((WebhookVerificationError, ValueError)):
            one.verify(secret)
    for other in (make_secret(), store.signing_secrets("b").current):
        with pytest.raises(WebhookVerificationError):
            message.verify(other)


def test_an_old_message_does_not_verify_when_it_is_sent_again(store: JobStore) -> None:
    secrets = store.signing_secrets("")
    for minutes in (-10, 10):
        headers = sign(b"{}", "msg_1", secrets, dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes))
        with pytest.raises(WebhookVerificationError, match="timestamp"):
            Verifier(secrets.current).verify(b"{}", headers)


def test_both_secrets_verify_while_one_takes_the_place_of_the_other(store: JobStore, receiver: Receiver) -> None:
    before = store.signing_secrets("").current
    after = store.rotate_signing_secret("", make_secret(), 1000.0).current
    ask(store, receiver.url)
    finish(store)
    with dispatching(store):
        (message,) = receiver.wait()
    assert message.headers["webhook-signature"].count("v1,") == 2
    assert message.verify(before) == message.verify(after)


def test_every_job_arrives_when_the_receiver_is_bad_for_a_while(store: JobStore, receiver: Receiver) -> None:
    receiver.script = [
        Answer(500),
        Answer(302, {"location": f"{receiver.url}/elsewhere"}),
        Answer(404),
        Answer(204, seconds=3),
        Answer(drip=True),
        Answer(503, {"retry-after": "0"}),
        Answer(307, {"location": "http://169.254.169.254/latest/meta-data"}),
    ]
    jobs = [ask(store, f"{receiver.url}/{number}") for number in range(4)]
    for _ in jobs:
        finish(store)
    with dispatching(store):
        receiver.wait_until(lambda: is_settled(store), "all are settled")
    assert not [message for message in receiver.messages if message.path == "/elsewhere"]
    assert {message.json["id"] for message in receiver.messages} == set(jobs)
    # Of one event all attempts have the one id, by which a receiver knows it again.
    assert len({message.id for message in receiver.messages}) == len(jobs)
    counts = store.delivery_counts().outcomes
    assert counts["delivered"] == 4
    assert counts["retried"] >= 7
    assert [store.get(job).webhooks[0].last_status for job in jobs] == [204] * 4


def test_job_arrives_when_the_receiver_comes_up_late(store: JobStore, receiver: Receiver) -> None:
    with Receiver() as other:
        port = other.port
    job = ask(store, f"http://127.0.0.1:{port}")
    finish(store)
    with dispatching(store):
        receiver.wait_until(lambda: store.delivery_counts().outcomes.get("retried", 0) >= 2, "two attempts failed")
        assert store.get(job).webhooks[0].last_error == "unreachable"
        with Receiver(port=port) as late:
            late.wait()
            late.wait_until(lambda: is_settled(store), "it is settled")


def test_a_receiver_that_hangs_holds_up_no_other(store: JobStore, receiver: Receiver) -> None:
    patient = Sender(LOCAL, total_seconds=30)
    with Receiver() as slow:
        slow.last = Answer(seconds=30)
        for number in range(20):
            ask(store, f"{slow.url}/{number}", owner="a")
            ask(store, f"{receiver.url}/{number}", owner="ab"[number % 2])
        for _ in range(40):
            finish(store)
        with dispatching(store, patient):
            assert {message.path for message in receiver.wait(20)} == {f"/{number}" for number in range(20)}
            assert len(slow.messages) <= 2


def test_messages_arrive_in_order_and_the_last_is_the_end(store: JobStore, receiver: Receiver) -> None:
    ask(store, receiver.url, "completed", "output", chunks=4)
    with dispatching(store):
        for number in range(1, 5):
            finish(store)
            receiver.wait(number)
        receiver.wait_until(lambda: is_settled(store), "all are settled")
    told = [(message.json["type"], message.json["progress"]["done"]) for message in receiver.messages]
    assert told == [("job.output", 1), ("job.output", 2), ("job.output", 3), ("job.completed", 4)]
    assert len({message.id for message in receiver.messages}) == 4


def test_gone_is_gone(store: JobStore, receiver: Receiver) -> None:
    receiver.last = Answer(410)
    job = ask(store, receiver.url, "completed", "output", chunks=2)
    finish(store)
    with dispatching(store):
        receiver.wait()
        receiver.wait_until(lambda: is_settled(store), "it is settled")
        finish(store)
    assert (len(receiver.messages), store.get(job).webhooks[0].ending) == (1, "stopped")


def test_what_a_receiver_asks_for_is_waited_for(store: JobStore, receiver: Receiver) -> None:
    receiver.script = [Answer(429, {"retry-after": "1000000"})]
    job = ask(store, receiver.url)
    finish(store)
    with dispatching(store):
        receiver.wait_until(lambda: store.delivery_counts().outcomes.get("retried"), "the attempt is settled")
    due = store.get(job).webhooks[0].due
    # But no longer than an hour.
    assert due is not None
    assert 3500 < due - time.time() < 3601


def test_address_is_judged_again_when_something_is_sent(store: JobStore, receiver: Receiver) -> None:
    job = ask(store, receiver.url)
    finish(store)
    forbidding = Sender(Destinations(parse_allowed([]), "CONVSCOPE_WEBHOOKS_ALLOW"))
    with dispatching(store, forbidding):
        receiver.wait_until(lambda: store.delivery_counts().outcomes.get("retried"), "the attempt is settled")
    assert store.get(job).webhooks[0].last_error == "address_refused"
    assert (receiver.messages, receiver.connections) == ([], 0)


_DIES = textwrap.dedent("""
    import os, sys
    from pathlib import Path
    from service.jobs.store.port import Rules
    from service.jobs.store.redis import RedisJobStore
    from service.jobs.store.sqlite import SqliteJobStore
    from tests.contract.job_store.jobs import a_chunk_result, claim

    where, death = sys.argv[1:]
    rules = Rules(delivery_lease_seconds=0.2)
    store = RedisJobStore(where, rules) if where.startswith("redis:") else SqliteJobStore(Path(where), rules)
    store.finish(claim(store), a_chunk_result())
    if death == "sending":
        assert store.claim_deliveries(10)
    os.kill(os.getpid(), 9)
""")


@pytest.mark.parametrize("death", ["committed", "sending"])
def test_job_arrives_when_its_process_is_killed_before_it_is_told_of(
    make: Opening, request: pytest.FixtureRequest, tmp_path: Path, receiver: Receiver, death: str
) -> None:
    store = make(Rules(delivery_lease_seconds=0.2))
    job = ask(store, receiver.url)
    where = str(tmp_path / "jobs.db")
    if isinstance(store, RedisJobStore):
        server: RedisServer = request.getfixturevalue("redis_server")
        where = server.url
    ended = subprocess.run([sys.executable, "-c", _DIES, where, death], check=False)
    assert ended.returncode == -9
    assert (store.get(job).state, receiver.messages) == ("succeeded", [])
    with dispatching(store):
        (message,) = receiver.wait()
        receiver.wait_until(lambda: is_settled(store), "it is settled")
    assert message.verify(store.signing_secrets("").current)["id"] == job
