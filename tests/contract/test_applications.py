"""`keras.applications` by name: the table against the installed Keras, and networks with random weights over HTTP."""

import inspect
import socket
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import keras
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from service.app import create_app
from service.keras.files.applications import load_application
from service.models.labels import imagenet_labels
from service.models.preprocessing import PRESETS
from service.models.sources.application_table import APPLICATIONS, Application
from service.models.sources.weights import find_cache
from service.settings import Settings
from tests.contract.conftest import assert_problem, png, wait_until_loaded
from tests.server import Server

# Of each family that puts the names of its files together, the network that is the cheapest to build.
ASKED = (
    "convnexttiny",
    "efficientnetb0",
    "efficientnetv2b0",
    "mobilenet",
    "mobilenetv2",
    "mobilenetv3small",
    "resnet50",
)


class _AskedForWeightsError(Exception):
    pass


def _module(application: Application) -> Any:
    return getattr(keras.applications, application.module)


def _function(application: Application) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(keras.applications, application.function)
    return function


# ---- the table


def test_table_has_every_function_when_keras_is_the_installed_one():
    functions = {name for name, value in vars(keras.applications).items() if inspect.isfunction(value)}
    assert functions == {application.function for application in APPLICATIONS.values()}
    for application in APPLICATIONS.values():
        assert _function(application).__module__ == f"keras.src.applications.{application.module}"


@pytest.mark.parametrize("application", APPLICATIONS.values(), ids=APPLICATIONS)
def test_preprocessing_is_the_module_s_own_when_applied_to_random_pixels(application: Application):
    pixels = np.random.default_rng(3).integers(0, 256, (9, 7, 3), np.uint8)
    expected = _module(application).preprocess_input(pixels.astype(np.float32))
    np.testing.assert_allclose(PRESETS[application.preprocessing].apply(pixels), expected, rtol=0, atol=2e-5)


def test_weights_are_keras_s_own_when_a_network_asks_for_them(monkeypatch: pytest.MonkeyPatch):
    asked: dict[str, Any] = {}

    def get_file(fname: str, origin: str, *, cache_subdir: str, file_hash: str | None = None) -> None:
        asked[name] = (fname, origin, file_hash)
        assert cache_subdir == "models"
        raise _AskedForWeightsError

    monkeypatch.setattr(keras.src.utils.file_utils, "get_file", get_file)
    origin = Settings.model_fields["applications_origin"].default
    for name in ASKED:
        application = APPLICATIONS[name]
        shape = (application.side, application.side, 3) if application.side else None
        # Without a state, variables are named but never filled.
        with keras.StatelessScope(), pytest.raises(_AskedForWeightsError):
            _function(application)(input_shape=shape)
        weights = application.weights
        assert asked[name] == (weights.name, f"{origin}/{weights.path}", weights.digest)


def test_files_and_digests_are_keras_s_own_when_they_stand_in_its_code():
    folder = Path(inspect.getfile(inspect.unwrap(keras.applications.VGG16))).parent
    code = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    asked = {APPLICATIONS[name].module for name in ASKED} | {"resnet_v2"}
    for application in APPLICATIONS.values():
        weights = application.weights
        assert (weights.digest or "") in code
        assert application.module in asked or (weights.name in code and weights.path.rpartition("/")[2] in code)


def test_cache_is_keras_s_own_when_keras_looks_for_a_file(tmp_path: Path):
    # Keras reads KERAS_HOME once, when it is imported.
    (tmp_path / "some-file.txt").write_text("x")
    found = Path(keras.utils.get_file(origin=(tmp_path / "some-file.txt").as_uri(), cache_subdir="models"))
    found.unlink()
    assert found.parent == find_cache()


# ---- networks


