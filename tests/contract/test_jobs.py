"""Jobs over HTTP: the real application and store; what computes is the real loop, when the test says so."""

import base64
import hashlib
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from schemas.jobs import Job, JobList, JobResult
from service.jobs.store.port import Worker
from service.settings import Settings
from tests.contract.conftest import assert_problem
from tests.contract.workshop import LIMIT_SECONDS, SLOW_CAM, Workshop, build, open_workshop, serve

GRAD_CAM = "/v1/models/tiny/grad-cam"
SLOW = f"/v1/models/tiny/{SLOW_CAM.name}"
ASYNC = {"Prefer": "respond-async"}
PNG = {"Accept": "image/png"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Workshop]:
    with open_workshop(repository, tmp_path_factory.mktemp("data")) as workshop:
        yield workshop


@pytest.fixture
def workshop(shared: Workshop) -> Workshop:
    """Without the jobs of the tests before."""
    while jobs := shared.client.get("/v1/jobs").json()["jobs"]:
        for job in jobs:
            assert shared.client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    shared.notifier.notified.clear()
    return shared


def _ask(workshop: Workshop, picture: bytes, path: str = SLOW, **options: Any) -> Any:
    return workshop.client.post(path, files={"image": picture}, **options)


def _finished(workshop: Workshop, picture: bytes, **params: str) -> dict[str, Any]:
    """A job that has succeeded, as `GET` shows it."""
    job = _ask(workshop, picture, data=params).json()
    assert workshop.work() == 1
    finished: dict[str, Any] = workshop.client.get(job["links"]["self"]).json()
    assert finished["state"] == "succeeded", finished
    return finished


# ---- submitting


def test_job_is_made_when_the_method_is_one_of_jobs(workshop: Workshop, picture: bytes) -> None:
    response = _ask(workshop, picture, data={"class_index": "2"})
    assert response.status_code == 202
    job = Job.model_validate_json(response.content)
    assert response.headers["location"] == job.links.self == f"/v1/jobs/{job.id}"
    assert int(response.headers["retry-after"]) >= 1
    assert "preference-applied" not in response.headers
    assert (job.state, job.model, job.version, job.method) == ("queued", "tiny", "1", SLOW_CAM.name)
    assert job.params["class_index"] == 2
    assert job.params["colormap"] == "inferno"
    assert (job.progress.done, job.progress.total, job.progress.fraction) == (0, 1, 0)
    assert (job.attempts, job.result, job.error, job.images) == (0, None, None, [])
    assert workshop.notifier.notified == [("cpu", 1)]


def test_job_gives_the_same_answer_as_the_request_when_both_are_asked(workshop: Workshop, picture: bytes) -> None:
    direct = _ask(workshop, picture, GRAD_CAM, data={"values": "raw"}).json()
    response = _ask(workshop, picture, GRAD_CAM, data={"values": "raw"}, headers=ASYNC)
    assert response.status_code == 202
    assert response.headers["preference-applied"] == "respond-async"
    workshop.work()
    job = workshop.client.get(response.headers["location"]).json()
    result = job["result"]
    assert (job["state"], job["attempts"], job["progress"]["fraction"]) == ("succeeded", 1, 1)
    assert job["created_at"] <= job["started_at"] <= job["finished_at"] < job["expires_at"]
    for member in direct.keys() - {"images", "timings_seconds"}:
        assert result[member] == direct[member], member
    assert [image["name"] for image in result["images"]] == [image["name"] for image in direct["images"]]
    for ours, theirs in zip(result["images"], direct["images"], strict=True):
        data = workshop.client.get(ours["href"]).content
        assert data == base64.b64decode(theirs["data"])
        assert ours["sha256"] == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("path", ["activations", "filters", "predictions", "versions/1/predictions"])
def test_every_method_becomes_a_job_when_that_is_preferred(workshop: Workshop, picture: bytes, path: str) -> None:
    files = {} if path == "filters" else {"image": picture}
    response = workshop.client.post(f"/v1/models/tiny/{path}", files=files, headers=ASYNC)
    assert response.status_code == 202
    workshop.work()
    job = workshop.client.get(response.headers["location"]).json()
    assert job["state"] == "succeeded", job["error"]
    JobResult.model_validate(job["result"])


