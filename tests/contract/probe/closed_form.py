"""The fake of the unit tests, held to the laws that it stands for."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from service.engine.ports.network_info import LayerInfo
from tests.contract.probe.subjects import Network, Oracle, Step, Subject, as_is, sigmoid, softmax
from tests.unit.fakes import BatchingClosedFormProbe, autoencoder_model

GAINS = np.asarray([1.0, -0.5, 0.0])
SIZE = (4, 6)
LAYERS = (
    LayerInfo("trunk/maps", "Conv2D", (None, *SIZE, 3), (1, 1, 3, 3), (3,), 12),
    LayerInfo("trunk/flat", "Flatten", (None, 72), None, None, 0),
    LayerInfo("head/flat", "Flatten", (None, 72), None, None, 0),
    LayerInfo("head/means", "GlobalAveragePooling2D", (None, 3), None, None, 0),
)


def closed_form() -> Subject:
    return Subject(
        classifier=_classifier([[2.0, -1.0], [0.5, 3.0], [1.0, 1.5]]),
        binary=_classifier([[2.0], [-1.5], [1.0]]),
        autoencoder=_autoencoder(),
        layer="trunk/maps",
        flat="scores",
        unplaced="trunk/flat",
        shared_name="flat",
        kernels={"trunk/maps": [(1, 1, 3, 3)], "scores": [(1, 1, 3, 2)]},
        dead=2,
        asleep=None,
        unsuitable=("trunk/maps", (1, 5)),
    )


def _classifier(weights: Sequence[Sequence[float]]) -> Network:
    probe = BatchingClosedFormProbe(weights, gains=GAINS.tolist())
    scores = probe.network_info.layers[-1]
    probe.network_info = replace(probe.network_info, layers=(*LAYERS, scores), default_layer="trunk/maps")
    steps: dict[str, Step] = {
        "trunk/maps": lambda images: images * GAINS,
        "trunk/flat": lambda maps: maps.reshape(len(maps), -1),
        "head/flat": as_is,
        "head/means": lambda flat: flat.reshape(len(flat), -1, 3).mean(axis=1),
        "scores": lambda means: means @ np.asarray(weights),
    }
    oracle = Oracle(steps, softmax if len(weights[0]) > 1 else sigmoid)
    return Network(probe, oracle, lambda: [probe.weights.copy(), probe.formula.gains.copy()])


def _autoencoder() -> Network:
    probe = BatchingClosedFormProbe([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    probe.network_info = autoencoder_model().network_info
    steps: dict[str, Step] = {
        "maps": as_is,
        "means": lambda maps: maps.mean(axis=(1, 2)),
        "decoded": lambda means: np.broadcast_to(means[:, None, None], (len(means), *SIZE, 3)),
    }
    return Network(probe, Oracle(steps, as_is), lambda: [probe.weights.copy(), probe.formula.gains.copy()])
