"""The Python client against answers made by hand: what it sends, what it reads, what it raises."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from schemas.jobs import JobImage, JobSummary
from schemas.models import ModelDetail, ModelSummary
from schemas.results import Provenance, Result, ResultImage, Timings
from service.cli.backends import Remote
from service.client import Client, ServiceError
from service.models.doctor import describe_unloaded

RESULT = Result(
    model="shapes",
    version="1",
    method="grad-cam",
    layer="conv4",
    target=None,
    predictions=[],
    images=[ResultImage(name="overlay", layer="conv4", width=1, height=1, data=b"\xfb\xff\xfe")],
    values={},
    provenance=Provenance(params={}, seed=None, image_sha256=None, model_sha256="0", plan={}, software={}),
    timings_seconds=Timings(decode=0, queue=0, compute=0, render=0),
)
PROBLEM = {
    "type": "/problems/layer_not_found",
    "title": "Unknown layer",
    "status": 422,
    "detail": "layer 'conv9' is not in shapes",
    "instance": "/v1/models/shapes/grad-cam",
    "code": "layer_not_found",
    "errors": [{"pointer": "#/layer", "detail": "layer 'conv9' is not in shapes"}],
}


class FakeService:
    """Answers with the given responses, one after another, and keeps the requests."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []

    def client(self, **options: Any) -> Client:
        return Client("http://service.test/base/", transport=httpx2.MockTransport(self._answer), **options)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def _result(**extra: Any) -> httpx2.Response:
    content = RESULT.model_dump(mode="json") | extra
    return httpx2.Response(200, json=content)


def test_result_has_its_bytes_when_the_service_answers_base64():
    service = FakeService(_result())
    assert service.client().run("grad-cam", "shapes", image=b"png") == RESULT


def test_form_carries_the_picture_and_text_when_a_method_runs(tmp_path: Path):
    (tmp_path / "star.png").write_bytes(b"\x89PNG")
    service = FakeService(_result())
    service.client().run(
        "grad-cam", "a b", version="2", image=tmp_path / "star.png", layers=["x", "y"], flag=True, layer=None
    )
    (request,) = service.requests
    assert request.url.raw_path == b"/base/v1/models/a%20b/versions/2/grad-cam"
    assert request.headers["content-type"].startswith("multipart/form-data")
    for part in (b"\x89PNG", b"x,y", b"true"):
        assert part in request.content
    assert b'name="layer"' not in request.content


def test_body_is_empty_when_nothing_is_sent():
    service = FakeService(_result())
    service.client().run("filters", "shapes")
    assert service.requests[0].content == b""


def test_unknown_members_are_passed_over_when_the_service_is_newer():
    assert FakeService(_result(news=1)).client().run("grad-cam", "shapes") == RESULT


def test_problem_is_raised_with_its_code_when_the_service_refuses():
    service = FakeService(httpx2.Response(422, json=PROBLEM))
    with pytest.raises(ServiceError, match="conv9") as raised:
        service.client().run("grad-cam", "shapes", image=b"png", layer="conv9")
    assert (raised.value.code, raised.value.status) == ("layer_not_found", 422)
    assert [error.pointer for error in raised.value.errors] == ["#/layer"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx2.ConnectError("refused"), "unreachable"),
        (httpx2.ReadTimeout("slow"), "timeout"),
        (httpx2.Response(502, text="<html>"), "unexpected_answer"),
        (httpx2.Response(200, text="hello"), "unexpected_answer"),
        (httpx2.Response(200, json={"models": 3}), "unexpected_answer"),
    ],
)
def test_error_has_a_code_when_no_service_answers(answer: httpx2.Response | Exception, code: str):
    with pytest.raises(ServiceError) as raised:
        FakeService(answer).client().models()
    assert raised.value.code == code


def test_busy_service_is_asked_again_when_it_says_when():
    busy = httpx2.Response(503, json=PROBLEM | {"code": "server_busy"}, headers={"Retry-After": "0"})
    service = FakeService(busy, busy, _result())
    assert service.client().run("grad-cam", "shapes", image=b"png") == RESULT
    assert len(service.requests) == 3


def test_busy_is_raised_when_patience_is_over():
    busy = httpx2.Response(503, json=PROBLEM | {"code": "server_busy"}, headers={"Retry-After": "2"})
    with pytest.raises(ServiceError) as raised:
        FakeService(busy).client(patience_seconds=1).models()
    assert raised.value.code == "server_busy"


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_no_other_route_is_asked_when_a_name_would_lead_there(name: str):
    service = FakeService()
    with pytest.raises(ServiceError):
        service.client().layers(name)
    assert service.requests == []


