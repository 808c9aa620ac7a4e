"""Grad-CAM in the engine against a plain compiled forward pass, against the tutorials, and a second class's price."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from service.engine.images.photo import ImageFile
from service.engine.images.preprocessing import Preprocessing
from service.engine.kinds.context import Context
from service.engine.methods import METHODS
from service.engine.methods.heatmaps.grad_cam import GRAD_CAM
from service.engine.model import Model
from service.engine.running.request import Request
from service.engine.running.run import run
from service.keras.compute.probe import KerasProbe
from tests.benchmark import tutorials
from tests.benchmark.networks import CLASS, LIMITS, as_model, network_of, noise, open_probe, plain_forward
from tests.benchmark.pictures import jpeg
from tests.benchmark.rows import Goal, Row, Table, at_least, at_most
from tests.benchmark.turns import Times, medians, take_turns, timed

METHOD = METHODS["grad-cam"]
RAW: Final = Preprocessing("none", (1.0,), (0.0,))
OVER_FORWARD = {"vgg16": 1.12, "mobilenetv2": 0.60, "resnet50": 0.80, "efficientnetb0": 0.80}
TUTORIAL_OVER_OURS = {"vgg16": 5, "mobilenetv2": 25}
SECOND_CLASS = 0.35
# A tutorial's Grad-CAM takes a second or more.
TUTORIAL_EVERY = 5


def measure_engine(table: Table, chosen: list[str], test_data: Path, rounds: int) -> None:
    """Each network is loaded, measured and let go."""
    table.head("Grad-CAM in the engine")
    for name in chosen:
        probe = open_probe(name, test_data)
        for row in (*_grad_cam(name, probe, rounds), _second_class(name, as_model(name, probe), rounds)):
            table.add(row)


def explain(probe: KerasProbe, class_index: int) -> Callable[[Any], Any]:
    """Grad-CAM at the default layer of one preprocessed picture, (h, w, c), to a heat map."""
    params = METHOD.params(class_index=class_index)
    context = Context(RAW, lambda _: None)
    return lambda image: GRAD_CAM.compute(probe, image, params, context)


def _grad_cam(name: str, probe: KerasProbe, rounds: int) -> list[Row]:
    network, forward, pictures = network_of(probe), plain_forward(network_of(probe)), noise(probe)
    layer, index = probe.network_info.default_layer, _class(probe)
    assert layer is not None
    contenders = {
        "forward": timed(lambda image: forward(image[None]), pictures),
        "grad_cam": timed(explain(probe, index), pictures),
    }
    if name in TUTORIAL_OVER_OURS:
        tutorial = partial(tutorials.grad_cam, network, layer, class_index=index)
        contenders["tutorial"] = timed(tutorial, pictures)
    taken = take_turns(contenders, rounds, seldom={"tutorial": TUTORIAL_EVERY})
    goals = (_goal(at_most, OVER_FORWARD.get(name)), _goal(at_least, TUTORIAL_OVER_OURS.get(name)))
    rows = [compare(f"{name}: Grad-CAM ÷ plain forward pass", taken, "grad_cam", "forward", goals[0])]
    if "tutorial" in taken:
        rows.append(compare(f"{name}: the tutorials' Grad-CAM ÷ ours", taken, "tutorial", "grad_cam", goals[1]))
    return rows


def _second_class(name: str, model: Model, rounds: int) -> Row:
    """The same picture again, another class; without decoding and drawing, which are the same for both."""
    taken: Times = {"first": [], "second": []}
    for number in range(-2, rounds):
        image = jpeg(1000 + number)
        for which, index in (("first", 0), ("second", 1)):
            result = run(model, Request(METHOD, METHOD.params(class_index=index), ImageFile(image)), LIMITS)
            if number >= 0:
                taken[which].append(result.timings_seconds.compute * 1000)
    what = f"{name}: a second class of the same picture ÷ the first"
    return compare(what, taken, "second", "first", at_most(SECOND_CLASS))


def compare(what: str, taken: Times, above: str, below: str, goal: Goal | None) -> Row:
    """The ratio of two medians, and both in milliseconds."""
    found = medians(taken)
    note = f"{found[above]:.1f} ms ÷ {found[below]:.1f} ms"
    measured = {f"{side}_ms": found[side] for side in (above, below)} | {"rounds": len(taken[above])}
    return Row(what, found[above] / found[below], goal, note, measured)


def _class(probe: KerasProbe) -> int:
    return min(CLASS, (probe.network_info.classes or 1) - 1)


def _goal(kind: Callable[[float], Goal], limit: float | None) -> Goal | None:
    return None if limit is None else kind(limit)