@pytest.mark.parametrize(
    "prefer",
    ["Respond-Async", 'handling=lenient, respond-async; why="a, b"', 'respond-async=""', "x=,respond-async,wait=0"],
)
def test_preference_is_understood_when_written_otherwise(workshop: Workshop, picture: bytes, prefer: str) -> None:
    assert _ask(workshop, picture, GRAD_CAM, headers={"Prefer": prefer}).status_code == 202


@pytest.mark.parametrize("prefer", ["wait=5", "return=minimal", 'x="respond-async"', '"', ",,;=", "respond-async=no"])
def test_answer_comes_at_once_when_no_job_is_preferred(workshop: Workshop, picture: bytes, prefer: str) -> None:
    response = _ask(workshop, picture, GRAD_CAM, headers={"Prefer": prefer})
    assert response.status_code == 200
    assert "images" in response.json()
    assert workshop.client.get("/v1/jobs").json() == {"jobs": [], "next": None}


def test_gpu_takes_the_job_when_the_model_matches_a_pattern(tmp_path: Path, repository: Path, picture: bytes) -> None:
    with open_workshop(repository, tmp_path, gpu_models=("vgg*", "ti?y")) as workshop:
        assert _ask(workshop, picture).status_code == 202
        assert _ask(workshop, picture, f"/v1/models/open/{SLOW_CAM.name}").status_code == 202
        assert workshop.notifier.notified == [("gpu", 1), ("cpu", 1)]


# ---- the same request again


def test_job_is_the_same_when_the_request_is(workshop: Workshop, picture: bytes) -> None:
    first = _ask(workshop, picture, data={"opacity": "0.5"}).json()["id"]
    body = {"image": base64.b64encode(picture).decode(), "opacity": 0.5}
    again = workshop.client.post(SLOW, json=body)
    assert (again.status_code, again.json()["id"]) == (202, first)
    assert workshop.work() == 1
    finished = workshop.client.post(SLOW, json=body)
    assert (finished.status_code, finished.json()["id"]) == (200, first)
    assert finished.headers["location"] == f"/v1/jobs/{first}"
    assert "retry-after" not in finished.headers
    Job.model_validate_json(finished.content)
    assert _ask(workshop, picture, data={"opacity": "0.6"}).json()["id"] != first
    assert _ask(workshop, picture, "/v1/models/versions/slow-cam", data={"opacity": "0.5"}).json()["id"] != first
    fresh = _ask(workshop, picture, data={"opacity": "0.5"}, headers={"Cache-Control": "max-age=0, No-Cache"})
    assert fresh.status_code == 202
    assert fresh.json()["id"] != first


def test_job_is_computed_anew_when_the_earlier_one_was_cancelled(workshop: Workshop, picture: bytes) -> None:
    first = _ask(workshop, picture).json()["id"]
    workshop.client.post(f"/v1/jobs/{first}/cancel")
    assert _ask(workshop, picture).json()["id"] != first


def test_one_job_is_made_when_a_hundred_ask_at_once(workshop: Workshop, picture: bytes) -> None:
    start = threading.Barrier(20)

    def ask(number: int) -> Any:
        if number < 20:
            start.wait(LIMIT_SECONDS)
        return _ask(workshop, picture, headers={"Idempotency-Key": f"key-{number}"} if number % 2 else {})

    with ThreadPoolExecutor(20) as threads:
        responses = list(threads.map(ask, range(100)))
    assert Counter(response.status_code for response in responses) == {202: 100}
    assert len({response.json()["id"] for response in responses}) == 1
    assert len(workshop.client.get("/v1/jobs").json()["jobs"]) == 1
    assert workshop.work() == 1


# ---- waiting


