"""A thousand mixed requests through the runner: traces built, and memory."""

from itertools import product
from pathlib import Path
from typing import Any

import psutil

from service.engine.images import ImageLimits
from service.engine.keras.probe import KerasProbe
from service.engine.methods import METHODS
from service.engine.model import Model
from service.engine.run import Request, run

LIMITS = ImageLimits(max_bytes=2**24, max_pixels=10**7)
WARM_UP = 200
LAYERS = {
    "squeezenet": (None, "fire5_concat", "fire9_concat"),
    "mobilenet": (None, "block_12_add", "block_16_project"),
}
CLASSES = (None, 243, 282)


def measure_endurance(models: list[Model], photos: list[Path], count: int) -> dict[str, Any]:
    """Answer `count` requests; memory is compared from the 200th on, when every trace has been built."""
    requests = mix(models, photos)
    process = psutil.Process()
    memory: dict[int, int] = {}
    traces: dict[int, int] = {}
    for number in range(1, count + 1):
        # 37 shares no factor with the number of requests: neighbours differ in model, method and photo.
        model, request = requests[number * 37 % len(requests)]
        run(model, request, LIMITS)
        if number in (WARM_UP, count):
            memory[number] = process.memory_info().rss
            traces[number] = sum(trace_count(model) for model in models)
    return {
        "requests": count,
        "distinct": len(requests),
        "traces_after_warm_up": traces[WARM_UP],
        "traces_at_the_end": traces[count],
        "rss_after_warm_up_bytes": memory[WARM_UP],
        "rss_at_the_end_bytes": memory[count],
        "rss_growth": memory[count] / memory[WARM_UP],
    }


def trace_count(model: Model) -> int:
    assert isinstance(model.probe, KerasProbe)
    return model.probe.traces.built


def mix(models: list[Model], photos: list[Path]) -> list[tuple[Model, Request]]:
    predictions, heatmap = METHODS["predictions"], METHODS["grad-cam"]
    mixed = []
    for model, photo in product(models, photos):
        image = photo.read_bytes()
        mixed.append((model, Request(predictions, predictions.params(), image)))
        for layer, index in product(LAYERS[model.name], CLASSES):
            mixed.append((model, Request(heatmap, heatmap.params(layer=layer, class_index=index), image)))
    return mixed
