"""A layer's activations as books draw them with matplotlib: one grid built by hand, or a subplot for each channel."""

import io
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from tests.benchmark.peers.child import Task

PACKAGES = ("matplotlib",)
COLUMNS = 16


def display_grid(activations: str) -> Task:
    """Each channel standardised, laid into one array, `imshow` and `savefig`, a point of the map a pixel."""
    return Task(lambda _: np.load(activations), _draw_grid)


def subplots(activations: str) -> Task:
    return Task(lambda _: np.load(activations), _draw_subplots)


def _draw_grid(maps: Any) -> bytes:
    side, channels = maps.shape[0], maps.shape[-1]
    grid = np.zeros((side * (channels // COLUMNS), side * COLUMNS))
    for channel in range(channels):
        picture = maps[:, :, channel].copy()
        picture -= picture.mean()
        picture /= picture.std() + 1e-5
        picture = np.clip(picture * 64 + 128, 0, 255).astype(np.uint8)
        row, column = divmod(channel, COLUMNS)
        grid[row * side : (row + 1) * side, column * side : (column + 1) * side] = picture
    plt.figure(figsize=(grid.shape[1] / side, grid.shape[0] / side))
    plt.grid(visible=False)
    plt.imshow(grid, aspect="auto", cmap="viridis")
    return _save()


def _draw_subplots(maps: Any) -> bytes:
    rows = maps.shape[-1] // COLUMNS
    _, axes = plt.subplots(rows, COLUMNS, figsize=(COLUMNS, rows))
    for channel, axis in enumerate(axes.flat):
        axis.imshow(maps[:, :, channel], cmap="viridis")
        axis.axis("off")
    return _save()


def _save() -> bytes:
    buffer = io.BytesIO()
    plt.savefig(buffer, format="png")
    plt.close("all")
    return buffer.getvalue()