def _work_soon(workshop: Workshop) -> threading.Thread:
    """Compute as soon as there is something."""

    def work() -> None:
        end = time.monotonic() + LIMIT_SECONDS
        while not workshop.work() and time.monotonic() < end:
            time.sleep(0.02)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_result_comes_when_it_is_there_in_time(workshop: Workshop, picture: bytes) -> None:
    worker = _work_soon(workshop)
    response = _ask(workshop, picture, headers={"Prefer": "wait=50"})
    worker.join(LIMIT_SECONDS)
    assert response.status_code == 200
    result = JobResult.model_validate_json(response.content)
    assert response.headers["content-location"] == response.headers["location"]
    assert response.headers["preference-applied"] == "wait=50"
    assert workshop.client.get(response.headers["content-location"]).json()["result"] == result.model_dump(mode="json")


def test_picture_comes_when_png_is_wanted_and_the_job_succeeds(workshop: Workshop, picture: bytes) -> None:
    waiting = _ask(workshop, picture, headers=PNG)
    assert (waiting.status_code, waiting.headers["content-type"]) == (202, "application/json")
    workshop.work()
    expected = _ask(workshop, picture, GRAD_CAM, headers=PNG).content
    for prefer in ({}, {"Prefer": "wait=10"}):
        response = _ask(workshop, picture, headers=PNG | prefer)
        assert (response.status_code, response.headers["content-type"]) == (200, "image/png")
        assert response.content == expected
        assert response.headers["location"] == waiting.headers["location"]
        assert workshop.client.get(response.headers["content-location"]).content == expected


def test_job_comes_when_the_result_is_not_there_in_time(workshop: Workshop, picture: bytes) -> None:
    response = _ask(workshop, picture, GRAD_CAM, headers={"Prefer": "respond-async, wait=1"})
    assert response.status_code == 202
    assert response.json()["state"] == "queued"
    assert response.headers["preference-applied"] == "respond-async, wait=1"
    assert "content-location" not in response.headers


@pytest.mark.parametrize("state", ["failed", "cancelled"])
@pytest.mark.parametrize("headers", [{}, PNG], ids=["json", "png"])
def test_job_comes_as_final_when_it_ends_without_a_result(
    workshop: Workshop, picture: bytes, state: str, headers: dict[str, str]
) -> None:
    def end() -> None:
        until = time.monotonic() + LIMIT_SECONDS
        while (claim := workshop.store.claim("cpu", Worker("hand", "hand-1"))) is None and time.monotonic() < until:
            time.sleep(0.02)
        assert claim is not None
        if state == "failed":
            workshop.fail(claim, "not_finite")
        else:
            workshop.store.cancel(claim.record.id)

    thread = threading.Thread(target=end)
    thread.start()
    key = {"Idempotency-Key": f"{state} {headers}"}
    waited = _ask(workshop, picture, headers=headers | key | {"Prefer": "wait=50"})
    thread.join(LIMIT_SECONDS)
    again = _ask(workshop, picture, headers=headers | key)
    for response in (waited, again):
        assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
        assert "retry-after" not in response.headers
        assert response.headers["content-location"] == response.headers["location"]
        assert response.json() == workshop.client.get(response.headers["location"]).json()
        assert Job.model_validate_json(response.content).state == state
    assert waited.headers["preference-applied"] == "wait=50"


def test_wait_is_cut_when_it_is_longer_than_allowed(tmp_path: Path, repository: Path, picture: bytes) -> None:
    with open_workshop(repository, tmp_path, jobs={"max_wait_seconds": 1}) as workshop:
        response = _ask(workshop, picture, headers={"Prefer": "wait=999999"})
        assert response.status_code == 202
        assert response.headers["preference-applied"] == "wait=1"


def test_many_wait_when_there_are_few_threads(workshop: Workshop, picture: bytes) -> None:
    start = threading.Barrier(51)

    def ask(_: int) -> Any:
        start.wait(LIMIT_SECONDS)
        # Fifty at once are more than are let in at once.
        while (answer := _ask(workshop, picture, headers={"Prefer": "wait=50"})).status_code == 503:
            time.sleep(0.05)
        return answer

    with ThreadPoolExecutor(50) as threads:
        futures = [threads.submit(ask, number) for number in range(50)]
        start.wait(LIMIT_SECONDS)
        # Answered at once, though more clients wait than there are threads.
        assert workshop.client.get("/v1/jobs").status_code == 200
        _work_soon(workshop).join(LIMIT_SECONDS)
        assert Counter(future.result().status_code for future in futures) == {200: 50}


