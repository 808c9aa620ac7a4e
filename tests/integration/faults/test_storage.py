"""There is no room for pictures, or no place for records."""

import resource
from pathlib import Path

import httpx2

from tests.contract.conftest import assert_problem
from tests.integration.faults.home import Home, find_images
from tests.integration.faults.scenario import ROUTE, quick, wait_until
from tests.server import Server

# No picture is as small.
LARGEST_FILE_BYTES = 100


def test_job_fails_and_the_worker_lives_when_the_disk_is_full(redis_home: Home) -> None:
    """Full for the worker's process alone: it may write no file as large as a picture."""
    witness, child = redis_home.witness, redis_home.child()
    before = find_images(redis_home.artifacts)
    body = quick()
    limits = resource.prlimit(child, resource.RLIMIT_FSIZE)
    resource.prlimit(child, resource.RLIMIT_FSIZE, (LARGEST_FILE_BYTES, limits[1]))
    try:
        for request in (body, quick()):
            seen = witness.wait_for_state(witness.submit(request), "failed")
            assert seen["error"]["code"] == "storage_full"
            assert seen["result"] is None
            assert seen["images"] == []
        assert find_images(redis_home.artifacts) == before
        assert not list(redis_home.artifacts.glob("results/*/*/.*.tmp"))
    finally:
        resource.prlimit(child, resource.RLIMIT_FSIZE, limits)
    # The same request is computed anew.
    witness.assert_succeeded(witness.submit(body))
    assert redis_home.child() == child


def test_job_is_done_when_the_place_of_pictures_is_away_for_a_moment(redis_home: Home) -> None:
    witness = redis_home.witness
    witness.assert_succeeded(witness.submit(quick()))
    place = redis_home.artifacts / "results"
    aside = place.rename(place.with_name("aside"))
    place.write_bytes(b"no folder")
    try:
        job = witness.submit(quick())
        attempt = witness.wait_for_start(job)
        wait_until(lambda: witness.outcome(job, attempt) == "retry", "the first attempt is given up")
    finally:
        place.unlink()
        aside.rename(place)
    starts = witness.assert_succeeded(job)
    assert [(attempt.chunk, attempt.number) for attempt in starts][:2] == [(0, 1), (0, 2)]


def test_interactive_requests_work_when_the_data_folder_cannot_be_written(tmp_path: Path, photo: bytes) -> None:
    (tmp_path / "file").write_text("no folder can be made in a file")
    places = {"CONVSCOPE_REDIS_URL": "", "CONVSCOPE_DATA": str(tmp_path / "file" / "data")}
    with Server(tmp_path / "server.log", **places) as server, httpx2.Client(base_url=server.url, timeout=30) as client:
        server.wait_until_ready()
        for _ in range(2):
            response = client.post(ROUTE, json=quick())
            assert_problem(response, 503, "jobs_unavailable")
            assert int(response.headers["Retry-After"]) >= 1
        assert_problem(client.get("/v1/jobs"), 503, "jobs_unavailable")
        assert client.post("/v1/models/shapes/predictions", files={"image": photo}).status_code == 200
        for route in ("/livez", "/readyz"):
            assert client.get(route).status_code == 200
        response = client.post(
            "/v1/models/shapes/grad-cam", files={"image": photo}, headers={"Prefer": "respond-async"}
        )
        assert response.status_code == 503
    assert "Traceback" not in server.log()
