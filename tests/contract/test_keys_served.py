"""Keys at a real server: when it starts at all, what ends with a key, and that no key is written anywhere."""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from threading import Event

import httpx2
import pytest
from click.testing import CliRunner
from starlette.responses import StreamingResponse

from service.api.access.keys.changing import add_key, revoke_keys
from service.api.access.keys.key_file import read_keys
from service.cli import main
from service.settings import Settings
from tests.contract.keyed import WRONG, Keyed, make_keyed, serve
from tests.server import ROOT, Server


def refuse_start(monkeypatch: pytest.MonkeyPatch, folder: Path, **environment: str) -> str:
    """What `convscope serve` says that must not start."""
    monkeypatch.setenv("CONVSCOPE_DATA", str(folder / "data"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(main, ["serve"])
    assert result.exit_code == 2, result.output
    return " ".join(result.stderr.split())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "", "gpu.example", "localhost.evil.example"])
def test_service_does_not_start_when_others_reach_it_without_keys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str
) -> None:
    said = refuse_start(monkeypatch, tmp_path, CONVSCOPE_HOST=host)
    for words in ("CONVSCOPE_API_KEYS", "convscope keys new", "CONVSCOPE_OPEN=true"):
        assert words in said


def test_service_does_not_start_when_its_key_file_is_not_in_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "keys"
    assert "No such file" in refuse_start(monkeypatch, tmp_path, CONVSCOPE_API_KEYS=str(path))
    path.write_text("# mine\nalice user abc\n")
    said = refuse_start(monkeypatch, tmp_path, CONVSCOPE_API_KEYS=str(path))
    assert f"{path}: line 2: second comes the role" in said
    assert "convscope keys new" in said
    assert "is no file" in refuse_start(monkeypatch, tmp_path, CONVSCOPE_API_KEYS=str(tmp_path))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.5.5.5"])
def test_no_keys_are_needed_on_loopback(host: str, tmp_path: Path) -> None:
    from service.composition.access import open_authenticator

    assert open_authenticator(Settings(_env_file=None, host=host, data=tmp_path)) is None


def test_open_service_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from service.composition.access import open_authenticator

    settings = Settings(_env_file=None, host="0.0.0.0", open=True, data=tmp_path)
    assert open_authenticator(settings) is None
    assert "whoever reaches 0.0.0.0 may use all" in caplog.text


_PASTED = r"^(?:# *docker compose run --rm -T|.venv/bin/convscope|convscope) (keys [^>#`\n]*)"


@pytest.mark.parametrize("page", ["README.md", "docs/keys.md", "docker-compose.yml"])
def test_commands_for_keys_work_when_they_are_pasted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, page: str
) -> None:
    path = tmp_path / "keys"
    monkeypatch.setenv("CONVSCOPE_API_KEYS", str(path))
    text = (ROOT / page).read_text(encoding="utf-8")
    commands = re.findall(_PASTED, text, re.MULTILINE)
    assert commands
    for command in commands:
        # The id in the page is that of nobody's key.
        ids = [key.id for key in read_keys(path)] if path.exists() else [""]
        words = [{"5f70bf18a0860070": ids[0], "NAME": "me"}.get(word, word) for word in command.split()]
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, (command, result.output)