# ---- Idempotency-Key


def _key(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def test_job_is_the_same_when_its_key_comes_again(workshop: Workshop, picture: bytes) -> None:
    fresh = {"Cache-Control": "no-cache"}
    first = _ask(workshop, picture, headers=_key("same one") | fresh).json()["id"]
    assert _ask(workshop, picture, headers=_key("same one") | fresh).json()["id"] == first
    assert _ask(workshop, picture, headers=_key("another") | fresh).json()["id"] != first
    workshop.client.post(f"/v1/jobs/{first}/cancel")
    again = _ask(workshop, picture, headers=_key("same one"))
    assert (again.status_code, again.json()["id"], again.json()["state"]) == (200, first, "cancelled")


def test_key_is_refused_when_it_comes_with_another_request(workshop: Workshop, picture: bytes) -> None:
    assert _ask(workshop, picture, headers=_key("reused")).status_code == 202
    for response in (
        _ask(workshop, picture, headers=_key("reused"), data={"opacity": "0.1"}),
        _ask(workshop, picture, "/v1/models/tiny/versions/1/slow-cam", headers=_key("reused")),
        _ask(workshop, picture, GRAD_CAM, headers=_key("reused") | ASYNC),
        _ask(workshop, picture + b"\0", headers=_key("reused")),
    ):
        assert_problem(response, 422, "idempotency_key_reused", "key")


def test_key_is_refused_when_its_first_request_is_not_answered_yet(workshop: Workshop, picture: bytes) -> None:
    from service.api.access.callers import ANYONE
    from service.api.job_requests import Asked, _fingerprint, key_of_owner
    from service.engine.images.photo import ImageFile
    from service.engine.running.request import Request

    params = SLOW_CAM.params.model_validate({})
    asked = Asked(ANYONE, "tiny", None, Request(SLOW_CAM, params, ImageFile(picture)), "application/json")
    assert workshop.store.reserve(key_of_owner("", "in progress"), _fingerprint(asked)) is None
    assert_problem(_ask(workshop, picture, headers=_key("in progress")), 409, "request_in_progress")


def test_key_is_free_again_when_its_request_was_refused(workshop: Workshop, picture: bytes) -> None:
    # Found out after the key was taken: when the work is cut.
    response = _ask(workshop, b"no picture", headers=_key("refused"))
    assert_problem(response, 422, "image_invalid")
    assert _ask(workshop, picture, headers=_key("refused")).status_code == 202


def test_key_is_free_again_when_the_model_is_unknown(workshop: Workshop, picture: bytes) -> None:
    for _ in range(2):
        response = _ask(workshop, picture, "/v1/models/nothing/slow-cam", headers=_key("unknown model"))
        assert_problem(response, 404, "model_not_found")
    assert _ask(workshop, picture, headers=_key("unknown model")).status_code == 202


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "k\u00e4se".encode(), "a\tb"])
def test_key_is_refused_when_it_makes_no_sense(workshop: Workshop, picture: bytes, key: str | bytes) -> None:
    assert_problem(_ask(workshop, picture, headers={"Idempotency-Key": key}), 422, "idempotency_key_invalid", "255")


# ---- refusals


