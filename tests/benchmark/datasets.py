"""Datasets of pictures, chunk by chunk as a worker goes through them, beside the same pictures in the batched engine.

That is `run` behind the DynamicBatcher, as the API has it: as many pictures under way as clients that send them.
What a dataset could reach at most is told by the network alone, in batches, on pictures that are decoded already.
"""

import tempfile
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from service.engine.arrays import Array
from service.engine.batching import BatchingProbe, DynamicBatcher
from service.engine.chunks import JobLimits, compute, plan
from service.engine.datasets.batches import BATCH
from service.engine.images.archive import Dataset, DatasetLimits, open_dataset, pack_dataset
from service.engine.images.photo import ImageFile
from service.engine.methods import METHODS
from service.engine.methods.channel_totals import SKETCH_SIZE
from service.engine.methods.layers.layer_health import SKETCH_POSITIONS
from service.engine.model import Model
from service.engine.running.request import Request
from service.engine.running.run import run
from service.engine.running.viewing import Decoding, see
from service.keras.compute.probe import KerasProbe
from service.limits import Limits
from tests.benchmark.engine import compare
from tests.benchmark.networks import LIMITS, as_model, open_probe
from tests.benchmark.pictures import jpeg
from tests.benchmark.rows import Row, Table, at_least, at_most
from tests.benchmark.turns import Contender, take_turns, timed

SIDE = 224
# Requests under way at once in the batched engine.
CLIENTS = 16
# The seeds of each contender's pictures begin there.
FIRST = {"network": 0, "engine": 2**30, "dataset": 2**31}


def measure_datasets(table: Table, networks: Sequence[str], test_data: Path, rounds: int, count: int) -> None:
    """`count` pictures each round; then ten and twenty times as many, to see what memory does."""
    table.head("Datasets of pictures")
    for name in networks:
        model = as_model(name, open_probe(name, test_data))
        for method in ("grad-cam", "layer-health"):
            contenders = _contenders(model, method, count)
            taken = take_turns(contenders, rounds, warm_up=1)
            what = f"{name}: {method} over {count} pictures"
            table.add(compare(f"{what}, the batched engine ÷ the dataset", taken, "engine", "dataset", at_least(0.9)))
            table.add(compare(f"{what}, the network alone ÷ the dataset", taken, "network", "dataset", None))
    table.add(_measure_memory(as_model("shapes", open_probe("shapes", test_data)), count))


def _contenders(model: Model, method: str, count: int) -> dict[str, Contender]:
    def decoded(number: int) -> list[Array]:
        photos = _photos("network", number, count)
        return [model.preprocessing.apply(see(model, ImageFile(photo), Decoding(LIMITS)).seen) for photo in photos]

    ask_engine = _statistics_in_engine if method == "layer-health" else _run_in_engine
    return {
        "network": timed(lambda inputs: _ask_network(model, method, inputs), decoded),
        "engine": timed(lambda images: ask_engine(model, images), lambda number: _photos("engine", number, count)),
        "dataset": timed(lambda images: _go_through(model, method, images), lambda number: _pack(number, count)),
    }


def _ask_network(model: Model, method: str, inputs: Sequence[Array]) -> None:
    probe = model.probe
    assert isinstance(probe, KerasProbe)
    for start in range(0, len(inputs), BATCH):
        batch = inputs[start : start + BATCH]
        if method == "layer-health":
            _survey(probe, batch)
        else:
            probe.gradients_of(batch, [None] * len(batch))


def _survey(probe: KerasProbe, batch: Sequence[Array]) -> None:
    layers = [layer.response or layer.path for layer in probe.network_info.layers if layer.kernel_shape is not None]
    probe.channel_statistics(np.stack(batch), layers, np.ones((len(batch), SKETCH_SIZE, SKETCH_POSITIONS), np.float32))


def _run_in_engine(model: Model, images: Sequence[bytes]) -> None:
    """A result of Grad-CAM for each with one picture, as clients ask for it: an overlay in place of three pictures."""
    assert isinstance(model.probe, KerasProbe)
    batched = replace(model, probe=BatchingProbe(model.probe, _open_batcher(), model.name))
    chosen = METHODS["grad-cam"]

    def ask(image: bytes) -> None:
        run(batched, Request(chosen, chosen.params(), ImageFile(image), first_picture_only=True), LIMITS)

    with ThreadPoolExecutor(CLIENTS) as clients:
        deque(clients.map(ask, images), maxlen=0)


def _statistics_in_engine(model: Model, images: Sequence[bytes]) -> None:
    """Layer health answers for no picture alone: what a client would wait for is the statistics of its batch."""
    probe, batcher = model.probe, _open_batcher()
    assert isinstance(probe, KerasProbe)

    def answer(batch: Sequence[Array]) -> Sequence[None]:
        _survey(probe, batch)
        return [None] * len(batch)

    def ask(image: bytes) -> None:
        seen = model.preprocessing.apply(see(model, ImageFile(image), Decoding(LIMITS)).seen)
        batcher.compute(model.name, "channel_statistics", seen, answer)

    with ThreadPoolExecutor(CLIENTS) as clients:
        deque(clients.map(ask, images), maxlen=0)


def _open_batcher() -> DynamicBatcher:
    return DynamicBatcher(max_batch=Limits().batch_size, max_waiting=CLIENTS)


def _photos(contender: str, number: int, count: int) -> list[bytes]:
    """Pictures that the engine has not seen, as it remembers them."""
    return [jpeg(FIRST[contender] + number * count + place, SIDE) for place in range(count)]


def _pack(number: int, count: int) -> Dataset:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the dataset, or by the garbage collector
    pack_dataset(((f"{place:05}.jpg", photo) for place, photo in enumerate(_photos("dataset", number, count))), file)
    return open_dataset(file, DatasetLimits())


def _go_through(model: Model, method: str, images: Dataset) -> None:
    """As a worker does: of each chunk the pictures are written and forgotten."""
    chosen = METHODS[method]
    request = Request(chosen, chosen.params(), None, images=images)
    for items in plan(model, request, LIMITS, JobLimits()).chunks:
        compute(model, request, items, LIMITS, lambda _: None)


def _measure_memory(model: Model, count: int) -> Row:
    """After ten times as many all threads have had what they need for their work, which is no growth."""
    process = psutil.Process()
    memory = []
    for number, size in ((10_000, 10 * count), (20_000, 20 * count)):
        _go_through(model, "grad-cam", _pack(number, size))
        memory.append(process.memory_info().rss)
    what = f"shapes: memory after grad-cam over {20 * count} pictures ÷ after {10 * count}"
    note = f"{memory[1] / 2**20:.0f} MiB ÷ {memory[0] / 2**20:.0f} MiB"
    return Row(what, memory[1] / memory[0], at_most(1.05), note, {"rss_bytes": memory})
