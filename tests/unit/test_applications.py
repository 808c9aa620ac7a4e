"""The table of applications, and the source over it with a fake loader: no TensorFlow, no foreign host."""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from service.errors import ModelFailedError, ServerBusyError, WeightsUnavailableError
from service.models.catalog import Catalog
from service.models.labels import imagenet_labels
from service.models.listing import summarise
from service.models.residency import MEGABYTE, Residency
from service.models.sources.application_table import APPLICATIONS
from service.models.sources.applications import Applications, WeightsChoice
from service.models.sources.folder import Folder
from service.models.sources.repository import MODEL_NAME
from service.models.sources.weights import WeightsFile, WeightsStore, find_cache
from tests.unit.fakes import ClosedFormProbe, FakeLoader

# Nobody listens there.
NOWHERE = "http://127.0.0.1:9"
CONTENT = b"weights of a network"
FILE = WeightsFile("net.h5", "somewhere/net.h5", hashlib.md5(CONTENT).hexdigest())


class FakeApplicationLoader:
    """Makes a ClosedFormProbe; fails on a file that says "broken"; `gate` holds it back."""

    def __init__(self, gate: Event | None = None) -> None:
        self.gate = gate
        self.loaded: list[tuple[str, Path | None]] = []

    def __call__(self, function: str, *, weights: Path | None, side: int | None) -> ClosedFormProbe:
        self.loaded.append((function, weights))
        if self.gate is not None:
            assert self.gate.wait(10)
        if weights is not None and weights.read_bytes() == b"broken":
            raise ModelFailedError("the file is broken")
        probe = ClosedFormProbe([[1, 0], [0, 1], [0, 0]])
        probe.held_bytes = MEGABYTE
        return probe


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Keras cache."""
    home = tmp_path / "keras"
    (home / "models").mkdir(parents=True)
    monkeypatch.setenv("KERAS_HOME", str(home))
    return home / "models"


@contextmanager
def _catalog(
    *folders: Path,
    loader: FakeApplicationLoader | None = None,
    weights: WeightsChoice = "none",
    origin: str = NOWHERE,
    megabytes: int = 3,
) -> Iterator[Catalog]:
    applications = Applications(loader or FakeApplicationLoader(), WeightsStore(origin), weights=weights)
    catalog = Catalog(
        [*(Folder(folder, FakeLoader()) for folder in folders), applications],
        Residency(megabytes * 2**20, patience_seconds=0),
    )
    yield catalog
    catalog.close()


@contextmanager
def _server(status: int = 200, content: bytes = CONTENT, *, length: int | None = None) -> Iterator[tuple[str, Event]]:
    """A host of weights, held back until the event is set."""
    gate = Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            gate.wait(10)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content) if length is None else length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's word
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", gate
    finally:
        gate.set()
        server.shutdown()
        thread.join()
        server.server_close()


# ---- the table


def test_names_are_the_functions_in_lower_case_when_listed():
    assert {"vgg16", "resnet50", "mobilenetv2", "efficientnetb0", "convnexttiny", "nasnetmobile"} <= set(APPLICATIONS)
    for name, application in APPLICATIONS.items():
        assert name == application.function.lower()
        assert MODEL_NAME.fullmatch(name)


def test_files_are_named_once_each_when_they_share_a_folder():
    files = [application.weights for application in APPLICATIONS.values()]
    assert len({file.name for file in files}) == len({file.path for file in files}) == len(files)
    for file in files:
        assert re.fullmatch(r"[A-Za-z0-9._-]+\.h5", file.name)
        assert file.digest is None or len(file.digest) in (32, 64)


def test_tensorflow_is_not_imported_when_applications_are_listed():
    program = (
        "import sys; from service.models.sources.applications import Applications;"
        "from service.models.sources.weights import *;"
        "assert len(Applications(None, WeightsStore(''), weights='none').names()) > 30;"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=Path(__file__).parents[2]).returncode == 0


# ---- the source


def test_applications_are_available_and_not_loaded_when_the_service_starts(tmp_path: Path):
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "model.keras").write_bytes(b"weights")
    loader = FakeApplicationLoader()
    with _catalog(tmp_path, loader=loader) as catalog:
        catalog.load_all()
        assert catalog.names() == ["cats", *APPLICATIONS]
        states = [summarise(catalog, name).state for name in catalog.names()]
    assert states == ["ready", *["available"] * len(APPLICATIONS)]
    assert loader.loaded == []


def test_application_is_named_labelled_and_prepared_when_it_is_loaded():
    loader = FakeApplicationLoader()
    with _catalog(loader=loader) as catalog:
        model = catalog.model("vgg16")
        assert catalog.model("vgg16").probe is model.probe
        assert catalog.model("resnet50").digest != model.digest
    assert (model.name, model.version, model.preprocessing.name) == ("vgg16", "1", "caffe")
    assert model.labels == imagenet_labels()
    assert loader.loaded == [("VGG16", None), ("ResNet50", None)]
    with _catalog() as again:
        assert again.model("vgg16").digest == model.digest


def test_folder_counts_when_it_has_an_application_s_name(tmp_path: Path):
    (tmp_path / "vgg16").mkdir()
    (tmp_path / "vgg16" / "model.keras").write_bytes(b"my own")
    with _catalog(tmp_path) as catalog:
        assert catalog.names().count("vgg16") == 1
        assert catalog.model("vgg16").digest == hashlib.sha256(b"my own").hexdigest()


def test_folders_are_served_when_applications_take_long(tmp_path: Path):
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "model.keras").write_bytes(b"weights")
    gate = Event()
    with _catalog(tmp_path, loader=FakeApplicationLoader(gate)) as catalog:
        slow = [catalog.request(name) for name in ("vgg16", "vgg19", "resnet50")]
        assert catalog.model("cats").name == "cats"
        assert not any(lease.load.done() for lease in slow)
        gate.set()
        assert slow[2].model().name == "resnet50"


def _ready(catalog: Catalog) -> list[str]:
    return [name for name in catalog.names() if summarise(catalog, name).state == "ready"]


def test_only_those_asked_for_last_stay_when_all_are_asked_in_turns(tmp_path: Path):
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.keras").write_bytes(b"weights")
    with _catalog(tmp_path, megabytes=2) as catalog:
        catalog.load_all()
        for name in APPLICATIONS:
            assert catalog.model(name).name == name
            assert catalog.model("resnet50").name == "resnet50"
            assert catalog.is_known(name)
        assert set(_ready(catalog)) == {"resnet50", name}


def test_model_leaves_with_its_last_request_when_another_needs_the_room():
    with _catalog(megabytes=1) as catalog:
        in_use = catalog.model("vgg16")
        gone = weakref.ref(in_use.probe)
        with pytest.raises(ServerBusyError):
            catalog.model("vgg19")
        assert _ready(catalog) == ["vgg16"]
        assert in_use.probe.network_info.classes == 2
        del in_use
        assert catalog.model("vgg19").name == "vgg19"
        assert _ready(catalog) == ["vgg19"]
        assert gone() is None


def test_failures_take_no_place(cache: Path):
    (cache / "mobilenet_1_0_224_tf.h5").write_bytes(CONTENT)
    with _catalog(weights="imagenet", megabytes=1) as catalog:
        kept = catalog.model("mobilenet")
        for _ in range(3):
            with pytest.raises(WeightsUnavailableError):
                catalog.model("vgg16")
        assert catalog.model("mobilenet").probe is kept.probe


def test_nothing_is_begun_when_a_load_is_only_looked_for():
    loader = FakeApplicationLoader()
    with _catalog(loader=loader) as catalog:
        assert catalog.find_resident("vgg16") is None
        assert loader.loaded == []
        begun = catalog.request("vgg16")
        resident = catalog.find_resident("vgg16")
        assert resident is not None
        assert resident.load is begun.load


def test_reason_names_file_and_folder_when_there_is_no_connection(cache: Path):
    with _catalog(weights="imagenet") as catalog:
        with pytest.raises(WeightsUnavailableError) as caught:
            catalog.model("mobilenetv2")
        summary = summarise(catalog, "mobilenetv2")
    assert "'mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5'" in caught.value.detail
    assert "$KERAS_HOME/models" in caught.value.detail
    assert str(cache.parent.parent) not in caught.value.detail
    assert (summary.state, summary.reason) == ("failed", caught.value.detail)
    assert list(cache.iterdir()) == []


def test_load_is_tried_again_when_the_file_has_come(cache: Path):
    with _catalog(weights="imagenet") as catalog:
        for content, error in ((None, "cannot be fetched"), (b"broken", "damaged")):
            if content is not None:
                (cache / "mobilenet_1_0_224_tf.h5").write_bytes(content)
            for _ in range(2):
                with pytest.raises(WeightsUnavailableError, match=error):
                    catalog.model("mobilenet")
        (cache / "mobilenet_1_0_224_tf.h5").write_bytes(CONTENT)
        model = catalog.model("mobilenet")
    assert model.digest == hashlib.sha256(CONTENT).hexdigest()


# ---- fetching


def test_file_is_fetched_once_when_it_is_not_there(cache: Path):
    with _server() as (origin, gate):
        gate.set()
        store = WeightsStore(origin)
        assert store.get(FILE) == cache / "net.h5"
    assert store.get(FILE).read_bytes() == CONTENT
    assert [path.name for path in cache.iterdir()] == ["net.h5"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"status": 404}, "HTTP 404"),
        ({"length": 1000}, "ended too early"),
        ({"content": b"<html>log in</html>"}, "another file"),
    ],
)
def test_nothing_is_left_when_the_answer_is_not_the_file(cache: Path, answer: dict[str, Any], reason: str):
    with _server(**answer) as (origin, gate):
        gate.set()
        with pytest.raises(WeightsUnavailableError, match=reason):
            WeightsStore(origin).get(FILE)
    assert list(cache.iterdir()) == []


@pytest.mark.usefixtures("cache")
def test_waiting_ends_when_nobody_answers():
    with _server() as (origin, _):
        begun = time.monotonic()
        with pytest.raises(WeightsUnavailableError, match="no connection"):
            WeightsStore(origin, patience_seconds=0.2).get(FILE)
        assert time.monotonic() - begun < 2


def test_fetching_ends_when_the_service_does(cache: Path):
    with _server() as (origin, gate), ThreadPoolExecutor(1) as threads:
        store = WeightsStore(origin)
        fetching = threads.submit(store.get, FILE)
        store.close()
        gate.set()
        with pytest.raises(WeightsUnavailableError, match="shutting down"):
            fetching.result(10)
    assert list(cache.iterdir()) == []


def test_file_is_refused_and_kept_when_it_is_another(cache: Path):
    (cache / "net.h5").write_bytes(b"something else")
    with pytest.raises(WeightsUnavailableError, match=r"'net.h5' in .* is damaged, or not the one"):
        WeightsStore(NOWHERE).get(FILE)
    assert (cache / "net.h5").read_bytes() == b"something else"


def test_file_is_found_when_it_lies_in_the_folder_of_models(cache: Path, tmp_path: Path):
    store = WeightsStore(NOWHERE, tmp_path)
    for _ in range(2):
        (tmp_path / "net.h5").write_bytes(CONTENT)
        assert store.get(FILE) == cache / "net.h5"
        assert store.get(FILE).read_bytes() == CONTENT
        (tmp_path / "net.h5").unlink()
        with pytest.raises(WeightsUnavailableError, match="CONVSCOPE_MODELS"):
            store.get(FILE)


def test_file_is_found_when_keras_may_not_write_its_home(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (cache / "net.h5").write_bytes(CONTENT)
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert WeightsStore(NOWHERE).get(FILE) == tmp_path / ".keras" / "models" / "net.h5"
    assert find_cache() == tmp_path / ".keras" / "models"
