"""Webhooks over HTTP: what a request may ask for, who is told, what the job shows, and whose secret it is."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from schemas.jobs import Job, WebhookMessage
from service.jobs.store.outbox import SigningSecrets, make_secret
from service.jobs.webhooks.message import sign
from tests.contract.conftest import assert_problem, encoded
from tests.contract.keyed import Keyed, make_keyed
from tests.contract.test_sessions import sign_in
from tests.contract.workshop import SLOW_CAM, Workshop, open_workshop
from tests.ports import free_port
from tests.receiver import Receiver

GRAD_CAM = "/v1/models/tiny/grad-cam"
SLOW = f"/v1/models/tiny/{SLOW_CAM.name}"
ASYNC = {"Prefer": "respond-async"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, small_repository: Path) -> Iterator[Workshop]:
    settings = {"webhooks_allow": "127.0.0.1", "public_url": "https://vision.example.com/tools/"}
    with open_workshop(small_repository, tmp_path_factory.mktemp("data"), **settings) as workshop:
        yield workshop


@pytest.fixture
def workshop(shared: Workshop) -> Workshop:
    """Without the jobs of the tests before."""
    while jobs := shared.client.get("/v1/jobs").json()["jobs"]:
        for job in jobs:
            shared.client.delete(f"/v1/jobs/{job['id']}")
    return shared


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


def ask(
    workshop: Workshop, picture: bytes, path: str = SLOW, headers: dict[str, str] | None = None, **data: Any
) -> Any:
    return workshop.client.post(path, files={"image": picture}, data=data, headers=headers or {})


def look(workshop: Workshop, job: str) -> dict[str, Any]:
    found: dict[str, Any] = workshop.client.get(f"/v1/jobs/{job}").json()
    Job.model_validate(found)
    return found


def secret(workshop: Workshop) -> str:
    return str(workshop.client.get("/v1/webhooks/secret").json()["secret"])


def test_receiver_is_sent_the_job_as_it_is_shown(workshop: Workshop, receiver: Receiver, picture: bytes) -> None:
    job = ask(workshop, picture, webhook=f"{receiver.url}/hook?token=secret").json()
    assert job["webhooks"] == [
        {
            "receiver": receiver.url,
            "events": ["completed"],
            "state": "waiting",
            "attempts": 0,
            "last_status": None,
            "last_error": None,
            "next_at": None,
        }
    ]
    assert workshop.work() == 1
    (message,) = receiver.wait()
    sent = message.verify(secret(workshop))
    WebhookMessage.model_validate(sent)
    receiver.wait_until(lambda: look(workshop, job["id"])["webhooks"][0]["state"] == "delivered", "it is delivered")
    shown = look(workshop, job["id"])
    assert (shown["webhooks"][0]["attempts"], shown["webhooks"][0]["last_status"]) == (1, 204)
    assert sent.pop("type") == "job.completed"
    assert (sent.pop("webhooks"), len(shown.pop("webhooks"))) == ([], 1)
    # The same, but for whom links are for.
    text = message.body.decode().replace("https://vision.example.com/tools/v1/", "/v1/")
    assert "https://vision" not in text
    assert {**shown, "links": 0, "result": 0} == {**sent, "links": 0, "result": 0}
    assert sent["links"]["self"] == f"https://vision.example.com/tools{shown['links']['self']}"
    hrefs = [image["href"] for image in sent["result"]["images"]]
    assert hrefs == [f"https://vision.example.com/tools{image['href']}" for image in shown["result"]["images"]]


def test_webhook_comes_by_form_and_by_json(workshop: Workshop, receiver: Receiver, picture: bytes) -> None:
    def events(response: Any) -> list[str]:
        assert response.status_code == 202, response.text
        found: list[str] = response.json()["webhooks"][-1]["events"]
        return found

    url = receiver.url
    assert events(ask(workshop, picture, webhook=url, webhook_events="progress, completed")) == [
        "completed",
        "progress",
    ]
    assert events(ask(workshop, picture, webhook=url, webhook_events=["output", "output"])) == ["output"]
    body = {"image": encoded(picture), "webhook": url}
    for given, expected in (
        ({}, ["completed"]),
        ({"webhook_events": None}, ["completed"]),
        ({"webhook_events": ["output", "completed"]}, ["completed", "output"]),
        ({"webhook_events": "output,completed"}, ["completed", "output"]),
    ):
        response = workshop.client.post(GRAD_CAM, json=body | {"class_index": 1} | given, headers=ASYNC)
        assert events(response) == expected


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://2852039166/",
            "https://0xa9.0xfea9fe/",
            "https://[::ffff:169.254.169.254]/",
            "https://169.254.169.254/",
        ),
        *("https://[::1]/", "https://10.0.0.1/", "https://[fd00:ec2::254]/", "http://8.8.8.8/", "https://8.8.8.8:22/"),
        *("ftp://8.8.8.8/", "no URL", "https://user:word@8.8.8.8/", f"https://8.8.8.8/{'a' * 3000}"),
    ],
)
def test_job_is_refused_when_its_webhook_leads_inside(workshop: Workshop, picture: bytes, url: str) -> None:
    problem = assert_problem(ask(workshop, picture, webhook=url), 422, "address_refused")
    assert [error["pointer"] for error in problem["errors"]] == ["#/webhook"]
    assert workshop.client.get("/v1/jobs").json()["jobs"] == []


@pytest.mark.parametrize(
    ("given", "code", "pointer"),
    [
        ({"webhook": 7}, "address_refused", "#/webhook"),
        ({"webhook": ["https://8.8.8.8"]}, "address_refused", "#/webhook"),
        ({"webhook_events": ["completed"]}, "invalid_parameters", "#/webhook_events"),
        ({"webhook": "https://8.8.8.8", "webhook_events": []}, "invalid_parameters", "#/webhook_events"),
        ({"webhook": "https://8.8.8.8", "webhook_events": ["done"]}, "invalid_parameters", "#/webhook_events"),
        ({"webhook": "https://8.8.8.8", "webhook_events": [1]}, "invalid_parameters", "#/webhook_events"),
        ({"webhook": "https://8.8.8.8", "webhook_events": {}}, "invalid_parameters", "#/webhook_events"),
    ],
)
def test_problem_points_at_what_is_wrong(
    workshop: Workshop, picture: bytes, given: dict[str, Any], code: str, pointer: str
) -> None:
    response = workshop.client.post(SLOW, json={"image": encoded(picture)} | given)
    assert [error["pointer"] for error in assert_problem(response, 422, code)["errors"]] == [pointer]


def test_request_that_is_answered_at_once_tells_nobody(workshop: Workshop, receiver: Receiver, picture: bytes) -> None:
    response = ask(workshop, picture, GRAD_CAM, webhook=receiver.url)
    problem = assert_problem(response, 422, "webhook_without_job", "Prefer: respond-async")
    assert problem["errors"][0]["pointer"] == "#/webhook"
    assert ask(workshop, picture, GRAD_CAM, ASYNC, webhook=receiver.url).status_code == 202


def test_equal_request_adds_its_webhook_and_an_ended_job_is_sent_at_once(
    workshop: Workshop, receiver: Receiver, picture: bytes
) -> None:
    first = ask(workshop, picture, class_index="2").json()
    assert first["webhooks"] == []
    second = ask(workshop, picture, class_index="2", webhook=f"{receiver.url}/second").json()
    assert (second["id"], len(second["webhooks"])) == (first["id"], 1)
    assert workshop.work() == 1
    receiver.wait()
    third = ask(workshop, picture, class_index="2", webhook=f"{receiver.url}/third")
    assert (third.status_code, third.json()["id"]) == (200, first["id"])
    assert [message.path for message in receiver.wait(2)] == ["/second", "/third"]
    assert {message.json["id"] for message in receiver.messages} == {first["id"]}


def test_webhook_is_part_of_the_request_that_a_key_repeats(
    workshop: Workshop, receiver: Receiver, picture: bytes
) -> None:
    headers = {"Idempotency-Key": "one"}
    first = ask(workshop, picture, headers=headers, webhook=receiver.url)
    again = ask(workshop, picture, headers=headers, webhook=receiver.url)
    assert (first.json()["id"], len(again.json()["webhooks"])) == (again.json()["id"], 1)
    other = ask(workshop, picture, headers=headers, webhook=f"{receiver.url}/other")
    assert_problem(other, 422, "idempotency_key_reused")


def test_metrics_tell_of_deliveries(workshop: Workshop, receiver: Receiver, picture: bytes) -> None:
    ask(workshop, picture, webhook=receiver.url)
    workshop.work()
    receiver.wait()
    receiver.wait_until(lambda: workshop.store.delivery_counts().pending == 0, "it is settled")
    text = workshop.client.get("/metrics").text
    assert "convscope_webhooks_pending 0.0" in text
    counts = [line for line in text.splitlines() if line.startswith("convscope_webhook_attempts_total{")]
    assert [line.split('"')[1] for line in counts] == ["delivered", "retried", "given_up", "stopped"]
    assert float(counts[0].split()[-1]) >= 1


def test_secret_is_the_owners_and_told_to_a_key_alone(tmp_path: Path) -> None:
    keyed: Keyed = make_keyed(tmp_path)
    client = keyed.client

    def ask_for_secret(kind: str) -> Any:
        return client.get("/v1/webhooks/secret", headers=keyed.headers(kind))

    mine = ask_for_secret("use")
    assert (mine.status_code, mine.headers["cache-control"]) == (200, "no-store")
    assert mine.json()["secret"].startswith("whsec_")
    assert mine.json()["previous_until"] is None
    assert ask_for_secret("use").json() == mine.json()
    assert ask_for_secret("admin").json()["secret"] != mine.json()["secret"]
    by_other_header = client.get("/v1/webhooks/secret", headers={"X-API-Key": str(keyed.keys["use"])})
    assert by_other_header.json() == mine.json()
    assert_problem(ask_for_secret("read"), 403, "role_insufficient")
    sign_in(keyed)
    assert client.get("/v1/jobs").status_code == 200
    assert_problem(client.get("/v1/webhooks/secret"), 403, "bearer_required", "Bearer")
    assert_problem(client.post("/v1/webhooks/secret/rotate"), 403, "bearer_required", "Bearer")
    client.cookies.clear()
    rotated = client.post("/v1/webhooks/secret/rotate", headers=keyed.headers("use")).json()
    assert rotated["secret"] != mine.json()["secret"]
    assert rotated["previous_until"] is not None
    assert ask_for_secret("use").json() == rotated


def test_receiver_of_the_docs_takes_what_is_ours_and_nothing_else(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    port, secrets = free_port(), SigningSecrets(make_secret())
    file = tmp_path / "receiver.py"
    file.write_text(program.replace("9000", str(port)))
    environment = os.environ | {"WEBHOOK_SECRET": secrets.current, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, file], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            body = b'{"type": "job.completed", "id": "abc", "state": "succeeded"}'
            good = sign(body, "msg_1", secrets)
            client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", transport=httpx2.HTTPTransport(retries=8))
            with client:
                statuses = [
                    client.post("/", content=body, headers=headers).status_code
                    for headers in (good, sign(body, "msg_1", SigningSecrets(make_secret())))
                ]
        finally:
            process.terminate()
        assert statuses == [204, 401]
        assert process.stdout is not None
        assert process.stdout.read().split() == ["msg_1", "job.completed", "abc", "succeeded"]