def test_request_is_refused_at_once_when_it_could_not_be_computed(workshop: Workshop, picture: bytes) -> None:
    for options, status, code in (
        ({"data": {"opacity": "7"}}, 422, "invalid_parameters"),
        ({"data": {"nonsense": "7"}}, 422, "invalid_parameters"),
        ({"files": {"image": b"not a picture"}}, 422, "image_invalid"),
        ({"files": {}}, 422, "image_missing"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}, "files": None}, 400, "invalid_json"),
        ({"content": b"a=b", "headers": {"Content-Type": "text/plain"}, "files": None}, 415, "unsupported_media_type"),
        ({"headers": {"Accept": "text/html"}}, 406, "not_acceptable"),
    ):
        given = {"files": {"image": picture}} | options
        assert_problem(workshop.client.post(SLOW, **given), status, code)
    assert_problem(_ask(workshop, picture, "/v1/models/features/slow-cam"), 422, "method_unavailable")
    assert_problem(_ask(workshop, picture, "/v1/models/nothing/slow-cam"), 404, "model_not_found")
    assert workshop.client.get("/v1/jobs").json()["jobs"] == []


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("grad-cam", {"layer": "conv9"}, "layer_not_found"),
        ("grad-cam", {"layer": "scores"}, "layer_not_spatial"),
        ("grad-cam", {"class_index": "99"}, "class_out_of_range"),
        ("activations", {"layers": "0,conv9"}, "layer_not_found"),
        ("activations", {"channels": "0-9999"}, "channel_out_of_range"),
        ("filters", {"layer": "0"}, "layer_without_kernel"),
        ("filters", {"filters": "9999"}, "filter_out_of_range"),
        ("filter-patterns", {"layer": "conv9"}, "layer_not_found"),
        ("filter-patterns", {"layer": "0"}, "layer_without_filters"),
        ("filter-patterns", {"filters": "9999"}, "filter_out_of_range"),
        ("filter-patterns", {"steps": "1001"}, "job_too_large"),
        ("filter-patterns", {"steps": "10000000"}, "invalid_parameters"),
        ("filter-patterns", {"size": "513"}, "job_too_large"),
        ("filter-patterns", {"size": "0"}, "invalid_parameters"),
    ],
)
def test_job_is_refused_at_once_when_its_parameters_do_not_suit_the_model(
    workshop: Workshop, picture: bytes, method: str, params: dict[str, str], code: str
) -> None:
    response = _ask(workshop, picture, f"/v1/models/tiny/{method}", data=params, headers=ASYNC)
    assert_problem(response, 422, code)
    assert workshop.client.get("/v1/jobs").json()["jobs"] == []


def test_job_is_refused_when_as_many_wait_as_may(tmp_path: Path, repository: Path, picture: bytes) -> None:
    with open_workshop(repository, tmp_path, limits={"queued_jobs": 1}) as workshop:
        assert _ask(workshop, picture).status_code == 202
        assert _ask(workshop, picture).status_code == 202
        response = _ask(workshop, picture, data={"opacity": "0.1"})
        assert_problem(response, 503, "queue_full", "Try again")
        assert int(response.headers["retry-after"]) >= 1
        assert len(_files(tmp_path / "artifacts" / "inputs")) == 1


def test_job_is_refused_when_there_is_no_room_for_its_picture(tmp_path: Path, repository: Path, picture: bytes) -> None:
    with open_workshop(repository, tmp_path, limits={"input_bytes": len(picture) + 10}) as workshop:
        job = _ask(workshop, picture).json()
        assert _ask(workshop, picture, data={"opacity": "0.1"}).status_code == 202
        response = _ask(workshop, picture + b"behind")
        assert_problem(response, 507, "storage_full", "DELETE /v1/jobs", "CONVSCOPE_LIMITS__INPUT_BYTES")
        assert "retry-after" not in response.headers
        assert workshop.client.get("/v1/jobs").json()["jobs"][-1]["id"] == job["id"]
        _assert_interactive_works(workshop.client, picture + b"behind")


def test_job_fails_when_there_is_no_room_for_its_result(tmp_path: Path, repository: Path, picture: bytes) -> None:
    with open_workshop(repository, tmp_path, limits={"result_bytes": 100}) as workshop:
        job = _ask(workshop, picture).json()
        assert workshop.work() == 1
        failed = workshop.client.get(job["links"]["self"]).json()
        assert (failed["state"], failed["error"]["code"]) == ("failed", "storage_full")
        assert "CONVSCOPE_LIMITS__RESULT_BYTES" in failed["error"]["detail"]
        assert _files(tmp_path / "artifacts" / "results") == []


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_listing_is_refused_when_the_page_before_ended_with_an_unknown_job(workshop: Workshop) -> None:
    assert_problem(workshop.client.get("/v1/jobs?after=" + "0" * 32), 404, "job_not_found")


