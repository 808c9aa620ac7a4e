"""Jobs that cannot be computed any more, have ended already, or were deleted."""

import os
import shutil
import signal
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from service.composition.models import BUILT_IN_MODELS
from tests.contract.conftest import assert_problem
from tests.event_stream import Stream
from tests.integration.faults.home import Home
from tests.integration.faults.scenario import quick, slow


@contextmanager
def own_model(home: Home, name: str) -> Iterator[Path]:
    """A copy of the built-in model in the service's folder, as long as the block lasts; yields its file."""
    folder = home.folder / "models" / name
    shutil.copytree(BUILT_IN_MODELS / "shapes", folder)
    try:
        yield folder / "1" / "model.keras"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def submit_unseen(home: Home, model: str) -> tuple[str, int]:
    """Submit a job for a model while the worker's process, whose id comes second, is stopped."""
    child = home.child()
    os.kill(child, signal.SIGSTOP)
    # The service looks at its folders now and then, and when it is told to load; the worker has not looked since.
    assert home.client.post(f"/v1/models/{model}/load").status_code == 200
    response = home.client.post(f"/v1/models/{model}/filter-patterns", json=quick())
    assert response.status_code == 202, response.text
    return response.json()["id"], child


def test_job_fails_when_its_model_changes_before_it_runs(redis_home: Home) -> None:
    with own_model(redis_home, "changing") as file:
        job, child = submit_unseen(redis_home, "changing")
        try:
            with zipfile.ZipFile(file, "a") as archive:
                archive.comment = b"other bytes"
        finally:
            os.kill(child, signal.SIGCONT)
        seen = redis_home.witness.wait_for_state(job, "failed")
        assert seen["error"]["code"] == "model_changed"
        # Sent again, as its error advises, it is another job, checked against the new file.
        assert redis_home.client.post("/v1/models/changing/load").status_code == 200
        response = redis_home.client.post("/v1/models/changing/filter-patterns", json=seen["params"])
        assert response.status_code == 202
        redis_home.witness.wait_for_state(response.json()["id"], "succeeded")


def test_job_fails_when_its_model_is_gone_before_it_runs(redis_home: Home) -> None:
    with own_model(redis_home, "going") as file:
        job, child = submit_unseen(redis_home, "going")
        try:
            shutil.rmtree(file.parents[1])
        finally:
            os.kill(child, signal.SIGCONT)
        seen = redis_home.witness.wait_for_state(job, "failed")
    assert seen["error"]["code"] == "model_not_found"
    redis_home.witness.assert_succeeded(redis_home.witness.submit(quick()))


def test_cancel_is_refused_when_the_job_has_ended(redis_home: Home) -> None:
    job = redis_home.witness.submit(quick())
    redis_home.witness.assert_succeeded(job)
    assert_problem(redis_home.cancel(job), 409, "job_ended", job)
    redis_home.witness.assert_succeeded(job)


def test_nothing_is_left_when_a_job_is_deleted_while_it_is_computed_and_watched(redis_home: Home) -> None:
    client, witness = redis_home.client, redis_home.witness
    # In chunks, so that there are pictures already.
    job = witness.submit(slow(seconds=0.5, filters="0-47"))
    other = redis_home.servers[1].url
    with httpx2.stream("GET", f"{other}/v1/jobs/{job}/events", timeout=30) as response:
        stream = Stream(response)
        picture = stream.until("image")[-1].data["href"]
        assert client.get(picture).status_code == 200
        assert client.delete(f"/v1/jobs/{job}").status_code == 204
        last = list(stream)[-1]
    assert (last.name, last.data["code"], last.data["status"]) == ("error", "job_not_found", 404)
    for route in (f"/v1/jobs/{job}", picture, f"/v1/jobs/{job}/events"):
        assert_problem(client.get(route), 404, "job_not_found", job)
    attempt = witness.attempts(job)[-1]
    witness.assert_succeeded(witness.submit(quick()))
    assert witness.outcome(job, attempt) == "cancel"
    witness.jobs.remove(job)
