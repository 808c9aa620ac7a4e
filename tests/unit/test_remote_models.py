"""Models whose model.toml names a source: files over HTTP and from a folder, their limits, and how faults are told."""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from service.errors import ModelFailedError, WeightsUnavailableError
from service.models.catalog import Catalog
from service.models.remote.cache import FileCache
from service.models.remote.locations import without_secrets
from service.models.remote.registry import RegisteredVersion, parse_registry_uri
from service.models.remote.watch import Watch
from service.models.sources.folder import Folder
from service.models.sources.remote_models import RemoteModels, _Registered, _remember
from tests.unit.fakes import FakeLoader

DATA = b"weights" * 1000
DIGEST = hashlib.sha256(DATA).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves DATA under any name; `slow` stops in the middle, `gone` is not there, `shut` asks for a password."""

    release = Event()

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()
        if self.command == "GET" and "slow" in self.path:
            self.wfile.write(DATA[:1000])
            self.release.wait(20)
        elif self.command == "GET" and not self._status() >= 400:
            self.wfile.write(DATA)

    def log_message(self, *_: object) -> None:
        pass

    def _status(self) -> int:
        return 404 if "gone" in self.path else 403 if "shut" in self.path else 200

    def _answer(self) -> None:
        self.send_response(self._status())
        self.send_header("Content-Length", str(0 if self._status() >= 400 else len(DATA)))
        self.send_header("ETag", "first")
        self.end_headers()


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    Handler.release.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        Handler.release.set()
        server.shutdown()


@contextmanager
def serving(
    folder: Path, source: str, config: str = "", *, seconds: float = 60, room: int = 2**30
) -> Iterator[Catalog]:
    """A catalog of the model `cats` whose file is at `source`."""
    (folder / "models" / "cats").mkdir(parents=True, exist_ok=True)
    (folder / "models" / "cats" / "model.toml").write_text(f'source = "{source}"\n{config}', encoding="utf-8")
    cache = FileCache(folder / "fetched", room, seconds)
    loader = FakeLoader()
    models = RemoteModels(Watch(folder / "fetched" / "seen", 60), cache, loader)
    catalog = Catalog([Folder(folder / "models", loader, elsewhere=models)])
    yield catalog
    catalog.close()


def reason(catalog: Catalog) -> str:
    with pytest.raises((ModelFailedError, WeightsUnavailableError)) as raised:
        catalog.model("cats")
    return raised.value.detail


def test_model_is_served_when_its_file_lies_at_a_url(tmp_path: Path, host: str):
    with serving(tmp_path, f"http://{host}/cats.keras", f'labels = ["a", "b"]\nsha256 = "{DIGEST}"') as catalog:
        model = catalog.model("cats")
    assert (model.version, model.digest, model.labels) == ("1", DIGEST, ("a", "b"))


def test_file_is_not_fetched_again_when_it_is_pinned_and_here(tmp_path: Path, host: str):
    with serving(tmp_path, f"http://{host}/cats.keras") as catalog:
        catalog.model("cats")
    # Another URL, whose file would never come.
    with serving(tmp_path, f"http://{host}/slow.keras", f'sha256 = "{DIGEST}"', seconds=5) as catalog:
        assert catalog.model("cats").digest == DIGEST


def test_new_file_is_seen_when_it_replaces_another(tmp_path: Path):
    file = tmp_path / "share" / "cats.h5"
    file.parent.mkdir()
    file.write_bytes(b"one")
    with serving(tmp_path, file.as_uri()) as catalog:
        assert catalog.model("cats").digest == hashlib.sha256(b"one").hexdigest()
        file.write_bytes(b"two or three")
        catalog.refresh()
        assert catalog.model("cats").digest == hashlib.sha256(b"two or three").hexdigest()


@pytest.mark.parametrize(
    ("source", "config", "words"),
    [
        ("http://{host}/gone.keras", "", ["there is no such file"]),
        ("http://{host}/shut.keras", "", ["its file cannot be found (access is refused)", "ask again"]),
        ("http://127.0.0.1:9/cats.keras", "", ["its file cannot be found", "ask again"]),
        ("http://{host}/slow.keras", "", ["within 0.5 seconds", "CONVSCOPE_LIMITS__FETCH_SECONDS"]),
        ("http://{host}/cats.keras", f'sha256 = "{"0" * 64}"', [DIGEST, "0" * 64, "pin the other digest"]),
        ("http://{host}/cats.zip", "", ["source is not the URL of a .keras, .h5 or .hdf5 file", "models:/NAME@ALIAS"]),
        ("/etc/cats.keras", "", ["source is not the URL"]),
        ("nonsense://host/cats.keras", "", ["none that fsspec knows"]),
        ("gs://bucket/cats.keras", "", ["gcsfs, which is not installed: pip install gcsfs", "extra 'gs'"]),
        ("models:/cats/Production", "", ["models:/NAME/3", "a stage is none"]),
    ],
)
def test_reason_tells_what_to_do_when_a_source_gives_no_file(
    tmp_path: Path, host: str, source: str, config: str, words: list[str]
):
    with serving(tmp_path, source.format(host=host), config, seconds=0.5) as catalog:
        said = reason(catalog)
    for word in words:
        assert word in said


def test_reason_is_told_when_files_lie_beside_a_source(tmp_path: Path, host: str):
    (tmp_path / "models" / "cats" / "1").mkdir(parents=True)
    (tmp_path / "models" / "cats" / "1" / "model.keras").write_bytes(b"one")
    with serving(tmp_path, f"http://{host}/cats.keras") as catalog:
        assert "model files lie beside it" in reason(catalog)


def test_no_secret_is_told_when_a_url_holds_some(tmp_path: Path, host: str, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    for path in ("shut.keras?token=s3cr3t", "slow.keras", "cats.keras"):
        with serving(tmp_path, f"http://me:s3cr3t@{host}/{path}", f'sha256 = "{"0" * 64}"', seconds=0.5) as catalog:
            assert "s3cr3t" not in reason(catalog)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("service")]
    assert ours
    assert not [line for line in ours if "s3cr3t" in line]
    assert not [path for path in (tmp_path / "fetched").rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("at https://me:pass/word@host/x?sig=1 and", "at https://host/x and"),
        ("s3://key@bucket/x#part", "s3://bucket/x"),
        ("hf://org/repo@main/model.keras", "hf://org/repo@main/model.keras"),
        ("models:/cats@champion", "models:/cats@champion"),
    ],
)
def test_urls_are_told_without_users_and_queries(text: str, told: str):
    assert without_secrets(text) == told


def test_versions_before_stay_known_when_an_alias_moves():
    def seen(version: str, token: str = "t") -> _Registered:
        return _Registered(versions=(RegisteredVersion(version=version, uri=f"models:/cats/{version}", token=token),))

    known: _Registered | None = None
    for version in ("1", "2", "1", "3", "4", "5", "6"):
        known = _remember(known, seen(version))
    assert known is not None
    assert [each.version for each in known.versions] == ["6", "5", "4", "3", "1"]


@pytest.mark.parametrize(
    "uri", ["models:/cats", "models:/cats/3/4", "models:/cats@a@b", "models:cats/3", "models:/m-", "models://h/cats/1"]
)
def test_form_is_told_when_a_uri_is_none_of_mlflows(uri: str):
    with pytest.raises(ValueError, match="models:/NAME@ALIAS"):
        parse_registry_uri(uri)


def test_failed_fetch_is_tried_again_when_nobody_asks(tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("service.models.catalog._RETRY_SECONDS", 0.0)
    fetched = tmp_path / "fetched"
    fetched.write_bytes(b"no folder")
    with serving(tmp_path, f"http://{host}/cats.keras") as catalog:
        catalog.start(0.02, load_noticed=True)
        wait(lambda: catalog.is_known("cats") and state(catalog) == "failed")
        fetched.unlink()
        wait(lambda: state(catalog) == "ready")


def state(catalog: Catalog) -> str:
    resident = catalog.find_resident("cats")
    return resident.state if resident else "available"


def wait(seen: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not seen():
        assert time.monotonic() < end
        time.sleep(0.01)