@pytest.mark.parametrize("route", ["", "/events", "/images/overlay", "/cancel"])
@pytest.mark.parametrize("job", ["0" * 32, "nonsense", "A" * 32, "0" * 31, "..%2f..", "0" * 5000])
def test_job_is_unknown_when_its_id_is(workshop: Workshop, job: str, route: str) -> None:
    method = "POST" if route == "/cancel" else "GET"
    response = workshop.client.request(method, f"/v1/jobs/{job}{route}")
    assert response.status_code == 404
    if "%" not in job:
        assert_problem(response, 404, "job_not_found")
        if not route:
            assert_problem(workshop.client.delete(f"/v1/jobs/{job}"), 404, "job_not_found")


def test_job_is_gone_when_its_time_is_over(tmp_path: Path, repository: Path, picture: bytes) -> None:
    with open_workshop(repository, tmp_path, jobs={"result_seconds": 0.05}) as workshop:
        job = _ask(workshop, picture).json()
        workshop.work()
        end = time.monotonic() + LIMIT_SECONDS
        while workshop.client.get(job["links"]["self"]).status_code == 200 and time.monotonic() < end:
            workshop.store.sweep()
        for response in (
            workshop.client.get(job["links"]["self"]),
            workshop.client.get(job["links"]["events"]),
            workshop.client.get(job["links"]["self"] + "/images/overlay"),
            workshop.client.post(job["links"]["cancel"]),
            workshop.client.delete(job["links"]["self"]),
        ):
            assert_problem(response, 410, "job_expired")


# ---- looking


def test_jobs_are_listed_newest_first_when_there_are_pages(workshop: Workshop) -> None:
    made = [workshop.submit() for _ in range(5)]
    listed, link, pages = [], "/v1/jobs?limit=2", 0
    while link:
        page = JobList.model_validate_json(workshop.client.get(link).content)
        listed += [job.id for job in page.jobs]
        link, pages = page.next or "", pages + 1
    assert listed == made[::-1]
    assert pages == 3
    assert len(workshop.client.get("/v1/jobs").json()["jobs"]) == 5


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "after=x", "after=" + "g" * 32])
def test_listing_is_refused_when_its_query_makes_no_sense(workshop: Workshop, query: str) -> None:
    assert_problem(workshop.client.get(f"/v1/jobs?{query}"), 422, "invalid_parameters")


def test_pictures_are_shown_when_only_some_chunks_are_done(workshop: Workshop) -> None:
    job = workshop.submit()
    first = workshop.claim()
    assert workshop.store.beat(first, 0.5) == "continue"
    half = workshop.client.get(f"/v1/jobs/{job}").json()
    assert half["state"] == "running"
    assert half["progress"] == {"done": 0, "total": 4, "unit": "filters", "fraction": 0.25}
    workshop.finish(first)
    partial = workshop.client.get(f"/v1/jobs/{job}").json()
    assert [image["name"] for image in partial["images"]] == ["filter-0", "filter-1"]
    assert (partial["result"], partial["progress"]["done"]) == (None, 2)
    assert partial["revision"] > half["revision"]
    assert workshop.client.get(partial["images"][1]["href"]).content == b"filter-1"
    assert_problem(workshop.client.get(f"/v1/jobs/{job}/images/filter-2"), 404, "image_not_found")
    workshop.finish(workshop.claim())
    combining = workshop.client.get(f"/v1/jobs/{job}").json()
    assert (combining["state"], combining["progress"]["fraction"]) == ("running", 1)
    workshop.finish(workshop.claim())
    whole = workshop.client.get(f"/v1/jobs/{job}").json()
    assert (whole["state"], whole["images"]) == ("succeeded", [])
    assert [image["name"] for image in whole["result"]["images"]] == ["sheet", *(f"filter-{n}" for n in range(4))]
    assert whole["result"]["values"] == {"note": "chunk 2"}


def test_error_is_shown_when_a_job_failed(workshop: Workshop) -> None:
    job = workshop.submit()
    workshop.fail(workshop.claim(), "not_finite")
    failed = workshop.client.get(f"/v1/jobs/{job}").json()
    assert (failed["state"], failed["result"]) == ("failed", None)
    assert failed["error"] == {"code": "not_finite", "detail": "it went wrong"}
    assert_problem(workshop.client.post(f"/v1/jobs/{job}/cancel"), 409, "job_ended")