@pytest.mark.parametrize("name", ["convnexttiny", "mobilenetv3small"])
def test_paths_and_scores_are_the_same_when_loaded_twice(name: str):
    application = APPLICATIONS[name]
    first, second = (load_application(application.function, side=application.side) for _ in range(2))
    assert first.network_info == second.network_info
    assert first.network_info.input_shape == (224, 224, 3)
    image = np.random.default_rng(5).uniform(0, 255, (224, 224, 3)).astype(np.float32)
    np.testing.assert_array_equal(first.scores(image).values, second.scores(image).values)


@pytest.fixture(scope="module")
def random_client(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The service with untrained applications."""
    data = tmp_path_factory.mktemp("data")
    settings = Settings(models=repository, data=data, applications_weights="none", worker={"warm": False})
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        yield client


def test_applications_are_listed_last_and_available_when_nobody_has_asked(random_client: TestClient):
    listing = random_client.get("/v1/models").json()
    assert listing["models"][:2] == ["glyphs", "shapes"]
    assert listing["models"][-len(APPLICATIONS) :] == list(APPLICATIONS)
    vgg16 = next(item for item in listing["details"] if item["name"] == "vgg16")
    assert (vgg16["state"], vgg16["versions"], vgg16["task"]) == ("available", ["1"], None)


def test_model_is_described_without_being_loaded_when_nobody_has_used_it(random_client: TestClient):
    detail = random_client.get("/v1/models/vgg19").json()
    assert (detail["name"], detail["ready"], detail["state"]) == ("vgg19", True, "available")
    assert detail["parameters"] is None
    listing = random_client.get("/v1/models").json()["details"]
    assert next(item for item in listing if item["name"] == "vgg19")["state"] == "available"


def test_answers_carry_imagenet_labels_when_an_application_is_asked(random_client: TestClient, picture: bytes):
    place = "/v1/models/mobilenetv2"
    predictions = random_client.post(f"{place}/predictions", files={"image": picture}).json()["predictions"]
    assert all(item["label"] == imagenet_labels()[item["index"]] for item in predictions)
    heat_map = random_client.post(f"{place}/grad-cam", files={"image": picture}, data={"class_index": "281"})
    assert heat_map.status_code == 200
    assert heat_map.json()["layer"] == "out_relu"
    assert heat_map.json()["target"]["label"] == "tabby"
    detail = random_client.get(place).json()
    assert detail["input"] == {"height": 224, "width": 224, "channels": 3, "preprocessing": "tf", "fit": "stretch"}
    assert "random" in detail["repairs"][0]
    assert len(detail["classes"]) == 1000


def test_nothing_is_loaded_when_a_model_is_only_looked_at(random_client: TestClient):
    place = "/v1/models/mobilenetv3small"
    problem = assert_problem(random_client.get(f"{place}/layers"), 409, "model_not_loaded", f"POST {place}/load")
    assert "Retry-After" not in problem
    assert_problem(
        random_client.get(f"{place}/versions/1/layers"), 409, "model_not_loaded", f"POST {place}/versions/1/load"
    )
    for route in (place, f"{place}/versions/1"):
        assert random_client.get(route).json()["state"] == "available"
        assert random_client.head(route).status_code == 405
    loaded = random_client.post(f"{place}/load")
    assert loaded.status_code == 200
    assert loaded.json() == random_client.get(place).json()
    assert loaded.json()["state"] == "ready"
    assert random_client.get(f"{place}/layers").json()["totals"]["parameters"] == 2_554_968


def test_older_version_is_loaded_by_a_post_alone(random_client: TestClient):
    wait_until_loaded(random_client)
    place = "/v1/models/versions"
    assert random_client.get(place).json()["state"] == "ready"
    older = random_client.get(f"{place}/versions/2").json()
    assert (older["version"], older["state"], older["methods"]) == ("2", "available", [])
    assert_problem(random_client.get(f"{place}/versions/2/layers"), 409, "model_not_loaded", "versions/2/load")
    assert random_client.post(f"{place}/versions/2/load").json()["version"] == "2"
    assert random_client.get(f"{place}/versions/2").json()["state"] == "ready"
    assert random_client.get(f"{place}/versions/2/layers").status_code == 200
    assert_problem(random_client.post(f"{place}/versions/3/load"), 404, "version_not_found")


def test_network_leaves_memory_when_another_takes_its_place(repository: Path, tmp_path: Path, picture: bytes):
    """Whoever knows it lets go: batches, traces, what is kept of pictures and results, and jobs."""
    settings = Settings(
        models=repository,
        data=tmp_path,
        applications_weights="none",
        limits={"model_bytes": 60 * 2**20},
        worker={"warm": False},
    )
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        for method, headers in (("predictions", {}), ("grad-cam", {}), ("grad-cam", {"Prefer": "respond-async"})):
            answer = client.post(f"/v1/models/mobilenet/{method}", files={"image": picture}, headers=headers)
            assert answer.status_code in (200, 202), answer.text
        catalog = client.app.state.services.catalog  # type: ignore[attr-defined]
        network = weakref.ref(catalog.model("mobilenet").probe._inner._network)
        assert client.post("/v1/models/mobilenetv3small/load").status_code == 200
        assert client.get("/v1/models/mobilenet").json()["state"] == "available"
        end = time.monotonic() + 20
        while network() is not None and time.monotonic() < end:
            time.sleep(0.1)
        assert network() is None
        assert client.post("/v1/models/mobilenet/predictions", files={"image": picture}).status_code == 200


# ---- weights


@pytest.fixture
def silent_host() -> Iterator[str]:
    """A host that takes connections and says nothing: the slowest way of being offline."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_service_lives_on_when_weights_are_missing_and_finds_them_when_they_come(
    start_server: Callable[..., Server], silent_host: str, tmp_path: Path, picture: bytes
):
    server = start_server(KERAS_HOME=str(tmp_path), CONVSCOPE_APPLICATIONS_ORIGIN=silent_host)
    file = APPLICATIONS["mobilenetv2"].weights.name

    def ask(model: str, image: bytes = picture) -> Any:
        return httpx2.post(f"{server.url}/v1/models/{model}/predictions", files={"image": image}, timeout=60)

    assert ask("tiny").status_code == 200
    with ThreadPoolExecutor(4) as threads:
        offline = [threads.submit(ask, model) for model in ("mobilenetv2", "vgg16", "resnet50")]
        meanwhile = ask("tiny")
        assert not any(answer.done() for answer in offline)
        assert meanwhile.status_code == 200
        assert_problem(offline[0].result(), 503, "weights_unavailable", file, "$KERAS_HOME/models")
    assert_problem(offline[2].result(), 503, "weights_unavailable", APPLICATIONS["resnet50"].weights.name)
    described = httpx2.get(f"{server.url}/v1/models/mobilenetv2", timeout=60)
    problem = assert_problem(described, 503, "weights_unavailable", file)
    assert (problem["name"], problem["ready"]) == ("mobilenetv2", False)

    network = keras.applications.MobileNetV2(weights=None)
    network.save(tmp_path / "given.h5")
    (tmp_path / "given.h5").rename(tmp_path / "models" / file)
    answer = ask("mobilenetv2", png(Image.new("RGB", (50, 50), (200, 90, 20))))
    pixels = np.full((1, 224, 224, 3), (200, 90, 20), np.float32)
    expected = network(keras.applications.mobilenet_v2.preprocess_input(pixels), training=False)[0].numpy()
    best = answer.json()["predictions"][0]
    assert best["score"] == pytest.approx(expected.max(), rel=1e-3)
    assert expected[best["index"]] == pytest.approx(expected.max(), rel=1e-3)


def test_file_is_named_when_it_is_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: bytes):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    file = tmp_path / "models" / APPLICATIONS["mobilenet"].weights.name
    file.write_bytes(b"half a file")
    with TestClient(
        create_app(Settings(data=tmp_path / "data", worker={"warm": False})), base_url="http://127.0.0.1"
    ) as client:
        answer = client.post("/v1/models/mobilenet/predictions", files={"image": picture})
    assert_problem(answer, 503, "weights_unavailable", file.name, "damaged")
    assert file.exists()
