"""Records, results and workers for the tests of job stores."""

import time
from collections.abc import Callable
from itertools import count

from schemas.jobs import ChunkAnswer, ChunkResult, JobError, JobRecord, JobRequest, StoredImage
from schemas.results import Provenance, Timings
from service.jobs.store.port import Claim, JobStore, Rules, Submission, Worker

ERROR = JobError(code="not_finite", detail="The values are not finite.")
# Opens the same records again and again, by any rules.
Opening = Callable[[Rules], JobStore]
_NUMBERS = count()


def a_record(
    name: str = "", *, chunks: int = 1, combines: bool = False, image: str | None = None, owner: str = ""
) -> JobRecord:
    return JobRecord(
        id=name or f"job{next(_NUMBERS)}",
        owner=owner,
        queue="cpu",
        request=JobRequest(
            model="shapes",
            version="1",
            model_sha256="d1",
            method="filters",
            params={"layer": "ä:b"},
            image=image,
            input_bytes=0 if image is None else 100,
        ),
        unit="filters",
        chunks=[[number] for number in range(chunks)],
        combines=combines,
    )


def a_chunk_result(name: str = "filter-0") -> ChunkResult:
    return ChunkResult(
        model="shapes",
        version="1",
        method="filters",
        layer="conv1",
        target=None,
        predictions=[],
        values={"map": [0.1, 1e-12], "name": name},
        provenance=Provenance(params={}, seed=1, image_sha256=None, model_sha256="d1", plan={}, software={}),
        timings_seconds=Timings(decode=0, queue=0, compute=0.25, render=0),
        images=[
            StoredImage(name=name, layer=None, width=2, height=3, file=f"results/{name}.png", sha256="e5", size=10)
        ],
    )


def an_answer(name: str = "filter-0") -> ChunkAnswer:
    """What is kept of that result beside its pictures."""
    return ChunkAnswer.model_validate(a_chunk_result(name).model_dump(exclude={"images"}))


def a_worker(name: str = "worker") -> Worker:
    return Worker(name=name, process=f"{name}-{next(_NUMBERS)}")


def submit(store: JobStore, record: JobRecord) -> Submission:
    return store.submit(record, duplicate_key=f"only {record.id}")


def claim(store: JobStore, worker: Worker | None = None) -> Claim:
    found = store.claim("cpu", worker or a_worker())
    assert found is not None
    return found


def states(store: JobStore, job: str) -> list[str]:
    return [chunk.state for chunk in store.get(job).chunks]


def until(happens: Callable[[], bool], not_yet: type[Exception]) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            if happens():
                return
        except not_yet:
            pass
        time.sleep(0.02)
    raise AssertionError("it never happens")
