"""What an adapter hands to the suite: networks that its probes run, and what is known of them without it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.engine.arrays import Array
from service.engine.ports.probe import BatchProbe

Values = NDArray[np.float64]
# One layer, from (n, …) to (n, …).
Step = Callable[[Values], Values]


@dataclass(frozen=True)
class Oracle:
    """A network of one layer after the other, by plain functions in float64 that share no code with the adapter.

    `steps` are the layers by path. The last gives (n, units) before its activation, and `finish` is that activation.
    """

    steps: Mapping[str, Step]
    finish: Step

    def outputs(self, images: Values) -> dict[str, Values]:
        """The output of each layer, for (n, h, w, c)."""
        found: dict[str, Values] = {}
        for path, step in self.steps.items():
            images = found[path] = step(images)
        return {**found, path: self.finish(images)}

    def logits(self, values: Values, after: str | None = None) -> Values:
        """(n, classes), from pictures or from a layer's output. Of a single sigmoid there are two: -z and z."""
        paths = list(self.steps)
        for path in paths[paths.index(after) + 1 if after else 0 :]:
            values = self.steps[path](values)
        return np.concatenate([-values, values], axis=1) if values.shape[1] == 1 else values


@dataclass(frozen=True)
class Network:
    """A probe, what its network computes, and copies of all numbers that it holds."""

    probe: BatchProbe
    oracle: Oracle
    weights: Callable[[], Sequence[NDArray[Any]]]

    def pictures(self, count: int = 1, seed: int = 0) -> Array:
        """(n, h, w, c) that the network takes, another for every seed."""
        shape = self.probe.network_info.input_shape
        assert shape is not None
        return np.random.default_rng(seed).normal(size=(count, *(size or 9 for size in shape))).astype(np.float32)


@dataclass(frozen=True)
class Subject:
    """An adapter over three small networks, and the layers of the first.

    `classifier` ends in a softmax, `binary` in a sigmoid of one unit; `autoencoder` gives its input back. They are
    smooth: finite differences hold. Of the classifier, `layer` has a kernel and the picture's rows and columns, `flat`
    a kernel and no space; `unplaced` has neither filters nor a kernel, `shared_name` is that of several layers, and
    every layer with kernels has them of the shapes in `kernels`. Filter `dead` of `layer` answers a constant, and
    filter `asleep`, where there is one, has an activation that lets nothing through.
    `unsuitable` is a layer and a canvas (h, w) that is too small for it.
    """

    classifier: Network
    binary: Network
    autoencoder: Network
    layer: str
    flat: str
    unplaced: str
    shared_name: str
    kernels: Mapping[str, Sequence[tuple[int, ...]]]
    dead: int
    asleep: int | None
    unsuitable: tuple[str, tuple[int, int]]


def softmax(logits: Values) -> Values:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def sigmoid(logits: Values) -> Values:
    return np.asarray(1 / (1 + np.exp(-logits)))


def as_is(values: Values) -> Values:
    return values
