"""Real applications over tiny real Keras networks, and the one form that every refusal has. Holds no tests."""

import base64
import io
import json
import os
import re
import shutil
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.server import Server

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

LABELS = ("circle", "square", "star", "cross")
TINY_CONFIG = f'preprocessing = "unit"\nlabels = {json.dumps(LABELS)}\n'
PROBLEM_MEMBERS = {"type", "title", "status", "detail", "instance", "code"}
# Nobody outside may learn where the server keeps its files, or what its code looks like.
PLACES = (Path(__file__).parents[2], Path(sys.prefix), Path(tempfile.gettempdir()), Path.home())
INTERNAL = re.compile(
    "|".join(["Traceback", "site-packages", r"\.py\b", r"\bErrno\b", *(f"{re.escape(str(p))}/" for p in PLACES)])
)

MakeClient = Callable[..., Any]


def png(image: Image.Image) -> bytes:
    """Encode a picture."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def encoded(picture: bytes) -> str:
    """Base64, as JSON carries a picture."""
    return base64.b64encode(picture).decode()


def assert_problem(response: Any, status: int, code: str, *words: str) -> dict[str, Any]:
    """Assert that the answer is the RFC 9457 problem of that code, that its detail says `words`, and return it."""
    assert response.status_code == status, response.text[:500]
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert set(problem) - {"errors", "name", "ready", "reason"} == PROBLEM_MEMBERS
    assert (problem["type"], problem["code"], problem["status"]) == (f"/problems/{code}", code, status)
    assert problem["title"]
    assert unquote(problem["instance"]) == unquote(response.request.url.raw_path.decode().partition("?")[0])
    assert len(problem["detail"]) > 10
    assert problem["detail"][0] not in " :;,"
    for word in words:
        assert word in problem["detail"], problem["detail"]
    for error in problem.get("errors", []):
        assert set(error) == {"pointer", "detail"}
        assert error["pointer"].startswith("#")
        assert error["detail"]
    assert not INTERNAL.search(json.dumps(problem["detail"]) + json.dumps(problem.get("errors"))), problem
    return problem


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A PNG of 48 x 32 pixels with something in every quarter."""
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, 48, dtype=np.uint8)
    pixels[..., 1] = np.linspace(0, 255, 32, dtype=np.uint8)[:, None]
    pixels[8:20, 10:22] = (250, 30, 60)
    return png(Image.fromarray(pixels))


