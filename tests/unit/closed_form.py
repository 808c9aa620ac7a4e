"""The mathematics of ClosedFormProbe: what its layers answer to pictures, and how that changes with them.

Layers are told apart by their type: Conv2D gives maps, which are the picture with each channel times its gain,
GlobalAveragePooling2D their means, Flatten the maps row by row, UpSampling2D flat pictures of the means, and Dense the
scores. Any other layer is taken for maps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.engine.arrays import Array
from service.engine.images.preprocessing import Preprocessing
from service.engine.ports.answers import ReceptiveField
from service.engine.ports.network_info import LayerInfo
from service.errors import LayerNotFoundError, NotFiniteError


@dataclass(frozen=True)
class Formula:
    """`weights` (channels, columns), `gains` (channels,). One column is a sigmoid's logit, several are a softmax's."""

    weights: Array
    gains: Array

    @property
    def columns(self) -> Array:
        """Of each class (channels, classes): a sigmoid's logit stands for two."""
        return np.concatenate([-self.weights, self.weights], axis=1) if self.is_binary else self.weights

    @property
    def is_binary(self) -> bool:
        return self.weights.shape[1] == 1

    def logits(self, images: Array) -> Array:
        """Of (n, h, w, c): (n, classes)."""
        return np.asarray(self._means(images) @ self.columns, np.float32)

    def scores(self, images: Array) -> Array:
        logits = self.logits(images)
        if self.is_binary:
            return np.asarray(1 / (1 + np.exp(-logits)), np.float32)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True), np.float32)

    def answers(self, kind: str, images: Array) -> Array:
        """What a layer of some type answers to (n, h, w, c)."""
        maps = np.asarray(images * self.gains, np.float32)
        if kind == "Flatten":
            return maps.reshape(len(maps), -1)
        if kind == "GlobalAveragePooling2D":
            return self._means(images)
        if kind == "UpSampling2D":
            return np.asarray(np.broadcast_to(self._means(images)[:, None, None], images.shape), np.float32)
        # Of a sigmoid the layer has one number, that of the second class.
        return self.scores(images)[:, 1 if self.is_binary else 0 :] if kind == "Dense" else maps

    def slopes(self, kind: str, images: Array, units: Sequence[int]) -> Array:
        """(n, k, c): how k channels of a layer, meant over space, change with the means of the picture's channels."""
        if kind != "Dense":
            rows = np.diag(self.gains)[[unit % len(self.gains) for unit in units]]
            return np.asarray(np.broadcast_to(rows, (len(images), *rows.shape)), np.float32)
        scores, numbers = self.scores(images), [unit + self.is_binary for unit in units]
        columns = self.columns.T[numbers]
        if self.is_binary:
            inner = (1 - scores[:, numbers])[..., None] * columns
        else:
            inner = columns - (scores @ self.columns.T)[:, None]
        return np.asarray(scores[:, numbers][..., None] * inner * self.gains, np.float32)

    def unit_gradients(self, kind: str, images: Array, units: Sequence[int]) -> Array:
        """(k, h, w, c), of units of the flattened answer, meant over images."""
        shape = images.shape[1:]
        if kind in ("Dense", "GlobalAveragePooling2D", "UpSampling2D"):
            slopes = self.slopes(kind, images, units).mean(axis=0) / (shape[0] * shape[1])
            return np.asarray(np.broadcast_to(slopes[:, None, None], (len(units), *shape)), np.float32)
        gradients = np.zeros((len(units), images[0].size), np.float32)
        gradients[range(len(units)), list(units)] = [self.gains[unit % len(self.gains)] for unit in units]
        return gradients.reshape(len(units), *shape)

    def _means(self, images: Array) -> Array:
        return np.asarray(images.mean(axis=(1, 2)) * self.gains, np.float32)


def find_layer(layers: Sequence[LayerInfo], reference: str) -> LayerInfo:
    """By path, by unique name or by index."""
    found = [layer for layer in layers if layer.path == reference]
    if not found and reference.isdecimal() and len(reference) < 9:
        found = list(layers[int(reference) :][:1])
    if not found:
        found = [layer for layer in layers if layer.name == reference]
    if len(found) != 1:
        raise LayerNotFoundError(f"layer '{reference}' is not in this network, or is the name of several")
    return found[0]


def require_finite(answers: Array) -> Array:
    """The answers themselves."""
    if not np.isfinite(answers).all():
        raise NotFiniteError("the network answers NaN or infinity")
    return answers


def spread(answers: Array, signs: Array) -> Array:
    """The sketch (k, c) of answers (n, positions, c), at positions that lie evenly, as many as `signs` has room for."""
    step = -(-answers.shape[1] // signs.shape[2])
    chosen = answers[:, ::step]
    return np.asarray(np.einsum("nkp,npc->kc", signs[:, :, : chosen.shape[1]], chosen), np.float32)


def enter(canvas: Array, preprocessing: Preprocessing | None) -> Array:
    """From canvases in 0…255 RGB to what enters the network."""
    if preprocessing is None:
        return canvas
    values = canvas * np.asarray(preprocessing.scale, np.float32) + np.asarray(preprocessing.offset, np.float32)
    return np.asarray(values[..., ::-1] if preprocessing.channel_order == "bgr" else values, np.float32)


def leave(slopes: Array, preprocessing: Preprocessing | None) -> Array:
    """From slopes (n, c) along what enters the network to those along the canvas."""
    if preprocessing is None:
        return slopes
    turned = slopes[:, ::-1] if preprocessing.channel_order == "bgr" else slopes
    return np.asarray(turned * np.asarray(preprocessing.scale, np.float32), np.float32)


def even_field(size: tuple[int, int], window: int) -> ReceptiveField:
    """Of maps of the picture's size: each position sees a window about itself."""
    rows, columns = np.arange(size[0])[:, None] - window // 2, np.arange(size[1])[None] - window // 2
    return ReceptiveField(rows, rows + window, columns, columns + window)
