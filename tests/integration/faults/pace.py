"""How fast this machine is: a fault must find a job at work, and one of so many steps may be over too soon."""

from functools import cache
from time import perf_counter, process_time
from typing import Final

STEPS: Final = 200
ROUNDS: Final = 2


@cache
def steps_a_second(layer: str, filters: str, size: int) -> float:
    """Of gradient ascent with the built-in model, on a quiet machine."""
    # TensorFlow is imported when a job is made, not when tests are collected.
    from service.composition.models import BUILT_IN_MODELS
    from service.engine.chunks import JobLimits, run_all
    from service.engine.images.decoding import ImageLimits
    from service.engine.methods import METHODS
    from service.engine.model import Model
    from service.engine.running.request import Request
    from service.keras.files.loading import load_probe
    from service.models.preprocessing import PRESETS

    file = next(BUILT_IN_MODELS.glob("shapes/*/model.keras"))
    model = Model("shapes", "1", "0" * 64, load_probe(file), PRESETS["unit"])
    method = METHODS["filter-patterns"]

    def climb(steps: int) -> float:
        started, worked = perf_counter(), process_time()
        params = method.params(layer=layer, filters=filters, size=size, steps=steps)
        run_all(model, Request(method, params, None), ImageLimits(1, 1), JobLimits(), lambda _: None)
        # On a busy machine the clock goes on while nothing is done; the job would be over too soon when the others are.
        return min(perf_counter() - started, process_time() - worked)

    climb(1)
    return STEPS / min(climb(STEPS) for _ in range(ROUNDS))
