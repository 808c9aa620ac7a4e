"""Watching a job: what one sees of it live, after a break, and when things go wrong on the way."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from schemas.jobs import JobImage, JobSummary, Progress
from schemas.problems import Problem
from service.jobs.store.errors import JobsUnavailableError
from service.jobs.store.port import Rules
from service.jobs.store.sqlite import SqliteJobStore
from tests.contract.conftest import assert_problem
from tests.contract.workshop import LIMIT_SECONDS, Workshop, build, open_workshop, serve
from tests.event_stream import Event, Stream
from tests.server import Server


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Workshop]:
    """Behind a real server, as a stream has to be read while it grows."""
    app, notifier = build(repository, tmp_path_factory.mktemp("data"), limits={"event_streams": 2})
    with serve(app) as url, httpx2.Client(base_url=url, timeout=LIMIT_SECONDS) as client:
        yield Workshop(app, client, notifier)


@pytest.fixture(autouse=True)
def _nobody_else_watches(workshop: Workshop) -> None:
    """The places of the test before are free."""
    end = time.monotonic() + LIMIT_SECONDS
    while workshop.services.jobs.streams._free < 2:
        assert time.monotonic() < end, "places of streams that have ended do not come back"
        time.sleep(0.05)


@contextmanager
def _watch(workshop: Workshop, job: str, **headers: str) -> Iterator[Stream]:
    with workshop.client.stream("GET", f"/v1/jobs/{job}/events", headers=headers) as response:
        yield Stream(response)


def _names(events: list[Event]) -> list[str]:
    return [event.data["name"] for event in events if event.name == "image"]


def test_everything_is_told_as_it_happens_when_a_job_is_watched(workshop: Workshop) -> None:
    job = workshop.submit()
    with _watch(workshop, job) as stream:
        (first,) = stream.until("job")
        assert JobSummary.model_validate(first.data).state == "queued"
        claim = workshop.claim()
        running = stream.until("job")
        assert running[-1].data["state"] == "running"
        workshop.store.beat(claim, 0.5)
        progress = stream.until("progress")[-1]
        assert Progress.model_validate(progress.data).fraction == 0.25
        workshop.finish(claim)
        done = stream.until("progress")
        assert _names(done) == ["filter-0", "filter-1"]
        image = JobImage.model_validate(done[0].data)
        assert workshop.client.get(image.href).content == b"filter-0"
        assert done[-1].data["done"] == 2
        workshop.finish(workshop.claim())
        workshop.finish(workshop.claim())
        rest = list(stream)
    assert _names(rest) == ["filter-2", "filter-3", "sheet"]
    assert [event.data["state"] for event in rest if event.name == "job"] == ["succeeded"]
    assert rest[-1].name == "job"
    everything = [first, *running, progress, *done, *rest]
    ids = [event.id for event in everything if event.id is not None]
    assert ids == sorted(set(ids))
    assert everything[-1].id == workshop.client.get(f"/v1/jobs/{job}").json()["revision"]


def test_id_stands_on_the_last_event_alone_when_one_look_tells_many(workshop: Workshop) -> None:
    job = workshop.submit()
    workshop.finish(workshop.claim())
    with _watch(workshop, job) as stream:
        events = []
        for event in stream:
            events.append(event)
            if event.id is not None:
                break
    assert [event.name for event in events] == ["job", "image", "image"]
    assert [event.id is None for event in events] == [True, True, False]
    workshop.client.post(f"/v1/jobs/{job}/cancel")


def test_only_what_was_missed_is_told_when_a_stream_is_resumed(workshop: Workshop) -> None:
    job = workshop.submit(chunks=3)
    workshop.finish(workshop.claim())
    with _watch(workshop, job) as stream:
        seen = next(event.id for event in stream if event.id is not None)
    workshop.finish(workshop.claim())
    with _watch(workshop, job, **{"Last-Event-ID": str(seen)}) as stream:
        resumed = []
        for event in stream:
            resumed.append(event)
            if event.id is not None:
                break
    assert resumed[0].name == "job"
    assert _names(resumed) == ["filter-2", "filter-3"]
    workshop.finish(workshop.claim())
    workshop.finish(workshop.claim())
    with _watch(workshop, job, **{"Last-Event-ID": str(resumed[-1].id)}) as stream:
        assert _names(list(stream)) == ["filter-4", "filter-5", "sheet"]


def test_nothing_is_told_twice_when_nothing_has_happened_since(workshop: Workshop) -> None:
    job = workshop.submit(chunks=2, combines=False)
    workshop.finish(workshop.claim())
    with _watch(workshop, job) as stream:
        seen = next(event.id for event in stream if event.id is not None)
    with _watch(workshop, job, **{"Last-Event-ID": str(seen)}) as stream:
        workshop.finish(workshop.claim())
        resumed = list(stream)
    assert [event.name for event in resumed] == ["image", "image", "progress", "job"]
    assert seen < min(event.id for event in resumed if event.id is not None)


@pytest.mark.parametrize("last", ["nonsense", "-5", "99999999", "1e3", "", "\u0663".encode(), "9" * 5000])
def test_everything_is_told_when_the_last_id_makes_no_sense(workshop: Workshop, last: str | bytes) -> None:
    job = workshop.submit(chunks=1, combines=False)
    workshop.finish(workshop.claim())
    with workshop.client.stream("GET", f"/v1/jobs/{job}/events", headers={"Last-Event-ID": last}) as response:
        events = list(Stream(response))
    assert [event.name for event in events] == ["image", "image", "job"]


def test_nothing_more_comes_when_the_end_was_seen(workshop: Workshop) -> None:
    job = workshop.submit(chunks=1, combines=False)
    workshop.finish(workshop.claim())
    with _watch(workshop, job) as stream:
        last = list(stream)[-1].id
    # What a browser sends when it reconnects after the stream has ended, as it always does.
    response = workshop.client.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": str(last)})
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled"])
def test_stream_ends_when_the_job_has(workshop: Workshop, end: str) -> None:
    job = workshop.submit(chunks=1, combines=False)
    with _watch(workshop, job) as stream:
        stream.until("job")
        claim = workshop.claim()
        if end == "succeeded":
            workshop.finish(claim)
        elif end == "failed":
            workshop.fail(claim, "not_finite")
        else:
            workshop.client.post(f"/v1/jobs/{job}/cancel")
        last = list(stream)[-1]
    assert (last.name, last.data["state"]) == ("job", end)
    assert (last.data["error"] is not None) == (end == "failed")


def test_problem_is_the_last_event_when_the_job_is_deleted(workshop: Workshop) -> None:
    job = workshop.submit()
    with _watch(workshop, job) as stream:
        stream.until("job")
        workshop.client.delete(f"/v1/jobs/{job}")
        (event,) = stream
    assert event.name == "error"
    problem = Problem.model_validate(event.data)
    assert (problem.code, problem.status, problem.instance) == ("job_not_found", 404, f"/v1/jobs/{job}/events")


def test_watcher_is_refused_when_as_many_watch_as_may(workshop: Workshop) -> None:
    job = workshop.submit()
    with _watch(workshop, job) as first, _watch(workshop, job) as second:
        first.until("job")
        second.until("job")
        response = workshop.client.get(f"/v1/jobs/{job}/events")
        assert_problem(response, 503, "streams_full", f"/v1/jobs/{job}")
        assert int(response.headers["retry-after"]) >= 1
        workshop.client.post(f"/v1/jobs/{job}/cancel")
        assert list(first)[-1].data["state"] == list(second)[-1].data["state"] == "cancelled"


def test_place_comes_back_when_a_watcher_goes_away(workshop: Workshop) -> None:
    job = workshop.submit()
    for _ in range(2):
        with _watch(workshop, job) as stream:
            stream.until("job")
    # What is told next finds nobody there.
    claim = workshop.claim()
    end = time.monotonic() + LIMIT_SECONDS
    while workshop.services.jobs.streams._free < 2:
        assert time.monotonic() < end
        workshop.store.beat(claim, 0.5)
        time.sleep(0.05)
    workshop.client.post(f"/v1/jobs/{job}/cancel")


def test_watcher_is_refused_when_there_is_no_such_job(workshop: Workshop) -> None:
    assert_problem(workshop.client.get(f"/v1/jobs/{'0' * 32}/events"), 404, "job_not_found")


class _StoreThatGoesAway(SqliteJobStore):
    """The real one, which cannot be reached while `away` is set."""

    away = False
    refused = 0

    def revision(self, job: str, *, owner: str | None = None) -> int:
        if self.away:
            self.refused += 1
            raise JobsUnavailableError("The job records cannot be opened.")
        return super().revision(job, owner=owner)


def test_stream_goes_on_when_the_store_was_away(tmp_path: Path, repository: Path) -> None:
    app, notifier = build(repository, tmp_path)
    store = _StoreThatGoesAway(tmp_path / "jobs.sqlite", Rules())
    app.state.services = replace(app.state.services, jobs=replace(app.state.services.jobs, store=store))
    with serve(app) as url, httpx2.Client(base_url=url, timeout=LIMIT_SECONDS) as client:
        workshop = Workshop(app, client, notifier)
        job = workshop.submit(chunks=1, combines=False)
        with _watch(workshop, job) as stream:
            stream.until("job")
            store.away = True
            workshop.finish(workshop.claim())
            end = time.monotonic() + LIMIT_SECONDS
            while store.refused < 3:
                assert time.monotonic() < end
                time.sleep(0.05)
            store.away = False
            events = list(stream)
    store.close()
    assert _names(events) == ["filter-0", "filter-1"]
    assert events[-1].data["state"] == "succeeded"


def test_keep_alives_are_sent_when_nothing_happens(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastapi.routing._PING_INTERVAL", 0.05)
    job = workshop.submit()
    with workshop.client.stream("GET", f"/v1/jobs/{job}/events") as response:
        for line in response.iter_lines():
            if line.startswith(":"):
                break
        else:
            raise AssertionError("no comment came")
    workshop.client.delete(f"/v1/jobs/{job}")


def test_server_stops_when_a_job_is_watched(start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = start_server(CONVSCOPE_DATA=str(tmp_path))
    with open_workshop(tmp_path / "none", tmp_path) as workshop:
        # Of no queue that anybody looks into.
        job = workshop.submit()
        claim = workshop.claim()
    opened = threading.Event()
    ended: list[int] = []

    def watch() -> None:
        with httpx2.stream("GET", f"{server.url}/v1/jobs/{job}/events", timeout=LIMIT_SECONDS) as response:
            opened.set()
            ended.append(len(response.read()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert opened.wait(LIMIT_SECONDS)
    server.stop()
    watcher.join(LIMIT_SECONDS)
    assert claim.record.id == job
    # Ended in order: a broken connection would have raised in the thread.
    assert ended
    assert "timeout graceful shutdown" not in server.log()
    assert "Traceback" not in server.log()
