"""What is away for a moment costs a job an attempt, not its life: the real loop over real folders."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from service.engine.model import Model
from service.errors import WeightsUnavailableError
from service.jobs.store.port import Worker
from service.jobs.worker.execution import Retries
from service.models.catalog import Catalog
from service.models.sources.source import ModelVersion, Source
from tests.contract.workshop import LIMIT_SECONDS, SLOW_CAM, Workshop, open_workshop

AT_ONCE = Retries(first_pause_seconds=0.001)
WORKER = Worker("worker", "worker-1")
Away = Callable[[Path], Any]


@pytest.fixture
def workshop(tmp_path: Path, repository: Path) -> Iterator[Workshop]:
    shutil.copytree(repository / "tiny" / "1", tmp_path / "models" / "tiny" / "1")
    shutil.copytree(repository / "tiny" / "1", tmp_path / "models" / "tiny" / "2")
    with open_workshop(tmp_path / "models", tmp_path / "data") as opened:
        yield opened


@contextmanager
def _unmounted(folder: Path) -> Iterator[None]:
    aside = folder.parents[1] / "aside"
    folder.rename(aside)
    yield
    aside.rename(folder)


@contextmanager
def _unreadable(folder: Path) -> Iterator[None]:
    """What is asked for below it is neither there nor missing."""
    is_there = folder.exists()
    if is_there:
        folder.rename(folder.with_name("aside"))
    folder.write_bytes(b"no folder")
    yield
    folder.unlink()
    if is_there:
        folder.with_name("aside").rename(folder)


def _submit(workshop: Workshop, picture: bytes) -> str:
    response = workshop.client.post(f"/v1/models/tiny/{SLOW_CAM.name}", files={"image": picture})
    assert response.status_code == 202
    return str(response.json()["id"])


def _look(workshop: Workshop, job: str) -> tuple[str, int]:
    """How its one chunk stands, and how often it was begun."""
    (chunk,) = workshop.store.get(job).chunks
    return chunk.state, chunk.attempts


@pytest.mark.parametrize(
    ("away", "place"),
    [
        (_unreadable, "data/artifacts/results"),
        (_unreadable, "data/artifacts/inputs"),
        (_unmounted, "data/artifacts/inputs"),
        (_unmounted, "models/tiny"),
        (_unmounted, "models/tiny/2"),
    ],
)
def test_job_succeeds_when_a_folder_was_away_for_a_moment(
    workshop: Workshop, tmp_path: Path, picture: bytes, away: Away, place: str
) -> None:
    job = _submit(workshop, picture)
    execution = workshop.execution(AT_ONCE)
    with away(tmp_path / place):
        # As the catalog does every second.
        execution.catalog.refresh()
        assert execution.work("cpu", WORKER)
        assert _look(workshop, job) == ("queued", 1)
    execution.catalog.refresh()
    assert execution.work("cpu", WORKER)
    assert _look(workshop, job) == ("succeeded", 2)


class _Fetched:
    """A source whose weights cannot be fetched the first time."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.asked = 0

    def names(self) -> list[str]:
        return list(self._source.names())

    def versions(self, name: str) -> list[ModelVersion]:
        return [
            replace(model_version, open=partial(self._open, model_version))
            for model_version in self._source.versions(name)
        ]

    def look(self, since: float, until: float) -> bool:
        return self._source.look(since, until)

    def close(self) -> None:
        self._source.close()

    def _open(self, model_version: ModelVersion) -> Model:
        self.asked += 1
        if self.asked == 1:
            raise WeightsUnavailableError("its weights cannot be fetched")
        return model_version.open()


def test_job_succeeds_when_weights_could_not_be_fetched_at_first(workshop: Workshop, picture: bytes) -> None:
    job = _submit(workshop, picture)
    sources = [_Fetched(source) for source in workshop.services.catalog._keeper._sources]
    execution = replace(workshop.execution(AT_ONCE), catalog=Catalog(sources))
    assert execution.work("cpu", WORKER)
    assert _look(workshop, job) == ("queued", 1)
    assert execution.work("cpu", WORKER)
    assert _look(workshop, job) == ("succeeded", 2)
    execution.catalog.close()


def test_job_fails_with_the_reason_when_it_stays_away(workshop: Workshop, tmp_path: Path, picture: bytes) -> None:
    job = _submit(workshop, picture)
    execution = workshop.execution(AT_ONCE)
    with _unreadable(tmp_path / "data" / "artifacts" / "inputs"):
        for _ in range(AT_ONCE.max_attempts):
            assert execution.work("cpu", WORKER)
        assert not execution.work("cpu", WORKER)
    assert _look(workshop, job) == ("failed", AT_ONCE.max_attempts)
    assert workshop.client.get(f"/v1/jobs/{job}").json()["error"]["code"] == "storage_unavailable"


def test_passing_faults_and_lost_workers_do_not_add_up(workshop: Workshop, tmp_path: Path, picture: bytes) -> None:
    job = _submit(workshop, picture)
    execution = workshop.execution(AT_ONCE)
    most = AT_ONCE.max_attempts - 1
    for number in range(most):
        with _unreadable(tmp_path / "data" / "artifacts" / "inputs"):
            assert execution.work("cpu", WORKER)
        lost = f"lost-{number}"
        assert workshop.store.claim("cpu", Worker("worker", lost)) is not None
        workshop.store.abandon(lost)
    assert _look(workshop, job) == ("queued", 2 * most)
    assert execution.work("cpu", WORKER)
    told = workshop.client.get(f"/v1/jobs/{job}").json()
    assert (told["state"], told["attempts"], told["retries"]) == ("succeeded", 2 * most + 1, most)


@pytest.mark.parametrize("ended_by", ["cancel", "delete", "release"])
def test_pause_ends_when_the_job_or_the_worker_is_to_end(
    workshop: Workshop, tmp_path: Path, picture: bytes, ended_by: str
) -> None:
    job = _submit(workshop, picture)
    execution = workshop.execution(Retries(first_pause_seconds=10 * LIMIT_SECONDS))
    with _unreadable(tmp_path / "data" / "artifacts" / "inputs"):
        thread = threading.Thread(target=execution.work, args=("cpu", WORKER), daemon=True)
        thread.start()
        end = time.monotonic() + LIMIT_SECONDS
        while workshop.store.get(job).state != "running":
            assert time.monotonic() < end
            time.sleep(0.01)
        getattr(workshop.store, ended_by)(WORKER.name if ended_by == "release" else job)
        thread.join(LIMIT_SECONDS)
        assert not thread.is_alive()
    if ended_by == "release":
        # Handed back, as if it had not been begun.
        assert _look(workshop, job) == ("queued", 0)


def test_pauses_grow_up_to_a_bound() -> None:
    assert [Retries().pause_seconds(attempt) for attempt in (1, 2, 3, 4, 6, 5000)] == [1, 2, 4, 8, 30, 30]