def test_model_changed_is_told_when_its_file_is_another(
    tmp_path: Path, repository: Path, picture: bytes, keras_file: Any
) -> None:
    models = tmp_path / "models"
    shutil.copytree(repository / "tiny", models / "tiny")
    with open_workshop(models, tmp_path / "data") as workshop:
        job = _ask(workshop, picture).json()
        shutil.copy(keras_file("tiny", 7), models / "tiny" / "1" / "model.part")
        (models / "tiny" / "1" / "model.part").rename(models / "tiny" / "1" / "model.keras")
        workshop.services.catalog.refresh()
        workshop.work()
        failed = workshop.client.get(job["links"]["self"]).json()
        assert (failed["state"], failed["error"]["code"]) == ("failed", "model_changed")
        assert workshop.client.get("/problems/model_changed").status_code == 200


def test_picture_is_kept_by_its_client_when_it_has_it(workshop: Workshop, picture: bytes) -> None:
    image = _finished(workshop, picture)["result"]["images"][0]
    response = workshop.client.get(image["href"])
    assert response.headers["content-type"] == "image/png"
    assert response.headers["etag"] == f'"{image["sha256"]}"'
    caching = response.headers["cache-control"]
    assert {"private", "immutable"} < {directive.strip() for directive in caching.split(",")}
    assert 86_000 < int(caching.partition("max-age=")[2].partition(",")[0]) <= 86_400
    for tags in (response.headers["etag"], f'"x", W/{response.headers["etag"]}', "*"):
        unchanged = workshop.client.get(image["href"], headers={"If-None-Match": tags})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["etag"] == response.headers["etag"]
    assert workshop.client.get(image["href"], headers={"If-None-Match": '"x"'}).content == response.content
    head = workshop.client.head(image["href"])
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", response.headers["etag"])
    assert head.headers["content-length"] == str(len(response.content))


# ---- cancelling and forgetting


def test_job_is_cancelled_when_it_has_not_ended(workshop: Workshop, picture: bytes) -> None:
    queued = _ask(workshop, picture).json()
    first = workshop.client.post(queued["links"]["cancel"])
    assert (first.status_code, first.json()["state"]) == (202, "cancelled")
    assert workshop.client.post(queued["links"]["cancel"]).status_code == 200
    assert workshop.work() == 0
    running = workshop.submit()
    claim = workshop.claim()
    assert workshop.client.post(f"/v1/jobs/{running}/cancel").status_code == 202
    assert workshop.store.beat(claim, 0.5) == "cancel"
    done = _finished(workshop, picture)
    assert_problem(workshop.client.post(done["links"]["cancel"]), 409, "job_ended", "succeeded")


def test_job_is_forgotten_when_deleted(workshop: Workshop, picture: bytes) -> None:
    done = _finished(workshop, picture)
    image = done["result"]["images"][0]["href"]
    response = workshop.client.delete(done["links"]["self"])
    assert (response.status_code, response.content) == (204, b"")
    for path in (done["links"]["self"], image):
        assert_problem(workshop.client.get(path), 404, "job_not_found")
    assert_problem(workshop.client.delete(done["links"]["self"]), 404, "job_not_found")
    assert _ask(workshop, picture).status_code == 202


def test_job_stays_for_others_when_one_of_them_deletes_it(workshop: Workshop, picture: bytes) -> None:
    key = {"Idempotency-Key": "mine"}
    first, *repeated = (_ask(workshop, picture, headers=key).json()["id"] for _ in range(3))
    other = _ask(workshop, picture).json()
    assert {first, *repeated} == {other["id"]}
    assert workshop.client.delete(other["links"]["self"]).status_code == 204
    assert workshop.work() == 1
    done = workshop.client.get(other["links"]["self"]).json()
    assert done["state"] == "succeeded"
    assert workshop.client.get(done["result"]["images"][0]["href"]).status_code == 200
    assert workshop.client.delete(other["links"]["self"]).status_code == 204
    assert_problem(workshop.client.get(other["links"]["self"]), 404, "job_not_found")


