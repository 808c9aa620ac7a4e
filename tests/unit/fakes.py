"""Fakes of the engine's and the catalog's ports: a network whose every answer can be worked out by hand."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from service.engine.arrays import Array
from service.engine.images.preprocessing import Preprocessing
from service.engine.kinds.context import Context
from service.engine.model import Model
from service.engine.ports.answers import (
    ChannelStatistics,
    Kernel,
    LayerActivations,
    LayerGradients,
    LayerOnCanvas,
    ReceptiveField,
    Scores,
    Target,
    UnitActivations,
)
from service.engine.ports.ascent import Ascended, Ascent
from service.engine.ports.network_info import Latent, LayerInfo, NetworkInfo
from service.engine.ports.overrides import Overrides
from service.errors import ClassOutOfRangeError, LayerNotFoundError, ModelFailedError, SizeUnsuitableError

RAW = Preprocessing("none", (1.0,), (0.0,))
# For methods that are called by hand.
IDLE = Context(RAW, lambda _: None)


class ClosedFormProbe:
    """Maps A = image (one channel per colour), logits = mean over space of A, times `weights` (channels, classes).

    So the gradient of logit t with respect to A is weights[:, t] / (h * w), everywhere the same.
    """

    def __init__(self, weights: Iterable[Iterable[float]], *, size: tuple[int, int] = (4, 6)) -> None:
        self.weights = np.asarray(list(weights), np.float32)
        self.operations = 10**9
        self.ascents: list[Ascent] = []
        height, width = size
        layers = (
            LayerInfo("maps", "Conv2D", (None, height, width, 3), (1, 1, 3, 3), (3,), 12),
            LayerInfo("scores", "Dense", (None, self.weights.shape[1]), (3, 2), None, 6),
        )
        self.network_info = NetworkInfo(
            input_shape=(height, width, 3),
            task="classification",
            classes=self.weights.shape[1],
            target_kind="logit",
            default_layer="maps",
            logits="the output itself",
            layers=layers,
            parameters=18,
            trainable_parameters=18,
        )

    def scores(self, image: Array) -> Scores:
        logits = image.mean(axis=(0, 1)) @ self.weights
        exponentials = np.exp(logits - logits.max())
        return Scores(np.asarray(exponentials / exponentials.sum(), np.float32))

    def activations(self, image: Array, layers: Sequence[str]) -> list[LayerActivations]:
        answers = {"maps": image, "scores": self.scores(image).values}
        return [LayerActivations(layer, answers[layer]) for layer in layers]

    def channel_statistics(self, images: Array, layers: Sequence[str], signs: Array) -> list[ChannelStatistics]:
        """Of `maps` alone; a channel that is negative everywhere is silent, as if a ReLU came next."""
        answers = np.maximum(images, 0).reshape(len(images), -1, images.shape[-1])
        positions = answers.shape[1]
        sketch = np.einsum("nkp,npc->kc", signs[:, :, :positions], answers)
        means = (answers.mean(axis=1), answers.max(axis=1), answers.min(axis=1), (answers == 0).mean(axis=1))
        return [
            ChannelStatistics(layer, positions, *(np.asarray(each, np.float32) for each in (*means, sketch)))
            for layer in layers
        ]

    def unit_activations(self, images: Array, layer: str) -> UnitActivations:
        """Of `maps` the image itself, of `scores` its scores."""
        answers = images if layer == "maps" else np.stack([self.scores(image).values for image in images])
        flat = answers.reshape(len(images), -1, answers.shape[-1])
        place = flat.argmax(axis=1).astype(np.int32)
        return UnitActivations(layer, answers.shape[1:-1], flat.mean(axis=1), flat.max(axis=1), place)

    def receptive_field(self, layer: str, size: tuple[int, int]) -> ReceptiveField | None:
        """Of `maps`: a position sees itself and its neighbours."""
        return even_field(size, 3) if layer == "maps" else None

    def encode(self, images: Array) -> Array:
        """As an autoencoder its latent is the mean of each channel."""
        return np.asarray(images.mean(axis=(1, 2)), np.float32)

    def decode(self, latents: Array) -> Array:
        """Flat pictures of those means."""
        shape = (len(latents), *self.network_info.layers[0].output_shape[1:3], latents.shape[1])
        return np.asarray(np.broadcast_to(latents[:, None, None], shape), np.float32)

    def unit_gradients(self, images: Array, layer: str, units: Sequence[int]) -> Array:
        """Of the means: unit k depends on channel k alone, everywhere the same, and the more the brighter is all."""
        gradients = np.zeros((len(units), *images.shape[1:]), np.float32)
        for row, unit in enumerate(units):
            gradients[row, ..., unit] = images.mean() / images[0, ..., 0].size
        return gradients

    def layer(self, reference: str) -> LayerInfo:
        found = [layer for layer in self.network_info.layers if layer.path == reference]
        if not found:
            raise LayerNotFoundError(f"layer '{reference}' is not in this network")
        return found[0]

    def require_target(self, *, layer: str | None, class_index: int | None) -> None:
        self.layer(layer or "maps")
        if class_index is not None and class_index >= self.weights.shape[1]:
            raise ClassOutOfRangeError(f"class {class_index} does not exist")

    def kernels(self, layer: str) -> list[Kernel]:
        return [Kernel(layer, "kernel", self.weights[None, None])]

    def activations_and_gradients(
        self, image: Array, *, layer: str | None = None, class_index: int | None = None
    ) -> LayerGradients:
        scores = self.scores(image)
        index = scores.top if class_index is None else class_index
        gradients = np.broadcast_to(self.weights[:, index] / image[..., 0].size, image.shape)
        value = float(image.mean(axis=(0, 1)) @ self.weights[:, index])
        target = Target(index, float(scores.values[index]), "logit", value)
        return LayerGradients(layer or "maps", image, np.asarray(gradients, np.float32), target, scores)

    def layer_on_canvas(self, layer: str, size: tuple[int, int]) -> LayerOnCanvas:
        """Layer `maps` with three filters, of which the last is dead; it needs two pixels a side."""
        if min(size) < 2:
            raise SizeUnsuitableError(f"'{layer}' needs two pixels")
        return LayerOnCanvas(layer, (*size, 3), self.operations, size[0] * size[1] * 3)

    def ascend(self, ascent: Ascent, report: Callable[[float], None]) -> Ascended:
        """Filter k is channel k, so each step adds sqrt(3) * step_size there; what is dead does not move."""
        self.ascents.append(ascent)
        schedule, filters = ascent.schedule, ascent.objective.filters
        canvas, frames = ascent.canvas.start.copy(), [ascent.canvas.start]
        for step in range(1, schedule.steps + 1):
            for image, number in enumerate(filters):
                canvas[image, ..., number] += (number != 2) * np.sqrt(3) * schedule.step_size
            if schedule.keep_every and (step % schedule.keep_every == 0 or step == schedule.steps):
                frames.append(canvas.copy())
            report(step / schedule.steps)
        return Ascended(
            canvas=canvas,
            activations=np.asarray([canvas[i, ..., number].mean() for i, number in enumerate(filters)], np.float32),
            moved=np.asarray([number != 2 for number in filters]),
            frames=np.stack(frames)[: len(frames) if schedule.keep_every else 0],
            batch=len(filters),
            narrow=False,
            device="CPU",
            threads=1,
        )


class BatchingClosedFormProbe(ClosedFormProbe):
    """The same for several images at once; notes how many came together."""

    def __init__(self, weights: Iterable[Iterable[float]]) -> None:
        super().__init__(weights)
        self.batches: list[int] = []

    def scores_of(self, images: Sequence[Array]) -> list[Scores]:
        self.batches.append(len(images))
        return [self.scores(image) for image in images]

    def gradients_of(
        self, images: Sequence[Array], classes: Sequence[int | None], *, layer: str | None = None
    ) -> list[LayerGradients]:
        self.batches.append(len(images))
        return [
            self.activations_and_gradients(image, layer=layer, class_index=index)
            for image, index in zip(images, classes, strict=True)
        ]


def even_field(size: tuple[int, int], window: int) -> ReceptiveField:
    """Of maps of the picture's size: each position sees a window about itself."""
    rows, columns = np.arange(size[0])[:, None] - window // 2, np.arange(size[1])[None] - window // 2
    return ReceptiveField(rows, rows + window, columns, columns + window)


