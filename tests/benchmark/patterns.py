"""Filter patterns of VGG16 against the tutorials' loop and tf-keras-vis."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

import keras
import numpy as np

from service.engine.arrays import Array
from service.engine.chunks import JobLimits
from service.engine.kinds.context import Context
from service.engine.methods.features.filter_patterns import FILTER_PATTERNS, FilterPatternsParams
from service.engine.model import Model
from service.engine.ports.ascent import Ascended, Ascent, Canvas, FilterMeans, Schedule
from service.keras.compute.probe import KerasProbe
from tests.benchmark import tutorials
from tests.benchmark.engine import compare
from tests.benchmark.networks import as_model, network_of, open_probe
from tests.benchmark.others import PAUSE_SECONDS, store_weights
from tests.benchmark.peers.process import Peer, PeerFailedError
from tests.benchmark.rows import Row, Table, at_least
from tests.benchmark.turns import Contender, take_turns, timed
from tests.oracle import correlation

METHOD = FILTER_PATTERNS
LAYER, SIDE, STEPS = "block3_conv1", 150, 40
BLOCKS = [f"block{number}_conv1" for number in range(1, 6)]
SMALL_SIDE, FILTERS = 64, 64
# Of the tutorials' loop, which takes them one by one.
SAMPLE = 4


def measure_patterns(table: Table, test_data: Path, rounds: int, steps: int = STEPS) -> None:
    table.head(f"Filter patterns of VGG16, {steps} steps")
    probe = open_probe("vgg16", test_data)
    book = _book_network(network_of(probe))
    for row in (*_one_pattern(probe, book, rounds, steps), *_many_patterns(as_model("vgg16", probe), book, steps)):
        table.add(row)


def _book_network(network: keras.Model) -> keras.Model:
    """Without its top, which a canvas of another size does not fit."""
    book = keras.applications.VGG16(weights=None, include_top=False)
    book.set_weights([weight.numpy() for weight in network.weights[: len(book.weights)]])
    return book


def _one_pattern(probe: KerasProbe, book: keras.Model, rounds: int, steps: int) -> Iterator[Row]:
    extractor = tutorials.feature_extractor(book, LAYER)
    tutorial = _tutorial(extractor, steps)
    contenders: dict[str, Contender] = {
        "ours": timed(_climb(probe, steps), lambda number: (number, tutorials.gray_noise(number, SIDE))),
        "tutorial": timed(tutorial, lambda number: (number, tutorials.gray_noise(number, SIDE))),
    }
    what = f"{LAYER}, one filter at {SIDE} px"
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        arguments = {"layer": LAYER, "side": SIDE, "steps": steps, "weights": store_weights(probe, Path(folder))}
        reason = ""
        try:
            peer = stack.enter_context(Peer("tf_keras_vis", "filter_pattern", function="VGG16", **arguments))
            contenders["tf_keras_vis"] = peer.run
        except PeerFailedError as error:
            reason = str(error)
        taken = take_turns(contenders, rounds, warm_up=1, pause_seconds=PAUSE_SECONDS)
    given = (7, tutorials.gray_noise(7, SIDE))
    agreement = correlation(_climb(probe, steps)(given).canvas[0], tutorial(given))
    row = compare(f"{what}: the tutorials' loop ÷ ours", taken, "tutorial", "ours", at_least(2.5))
    yield Row(row.what, row.figure, row.goal, f"{row.note}, canvases correlate to {agreement:.4f}", row.measured)
    what, goal = f"{what}: tf_keras_vis ÷ ours", at_least(2.7)
    yield Row(what, None, goal, reason) if reason else compare(what, taken, "tf_keras_vis", "ours", goal)


def _climb(probe: KerasProbe, steps: int) -> Callable[[tuple[int, Array]], Ascended]:
    """One filter on the network's raw input, as the tutorials have it."""

    def work(given: tuple[int, Array]) -> Ascended:
        number, start = given
        canvas, schedule = Canvas(start[None], None), Schedule(steps, 1.0)
        return probe.ascend(Ascent(FilterMeans(LAYER, (number,)), canvas, schedule), lambda _: None)

    return work


def _tutorial(extractor: keras.Model, steps: int) -> Callable[[tuple[int, Array]], Array]:
    return lambda given: tutorials.filter_pattern(extractor, given[0], given[1], steps)


def _many_patterns(model: Model, book: keras.Model, steps: int) -> Iterator[Row]:
    """All 64 by the method, in its own batches, between two samples of the tutorials' loop."""
    for layer in BLOCKS:
        tutorial = _tutorial(tutorials.feature_extractor(book, layer), steps)
        params = METHOD.params(layer=layer, filters=f"0-{FILTERS - 1}", size=SMALL_SIDE, steps=steps)
        _compute(model, METHOD.params(layer=layer, filters="0-7", size=SMALL_SIDE, steps=2))
        tutorial((0, tutorials.gray_noise(0, SMALL_SIDE)))
        before = _sample(tutorial, range(SAMPLE))
        started = perf_counter()
        _compute(model, params)
        ours = perf_counter() - started
        theirs = float(np.mean([before, _sample(tutorial, range(SAMPLE, 2 * SAMPLE))])) * FILTERS / SAMPLE
        what = f"{layer}, {FILTERS} filters at {SMALL_SIDE} px: the tutorials' loop ÷ ours"
        note = f"{theirs:.2f} s (scaled up from {2 * SAMPLE} filters) ÷ {ours:.2f} s"
        yield Row(what, theirs / ours, at_least(4), note, {"tutorial_seconds": theirs, "ours_seconds": ours})


def _sample(tutorial: Callable[[tuple[int, Array]], Array], filters: range) -> float:
    started = perf_counter()
    for number in filters:
        tutorial((number, tutorials.gray_noise(number, SMALL_SIDE)))
    return perf_counter() - started


def _compute(model: Model, params: FilterPatternsParams) -> None:
    """Every chunk of the job, to standardised pictures."""
    for items in METHOD.cut(model.probe, params, JobLimits().max_bytes):
        METHOD.compute(model.probe, None, params, Context(model.preprocessing, lambda _: None, items))
