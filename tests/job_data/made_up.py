"""Jobs and chunks of the true shapes, with random numbers, and pictures of noise."""

from io import BytesIO
from typing import Any, Final

import numpy as np
from PIL import Image

from schemas.jobs import JobRecord, JobRequest, StoredImage
from schemas.results import Provenance, Result, Timings
from schemas.values.base import to_json
from service.engine.images.archive import Dataset, DatasetLimits, open_dataset, pack_dataset
from service.engine.kinds.picture_items import SliceChunk
from service.engine.methods.channel_totals import SKETCH_SIZE, LayerTotal
from service.engine.methods.layers.layer_health import LayerHealthChunk, Pair
from service.engine.ports.network_info import LayerInfo
from service.jobs.store.port import Claim, JobStore, Worker

NOTHING: Final = Timings(decode=0, queue=0, compute=0, render=0)


def submit(store: JobStore, method: str, pictures: int, size: int) -> JobRecord:
    asked = JobRequest(model="resnet50", version="1", model_sha256="0" * 64, method=method, params={}, image=None)
    items = list(range(pictures))
    cut = [items[start : start + size] for start in items[::size]]
    record = JobRecord(id=f"{method}", queue="cpu", request=asked, unit="images", chunks=cut, combines=True)
    store.submit(record, duplicate_key=method)
    return record


def claim(store: JobStore) -> Claim:
    claim = store.claim("cpu", Worker("worker", "process"))
    assert claim is not None
    return claim


def make_result(claim: Claim, values: dict[str, Any]) -> Result:
    provenance = Provenance(params={}, seed=None, image_sha256=None, model_sha256="0" * 64, plan={}, software={})
    answer: dict[str, Any] = {"layer": None, "target": None, "predictions": [], "images": [], "values": values}
    named = {"model": "resnet50", "version": "1", "method": claim.record.request.method}
    return Result(**named, **answer, provenance=provenance, timings_seconds=NOTHING)


def make_totals(layers: list[LayerInfo], claim: Claim) -> dict[str, Any]:
    """What `layer-health` keeps of a slice, but for the numbers themselves."""
    rng = np.random.default_rng(claim.chunk)
    count = len(claim.record.chunks[claim.chunk])
    totals = []
    for layer in layers:
        assert layer.kernel_shape is not None
        channels = layer.kernel_shape[-1]
        total = LayerTotal(
            layer=layer.path,
            read_at=layer.response,
            type=layer.type,
            positions=49,
            images=count,
            sums=rng.random((3, channels)) * count,
            extremes=rng.normal(0, 1, (2, channels)).astype(np.float32).astype(np.float64),
            sketch=rng.normal(0, 9, (SKETCH_SIZE, channels)).astype(np.float32),
        )
        totals.append(total)
    pairs: dict[str, list[Pair]] | None = {layer.path: [] for layer in layers} if claim.chunk == 0 else None
    found = LayerHealthChunk(layers=totals, kernel_pairs=pairs)
    return to_json(SliceChunk[Any](images=count, skipped=[], sample_ranges=[], layer=None, found=found))


def make_picture(claim: Claim, item: int) -> StoredImage:
    name = f"picture-{item:05}"
    file = f"results/{claim.record.id}/{claim.chunk}-{claim.fence}/{name}.png"
    return StoredImage(name=name, layer="conv5_block3_out", width=224, height=224, file=file, sha256="0" * 64)


def make_dataset(pictures: list[bytes]) -> Dataset:
    file = BytesIO()
    pack_dataset(((f"{number}.jpg", data) for number, data in enumerate(pictures)), file)
    return open_dataset(file, DatasetLimits())


def draw_noise(width: int, height: int, seed: int = 0) -> bytes:
    """A photo of coarse noise, as a JPEG."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
