"""What only a server can do to job records: die, hang, run full, or answer into nothing."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schemas.jobs import JobRecord
from service.jobs.store.bounds import UNBOUNDED, Bounds
from service.jobs.store.errors import JobNotFoundError, JobsUnavailableError
from service.jobs.store.port import Rules, Submission
from service.jobs.store.redis import RedisJobStore
from tests.contract.job_store.jobs import ERROR, a_chunk_result, a_record, a_worker, claim, states, submit
from tests.redis_server import RedisServer
from tests.tcp_proxy import TcpProxy

# A call takes four seconds at most by design, nested retries took nine; the rest is for a machine that is busy.
PATIENCE_SECONDS = 8.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as started:
        yield started


@pytest.fixture
def store(server: RedisServer) -> Iterator[RedisJobStore]:
    opened = RedisJobStore(server.url, Rules())
    yield opened
    opened.close()


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[TcpProxy]:
    with TcpProxy(server.port) as started:
        yield started


@pytest.fixture
def far(proxy: TcpProxy) -> Iterator[RedisJobStore]:
    """The same records, through the proxy."""
    opened = RedisJobStore(f"redis://127.0.0.1:{proxy.port}/0", Rules())
    yield opened
    opened.close()


def test_nothing_is_lost_when_the_server_is_killed(server: RedisServer, store: RedisJobStore) -> None:
    records = [a_record(chunks=2, image="a1") for _ in range(3)]
    for record in records:
        submit(store, record)
    done, running = claim(store), claim(store)
    store.finish(done, a_chunk_result())
    store.beat(running, 0.5)
    store.cancel(records[1].id)
    before = store.list(limit=10), store.get(records[0].id)
    server.kill()
    with pytest.raises(JobsUnavailableError, match="reached"):
        store.get(records[0].id)
    server.start()
    assert (store.list(limit=10), store.get(records[0].id)) == before
    assert store.sweep().queued == {"cpu": 2}
    assert store.finish(running, a_chunk_result()) == "continue"
    assert claim(store).fence > running.fence


def test_a_call_fails_in_bounded_time_when_the_server_hangs(server: RedisServer, store: RedisJobStore) -> None:
    submit(store, a_record())
    server.pause()
    try:
        _assert_refused_in_time(lambda: submit(store, a_record()))
    finally:
        server.resume()


def test_a_call_fails_in_bounded_time_when_nobody_ever_answers() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
        store = RedisJobStore(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", Rules())
        for _ in range(3):
            _assert_refused_in_time(lambda: submit(store, a_record()))
        store.close()


def test_calls_work_again_when_the_way_to_the_server_is_mended(proxy: TcpProxy, far: RedisJobStore) -> None:
    submit(far, a_record())
    for fault in (proxy.cut, proxy.black_hole):
        fault()
        _assert_refused_in_time(lambda: submit(far, a_record()))
        proxy.mend()
        assert submit(far, a_record()).created


def test_a_call_survives_when_its_connection_was_reset(server: RedisServer, store: RedisJobStore) -> None:
    submit(store, a_record())
    server.command("CLIENT", "KILL", "TYPE", "normal")
    assert submit(store, a_record()).created


def test_a_lost_reply_does_not_submit_twice(proxy: TcpProxy, far: RedisJobStore) -> None:
    record = a_record(image="a1")
    far.reserve("i", "f")
    proxy.lose_replies(record.id.encode())
    submission = far.submit(record, duplicate_key="k", idempotency_key="i", bounds=Bounds(1))
    assert (submission, proxy.lost) == (Submission(record.id, created=True), 1)
    assert [job.record for job in far.list(limit=10)] == [record]
    assert far.sweep().queued == {"cpu": 1}
    assert far.reserve("i", "f") == record.id
    far.delete(record.id)
    assert far.inputs() == set()


def test_a_lost_reply_does_not_claim_twice(proxy: TcpProxy, far: RedisJobStore) -> None:
    submit(far, a_record(chunks=2))
    worker = a_worker()
    proxy.lose_replies(worker.process.encode())
    held = claim(far, worker)
    assert (proxy.lost, held.chunk, held.attempt) == (1, 0, 1)
    assert states(far, held.record.id) == ["running", "queued"]


def test_a_lost_reply_does_not_finish_twice(proxy: TcpProxy, far: RedisJobStore) -> None:
    for outcome, state in ((a_chunk_result(), "succeeded"), (ERROR, "failed")):
        submit(far, a_record())
        held = claim(far)
        revision = far.revision(held.record.id)
        proxy.lose_replies(held.record.id.encode())
        assert far.finish(held, outcome) == "continue"
        found = far.get(held.record.id)
        assert (found.state, found.revision) == (state, revision + 1)
    assert proxy.lost == 2


def test_a_lost_reply_changes_no_other_answer(proxy: TcpProxy, far: RedisJobStore) -> None:
    """The second run of each script says what the first one said."""
    proxy.lose_replies(b"some-key")
    assert far.reserve("some-key", "f") is None

    record = a_record()
    submit(far, record)
    held = claim(far)
    proxy.lose_replies(record.id.encode())
    far.hand_back(held)
    assert far.get(record.id).chunks[0].attempts == 0

    worker = a_worker()
    claim(far, worker)
    proxy.lose_replies(worker.process.encode())
    far.abandon(worker.process)
    assert far.get(record.id).chunks[0].attempts == 1

    proxy.lose_replies(record.id.encode())
    assert far.cancel(record.id) == "running"
    assert far.cancel(record.id) == "cancelled"

    again = a_record()
    far.submit(a_record("first"), duplicate_key="k")
    proxy.lose_replies(again.id.encode())
    far.submit(again, duplicate_key="k")
    proxy.lose_replies(b"first")
    assert not far.delete("first")
    assert far.delete("first")

    proxy.lose_replies(record.id.encode())
    far.delete(record.id)
    with pytest.raises(JobNotFoundError):
        far.delete(record.id)
    assert proxy.lost == 7


def test_a_lost_reply_hides_no_expired_job(proxy: TcpProxy) -> None:
    far = RedisJobStore(f"redis://127.0.0.1:{proxy.port}/0", Rules(result_seconds=0.0, tombstone_seconds=1234.0))
    record = a_record()
    submit(far, record)
    far.cancel(record.id)
    proxy.lose_replies(b"1234.0")
    assert far.sweep().expired == (record.id,)
    assert proxy.lost == 1
    far.close()


def test_a_full_server_refuses_a_job_and_keeps_nothing_of_it(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "small", "--maxmemory", "4mb") as server:
        store = RedisJobStore(server.url, Rules())
        accepted = _fill(store)
        keys = server.command("DBSIZE")
        for attempt in (
            lambda: submit(store, a_record()),
            lambda: store.reserve("i", "f"),
            lambda: store.admits(a_record(), "k", UNBOUNDED),
        ):
            with pytest.raises(JobsUnavailableError, match="maxmemory"):
                attempt()
        assert server.command("DBSIZE") == keys
        assert len(store.list(limit=1000)) == len(accepted)
        # What was accepted can be computed, and what frees memory is possible.
        held = claim(store)
        assert store.beat(held, 0.5) == "continue"
        assert store.finish(held, a_chunk_result()) == "continue"
        store.release("worker")
        assert store.cancel(accepted[1].id) == "queued"
        assert store.known([record.id for record in accepted]) == {record.id for record in accepted}
        store.sweep()
        for record in accepted:
            store.delete(record.id)
        assert submit(store, a_record()).created
        store.close()


def test_nothing_is_left_of_a_job_when_all_were_deleted(server: RedisServer, store: RedisJobStore) -> None:
    for _ in range(3):
        submit(store, a_record(chunks=3, combines=True, image="a1"))
    worker = a_worker()
    store.finish(claim(store, worker), a_chunk_result())
    held = claim(store, worker)
    for job in store.list(limit=10):
        store.delete(job.record.id)
    store.beat(held, 0.5)
    left = {line for line in server.command("KEYS", "*").split("\r\n") if line.startswith("convscope:")}
    assert {key for key in left if not key.startswith("convscope:deleted:")} == {
        "convscope:fence",
        "convscope:form",
        "convscope:queues",
        "convscope:sequence",
    }


def test_keys_leave_the_list_of_keys_with_what_they_stand_for(server: RedisServer, store: RedisJobStore) -> None:
    store.reserve("a", "f")
    store.reserve("b", "f")
    store.unreserve("a")
    assert server.command("ZCARD", "convscope:idempotency").strip() == ":1"
    brief = RedisJobStore(server.url, Rules(idempotency_seconds=0.001))
    brief.reserve("c", "f")
    time.sleep(0.01)
    brief.reserve("d", "f")
    assert server.command("ZSCORE", "convscope:idempotency", "c").strip() == "$-1"
    brief.close()


def test_a_job_of_an_earlier_version_keeps_the_request_that_made_it(server: RedisServer, store: RedisJobStore) -> None:
    job = store.submit(a_record(), duplicate_key="k").id
    server.command("DEL", f"convscope:requests:{job}")
    store.submit(a_record(), duplicate_key="k")
    assert not store.delete(job)
    server.command("DEL", f"convscope:requests:{job}")
    assert store.delete(job)


def test_records_of_another_form_are_refused_until_they_are_gone(server: RedisServer, store: RedisJobStore) -> None:
    job = submit(store, a_record()).id
    form = server.command("GET", "convscope:form").split("\r\n")[1]
    server.command("SET", "convscope:form", "99")
    calls: list[Callable[[], object]] = [
        lambda: submit(store, a_record()),
        lambda: store.get(job),
        lambda: store.list(limit=1),
        lambda: store.claim("cpu", a_worker()),
        store.sweep,
    ]
    for call in calls:
        with pytest.raises(JobsUnavailableError, match="another version"):
            call()
    server.command("SET", "convscope:form", form)
    # Nothing was done to them.
    assert [found.state for found in store.list(limit=10)] == ["queued"]
    store.delete(job)
    # No jobs, no form.
    server.command("SET", "convscope:form", "99")
    assert submit(store, a_record()).created
    assert server.command("GET", "convscope:form").split("\r\n")[1] == form


def _fill(store: RedisJobStore) -> list[JobRecord]:
    """Jobs of many chunks until the server takes no more."""
    accepted: list[JobRecord] = []
    while len(accepted) < 1000:
        record = a_record(chunks=200)
        try:
            submit(store, record)
        except JobsUnavailableError:
            with pytest.raises(JobNotFoundError):
                store.get(record.id)
            return accepted
        accepted.append(record)
    raise AssertionError("the server never runs full")


def _assert_refused_in_time(call: Callable[[], object]) -> None:
    begin = time.monotonic()
    with pytest.raises(JobsUnavailableError, match="reached"):
        call()
    assert time.monotonic() - begin < PATIENCE_SECONDS