def test_layers_come_after_a_load_when_the_terminal_asks_a_service():
    unloaded = httpx2.Response(409, json=PROBLEM | {"code": "model_not_loaded", "status": 409})
    service = FakeService(
        unloaded,
        httpx2.Response(200, json=_detail().model_dump(mode="json")),
        httpx2.Response(200, json={"layers": [], "totals": {"parameters": 0, "trainable": 0, "non_trainable": 0}}),
    )
    Remote(service.client()).layers("vgg16", "2")
    assert [(request.method, request.url.path) for request in service.requests] == [
        ("GET", "/base/v1/models/vgg16/versions/2/layers"),
        ("POST", "/base/v1/models/vgg16/versions/2/load"),
        ("GET", "/base/v1/models/vgg16/versions/2/layers"),
    ]


def _detail() -> ModelDetail:
    return describe_unloaded(ModelSummary(name="vgg16", versions=["2"], state="available"))


JOB_ID = "0" * 32
JOB: dict[str, Any] = {
    "id": JOB_ID,
    "state": "running",
    "revision": 3,
    "progress": {"done": 0, "total": 2, "unit": "filters", "fraction": 0.1},
    "model": "shapes",
    "version": "1",
    "method": "filter-patterns",
    "params": {},
    "created_at": "2030-01-01T00:00:00Z",
    "started_at": None,
    "finished_at": None,
    "expires_at": "2030-01-02T00:00:00Z",
    "attempts": 1,
    "error": None,
    "links": {"self": f"/v1/jobs/{JOB_ID}", "events": "e", "cancel": "c"},
}
IMAGES = [
    {"name": name, "layer": "a", "width": 1, "height": 1, "href": f"/v1/jobs/{JOB_ID}/images/{name}", "sha256": "0"}
    for name in ("filter-0", "filter-1")
]


def _event(name: str, data: Any, event_id: int | None = None) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n" + (f"id: {event_id}\n" if event_id else "") + "\n"


def _stream(*events: str) -> httpx2.Response:
    return httpx2.Response(200, text=": ping\n\n" + "".join(events), headers={"Content-Type": "text/event-stream"})


@pytest.fixture
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.client.watching._PAUSE_SECONDS", 0.0)


@pytest.mark.usefixtures("_no_pause")
def test_no_picture_is_missed_or_told_twice_when_the_stream_breaks():
    service = FakeService(
        _stream(_event("job", JOB, 3), _event("news", {}), _event("image", IMAGES[0])),
        httpx2.ConnectError("refused"),
        _stream(_event("image", IMAGES[0]), _event("image", IMAGES[1], 5), _event("job", JOB | {"state": "failed"}, 6)),
    )
    events = list(service.client().watch(JOB_ID))
    assert [event.name for event in events if isinstance(event, JobImage)] == ["filter-0", "filter-1"]
    assert [event.state for event in events if isinstance(event, JobSummary)] == ["running", "failed"]
    assert [request.headers.get("last-event-id") for request in service.requests] == [None, "3", "3"]


@pytest.mark.usefixtures("_no_pause")
def test_service_is_asked_now_and_then_when_too_many_watch():
    full = PROBLEM | {"code": "streams_full", "status": 503}
    jobs = [
        JOB | {"images": IMAGES[:1], "result": None},
        JOB | {"images": IMAGES, "result": None, "progress": JOB["progress"] | {"done": 1}},
        JOB | {"images": IMAGES, "result": None, "state": "cancelled"},
    ]
    service = FakeService(httpx2.Response(503, json=full), *(httpx2.Response(200, json=job) for job in jobs))
    events = list(service.client().watch(JOB_ID))
    kinds = [type(event).__name__ for event in events]
    assert kinds == ["JobImage", "JobSummary", "JobImage", "Progress", "JobSummary"]


def test_problem_is_raised_when_the_stream_ends_with_one():
    service = FakeService(_stream(_event("job", JOB, 3), _event("error", PROBLEM | {"code": "job_not_found"})))
    with pytest.raises(ServiceError) as raised:
        list(service.client().watch(JOB_ID))
    assert raised.value.code == "job_not_found"


@pytest.mark.usefixtures("_no_pause")
def test_watching_is_given_up_when_the_service_stays_away():
    service = FakeService(httpx2.ConnectError("refused"))
    with pytest.raises(ServiceError) as raised:
        list(service.client(patience_seconds=-1).watch(JOB_ID))
    assert raised.value.code == "unreachable"


def test_all_jobs_are_listed_when_there_are_pages():
    pages = [{"jobs": [JOB], "next": "/v1/jobs?limit=1&after=x"}, {"jobs": [JOB], "next": None}]
    service = FakeService(*(httpx2.Response(200, json=page) for page in pages))
    assert len(list(service.client().jobs())) == 2
    assert service.requests[1].url.raw_path == b"/base/v1/jobs?limit=1&after=x"


def test_key_stays_the_same_when_a_busy_service_is_asked_again():
    busy = httpx2.Response(503, json=PROBLEM | {"code": "queue_full"}, headers={"Retry-After": "0"})
    service = FakeService(busy, httpx2.Response(202, json=JOB | {"images": [], "result": None}))
    assert service.client().submit("filter-patterns", "shapes", fresh=True).id == JOB_ID
    assert len({request.headers["idempotency-key"] for request in service.requests}) == 1
    assert service.requests[0].headers["cache-control"] == "no-cache"
