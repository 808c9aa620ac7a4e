"""What Redis keeps of jobs over thousands of pictures, and sends to who looks at them."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from service.engine.chunks import combine
from service.engine.kinds.picture_items import SLICE as PICTURES
from service.engine.methods import METHODS
from service.engine.methods.layers.layer_health import SLICE
from service.engine.running.reduction import Finished
from service.engine.running.request import Request
from service.jobs.artifacts import Artifacts
from service.jobs.store.port import Rules
from service.jobs.store.redis import RedisJobStore
from service.jobs.view import describe
from service.jobs.worker.attempt import Attempt, forget_numbers, read_whole
from tests.benchmark.networks import LIMITS, as_model, open_probe
from tests.job_data.made_up import claim, draw_noise, make_dataset, make_picture, make_result, make_totals, submit
from tests.job_data.telling import tell
from tests.redis_server import RedisServer


def _info(server: RedisServer, name: str) -> int:
    found = re.search(rf"\b{name}:(\d+)", server.command("INFO", "everything"))
    assert found is not None
    return int(found[1])


def measure_layer_health(server: RedisServer, folder: Path, pictures: int) -> dict[str, int | str]:
    """Chunk by chunk, what Redis and the artifacts keep, before the reducer and after it."""
    store, artifacts = RedisJobStore(server.url, Rules()), Artifacts(str(folder))
    model = as_model("resnet50", open_probe("resnet50", folder))
    layers = [layer for layer in model.network_info.layers if layer.kernel_shape is not None]
    idle = _info(server, "used_memory")
    record = submit(store, "layer-health", pictures, SLICE)
    kept, written, size = [], [], 0
    for _ in record.chunks:
        held = claim(store)
        values = make_totals(layers, held)
        size = max(size, len(json.dumps(values)))
        store.finish(held, Attempt(artifacts, held).keep(make_result(held, values)))
        kept.append(_info(server, "used_memory") - idle)
        written.append(_bytes_below(folder))
    held = claim(store)
    _measure_reads(server, store, record.id, "layer-health, before the reducer")
    method = METHODS["layer-health"]
    request = Request(method, method.params(), None, images=make_dataset([draw_noise(8, 8)]))
    answers = [read_whole(artifacts, answer) for answer in store.answers(record.id)]
    whole = combine(model, request, Finished(answers, [], lambda _: None), LIMITS)
    attempt = Attempt(artifacts, held)
    store.finish(held, attempt.keep(whole.model_copy(update={"images": list(map(attempt.write, whole.images))})))
    forget_numbers(artifacts, record.id)
    store.close()
    return tell(
        what=f"layer-health over {pictures} pictures on ResNet50",
        chunks=len(record.chunks),
        chunk_json_bytes=size,
        redis_most_kept=max(kept),
        redis_peak=_info(server, "used_memory_peak") - idle,
        redis_at_the_end=_info(server, "used_memory") - idle,
        artifacts_most=max(written),
        artifacts_at_the_end=_bytes_below(folder),
    )


def measure_pictures(server: RedisServer, folder: Path, pictures: int) -> None:
    """A picture of each, and 7 by 7 numbers of each in what a chunk came to: read while it runs."""
    store, artifacts = RedisJobStore(server.url, Rules()), Artifacts(str(folder))
    record = submit(store, "grad-cam", pictures, PICTURES)
    idle = _info(server, "used_memory")
    rng = np.random.default_rng(0)
    for _ in record.chunks:
        held = claim(store)
        items = held.record.chunks[held.chunk]
        result = make_result(held, {"items": [{"heatmap": rng.random((7, 7)).tolist()} for _ in items]})
        kept = Attempt(artifacts, held).keep(result)
        images = [make_picture(held, item) for item in items]
        store.finish(held, kept.model_copy(update={"images": images}))
    tell(what=f"grad-cam over {pictures} pictures", redis_kept=_info(server, "used_memory") - idle)
    _measure_reads(server, store, record.id, "grad-cam, before the reducer")
    store.close()


def _measure_reads(server: RedisServer, store: RedisJobStore, job: str, when: str) -> None:
    revision = store.revision(job)
    reads: dict[str, Callable[[], object]] = {
        "GET /v1/jobs": lambda: store.list(limit=51),
        "GET /v1/jobs/{id}": lambda: describe(store.get(job), ""),
        "one look of events": lambda: store.get(job, after=revision),
        "one picture": lambda: store.picture(job, "picture-00007"),
        "the reducer": lambda: store.answers(job),
    }
    for what, read in reads.items():
        before = _info(server, "total_net_output_bytes")
        read()
        # What the second INFO sends is counted behind it.
        tell(when=when, read=what, redis_bytes=_info(server, "total_net_output_bytes") - before - _reply_bytes(server))


def _reply_bytes(server: RedisServer) -> int:
    return len(server.command("INFO", "everything")) + len("+OK\r\n")


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "results").rglob("*") if path.is_file())
