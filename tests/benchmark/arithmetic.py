"""How near gradient ascent comes to what a large matrix product reaches on this machine."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from service.engine.ports.ascent import Ascent, Canvas, FilterMeans, Schedule
from service.keras.compute.ascent.truncation import truncate
from service.keras.compute.compiling import compile_graph
from service.keras.compute.probe import KerasProbe
from service.keras.graph.cost import count_operations
from tests.benchmark.networks import open_probe
from tests.benchmark.rows import Row, Table, at_least
from tests.benchmark.turns import Contender, medians, take_turns, timed

LAYERS = ("block1_conv1", "block1_conv2", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1")
# Bound by memory: three channels in.
WITHOUT_GOAL = {"block1_conv1"}
BATCHES = {64: (1, 8, 32), 150: (1, 4, 8)}
PRODUCT_SIDE = 3000
# Of one measurement, which is then a good half second long.
OPERATIONS = 60e9


def measure_rates(table: Table, test_data: Path, rounds: int) -> None:
    """Operations of a plain ascent: its steps, each forward and back, which costs as much again, and its last look."""
    table.head(f"Arithmetic rate of VGG16's ascent ÷ a matrix product of {PRODUCT_SIDE} x {PRODUCT_SIDE} float32")
    probe = open_probe("vgg16", test_data)
    for side, batches in BATCHES.items():
        for layer in LAYERS:
            table.add(_measure(probe, layer, side, batches, rounds))


def _measure(probe: KerasProbe, layer: str, side: int, batches: tuple[int, ...], rounds: int) -> Row:
    one = 2 * _plain_operations(probe, layer, side)
    steps = {batch: max(2, round(OPERATIONS / (one * batch))) for batch in batches}
    contenders: dict[str, Contender] = {"product": _product()}
    for batch in batches:
        contenders[str(batch)] = _ascent(probe, layer, side, batch, steps[batch])
    taken = medians(take_turns(contenders, rounds, warm_up=1))
    product = 2 * PRODUCT_SIDE**3 / taken["product"]
    # After the last step the objective is measured once more: half a step's work.
    shares = {batch: one * batch * (steps[batch] + 0.5) / taken[str(batch)] / product for batch in batches}
    best = max(shares, key=lambda batch: shares[batch])
    shown = ", ".join(f"{batch}: {share:.2f}" for batch, share in shares.items())
    return Row(
        f"{layer}, {side} px, batch of {best}",
        shares[best],
        None if layer in WITHOUT_GOAL else at_least(0.85),
        f"by batch {shown}; the product {product / 1e6:.0f} GFLOP/s",
        {"shares": shares, "product_operations_per_second": product * 1000, "steps": steps},
    )


def _plain_operations(probe: KerasProbe, layer: str, side: int) -> int:
    """Of one forward pass to the whole layer, whatever the engine may leave out of it."""
    part = truncate(probe._network, probe._wiring, probe._wiring.by_path[layer])
    trace = compile_graph(lambda image: part.compute(image, None).output, tf.TensorSpec([1, side, side, 3]))
    return count_operations(trace.graph)


def _product() -> Contender:
    numbers = tf.constant(np.random.default_rng(0).standard_normal((PRODUCT_SIDE, PRODUCT_SIDE), np.float32))
    return timed(lambda factor: tf.matmul(factor, factor).numpy()[0, 0], lambda _: numbers)


def _ascent(probe: KerasProbe, layer: str, side: int, batch: int, steps: int) -> Contender:
    objective = FilterMeans(layer, tuple(range(batch)))

    def prepare(number: int) -> Ascent:
        noise = np.random.default_rng(number).uniform(128, 148, (batch, side, side, 3))
        return Ascent(objective, Canvas(noise.astype(np.float32), None), Schedule(steps, 1.0))

    def work(ascent: Ascent) -> Any:
        return probe.ascend(ascent, lambda _: None)

    return timed(work, prepare)
