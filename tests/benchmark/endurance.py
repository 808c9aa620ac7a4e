"""Ten thousand mixed requests through the runner: traces built, and memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path

import psutil

from schemas.methods import MethodParams
from service.engine.images.photo import ImageFile
from service.engine.kinds.method import AnyMethod
from service.engine.methods import METHODS
from service.engine.model import Model
from service.engine.running.request import Request
from service.engine.running.run import run
from service.keras.compute.probe import KerasProbe
from tests.benchmark.networks import LIMITS, as_model, open_probe
from tests.benchmark.pictures import jpeg
from tests.benchmark.rows import Row, Table, at_most
from tests.oracle import NETWORKS, load_model

# Of two sizes; more than a cache of what has been seen should hold.
PICTURES = 200
LAYERS = 3
CLASSES = (None, 0, 1)


@dataclass(frozen=True)
class Question:
    """A request but for its picture."""

    model: Model
    method: AnyMethod
    params: MethodParams


def measure_endurance(table: Table, test_data: Path, count: int) -> None:
    """Answer `count` requests; memory is compared from a tenth of them on, when every trace has been built."""
    table.head("Endurance")
    models = _models(test_data)
    questions = list(mix(models))
    pictures = [jpeg(number, (96, 500)[number % 2]) for number in range(PICTURES)]
    process = psutil.Process()
    memory, traces = {}, {}
    for number in range(1, count + 1):
        # A prime: neighbours differ in model, method and layer, and all come before one comes again.
        question = questions[number * 7919 % len(questions)]
        image = pictures[number % PICTURES] if question.method.consumes == "image" else None
        run(
            question.model,
            Request(question.method, question.params, None if image is None else ImageFile(image)),
            LIMITS,
        )
        if number in (count // 10, count):
            memory[number] = process.memory_info().rss
            traces[number] = sum(trace_count(model) for model in models)
    (early, before), (_, after) = memory.items()
    names = sorted({question.method.name for question in questions})
    note = (
        f"{after / 2**20:.0f} MiB ÷ {before / 2**20:.0f} MiB; {len(questions)} different questions "
        f"of {', '.join(names)}; traces {traces[early]} and {traces[count]}"
    )
    measured = {"rss_bytes": memory, "traces": traces, "questions": len(questions)}
    what = f"memory after {count:,} mixed requests ÷ after {early:,}"
    table.add(Row(what, after / before, at_most(1.05), note, measured))


def trace_count(model: Model) -> int:
    assert isinstance(model.probe, KerasProbe)
    return model.probe.traces.built


def mix(models: list[Model]) -> Iterator[Question]:
    """Every interactive method on every model that it works on, with several layers and classes."""
    for model, method in product(models, METHODS.values()):
        if method.kind == "interactive" and not method.refuse(model.network_info):
            for params in _choices(model, method):
                yield Question(model, method, params)


def _choices(model: Model, method: AnyMethod) -> Iterator[MethodParams]:
    fields = method.params.model_fields
    layers = [None, *_some_layers(model, kernels=method.consumes == "none")] if "layer" in fields else [None]
    classes = CLASSES if "class_index" in fields else (None,)
    for layer, index in product(layers, classes):
        given = {"layer": layer} if layer else {}
        yield method.params(**given | ({} if index is None else {"class_index": index}))


def _some_layers(model: Model, *, kernels: bool) -> Iterator[str]:
    found = [layer for layer in model.network_info.layers if layer.is_spatial and (layer.kernel_shape or not kernels)]
    return islice((layer.path for layer in found[:: max(1, len(found) // LAYERS)]), LAYERS)


def _models(test_data: Path) -> list[Model]:
    """Small ones, as a gigabyte of weights would hide a leak in the ratio."""
    small = as_model("shapes", open_probe("shapes", test_data))
    if not (test_data / "models").is_dir():
        return [small, as_model("mobilenetv2", open_probe("mobilenetv2", test_data))]
    return [small, *(load_model(NETWORKS[name], test_data) for name in ("mobilenet", "squeezenet"))]
