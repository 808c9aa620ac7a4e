"""Models from a real MLflow server with its SQLite store, and from a store that speaks S3, served by one service."""

import hashlib
import json
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from threading import Event
from typing import Any

import fsspec
import httpx2
import pytest

from tests.foreign.programs import FOREIGN, program
from tests.server import Server

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "scene.png"
PACKAGES = FOREIGN.parent / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
KEYS = {
    "AWS_ACCESS_KEY_ID": "convscope",
    "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-tests",
    "AWS_DEFAULT_REGION": "us-east-1",
}
CONFIG = 'preprocessing = "unit"\nlabels = ["a", "b", "c"]\n'
LIMIT_SECONDS = 60.0


@dataclass(frozen=True)
class World:
    """A service, and what its models come from."""

    server: Server
    registry: str
    artifacts: Path
    bucket: Any
    logged: str

    def ask(self, name: str) -> httpx2.Response:
        return httpx2.get(f"{self.server.url}/v1/models/{name}")

    def grad_cam(self, name: str) -> httpx2.Response:
        files = {"image": PICTURE.read_bytes()}
        return httpx2.post(f"{self.server.url}/v1/models/{name}/grad-cam", files=files, timeout=60)

    def load(self, name: str) -> httpx2.Response:
        return httpx2.post(f"{self.server.url}/v1/models/{name}/load", timeout=60)

    def point(self, version: str) -> None:
        """Let the alias `champion` of `cats` mean another version."""
        body = {"name": "cats", "alias": "champion", "version": version}
        httpx2.post(f"{self.registry}/api/2.0/mlflow/registered-models/alias", json=body).raise_for_status()


def until(seen: Callable[[], bool]) -> float:
    """The seconds until something is so."""
    began = time.monotonic()
    while not seen():
        assert time.monotonic() - began < LIMIT_SECONDS
        time.sleep(0.05)
    return time.monotonic() - began


def is_served(world: World, name: str, version: str) -> bool:
    return bool(world.ask(name).json().get("version") == version)


