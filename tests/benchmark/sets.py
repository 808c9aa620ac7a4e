"""Sets of pictures, chunk by chunk as a worker goes through them, beside the batched engine on decoded pictures."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil

from service.engine.arrays import Array
from service.engine.chunks import JobLimits, compute, plan
from service.engine.keras.probe import KerasProbe
from service.engine.methods import METHODS
from service.engine.methods.layer_health import SKETCH_POSITIONS, SKETCH_SIZE
from service.engine.model import Model
from service.engine.run import Request, see
from service.engine.sets.batches import BATCH
from service.engine.sets.image_set import ImageSet, SetLimits, open_set, pack_set
from tests.benchmark.engine import compare
from tests.benchmark.networks import LIMITS, as_model, open_probe
from tests.benchmark.pictures import jpeg
from tests.benchmark.rows import Row, Table, at_least, at_most
from tests.benchmark.turns import Contender, take_turns, timed

SIDE = 224


def measure_sets(table: Table, networks: Sequence[str], test_data: Path, rounds: int, count: int) -> None:
    """`count` pictures each round; then ten times as many, to see what memory does."""
    table.head("Sets of pictures")
    for name in networks:
        model = as_model(name, open_probe(name, test_data))
        for method in ("grad-cam", "layer-health"):
            contenders = _contenders(model, method, count)
            taken = take_turns(contenders, rounds, warm_up=1)
            what = f"{name}: {method} over {count} pictures, batches on decoded ones ÷ the set"
            table.add(compare(what, taken, "batches", "set", at_least(0.9)))
    table.add(_measure_memory(as_model("shapes", open_probe("shapes", test_data)), count))


def _contenders(model: Model, method: str, count: int) -> dict[str, Contender]:
    def prepare(number: int) -> list[Array]:
        images = [jpeg(number * count + place, SIDE) for place in range(count)]
        return [model.preprocessing.apply(see(model, image, LIMITS).seen) for image in images]

    return {
        "batches": timed(lambda inputs: _compute_batches(model, method, inputs), prepare),
        "set": timed(lambda images: _go_through(model, method, images), lambda number: _pack(number, count)),
    }


def _compute_batches(model: Model, method: str, inputs: Sequence[Array]) -> None:
    probe = model.probe
    assert isinstance(probe, KerasProbe)
    layers = [layer.response or layer.path for layer in probe.anatomy.layers if layer.kernel_shape is not None]
    signs = np.ones((BATCH, SKETCH_SIZE, SKETCH_POSITIONS), np.float32)
    for start in range(0, len(inputs), BATCH):
        batch = inputs[start : start + BATCH]
        if method == "layer-health":
            probe.survey(np.stack(batch), layers, signs[: len(batch)])
        else:
            probe.gradients_of(batch, [None] * len(batch))


def _pack(number: int, count: int) -> ImageSet:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the set, or by the garbage collector
    # Pictures that the engine has not seen, as it remembers them.
    pack_set(((f"{place:05}.jpg", jpeg(-1 - number * count - place & 0xFFFFFF, SIDE)) for place in range(count)), file)
    return open_set(file, SetLimits())


def _go_through(model: Model, method: str, images: ImageSet) -> None:
    """As a worker does: of each chunk the pictures are written and forgotten."""
    chosen = METHODS[method]
    request = Request(chosen, chosen.params(), None, images=images)
    for items in plan(model, request, LIMITS, JobLimits()).chunks:
        compute(model, request, items, LIMITS, lambda _: None)


def _measure_memory(model: Model, count: int) -> Row:
    process = psutil.Process()
    memory = []
    for number, size in ((-1, count), (-2, 10 * count)):
        _go_through(model, "grad-cam", _pack(number, size))
        memory.append(process.memory_info().rss)
    what = f"shapes: memory after grad-cam over {10 * count} pictures ÷ after {count}"
    note = f"{memory[1] / 2**20:.0f} MiB ÷ {memory[0] / 2**20:.0f} MiB"
    return Row(what, memory[1] / memory[0], at_most(1.05), note, {"rss_bytes": memory})