def _convscope(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "service.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_no_key_is_written_anywhere_when_a_service_runs_for_others(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    made = _convscope("keys", "new", "alice", "--role", "use", "--file", str(path))
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    assert made.stdout == f"{key}\n"
    assert key not in made.stderr
    admin, _ = add_key(path, "ops", "admin")
    secret = "session-secret-of-this-test-" * 2
    environment = {"CONVSCOPE_HOST": "0.0.0.0", "CONVSCOPE_API_KEYS": str(path), "CONVSCOPE_SESSION_SECRET": secret}
    texts = []
    with (
        Server(tmp_path / "log", **environment, CONVSCOPE_MODELS_MODE="explicit") as server,
        httpx2.Client(base_url=server.url) as client,
    ):

        def ask(method: str, route: str, **given: object) -> httpx2.Response:
            response = client.request(method, route, **given)  # type: ignore[arg-type]
            texts.append(f"{response.status_code} {response.headers} {response.text}")
            return response

        bearer = {"Authorization": f"Bearer {key}"}
        assert ask("GET", "/v1/models").status_code == 401
        assert ask("GET", "/v1/models", headers=bearer).status_code == 200
        assert ask("GET", "/version", headers={"X-API-Key": key}).status_code == 200
        assert ask("POST", "/v1/models/shapes/unload", headers=bearer).status_code == 403
        assert ask("POST", "/v1/models/none/grad-cam", headers=bearer, json={"layer": 1}).status_code in (404, 422)
        assert ask("POST", "/v1/models/shapes/unload", headers={"X-API-Key": admin}).status_code == 200
        assert ask("POST", "/ui/session", json={"key": key}).status_code == 204
        assert ask("GET", "/v1/jobs").status_code == 200
        assert ask("POST", "/ui/session", json={"key": key + "0"}).status_code == 401
        assert ask("POST", "/ui/session", json=key).status_code == 422
        assert ask("GET", "/v1/jobs", headers={"Authorization": f"Bearer {key}x"}).status_code == 401
        metrics = ask("GET", "/metrics", headers=bearer)
        assert "convscope_keys_age_seconds" in metrics.text
        listed = _convscope("keys", "list", "--file", str(path))
        assert "alice" in listed.stdout
        revoked = _convscope("keys", "revoke", "alice", "--file", str(path))
        end = time.monotonic() + 30
        while ask("GET", "/v1/jobs", headers=bearer).status_code != 401:
            assert time.monotonic() < end
            time.sleep(0.1)
        # The session of the cookie too, and no other key.
        assert ask("GET", "/v1/jobs").status_code == 401
        assert ask("GET", "/v1/jobs", headers={"X-API-Key": admin}).status_code == 200
    texts += [listed.stdout, listed.stderr, revoked.stdout, revoked.stderr]
    texts += [file.read_bytes().decode("latin-1") for file in tmp_path.rglob("*") if file.is_file()]
    assert len(texts) > 20
    for text in texts:
        for word in (key, admin, key.removeprefix("convscope_"), secret):
            assert word not in text


def _add_stream(keyed: Keyed, left: Event) -> None:
    async def tick() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b": tick\n\n"
                await asyncio.sleep(0.02)
        finally:
            left.set()

    async def stream() -> StreamingResponse:
        return StreamingResponse(tick(), media_type="text/event-stream")

    keyed.client.app.add_api_route("/v1/ticks", stream)  # type: ignore[attr-defined]


def _revoke(keyed: Keyed) -> None:
    revoke_keys(keyed.path, "admin-owner")


def _demote(keyed: Keyed) -> None:
    text = keyed.path.read_text().replace(" admin ", " use ")
    keyed.path.write_text(text)


@pytest.mark.parametrize("change", [_revoke, _demote])
def test_stream_of_events_ends_with_its_key(tmp_path: Path, change: Callable[[Keyed], None]) -> None:
    keyed, left = make_keyed(tmp_path), Event()
    _add_stream(keyed, left)
    with (
        serve(keyed.client.app) as url,
        httpx2.Client(base_url=url, headers=keyed.headers("admin")) as client,
        client.stream("GET", "/v1/ticks") as response,
    ):
        lines = response.iter_lines()
        assert [next(lines) for _ in range(4)] == [": tick", "", ": tick", ""]
        assert not left.is_set()
        change(keyed)
        keyed.authenticator.keys.look()
        # Whole to its end: a client that reads it sees a break, no fault.
        assert set(lines) <= {": tick", ""}
        assert left.wait(10)
        assert client.get("/v1/ticks").status_code in (401, 403)


def test_refusal_is_heard_when_a_large_body_was_on_its_way(tmp_path: Path) -> None:
    keyed = make_keyed(tmp_path)
    with serve(keyed.client.app) as url:
        for headers in ({}, {"Authorization": f"Bearer {WRONG}"}):
            response = httpx2.post(f"{url}/v1/models/none/grad-cam", content=b"x" * 2**24, headers=headers)
            assert response.status_code == 401
