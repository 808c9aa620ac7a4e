"""Two owners of one service: by no route does one hear of the other's jobs, not even that there are any."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from starlette.testclient import TestClient

from schemas.results import ResultImage
from service.api.access.callers import Role
from service.api.access.keys.changing import add_key
from service.jobs.store.port import Worker
from tests.contract.conftest import assert_problem
from tests.contract.workshop import Workshop, build, make_part
from tests.server import ROOT

GRAD_CAM = "/v1/models/tiny/grad-cam"
CALLERS: Final[dict[str, Role]] = {"ann": "use", "bob": "use", "root": "admin"}
# By what their keys allow them.
BOUNDED: Final = {
    "few-jobs": {"queued_jobs": 1},
    "few-items": {"job_items": 1},
    "few-bytes": {"stored_bytes": 500},
}
NEVER: Final = "0" * 32
# What differs by chance, counts the caller's own requests, or says the length of what was compared already.
_CHANCE: Final = {"date", "ratelimit", "content-length"}


@dataclass
class Owned(Workshop):
    """A workshop that asks for keys."""

    keys: dict[str, str]

    def by(self, caller: str) -> dict[str, str]:
        """The headers of a request of that caller."""
        return {"Authorization": f"Bearer {self.keys[caller]}"}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Owned]:
    path = tmp_path_factory.mktemp("keys") / "keys"
    # Requests have limits of their own.
    many = {"requests_per_minute": 10**6, "requests_at_a_time": 100}
    keys = {name: add_key(path, name, role, limits=many)[0] for name, role in CALLERS.items()}
    keys |= {name: add_key(path, name, "use", limits=many | limits)[0] for name, limits in BOUNDED.items()}
    app, notifier = build(repository, tmp_path_factory.mktemp("data"), api_keys=path)
    with TestClient(app, raise_server_exceptions=False, base_url="http://127.0.0.1") as client:
        yield Owned(app, client, notifier, keys)


@pytest.fixture(autouse=True)
def _no_jobs(workshop: Owned) -> None:
    for job in workshop.store.list(limit=1000):
        while not workshop.store.delete(job.record.id):
            pass


def _ask(workshop: Owned, caller: str, picture: bytes, **headers: str) -> Any:
    """For a job."""
    return _compute(workshop, caller, picture, Prefer="respond-async", **headers)


def _compute(workshop: Owned, caller: str, picture: bytes, **headers: str) -> Any:
    return workshop.client.post(GRAD_CAM, files={"image": picture}, headers=workshop.by(caller) | headers)


def _listed(workshop: Owned, caller: str, limit: int = 50) -> list[dict[str, Any]]:
    """All jobs that the caller is shown, page by page."""
    jobs: list[dict[str, Any]] = []
    link = f"/v1/jobs?limit={limit}"
    while link is not None:
        page = workshop.client.get(link, headers=workshop.by(caller)).json()
        jobs, link = jobs + page["jobs"], page["next"]
    return jobs


def _finish(workshop: Owned) -> None:
    """The oldest chunk comes to an end, with one picture, without being computed."""
    claim = workshop.store.claim("cpu", Worker("hand", uuid4().hex))
    if claim is not None:
        image = ResultImage(name="overlay", layer="conv1", width=1, height=1, data=claim.record.id.encode())
        stored = workshop.artifacts.write_pictures(claim.record.id, claim.chunk, claim.fence, [image])
        assert workshop.store.finish(claim, make_part(stored, claim.record.id)) == "continue"


def _told(answer: Any, job: str) -> tuple[int, dict[str, str], str]:
    """Everything that a client could tell two answers apart by, but for the id."""
    headers = {name: value.replace(job, "ID") for name, value in answer.headers.items() if name not in _CHANCE}
    return answer.status_code, headers, answer.text.replace(job, "ID")


def _routes() -> list[tuple[str, str]]:
    """Every method and path about one job, by OpenAPI: a new one is asked without a line here."""
    paths = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))["paths"]
    found = [(method.upper(), path) for path, operations in paths.items() if "{job}" in path for method in operations]
    assert len(found) >= 5
    return found


def _by_every_route(workshop: Owned, caller: str, job: str) -> Iterator[Any]:
    headers = workshop.by(caller)
    for method, path in _routes():
        for more in ({}, {"If-None-Match": "*"}, {"Last-Event-ID": "1"}):
            yield workshop.client.request(
                method, path.replace("{job}", job).replace("{name}", "overlay"), headers=headers | more
            )
    yield workshop.client.head(f"/v1/jobs/{job}/images/overlay", headers=headers)
    yield workshop.client.get(f"/v1/jobs?after={job}", headers=headers)


@pytest.mark.parametrize("state", ["queued", "running", "succeeded", "cancelled", "expired"])
def test_job_is_like_none_to_another_owner_by_every_route(workshop: Owned, picture: bytes, state: str) -> None:
    job = _ask(workshop, "ann", picture).json()["id"]
    if state == "running":
        workshop.store.claim("cpu", Worker("hand", uuid4().hex))
    if state == "succeeded":
        _finish(workshop)
    if state in {"cancelled", "expired"}:
        workshop.store.cancel(job)
    if state == "expired":
        with workshop.store._file.writing() as db:  # type: ignore[attr-defined]
            db.execute("UPDATE jobs SET expires = 1")
        workshop.store.sweep()
    before = workshop.client.get(f"/v1/jobs/{job}", headers=workshop.by("ann"))
    theirs, nobodys = list(_by_every_route(workshop, "bob", job)), list(_by_every_route(workshop, "bob", NEVER))
    assert [_told(answer, job) for answer in theirs] == [_told(answer, NEVER) for answer in nobodys]
    assert {answer.status_code for answer in theirs} == {404}
    # Nothing has happened to it, and its owner and an admin are answered.
    for caller in ("ann", "root"):
        after = workshop.client.get(f"/v1/jobs/{job}", headers=workshop.by(caller))
        assert after.status_code == before.status_code == (410 if state == "expired" else 200)
    if state != "expired":
        assert workshop.client.get(f"/v1/jobs/{job}", headers=workshop.by("ann")).json() == before.json()
        assert {caller: job in [found["id"] for found in _listed(workshop, caller)] for caller in CALLERS} == {
            "ann": True,
            "bob": False,
            "root": True,
        }


def test_equal_requests_of_two_owners_are_two_jobs(workshop: Owned, picture: bytes) -> None:
    answers = {caller: _ask(workshop, caller, picture) for caller in ("ann", "bob", "root")}
    jobs = {caller: answer.json()["id"] for caller, answer in answers.items()}
    assert len(set(jobs.values())) == 3
    first, *others = (_told(answer, jobs[caller]) for caller, answer in answers.items())
    assert [status for status, *_ in others] == [first[0]] * 2 == [202] * 2
    # Of each that ended, only its owner's same request is answered at once.
    _finish(workshop)
    again = {caller: _ask(workshop, caller, picture) for caller in ("ann", "bob", "root")}
    assert [answer.status_code for answer in again.values()] == [200, 202, 202]
    assert {caller: answer.json()["id"] for caller, answer in again.items()} == jobs


def test_idempotency_keys_are_an_owners_own(workshop: Owned, picture: bytes) -> None:
    key = {"Idempotency-Key": "one key"}
    first = _ask(workshop, "ann", picture, **key).json()["id"]
    # With another body it would be 422 to her.
    other = _ask(workshop, "bob", picture + b"\0", **key)
    assert other.status_code == 202
    assert other.json()["id"] != first
    assert _ask(workshop, "ann", picture, **key).json()["id"] == first
    assert_problem(_ask(workshop, "ann", picture + b"\0", **key), 422, "idempotency_key_reused")


def test_kept_answers_are_an_owners_own(workshop: Owned, picture: bytes) -> None:
    first = _compute(workshop, "ann", picture)
    assert first.headers["cache-status"] == "convscope; fwd=miss"
    theirs = _compute(workshop, "bob", picture, **{"If-None-Match": first.headers["etag"]})
    assert (theirs.status_code, theirs.headers["cache-status"]) == (200, "convscope; fwd=miss")
    assert theirs.headers["etag"].partition(".")[0] != first.headers["etag"].partition(".")[0]
    for caller, answer in (("ann", first), ("bob", theirs)):
        again = _compute(workshop, caller, picture, **{"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.headers["cache-status"]) == (304, "convscope; hit")


def test_owner_is_shown_to_admins_alone(workshop: Owned, picture: bytes) -> None:
    asked = _ask(workshop, "ann", picture)
    link = asked.json()["links"]["self"]
    assert asked.json()["owner"] is None
    _finish(workshop)
    for caller, owner in (("ann", None), ("root", "ann")):
        assert workshop.client.get(link, headers=workshop.by(caller)).json()["owner"] == owner
        assert [job["owner"] for job in _listed(workshop, caller)] == [owner]
        events = workshop.client.get(f"{link}/events", headers=workshop.by(caller)).text
        assert ('"owner":"ann"' in events) == (owner == "ann")
    assert _ask(workshop, "root", picture).json()["owner"] == "root"


def test_admin_may_end_and_forget_the_jobs_of_others(workshop: Owned, picture: bytes) -> None:
    job = _ask(workshop, "ann", picture).json()
    assert workshop.client.post(job["links"]["cancel"], headers=workshop.by("root")).json()["state"] == "cancelled"
    assert workshop.client.delete(job["links"]["self"], headers=workshop.by("root")).status_code == 204
    assert workshop.client.get(job["links"]["self"], headers=workshop.by("ann")).status_code == 404


@pytest.mark.parametrize(
    ("caller", "words"),
    [
        ("few-jobs", ("1 of your jobs", "queued_jobs", "cancel")),
        ("few-items", ("1 items", "job_items", "ask for less")),
        ("few-bytes", ("stored_bytes", "Delete jobs")),
    ],
)
def test_owner_is_refused_at_its_limit_and_nobody_else(
    workshop: Owned, picture: bytes, caller: str, words: tuple[str, ...]
) -> None:
    first = _ask(workshop, caller, picture)
    assert first.status_code == 202
    if caller == "few-bytes":
        _finish(workshop)
    refused = _ask(workshop, caller, picture + bytes(200))
    problem = assert_problem(refused, 429, "owner_limit_reached", *words)
    assert int(refused.headers["retry-after"]) >= 1
    assert first.json()["id"] not in problem["detail"]
    # The same request again is the same job, and others are not touched.
    assert _ask(workshop, caller, picture).json()["id"] == first.json()["id"]
    for other in ("ann", "root"):
        assert _ask(workshop, other, picture + bytes(200)).status_code == 202
    for _ in range(2):
        assert workshop.client.delete(first.json()["links"]["self"], headers=workshop.by(caller)).status_code == 204
    assert _ask(workshop, caller, picture + bytes(200)).status_code == 202


class _Service(RuleBasedStateMachine):
    """Two owners and an admin ask, in any order, and see what a simple model of it says."""

    workshop: Owned
    picture: bytes

    def __init__(self) -> None:
        super().__init__()
        # By id, oldest first: whose it is, what was asked, its state, and how many requests it answers.
        self.jobs: dict[str, dict[str, Any]] = {}
        self.keys: dict[tuple[str, str], tuple[int, str]] = {}
        # Keys are remembered, whatever becomes of the jobs: each run has its own.
        self.run = uuid4().hex

    @rule(caller=st.sampled_from(sorted(CALLERS)), what=st.integers(0, 1), key=st.sampled_from([None, "x", "y"]))
    def ask(self, caller: str, what: int, key: str | None) -> None:
        headers = {} if key is None else {"Idempotency-Key": self.run + key}
        answer = _ask(self.workshop, caller, self.picture + bytes(what), **headers)
        known = None if key is None else self.keys.get((caller, key))
        if known is not None and known[0] != what:
            assert_problem(answer, 422, "idempotency_key_reused")
            return
        if known is not None and known[1] not in self.jobs:
            assert_problem(answer, 404, "job_not_found")
            return
        job = answer.json()["id"]
        equal = self._equal(caller, what) if known is None else known[1]
        assert equal in {None, job}
        if equal is None:
            assert job not in self.jobs
            self.jobs[job] = {"owner": caller, "what": what, "state": "queued", "requests": 1}
        elif known is None:
            self.jobs[job]["requests"] += 1
        if key is not None:
            self.keys[caller, key] = what, job
        assert answer.status_code == (202 if self.jobs[job]["state"] == "queued" else 200)

    @rule(caller=st.sampled_from(sorted(CALLERS)), at=st.integers(0, 5))
    def cancel(self, caller: str, at: int) -> None:
        if job := self._pick(at):
            answer = self.workshop.client.post(f"/v1/jobs/{job}/cancel", headers=self.workshop.by(caller))
            known = self.jobs[job]
            expected = {"queued": 202, "cancelled": 200, "succeeded": 409}[known["state"]]
            assert answer.status_code == (expected if self._sees(caller, job) else 404)
            if answer.status_code == 202:
                known["state"] = "cancelled"

    @rule(caller=st.sampled_from(sorted(CALLERS)), at=st.integers(0, 5))
    def delete(self, caller: str, at: int) -> None:
        if job := self._pick(at):
            answer = self.workshop.client.delete(f"/v1/jobs/{job}", headers=self.workshop.by(caller))
            assert answer.status_code == (204 if self._sees(caller, job) else 404)
            if answer.status_code == 204:
                self.jobs[job]["requests"] -= 1
                if not self.jobs[job]["requests"]:
                    del self.jobs[job]

    @rule()
    def finish(self) -> None:
        _finish(self.workshop)
        if queued := [job for job, known in self.jobs.items() if known["state"] == "queued"]:
            done = [job for job in queued if self.workshop.store.get(job).state == "succeeded"]
            assert len(done) == 1
            self.jobs[done[0]]["state"] = "succeeded"

    @rule(caller=st.sampled_from(sorted(CALLERS)), at=st.integers(0, 5))
    def look(self, caller: str, at: int) -> None:
        if job := self._pick(at):
            link, headers = f"/v1/jobs/{job}", self.workshop.by(caller)
            found = self.workshop.client.get(link, headers=headers)
            image = self.workshop.client.get(f"{link}/images/overlay", headers=headers)
            if not self._sees(caller, job):
                assert_problem(found, 404, "job_not_found")
                assert_problem(image, 404, "job_not_found")
                return
            assert found.json()["state"] == self.jobs[job]["state"]
            if self.jobs[job]["state"] == "succeeded":
                assert image.content == job.encode()
            else:
                assert_problem(image, 404, "image_not_found")

    @invariant()
    def each_is_listed_its_own(self) -> None:
        for caller in CALLERS:
            expected = [(job, self._shown(caller, job)) for job in self.jobs if self._sees(caller, job)]
            listed = _listed(self.workshop, caller, limit=2)
            assert [(job["id"], job["owner"]) for job in listed] == expected[::-1]

    def teardown(self) -> None:
        for job in self.jobs:
            while not self.workshop.store.delete(job):
                pass

    def _pick(self, at: int) -> str | None:
        return list(self.jobs)[at % len(self.jobs)] if self.jobs else None

    def _equal(self, caller: str, what: int) -> str | None:
        return next(
            (
                job
                for job, known in self.jobs.items()
                if (known["owner"], known["what"]) == (caller, what) and known["state"] != "cancelled"
            ),
            None,
        )

    def _sees(self, caller: str, job: str) -> bool:
        return caller in {"root", self.jobs[job]["owner"]}

    def _shown(self, caller: str, job: str) -> str | None:
        return self.jobs[job]["owner"] if caller == "root" else None


def test_each_sees_its_own_whatever_all_of_them_do(workshop: Owned, picture: bytes) -> None:
    class Service(_Service):
        pass

    Service.workshop, Service.picture = workshop, picture
    run_state_machine_as_test(
        Service,
        settings=settings(
            max_examples=8,
            stateful_step_count=15,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
