"""The same request gives the same bytes, whoever computes it: here, embedded, one worker, or three that share it."""

import re
import shutil
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from service.cli import main
from service.client import Client
from tests.redis_server import RedisServer
from tests.server import Server
from tests.worker import WorkerProcess

# In chunks of eight filters: enough for three workers.
SHAPES = {"layer": "conv3", "filters": "0-39", "size": 64, "steps": 20, "seed": 7}
# The real VGG16, at its real arithmetic: chunks of eight as well.
VGG16 = {"layer": "block2_conv1", "filters": "0-15", "size": 48, "steps": 5, "seed": 7}

Digests = dict[str, str]


@pytest.fixture(scope="module")
def models(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    (folder / "vgg16-blocks" / "1").mkdir(parents=True)
    shutil.copy(test_data / "models" / "vgg16_blocks1_2_imagenet.keras", folder / "vgg16-blocks" / "1" / "model.keras")
    (folder / "vgg16-blocks" / "model.toml").write_text('preprocessing = "caffe"\n')
    return folder


def _compute_here(model: str, params: dict[str, Any], folder: Path) -> Digests:
    """By `convscope filter-patterns`, in a process that has computed other things before."""
    options = [item for name, value in params.items() for item in (f"--{name}", str(value))]
    arguments = ["filter-patterns", "--model", model, *options, "-o", str(folder)]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    stem = f"{model}-filter-patterns-"
    return {file.stem.removeprefix(stem): sha256(file.read_bytes()).hexdigest() for file in folder.glob("*.png")}


def _compute_there(url: str, model: str, params: dict[str, Any]) -> Digests:
    """As a job of a service, computed anew."""
    with Client(url) as client:
        job = client.wait(client.submit("filter-patterns", model, fresh=True, **params).id)
        assert job.result is not None, job.error
        digests = {image.name: sha256(client.image(job.id, image.name)).hexdigest() for image in job.result.images}
        assert digests == {image.name: image.sha256 for image in job.result.images}
        return digests


def test_pictures_are_the_same_bytes_when_others_compute_them(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVSCOPE_MODELS", str(models))
    requests: list[tuple[str, dict[str, Any]]] = [("shapes", SHAPES), ("vgg16-blocks", VGG16)]
    found: dict[str, list[Digests]] = {}
    with Server(tmp_path / "embedded.log", CONVSCOPE_DATA=str(tmp_path / "embedded")) as server:
        found["embedded"] = [_compute_there(server.url, *request) for request in requests]
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(tmp_path / "redis"))
        monkeypatch.setenv("CONVSCOPE_REDIS_URL", redis.url)
        monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path / "redis-mode"))
        server = stack.enter_context(Server(tmp_path / "server.log", CONVSCOPE_DATA=str(tmp_path / "redis-mode")))
        workers = [stack.enter_context(WorkerProcess(tmp_path / "worker-0.log"))]
        found["one worker"] = [_compute_there(server.url, *request) for request in requests]
        workers += [stack.enter_context(WorkerProcess(tmp_path / f"worker-{number}.log")) for number in (1, 2)]
        found["three workers"] = [_compute_there(server.url, *request) for request in requests]
        busy = [worker for worker in workers if re.search(r"finished job \w+ chunk .* committed", worker.log())]
        assert len(busy) == 3
    found["here"] = [_compute_here(model, params, tmp_path / model) for model, params in requests]
    assert len(found["embedded"][0]) == 41
    for place, digests in found.items():
        assert digests == found["embedded"], place