def image_of(seed: int) -> Array:
    """(4, 6, 3) float32 in 0…1, another for every seed."""
    return np.random.default_rng(seed).random((4, 6, 3), np.float32)


def closed_form_model(weights: Iterable[Iterable[float]], **changes: Any) -> Model:
    """A Model over a ClosedFormProbe, its pixels passed on as they are."""
    probe = ClosedFormProbe(weights)
    model = Model(name="closed", version="1", digest="0" * 64, probe=probe, preprocessing=RAW)
    return replace(model, **changes)


def autoencoder_model(**changes: Any) -> Model:
    """The same as an autoencoder of three units: the means of the channels, decoded as flat pictures."""
    model = closed_form_model([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], **changes)
    probe = model.probe
    assert isinstance(probe, ClosedFormProbe)
    probe.network_info = replace(
        probe.network_info,
        task="autoencoder",
        classes=None,
        target_kind=None,
        logits=None,
        latent=Latent("means", (3,)),
    )
    return model


class FakeLoader:
    """Loads a ClosedFormProbe from any file, slowly where `gate` is given; a file that says "broken" fails."""

    def __init__(self, gate: Event | None = None) -> None:
        self.gate = gate
        self.loaded: list[Path] = []

    def __call__(self, path: Path, stated: Overrides) -> ClosedFormProbe:
        self.loaded.append(path)
        if self.gate is not None:
            assert self.gate.wait(10)
        if path.read_bytes() == b"broken":
            raise ModelFailedError("the file is broken")
        return ClosedFormProbe([[1, 0], [0, 1], [0, 0]])


class SilentNotifier:
    """Wakes nobody; counts."""

    def __init__(self) -> None:
        self.notified: list[tuple[str, int]] = []

    def notify(self, queue: str, count: int) -> None:
        self.notified.append((queue, count))
