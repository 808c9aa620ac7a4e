"""A real application whose jobs are computed when a test says so, by the real loop over the real store. No tests."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from schemas.jobs import ChunkResult, JobError, JobRecord, JobRequest, StoredImage
from schemas.results import Provenance, ResultImage, Timings
from service.api.dependencies import Services
from service.api.routes.methods import make_router
from service.app import create_app
from service.engine.methods import METHODS
from service.engine.methods.heatmaps.grad_cam import GRAD_CAM
from service.jobs.artifacts import Artifacts
from service.jobs.store.port import Claim, JobStore, Worker
from service.jobs.submission import Submissions
from service.jobs.worker.execution import Execution, Retries
from service.settings import Settings
from tests.unit.fakes import SilentNotifier

# A method whose only way is a job.
SLOW_CAM = replace(GRAD_CAM, name="slow-cam", takes_long=True)
# Guards against hanging; nothing is expected to take long.
LIMIT_SECONDS = 60.0


@dataclass
class Workshop:
    """An application, and what it is made of. Nothing is computed but by `work`, or by hand over the store."""

    app: FastAPI
    client: Any
    notifier: SilentNotifier

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    @property
    def store(self) -> JobStore:
        return self.services.jobs.store

    @property
    def artifacts(self) -> Artifacts:
        return self.services.jobs.artifacts

    def work(self) -> int:
        """Compute every chunk that waits, and return how many those were."""
        execution = self.execution()
        worker, count = Worker("workshop", f"workshop-{uuid4().hex}"), 0
        while execution.work("cpu", worker):
            count += 1
        execution.release_inputs()
        return count

    def execution(self, retries: Retries | None = None) -> Execution:
        return Execution(
            self.store,
            self.artifacts,
            self.services.catalog,
            methods=METHODS | {SLOW_CAM.name: SLOW_CAM},
            image_limits=self.services.image_limits,
            job_limits=self.services.jobs.rules.job_limits,
            lease_seconds=30,
            retries=retries or Retries(),
        )

    def submit(self, *, chunks: int = 2, combines: bool = True) -> str:
        """Write a job of two items a chunk down, which only a test can compute."""
        asked = JobRequest(model="tiny", version="1", model_sha256="0", method="grad-cam", params={}, image=None)
        cut = [[2 * number, 2 * number + 1] for number in range(chunks)]
        record = JobRecord(id=uuid4().hex, queue="gpu", request=asked, unit="filters", chunks=cut, combines=combines)
        return self.store.submit(record, duplicate_key=record.id).id

    def claim(self) -> Claim:
        """The oldest chunk of those jobs, in the hands of a new process."""
        claim = self.store.claim("gpu", Worker("hand", f"hand-{uuid4().hex}"))
        assert claim is not None
        return claim

    def finish(self, claim: Claim) -> ChunkResult:
        """Two pictures for a chunk, one for the whole."""
        count = len(claim.record.chunks)
        names = ["sheet"] if claim.chunk == count else [f"filter-{item}" for item in claim.record.chunks[claim.chunk]]
        images = [ResultImage(name=name, layer="conv1", width=1, height=1, data=name.encode()) for name in names]
        stored = self.artifacts.write_pictures(claim.record.id, claim.chunk, claim.fence, images)
        part = make_part(stored, f"chunk {claim.chunk}")
        assert self.store.finish(claim, part) == "continue"
        return part

    def fail(self, claim: Claim, code: str) -> None:
        assert self.store.finish(claim, JobError(code=code, detail="it went wrong")) == "continue"


def make_part(images: list[StoredImage], note: str) -> ChunkResult:
    """An answer of one chunk; `note` stands among its numbers."""
    return ChunkResult(
        model="tiny",
        version="1",
        method="grad-cam",
        layer="conv1",
        target=None,
        predictions=[],
        values={"note": note},
        provenance=Provenance(params={}, seed=None, image_sha256=None, model_sha256="0", plan={}, software={}),
        timings_seconds=Timings(decode=0, queue=0, compute=0, render=0),
        images=images,
    )


def build(models: Path, data: Path, **settings: Any) -> tuple[FastAPI, SilentNotifier]:
    """The application with its wake-up cut off, and a method that is always a job."""
    # Nobody looks around either: that would send a real wake-up.
    jobs = {"sweep_seconds": 3600} | settings.pop("jobs", {})
    app = create_app(Settings(models=models, data=data, jobs=jobs, worker={"warm": False}, **settings))
    services: Services = app.state.services
    notifier = SilentNotifier()
    limits = services.jobs
    submissions = Submissions(
        limits.store, limits.artifacts, notifier, max_queued=settings.get("limits", {}).get("queued_jobs")
    )
    app.state.services = replace(services, jobs=replace(limits, submissions=submissions))
    app.include_router(make_router([SLOW_CAM]))
    return app, notifier


@contextmanager
def open_workshop(models: Path, data: Path, **settings: Any) -> Iterator[Workshop]:
    app, notifier = build(models, data, **settings)
    with TestClient(app, raise_server_exceptions=False, base_url="http://127.0.0.1") as client:
        yield Workshop(app, client, notifier)


@contextmanager
def serve(app: FastAPI) -> Iterator[str]:
    """A real server for it, on a thread: streams can be read while they grow. Yields the URL."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=20))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + LIMIT_SECONDS
    while not server.started:
        assert time.monotonic() < end, "the server does not start"
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        app.state.services.jobs.stopping.set()
        server.should_exit = True
        thread.join(LIMIT_SECONDS)
        assert not thread.is_alive(), "the server does not stop"
