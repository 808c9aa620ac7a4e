"""A folder of hostile model files under one real service: each is refused for what it is, and costs nothing else."""

import io
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil
import pytest
from PIL import Image

from service.keras.cell.file_access import can_bound_files
from service.keras.cell.system_calls import can_filter_calls
from service.keras.files.loading import load_probe
from tests.hostile_files import HOSTILE, write_honest, write_honest_hdf5, write_victim
from tests.server import Server

# The least that may be set. No file here comes as far as TensorFlow.
PROCESSOR_SECONDS = 10
# A guard against hanging.
LIMIT_SECONDS = 240.0


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "models"
    for name, hostile in HOSTILE.items():
        version = folder / name / "1"
        version.mkdir(parents=True)
        write_victim(version)
        hostile.write(version)
    return folder


@pytest.fixture(scope="module")
def server(models: Path) -> Iterator[Server]:
    environment = {
        "CONVSCOPE_MODELS": str(models),
        "CONVSCOPE_LIMITS__CELL_PROCESSOR_SECONDS": str(PROCESSOR_SECONDS),
    }
    with Server(models.parent / "log", **environment) as server:
        server.wait_until_ready()
        yield server


@pytest.fixture(scope="module")
def began(server: Server) -> float:
    return psutil.Process(server.pid).create_time()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=120) as client:
        yield client


def _settled(client: httpx2.Client, name: str) -> dict[str, Any]:
    """Its state, once it has been read."""
    end = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < end:
        details = client.get("/v1/models").json()["details"]
        found: dict[str, Any] = next((each for each in details if each["name"] == name), {"state": "loading"})
        if found["state"] in ("ready", "failed"):
            return found
        time.sleep(0.1)
    raise AssertionError(f"'{name}' is still being read")


def _require_heat_map(client: httpx2.Client, number: int) -> None:
    """Of a picture that was not asked for before."""
    pixels = np.random.default_rng(number).integers(0, 256, (96, 96, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    answer = client.post("/v1/models/shapes/grad-cam", files={"image": content.getvalue()})
    assert answer.status_code == 200, answer.text
    assert answer.json()["method"] == "grad-cam"


@pytest.mark.parametrize("name", HOSTILE)
def test_file_is_refused_for_what_it_is_and_the_service_goes_on(
    name: str, server: Server, began: float, client: httpx2.Client
):
    found = _settled(client, name)
    assert found["state"] == "failed"
    assert re.search(HOSTILE[name].reason, found["reason"]), found["reason"]
    _require_heat_map(client, list(HOSTILE).index(name))
    process = psutil.Process(server.pid)
    assert (process.create_time(), process.is_running()) == (began, True)


@pytest.mark.parametrize("write", [write_honest, write_honest_hdf5])
def test_same_file_is_loaded_when_nothing_is_hostile_about_it(write: Callable[[Path], Path], tmp_path: Path):
    assert load_probe(write(tmp_path)).network_info.classes == 3


def test_service_tells_what_cells_cannot_reach(client: httpx2.Client):
    version = client.get("/version").json()
    assert version["cell_network"] == ("closed" if can_filter_calls() else "open")
    assert version["cell_files"] == ("bounded" if can_bound_files() else "open")


def test_nothing_is_left_of_them(server: Server, client: httpx2.Client, models: Path):
    for name in HOSTILE:
        _settled(client, name)
    assert server.children() == []
    assert list((models.parent / "data").glob("**/cell-*")) == []
    assert list(models.glob("**/new")) == []
    # What a file does by itself, it would do again: it is not tried at the next start.
    server.stop()
    server.start()
    for name in ("endless", "crash"):
        refused = client.post(f"/v1/models/{name}/load").json()
        assert refused["code"] == "model_failed"
        assert "earlier start" in refused["detail"], refused["detail"]
