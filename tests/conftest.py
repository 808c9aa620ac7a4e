"""Fixtures that several rooms share. TensorFlow is imported inside them: the unit tests must not pay for it."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import service.keras  # noqa: F401 -- what it tells TensorFlow, before a test imports that by itself
from service.engine.model import Model
from tests.redis_server import RedisServer
from tests.server import Server

_NETWORKS = "CONVSCOPE_NETWORKS"


def pytest_configure(config: pytest.Config) -> None:
    # One folder for all processes of a run, so that each model file is read by one cell, not by one for every test.
    if _NETWORKS not in os.environ:
        os.environ[_NETWORKS] = tempfile.mkdtemp(prefix="convscope-networks-")
        config.add_cleanup(lambda: shutil.rmtree(os.environ.pop(_NETWORKS), ignore_errors=True))


# Unknown where xdist is switched off (`-p no:xdist`).
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests.scheduling import Scheduling

    config.option.loadscopereorder = False
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    from tests.scheduling import FIRST

    # The longest first, so that no process is left with it in the end; the short unit tests are the last anyway.
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))


@pytest.fixture(scope="session")
def test_data(pytestconfig: pytest.Config) -> Path:
    """The folder of real models and photos, which is never part of the repository."""
    folder = pytestconfig.rootpath / os.environ.get("CONVSCOPE_TEST_DATA", "../shared")
    if not (folder / "models").is_dir():
        pytest.skip(f"no test data at '{folder}': set CONVSCOPE_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def load(test_data: Path) -> Callable[[str], Model]:
    """Load a network of `oracle.NETWORKS` as the service would, once per session."""
    from tests.oracle import NETWORKS, load_model

    return cache(lambda name: load_model(NETWORKS[name], test_data))


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service with its defaults, but for the port; its worker is warm when the first job comes."""
    with Server(tmp_path_factory.mktemp("service") / "log", CONVSCOPE_WORKER__WARM="true") as server:
        server.wait_until_ready()
        yield server.url
    # uvicorn drains, then ends by the signal it was sent.
    assert server.exit_code in (0, -signal.SIGTERM), server.log()
    for word in (" ERROR ", "oneDNN"):
        assert word not in server.log(), server.log()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for the session. A test that needs an empty one flushes it; one that harms it starts its own."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server
