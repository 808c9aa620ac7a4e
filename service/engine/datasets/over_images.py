"""One method over a slice of a dataset: what a chunk of the job keeps of it."""

from dataclasses import replace
from time import perf_counter
from typing import Any

from schemas.results import Result, ResultImage, Timings
from service.engine.annotations.reading import Annotations
from service.engine.datasets.batches import Slice, decode_batches
from service.engine.datasets.picture_by_picture import find_each
from service.engine.finite import finite_values
from service.engine.kinds.context import Context
from service.engine.kinds.method import DatasetMethod, ImageMethod
from service.engine.kinds.packing import Chunk
from service.engine.kinds.picture_items import Item, Items, SliceChunk
from service.engine.running.origin import describe_origin
from service.engine.running.run import Finding, make_result
from service.errors import ConvscopeError


def compute_slice(work: Slice) -> Result:
    """The pictures of one chunk; those that cannot be read or computed are listed in `values.skipped`."""
    method = work.request.method
    if isinstance(method, DatasetMethod):
        return _compute_together(work, method)
    assert isinstance(method, ImageMethod), "others take no dataset"
    return _compute_each(work, method)


def _compute_together(work: Slice, method: DatasetMethod[Any, Any]) -> Result:
    """A method that takes all pictures of the slice itself."""
    started = perf_counter()
    context = Context(work.model.preprocessing, work.report, work.items, work.images.members)
    with finite_values():
        found = method.compute(work.model.probe, decode_batches(work), work.request.params, context)
    work.keep(None, found)
    count = len(work.items) - len(work.skipped)
    return _make_result(work, _chunk(work, count, found.layer, found.numbers), [], perf_counter() - started)


def _compute_each(work: Slice, method: ImageMethod[Any]) -> Result:
    """A method of one image, for a batch of them at a time."""
    started = perf_counter()
    if method.over_dataset.annotated:
        work = replace(work, annotations=Annotations(work.images))
    images: list[ResultImage] = []
    items: list[Item[Any, Any]] = []
    layer: str | None = None
    for member, outcome in find_each(work, method.over_dataset):
        if isinstance(outcome, ConvscopeError):
            work.skip(member, outcome)
            continue
        layer = layer or outcome.layer
        images += map(work.request.write, outcome.images)
        items.append(outcome.item)
    chunk = _chunk(work, len(items), layer, Items[Any, Any](items=items))
    return _make_result(work, chunk, images, perf_counter() - started)


def _chunk(work: Slice, images: int, layer: str | None, found: Chunk) -> SliceChunk[Any]:
    ranges = sorted(work.ranges, key=lambda item: item.index)
    return SliceChunk[Any](images=images, skipped=work.skipped, sample_ranges=ranges, layer=layer, found=found)


def _make_result(work: Slice, chunk: SliceChunk[Any], images: list[ResultImage], seconds: float) -> Result:
    finding = Finding(chunk.layer, None, [], images, chunk)
    # Decoding and drawing go on while others are computed.
    timings = Timings(decode=0.0, queue=0.0, compute=seconds, render=0.0)
    return make_result(work.model, work.request, finding, describe_origin(work.model, work.request), timings)