@pytest.fixture(scope="session")
def keras_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that builds a small seeded network and saves it: `keras_file(kind, seed)`."""
    folder = tmp_path_factory.mktemp("networks")

    def make(kind: str = "tiny", seed: int = 1) -> Path:
        path = folder / f"{kind}-{seed}.keras"
        if not path.exists():
            with warnings.catch_warnings():
                # TensorFlow's variables do not follow NumPy 2 to the letter.
                warnings.simplefilter("ignore", DeprecationWarning)
                _network(kind, seed).save(path)
        return path

    return make


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory, keras_file: Callable[..., Path]) -> Path:
    """A repository folder with every model that works; nobody changes it."""
    root = tmp_path_factory.mktemp("repository")
    add_model(root, "tiny", keras_file("tiny"), TINY_CONFIG)
    add_model(root, "gray", keras_file("gray"), 'preprocessing = "unit"\nlabels = ["cat", "dog"]\n')
    add_model(root, "open", keras_file("open"), 'preprocessing = "tf"\n')
    add_model(root, "features", keras_file("features"), "")
    add_model(root, "versions", keras_file("tiny", 2), TINY_CONFIG, version="2")
    add_model(root, "versions", keras_file("tiny", 10), TINY_CONFIG, version="10")
    return root


@pytest.fixture(scope="session")
def small_repository(tmp_path_factory: pytest.TempPathFactory, keras_file: Callable[..., Path]) -> Path:
    """A repository folder of `tiny` alone: what starts on it loads and tries every model that it finds."""
    root = tmp_path_factory.mktemp("small-repository")
    add_model(root, "tiny", keras_file("tiny"), TINY_CONFIG)
    return root


@pytest.fixture(scope="session")
def make_client(tmp_path_factory: pytest.TempPathFactory, small_repository: Path) -> Iterator[MakeClient]:
    """Return a function that starts an application on a repository folder, with limits if need be."""
    with ExitStack() as stack:

        def make(models: Path = small_repository, **limits: float) -> TestClient:
            data = tmp_path_factory.mktemp("data")
            # Few tests need the worker; it costs each application a process with TensorFlow.
            app = create_app(Settings(models=models, data=data, limits=limits, worker={"warm": False}))
            return stack.enter_context(TestClient(app, raise_server_exceptions=False, base_url="http://127.0.0.1"))

        yield make


@pytest.fixture(scope="session")
def client(make_client: MakeClient, repository: Path) -> TestClient:
    """The application with default settings on the common repository, with all its models loaded."""
    client: TestClient = make_client(repository)
    # Keras draws random numbers while it loads, which Hypothesis would take for those of its strategies.
    wait_until_loaded(client)
    return client


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory, small_repository: Path) -> Iterator[Callable[..., Server]]:
    """Return a function that starts `convscope serve` as a process of its own and waits until it answers."""
    with ExitStack() as stack:

        def start(**environment: str) -> Server:
            folder = tmp_path_factory.mktemp("server")
            places = {"CONVSCOPE_MODELS": str(small_repository), "CONVSCOPE_DATA": str(folder / "data")}
            places["CONVSCOPE_WORKER__WARM"] = "false"
            return stack.enter_context(Server(folder / "log.txt", **(places | environment)))

        yield start


def wait_until_loaded(client: TestClient) -> None:
    """Until every model that loads by itself has, or has failed."""
    services = client.app.state.services  # type: ignore[attr-defined]
    end = time.monotonic() + 120
    while time.monotonic() < end:
        residents = services.catalog.residency.list()
        if services.ready.is_set() and services.catalog.has_noticed() and all(each.load.done() for each in residents):
            return
        time.sleep(0.05)
    raise AssertionError("the models do not load")


def look_at_models(client: TestClient) -> None:
    """As the service does every second: what has changed in the folders is seen, and loaded."""
    client.app.state.services.catalog.refresh()  # type: ignore[attr-defined]


def add_model(root: Path, name: str, file: Path, card: str, *, version: str = "1") -> None:
    """Put a model file and its model.toml where the service looks for them."""
    place = root / name / version
    place.mkdir(parents=True)
    if card:
        (root / name / "model.toml").write_text(card, encoding="utf-8")
    # Renamed last, so that a running service never sees half a file.
    shutil.copy(file, place / "model.part")
    (place / "model.part").rename(place / "model.keras")


def cut_archive(file: Path, target: Path) -> None:
    """Write a .keras archive whose weights end in the middle."""
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(target, "w") as cut:
        for name in source.namelist():
            data = source.read(name)
            cut.writestr(name, data[: len(data) // 2] if name.endswith(".h5") else data)


def _network(kind: str, seed: int) -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    size = {"gray": (28, 28, 1), "open": (None, None, 3)}.get(kind, (32, 32, 3))
    image = keras.Input(size, name="picture")
    maps = layers.Conv2D(8, 3, activation="relu", padding="same", name="conv1")(image)
    maps = layers.MaxPooling2D(name="pool1")(maps)
    if kind == "lambda":
        maps = layers.Lambda(lambda values: values * 2, name="doubling")(maps)
    maps = layers.Conv2D(12, 3, activation="relu", padding="same", name="conv2")(maps)
    if kind == "features":
        return keras.Model(image, maps)
    vector = layers.GlobalAveragePooling2D(name="gap")(maps)
    units, activation = (1, "sigmoid") if kind == "gray" else (len(LABELS), "softmax")
    # Large weights, so that the classes differ visibly on any picture.
    kernel = keras.initializers.RandomNormal(stddev=3.0, seed=seed)
    scores = layers.Dense(units, activation=activation, kernel_initializer=kernel, name="scores")(vector)
    return keras.Model(image, scores)
