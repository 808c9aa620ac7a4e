"""The client's key: where it comes from, where it goes, and where it does not."""

import traceback
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import httpx2
import pytest
from click.testing import CliRunner

from service.cli import main
from service.client import Client, ServiceError
from tests.unit.test_client import RESULT

KEY = "convscope_" + "5" * 64
OTHER = "convscope_" + "6" * 64
JOB = "0" * 32


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONVSCOPE_KEY", raising=False)


def sent(answers: list[httpx2.Response], **options: str) -> tuple[Client, list[httpx2.Request]]:
    requests: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        return answers.pop(0)

    transport = httpx2.MockTransport(answer)
    return Client("https://gpu.test/tools/convscope", transport=transport, **options), requests  # type: ignore[arg-type]


def test_key_is_the_given_one_or_that_of_the_environment(monkeypatch: pytest.MonkeyPatch):
    def ask(**options: str) -> str | None:
        client, requests = sent([httpx2.Response(200, json={"datasets": []})], **options)
        client.datasets()
        return requests[0].headers.get("authorization")

    assert ask() is None
    assert ask(key=KEY) == f"Bearer {KEY}"
    # As files and `$(…)` have it.
    monkeypatch.setenv("CONVSCOPE_KEY", f"{OTHER}\n")
    assert ask() == f"Bearer {OTHER}"
    assert ask(key=KEY) == f"Bearer {KEY}"
    assert ask(key="") is None


@pytest.mark.parametrize("key", [f"{KEY}\r\nX: y", f"{KEY} {KEY}", f"{KEY}\x00", f"{KEY}ä"])
def test_key_is_refused_and_not_repeated_when_no_header_can_carry_it(key: str):
    with pytest.raises(ServiceError, match="key_invalid") as raised:
        Client("https://gpu.test", key=key)
    assert KEY not in "".join(traceback.format_exception(raised.value))


def test_key_goes_nowhere_else_when_an_answer_names_another_place():
    image = RESULT.images[0].model_dump(mode="json", exclude={"data"})
    content = RESULT.model_dump(mode="json", exclude={"images"})
    for href in (
        f"{place}/v1/jobs/{JOB}/images/overlay" for place in ("https://evil.test", "@evil.test", "/tools/convscope", "")
    ):
        done = content | {"images": [image | {"href": href, "sha256": "0"}]}
        location = {"location": f"https://evil.test/v1/jobs/{JOB}"}
        client, requests = sent(
            [httpx2.Response(200, json=done, headers=location), httpx2.Response(200, content=b"png")], key=KEY
        )
        assert client.run("filter-patterns", "shapes").images[0].data == b"png"
        assert [request.url.host for request in requests] == ["gpu.test", "gpu.test"]
        assert requests[1].url.path == f"/tools/convscope/v1/jobs/{JOB}/images/overlay"
    pages = [{"jobs": [], "next": f"https://evil.test/v1/jobs?limit=1&after={JOB}"}, {"jobs": [], "next": None}]
    client, requests = sent([httpx2.Response(200, json=page) for page in pages], key=KEY)
    assert list(client.jobs()) == []
    assert str(requests[1].url) == f"https://gpu.test/tools/convscope/v1/jobs?limit=1&after={JOB}"
    client, requests = sent([httpx2.Response(307, headers={"location": "https://evil.test/"})], key=KEY)
    with pytest.raises(ServiceError):
        client.models()
    assert len(requests) == 1


def test_key_is_in_no_representation_and_no_traceback():
    client, _ = sent([httpx2.Response(200, content=b"{")], key=KEY)
    with pytest.raises(ServiceError) as raised:
        client.models()
    trace = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    text = "".join(trace.format()) + repr(client) + repr(vars(client)) + repr(vars(client._connection))
    assert "unexpected_answer" in text
    assert KEY not in text


@pytest.mark.parametrize(
    ("code", "status"), [("key_missing", 401), ("key_invalid", 401), ("role_insufficient", 403), ("host", 421)]
)
def test_terminal_says_what_holds_the_key(code: str, status: int, monkeypatch: pytest.MonkeyPatch):
    body = httpx2.Response(
        status,
        json={"type": "x", "title": "x", "status": status, "detail": "why", "instance": "/", "code": code},
    ).content

    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.append(self.headers.get("authorization"))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    keys: list[str | None] = []
    monkeypatch.setenv("CONVSCOPE_KEY", KEY)
    with HTTPServer(("127.0.0.1", 0), Service) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        result = CliRunner().invoke(main, ["models", "--server", f"http://127.0.0.1:{server.server_port}"])
        server.shutdown()
    assert keys == [f"Bearer {KEY}"]
    assert f"[{code}]" in result.stderr
    assert ("CONVSCOPE_KEY" in result.stderr) is (code != "host")
    assert (result.exit_code == 7) is (code != "host")
    assert KEY not in result.output


def test_terminal_ends_when_the_key_is_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONVSCOPE_KEY", f"{KEY} x")
    result = CliRunner().invoke(main, ["models", "--server", "http://127.0.0.1:1"])
    assert result.exit_code == 7
    assert "CONVSCOPE_KEY" in result.stderr
    assert KEY not in result.output