def put_model(folder: Path, name: str, config: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "model.toml").write_text(config, encoding="utf-8")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("elsewhere")
    for name in ("registry", "store", "service"):
        (folder / name).mkdir()
    places = ("--backend-store-uri", "sqlite:///registry.sqlite", "--artifacts-destination", "./artifacts")
    address = ("--host", "127.0.0.1", "--port", "{port}")
    mlflow = ("mlflow", "server", *places, *address, "--workers", "1")
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    moto = ("moto_server", *address)
    with (
        program(folder / "registry" / "log", *mlflow, answers="/health", **quiet) as registry,
        program(folder / "store" / "log", *moto, answers="/moto-api/") as store,
    ):
        script = [sys.executable, str(Path(__file__).with_name("log_models.py")), registry, str(PACKAGES)]
        done = subprocess.run(script, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        logged = json.loads(done.stdout.splitlines()[-1])["logged"]
        models = folder / "models"
        put_model(models, "champion", CONFIG + 'source = "models:/cats@champion"')
        put_model(models, "wrong", f'source = "models:/cats/1"\nsha256 = "{"0" * 64}"')
        put_model(models, "exported", 'source = "models:/exported/1"')
        put_model(models, "older", 'source = "models:/older/1"')
        put_model(models, "misspelt", 'source = "models:/cats@chmpion"')
        put_model(models, "alone", 'source = "s3://alone/cats.keras"')
        keys = {"key": KEYS["AWS_ACCESS_KEY_ID"], "secret": KEYS["AWS_SECRET_ACCESS_KEY"]}
        bucket = fsspec.filesystem("s3", endpoint_url=store, **keys)
        (first,) = registered(folder / "registry" / "artifacts", logged)
        for path in ("models/remote/1/model.keras", "alone/cats.keras"):
            bucket.makedirs(path.partition("/")[0], exist_ok=True)
            bucket.pipe(path, first.read_bytes())
        environment = {
            "CONVSCOPE_MODELS": f"{models},s3://models",
            "CONVSCOPE_MLFLOW_MODELS": f"one=models:/cats/1,new=models:/cats/latest,models:/flavored/1,logged={logged}",
            "CONVSCOPE_MODELS_POLL_SECONDS": "1",
            "MLFLOW_TRACKING_URI": registry,
            "AWS_ENDPOINT_URL": store,
        }
        with Server(folder / "service" / "log", **environment, **KEYS) as server:
            server.wait_until_ready()
            yield World(server, registry, folder / "registry" / "artifacts", bucket, logged)
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in server.log()


def registered(artifacts: Path, logged: str) -> list[Path]:
    """The Keras files of a logged model, where the server keeps them."""
    return list(artifacts.rglob(f"{logged.rpartition('/')[2]}/artifacts/data/model.keras"))


def test_model_of_mlflow_is_served_when_its_version_is_named(world: World):
    (file,) = registered(world.artifacts, world.logged)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    for name in ("one", "logged"):
        assert world.grad_cam(name).status_code == 200
        detail = world.ask(name).json()
        assert (detail["version"], detail["digest"]) == ("1", digest)
    assert world.grad_cam("new").json()["version"] == "2"
    # As the TensorFlow flavour writes them: data/model.keras, and data/model.h5.
    assert world.grad_cam("flavored").status_code == 200
    assert list(world.artifacts.rglob("data/model.h5"))
    assert world.grad_cam("older").status_code == 200


def test_job_is_computed_when_its_model_lies_elsewhere(world: World):
    body = {"layer": "maps", "filters": "0", "steps": 1}
    url = f"{world.server.url}/v1/models/one/filter-patterns"
    answer = httpx2.post(url, json=body, headers={"Prefer": "wait=60"}, timeout=90)
    assert answer.status_code == 200, answer.text
    assert answer.json()["version"] == "1"


def test_model_is_refused_when_its_digest_is_another(world: World):
    (file,) = registered(world.artifacts, world.logged)
    until(lambda: world.ask("wrong").status_code == 503)
    problem = world.ask("wrong").json()
    assert problem["code"] == "model_failed"
    for word in ("0" * 64, hashlib.sha256(file.read_bytes()).hexdigest(), "pin the other digest"):
        assert word in problem["detail"]


def test_advice_is_given_when_a_saved_model_was_logged(world: World):
    until(lambda: world.ask("exported").status_code == 503)
    problem = world.ask("exported").json()
    assert problem["code"] == "model_failed"
    assert "SavedModel" in problem["detail"]
    assert "without save_exported_model" in problem["detail"]


def test_reason_is_told_when_an_alias_does_not_exist(world: World):
    until(lambda: world.ask("misspelt").status_code == 503)
    assert "MLflow has no 'models:/cats@chmpion'" in world.ask("misspelt").json()["detail"]


def test_no_answer_fails_when_an_alias_moves(world: World, record_property: Callable[[str, object], None]):
    until(lambda: world.grad_cam("champion").status_code == 200)
    over = Event()

    def ask() -> list[tuple[int, str]]:
        seen = []
        while not over.is_set():
            answer = world.grad_cam("champion")
            seen.append((answer.status_code, answer.json().get("version")))
        return seen

    with ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(ask) for _ in range(3)]
        try:
            for version in ("2", "1", "2"):
                world.point(version)
                seconds = until(partial(is_served, world, "champion", version))
                record_property(f"seconds until version {version}", round(seconds, 1))
                print(f"version {version} is served after {seconds:.1f} s")
                time.sleep(0.5)
        finally:
            over.set()
    for client in clients:
        seen = client.result()
        assert {status for status, _ in seen} == {200}
        # Each client saw each move, and none was undone in between.
        assert [version for version, _ in groupby(version for _, version in seen)] == ["1", "2", "1", "2"]
    # The version before can still be named.
    assert httpx2.get(f"{world.server.url}/v1/models/champion/versions/1").status_code == 200


def test_model_is_served_when_it_lies_in_s3(world: World):
    (file,) = registered(world.artifacts, world.logged)
    for name in ("remote", "alone"):
        assert world.grad_cam(name).status_code == 200
        assert world.ask(name).json()["digest"] == hashlib.sha256(file.read_bytes()).hexdigest()
    later = next(each for each in world.artifacts.rglob("model.keras") if each != file)
    world.bucket.pipe("models/remote/2/model.keras", later.read_bytes())
    assert world.load("remote").json()["version"] == "2"
    assert world.grad_cam("remote").json()["version"] == "2"
