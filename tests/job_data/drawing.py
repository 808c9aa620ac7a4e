"""What a chunk of several versions over large pictures holds while it is drawn; a process of its own for each way."""

import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from schemas.results import Result
from service.engine.methods import METHODS
from service.engine.model import Model
from service.engine.running.request import Request
from service.engine.versions.comparison import compute_versions
from service.jobs.artifacts import Artifacts
from service.jobs.store.port import Claim, Rules
from service.jobs.store.redis import RedisJobStore
from service.jobs.worker.attempt import Attempt
from tests.benchmark.networks import LIMITS, as_model, open_probe
from tests.job_data.made_up import claim, draw_noise, make_dataset, submit
from tests.job_data.telling import tell
from tests.redis_server import RedisServer

WIDTH, HEIGHT, PICTURES, VERSIONS = 3000, 2000, 16, 10
WAYS: Final = ("when all are drawn", "as they are drawn")


def measure_versions(folder: Path, *, way: str) -> None:
    """One chunk of large pictures over ten versions, drawn and written: all together, or as they come."""
    probe = open_probe("shapes", folder)
    models = [replace(as_model("shapes", probe), version=str(number + 1)) for number in range(VERSIONS)]
    method = METHODS["grad-cam"]
    images = make_dataset([draw_noise(WIDTH, HEIGHT, seed) for seed in range(PICTURES)])
    artifacts = Artifacts(str(folder))
    with _claim_by_hand(folder) as held:
        request = Request(method, method.params(), None, images=images)
        # Traces, and pages of the libraries.
        compute_versions(models[:2], request, [0], LIMITS, lambda _: None)
        attempt = Attempt(artifacts, held)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before = _status("VmHWM")
        tracemalloc.start()
        if way == WAYS[0]:
            result = _draw(models, request)
            stored = artifacts.write_pictures(held.record.id, held.chunk, held.fence, result.images)
        else:
            result = _draw(models, replace(request, write=attempt.write))
            stored = attempt.keep(result).images
        tell(
            what="versions over large pictures",
            written=way,
            versions=VERSIONS,
            pictures=len(stored),
            picture_bytes=sum((folder / image.file).stat().st_size for image in stored),
            python_peak=tracemalloc.get_traced_memory()[1],
            rss_grown=_status("VmHWM") - before,
        )


def _draw(models: list[Model], request: Request) -> Result:
    return compute_versions(models, request, range(PICTURES), LIMITS, lambda _: None)


@contextmanager
def _claim_by_hand(folder: Path) -> Iterator[Claim]:
    with RedisServer(folder / "redis") as server, closing(RedisJobStore(server.url, Rules())) as store:
        submit(store, "grad-cam", PICTURES, PICTURES)
        yield claim(store)


def _status(name: str) -> int:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.partition(f"{name}:")[2].split()[0]) * 1024


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        measure_versions(Path(place), way=sys.argv[1])
