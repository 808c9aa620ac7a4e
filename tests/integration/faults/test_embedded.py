"""Faults 1 without Redis: the service's one child is killed, and the service itself."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from service.settings import Settings
from service.wiring import open_store
from tests.integration.faults.conftest import SHORT, is_alive
from tests.integration.faults.scenario import Witness, slow, wait_until
from tests.server import Server


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def server(tmp_path: Path, data: Path) -> Iterator[Server]:
    with Server(tmp_path / "server.log", **SHORT, CONVSCOPE_REDIS_URL="", CONVSCOPE_DATA=str(data)) as server:
        yield server


@pytest.fixture
def witness(server: Server, data: Path) -> Iterator[Witness]:
    with ExitStack() as stack:
        client = stack.enter_context(httpx2.Client(base_url=server.url, timeout=30))
        store = open_store(Settings(redis_url="", data=data))
        stack.callback(store.close)
        yield Witness(client, store, server.log)


def test_job_succeeds_and_no_child_is_left_when_child_and_service_are_killed(server: Server, witness: Witness):
    job = witness.submit(slow(steps=400))
    witness.wait_for_start(job)
    first = _child(server)
    os.kill(first, signal.SIGKILL)
    witness.wait_for_start(job, 2)
    witness.wait_for_fraction(job, 0.1)
    second = _child(server)
    assert second != first
    server.kill()
    server.start()
    wait_until(lambda: not is_alive(second), "the child of the killed service has ended")
    starts = [start for start in witness.assert_succeeded(job) if start.chunk == 0]
    # The death of a child costs an attempt; the one that lost its service has handed back what it held.
    assert [start.number for start in starts] == [1, 2, 2]
    assert witness.outcome(job, starts[1]) == "release"


def _child(server: Server) -> int:
    (child,) = server.children()
    return child