def test_pictures_leave_the_disk_when_their_job_is_deleted(tmp_path: Path, repository: Path, picture: bytes) -> None:
    with open_workshop(repository, tmp_path) as workshop:
        done = _finished(workshop, picture)
        assert list((tmp_path / "artifacts" / "results").rglob("*.png"))
        workshop.client.delete(done["links"]["self"])
        assert not list((tmp_path / "artifacts" / "results").rglob("*.png"))


# ---- what jobs need is not there


def _assert_interactive_works(client: Any, picture: bytes) -> None:
    response = client.post(GRAD_CAM, files={"image": picture})
    assert response.status_code == 200


def test_only_jobs_are_refused_when_their_records_cannot_be_kept(
    tmp_path: Path, repository: Path, picture: bytes
) -> None:
    (tmp_path / "file").write_text("in the way")
    with open_workshop(repository, tmp_path / "file" / "data", artifacts=str(tmp_path / "artifacts")) as workshop:
        _assert_interactive_works(workshop.client, picture)
        for response in (
            _ask(workshop, picture),
            _ask(workshop, picture, headers=_key("x")),
            workshop.client.get("/v1/jobs"),
            workshop.client.get("/v1/jobs/" + "0" * 32),
            workshop.client.get(f"/v1/jobs/{'0' * 32}/events"),
        ):
            assert_problem(response, 503, "jobs_unavailable")
            assert int(response.headers["retry-after"]) >= 1
        (tmp_path / "file").unlink()
        (tmp_path / "file" / "data").mkdir(parents=True)
        assert _ask(workshop, picture).status_code == 202


def test_only_jobs_are_refused_when_their_pictures_cannot_be_kept(
    tmp_path: Path, repository: Path, picture: bytes
) -> None:
    (tmp_path / "file").write_text("in the way")
    with open_workshop(repository, tmp_path / "data", artifacts=str(tmp_path / "file" / "artifacts")) as workshop:
        _assert_interactive_works(workshop.client, picture)
        for _ in range(2):
            response = _ask(workshop, picture, headers=_key("x"))
            assert_problem(response, 503, "storage_unavailable")
            assert int(response.headers["retry-after"]) >= 1
        assert workshop.client.get("/v1/jobs").json()["jobs"] == []


def test_picture_is_missing_when_its_file_is(tmp_path: Path, repository: Path, picture: bytes) -> None:
    with open_workshop(repository, tmp_path) as workshop:
        done = _finished(workshop, picture)
        shutil.rmtree(tmp_path / "artifacts" / "results")
        assert_problem(workshop.client.get(done["result"]["images"][0]["href"]), 404, "image_not_found")


def test_data_folder_is_its_owners_alone_when_made_on_demand(tmp_path: Path, repository: Path) -> None:
    folder = tmp_path / "made" / "on demand"
    with open_workshop(repository, folder) as workshop:
        assert workshop.client.get("/v1/jobs").status_code == 200
    assert folder.stat().st_mode & 0o777 == 0o700


def test_data_lies_in_the_users_folder_when_nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert Settings().data_folder == tmp_path / "convscope"
    assert Settings().artifacts_url == str(tmp_path / "convscope" / "artifacts")
    monkeypatch.setenv("XDG_DATA_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings().data_folder == tmp_path / ".local" / "share" / "convscope"


def test_waiting_ends_when_the_server_stops(tmp_path: Path, repository: Path, picture: bytes) -> None:
    app, _ = build(repository, tmp_path)
    with ThreadPoolExecutor(1) as threads:
        with serve(app) as url:
            headers = {"Prefer": "wait=60"}
            asked = threads.submit(
                httpx2.post, url + SLOW, files={"image": picture}, headers=headers, timeout=LIMIT_SECONDS * 2
            )
            end = time.monotonic() + LIMIT_SECONDS
            while not httpx2.get(url + "/v1/jobs").json()["jobs"]:
                assert time.monotonic() < end
                time.sleep(0.05)
        assert asked.result().status_code == 202
