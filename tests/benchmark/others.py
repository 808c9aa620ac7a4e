"""Grad-CAM of other libraries against ours, and how far their maps agree."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from service.engine.arrays import Array
from service.keras.compute.probe import KerasProbe
from tests.benchmark.engine import compare, explain
from tests.benchmark.networks import APPLICATIONS, CLASS, network_of, noise, open_probe, plain_forward
from tests.benchmark.peers.process import Peer, PeerFailedError
from tests.benchmark.rows import Row, Table, at_least
from tests.benchmark.turns import Contender, take_turns, timed
from tests.oracle import correlation

# Of each peer, by module: what it takes over what we take, at least.
GOALS = {
    "tf_keras_vis": {"mobilenetv2": 3, "resnet50": 3, "vgg16": 2.5},
    "tf_explain": {"mobilenetv2": 3, "resnet50": 3, "vgg16": 2.5},
    "xplique": {"mobilenetv2": 1.1, "resnet50": 1.1, "vgg16": 1.0},
    "captum": {"mobilenetv2": 1.1, "resnet50": 1.1, "vgg16": 1.0},
}
# Enough for libraries that take a second.
SLOW = {"tf_keras_vis": 4, "tf_explain": 4}
PAUSE_SECONDS = 0.02


def measure_others(table: Table, chosen: list[str], test_data: Path, rounds: int) -> None:
    table.head("Grad-CAM of other libraries ÷ ours")
    for name in chosen:
        if name in GOALS["captum"]:
            for row in _measure(name, test_data, rounds):
                table.add(row)


def _measure(name: str, test_data: Path, rounds: int) -> Iterator[Row]:
    probe = open_probe(name, test_data)
    pictures, ours, forward = noise(probe), explain(probe, CLASS), plain_forward(network_of(probe))
    contenders: dict[str, Contender] = {
        "forward": timed(lambda image: forward(image[None]), pictures),
        "ours": timed(ours, pictures),
    }
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        weights = store_weights(probe, Path(folder))
        peers: dict[str, Peer] = {}
        for module in GOALS:
            arguments = {"weights": weights, "layer": probe.network_info.default_layer, "class_index": CLASS}
            try:
                peer = stack.enter_context(Peer(module, "grad_cam", function=APPLICATIONS[name], **arguments))
            except PeerFailedError as error:
                yield _skipped(name, module, str(error))
                continue
            peers[module] = peer
            contenders[module] = peer.run
        taken = take_turns(contenders, rounds, warm_up=1, seldom=SLOW, pause_seconds=PAUSE_SECONDS)
        yield compare(f"{name}: ours ÷ plain forward pass, in the same run", taken, "ours", "forward", None)
        map_of_ours = ours(pictures(1)).values
        for module, peer in peers.items():
            row = compare(f"{name}: {module} ÷ ours", taken, module, "ours", at_least(GOALS[module][name]))
            agreement = _agreement(map_of_ours, peer.show(1))
            facts: dict[str, Any] = {"versions": peer.versions, "correlation": agreement}
            shown = "" if agreement is None else f", maps correlate to {agreement:.4f}"
            yield Row(row.what, row.figure, row.goal, row.note + shown, row.measured | facts)


def store_weights(probe: KerasProbe, folder: Path) -> str:
    """Every weight by `layer/name`, in Keras's order."""
    path = folder / "weights.npz"
    # A file's members are named by keyword; Keras's names are no identifiers, which does not matter.
    np.savez(path, **{weight.path: weight.numpy() for weight in network_of(probe).weights})
    return str(path)


def _agreement(ours: Array, theirs: Array) -> float | None:
    """Pearson's r of two maps; None where theirs comes at another size."""
    return correlation(ours, theirs) if ours.shape == theirs.shape else None


def _skipped(name: str, module: str, reason: str) -> Row:
    return Row(f"{name}: {module} ÷ ours", None, at_least(GOALS[module][name]), reason)
