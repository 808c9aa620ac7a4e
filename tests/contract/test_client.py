"""The Python client against a real service: jobs from the first request to the last picture."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from schemas.jobs import JobImage, JobSummary
from schemas.results import Result
from service.client import Client, ServiceError
from service.jobs.store.port import Worker
from tests.contract.workshop import LIMIT_SECONDS, SLOW_CAM, Workshop, build, serve


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Workshop]:
    # No wait is granted, so that the client has to watch.
    app, notifier = build(repository, tmp_path_factory.mktemp("data"), jobs={"max_wait_seconds": 0})
    with serve(app) as url, Client(url) as client:
        yield Workshop(app, client, notifier)


def _in_background(workshop: Workshop) -> threading.Thread:
    def work() -> None:
        end = time.monotonic() + LIMIT_SECONDS
        while not workshop.work() and time.monotonic() < end:
            time.sleep(0.05)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def _steady(result: Result) -> Result:
    return result.model_copy(update={"timings_seconds": None, "method": ""})


def test_result_is_the_same_when_it_comes_from_a_job(workshop: Workshop, picture: bytes) -> None:
    client: Client = workshop.client
    direct = client.run("grad-cam", "tiny", image=picture, class_index=1)
    shares: list[float] = []
    worker = _in_background(workshop)
    by_job = client.run(SLOW_CAM.name, "tiny", image=picture, report=shares.append, class_index=1)
    worker.join(LIMIT_SECONDS)
    again = client.run(SLOW_CAM.name, "tiny", image=picture, class_index=1)
    assert _steady(by_job) == _steady(again) == _steady(direct)
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_problem_is_raised_when_a_job_fails_or_is_cancelled(workshop: Workshop) -> None:
    client: Client = workshop.client
    failed, cancelled = workshop.submit(), workshop.submit()
    workshop.fail(workshop.claim(), "not_finite")
    client.cancel(cancelled)
    for job, code in ((failed, "not_finite"), (cancelled, "job_cancelled")):
        with pytest.raises(ServiceError) as raised:
            client._result(job, None)
        assert raised.value.code == code


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_problem_is_raised_when_a_job_ends_badly_in_the_first_request(
    tmp_path: Path, repository: Path, picture: bytes, state: str
) -> None:
    app, notifier = build(repository, tmp_path)
    with serve(app) as url, Client(url) as client:
        workshop = Workshop(app, client, notifier)
        asking = ThreadPoolExecutor(1).submit(client.run, SLOW_CAM.name, "tiny", image=picture)
        end = time.monotonic() + LIMIT_SECONDS
        while (claim := workshop.store.claim("cpu", Worker("hand", "hand"))) is None:
            assert time.monotonic() < end
            time.sleep(0.02)
        if state == "failed":
            workshop.fail(claim, "not_finite")
        else:
            workshop.store.cancel(claim.record.id)
        with pytest.raises(ServiceError) as raised:
            asking.result(LIMIT_SECONDS)
    assert raised.value.code == ("not_finite" if state == "failed" else "job_cancelled")


def test_result_comes_with_a_report_when_the_job_was_done_before(workshop: Workshop, picture: bytes) -> None:
    client: Client = workshop.client
    worker = _in_background(workshop)
    first = client.run(SLOW_CAM.name, "tiny", image=picture, class_index=2)
    worker.join(LIMIT_SECONDS)
    shares: list[float] = []
    assert client.run(SLOW_CAM.name, "tiny", image=picture, report=shares.append, class_index=2) == first
    assert shares == [1]


def test_job_goes_its_way_when_handled_step_by_step(workshop: Workshop, picture: bytes) -> None:
    client: Client = workshop.client
    job = client.submit("grad-cam", "tiny", image=picture, opacity=0.9)
    assert job.state == "queued"
    assert client.submit("grad-cam", "tiny", image=picture, opacity=0.9).id == job.id
    assert client.submit("grad-cam", "tiny", image=picture, opacity=0.9, fresh=True).id != job.id
    assert next(client.jobs()).method == "grad-cam"
    worker = _in_background(workshop)
    done = client.wait(job.id)
    worker.join(LIMIT_SECONDS)
    assert done.state == "succeeded"
    assert done.result is not None
    events = list(client.watch(job.id))
    assert [event.name for event in events if isinstance(event, JobImage)] == [i.name for i in done.result.images]
    assert isinstance(events[-1], JobSummary)
    assert client.image(job.id, "overlay").startswith(b"\x89PNG")
    # It was asked for twice.
    client.delete(job.id)
    assert client.job(job.id).state == "succeeded"
    client.delete(job.id)
    with pytest.raises(ServiceError) as raised:
        client.job(job.id)
    assert raised.value.code == "job_not_found"


def test_datasets_are_named_when_asked_for(workshop: Workshop) -> None:
    client: Client = workshop.client
    assert {"glyphs", "shapes"} <= set(client.datasets().datasets)
