"""Gradient ascent as data: what is to grow, on what canvas, in which steps, and what came of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.engine.arrays import Array
from service.engine.images.preprocessing import Preprocessing


@dataclass(frozen=True)
class FilterMeans:
    """An objective: for image i the mean over space of what filter `filters[i]` of the layer answers.

    Where the layer's activation lets no gradient through, what lies before the activation is climbed instead.
    """

    layer: str
    filters: tuple[int, ...]


@dataclass(frozen=True)
class Canvas:
    """What is changed: `start` (n, h, w, c) float32, in 0…255 RGB or gray that `preprocessing` turns into an input.

    Without preprocessing the canvas is what enters the network.
    """

    start: Array
    preprocessing: Preprocessing | None


@dataclass(frozen=True)
class Schedule:
    """Steps of `step_size` along each image's gradient over its root mean square.

    They are shorter where that is not far above 1e-5 in the network's units: a vanishing gradient is not blown up.
    With `keep_every` k the start, every k-th and the last canvas are kept; with 0 none.
    """

    steps: int
    step_size: float
    keep_every: int = 0


@dataclass(frozen=True)
class Ascent:
    """Gradient ascent on the input: what is to grow, on what, and how."""

    objective: FilterMeans
    canvas: Canvas
    schedule: Schedule


@dataclass(frozen=True)
class Ascended:
    """The last canvas (n, h, w, c), the objective there (n,), and the canvases kept (frames, n, h, w, c), all float32.

    `moved` (n,) is False for an image whose gradient was zero in every step. `batch` images were computed together at
    most; `narrow` where of the layer only the wanted filters were. `device` is CPU or GPU, `threads` those of one
    operation.
    """

    canvas: Array
    activations: Array
    moved: NDArray[np.bool_]
    frames: Array
    batch: int
    narrow: bool
    device: str
    threads: int
