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
from service.errors import (
    ClassOutOfRangeError,
    ComputationFailedError,
    LayerNotSpatialError,
    LayerWithoutFilterError,
    LayerWithoutKernelError,
    MethodUnavailableError,
    ModelFailedError,
    SizeUnsuitableError,
)
from tests.unit.closed_form import Formula, enter, even_field, find_layer, leave, require_finite, spread

RAW = Preprocessing("none", (1.0,), (0.0,))
# For methods that are called by hand.
IDLE = Context(RAW, lambda _: None)


class ClosedFormProbe:
    """Maps A = image times `gains` (one channel per colour), logits = mean over space of A, times `weights`.

    So the gradient of logit t with respect to A is weights[:, t] / (h * w), everywhere the same. `weights` is
    (channels, classes); a single column is a sigmoid's. A gain of zero makes a dead filter.
    """

    def __init__(
        self,
        weights: Iterable[Iterable[float]],
        *,
        size: tuple[int, int] = (4, 6),
        gains: Sequence[float] = (1.0, 1.0, 1.0),
    ) -> None:
        self.weights = np.asarray(list(weights), np.float32)
        self.formula = Formula(self.weights, np.asarray(gains, np.float32))
        self.operations = 10**9
        self.held_bytes = 0
        self.ascents: list[Ascent] = []
        height, width = size
        columns = self.weights.shape[1]
        layers = (
            LayerInfo("maps", "Conv2D", (None, height, width, 3), (1, 1, 3, 3), (3,), 12),
            LayerInfo("scores", "Dense", (None, columns), (3, columns), None, 3 * columns),
        )
        self.network_info = NetworkInfo(
            input_shape=(height, width, 3),
            task="binary" if self.formula.is_binary else "classification",
            classes=self.formula.columns.shape[1],
            target_kind="logit",
            default_layer="maps",
            logits="the output itself",
            layers=layers,
            parameters=12 + 3 * columns,
            trainable_parameters=12 + 3 * columns,
        )

    def scores(self, image: Array) -> Scores:
        self._require_classes()
        return Scores(self.formula.scores(image[None])[0])

    def activations(self, image: Array, layers: Sequence[str]) -> list[LayerActivations]:
        found = [self.layer(layer) for layer in layers]
        return [LayerActivations(layer.path, self.formula.answers(layer.type, image[None])[0]) for layer in found]

    def channel_statistics(self, images: Array, layers: Sequence[str], signs: Array) -> list[ChannelStatistics]:
        found = [self.layer(layer) for layer in layers]
        return [self._describe(layer, images, signs) for layer in found]

    def _describe(self, layer: LayerInfo, images: Array, signs: Array) -> ChannelStatistics:
        answers = require_finite(self.formula.answers(layer.type, images))
        flat = answers.reshape(len(images), -1, answers.shape[-1])
        numbers = (flat.mean(axis=1), flat.max(axis=1), flat.min(axis=1), (flat == 0).mean(axis=1), spread(flat, signs))
        return ChannelStatistics(layer.path, flat.shape[1], *(np.asarray(each, np.float32) for each in numbers))

    def unit_activations(self, images: Array, layer: str) -> UnitActivations:
        found = self.layer(layer)
        answers = require_finite(self.formula.answers(found.type, images))
        flat = answers.reshape(len(images), -1, answers.shape[-1])
        place = flat.argmax(axis=1).astype(np.int32)
        return UnitActivations(found.path, answers.shape[1:-1], flat.mean(axis=1), flat.max(axis=1), place)

    def receptive_field(self, layer: str, size: tuple[int, int]) -> ReceptiveField | None:
        """Of `maps`: a position sees itself alone."""
        return even_field(size, 1) if self.layer(layer).is_map else None

    def encode(self, images: Array) -> Array:
        """As an autoencoder its latent is the mean of each channel."""
        self._require_latent()
        return require_finite(self.formula.answers("GlobalAveragePooling2D", images))

    def decode(self, latents: Array) -> Array:
        """Flat pictures of those means."""
        if latents.shape[1] != self._require_latent().units:
            raise ComputationFailedError("the latents are of another network")
        shape = (len(latents), *self.network_info.layers[0].output_shape[1:3], latents.shape[1])
        return np.asarray(np.broadcast_to(require_finite(latents)[:, None, None], shape), np.float32)

    def unit_gradients(self, images: Array, layer: str, units: Sequence[int]) -> Array:
        return require_finite(self.formula.unit_gradients(self.layer(layer).type, images, units))

    def layer(self, reference: str) -> LayerInfo:
        return find_layer(self.network_info.layers, reference)

    def require_target(self, *, layer: str | None, class_index: int | None) -> None:
        self._find_target(layer, class_index)

    def kernels(self, layer: str) -> list[Kernel]:
        found = self.layer(layer)
        if found.kernel_shape is None:
            raise LayerWithoutKernelError(f"layer '{found.path}' has no kernel to show")
        kernel = self.weights if found.type == "Dense" else np.diag(self.formula.gains)
        return [Kernel(found.path, "kernel", kernel[None, None])]

    def activations_and_gradients(
        self, image: Array, *, layer: str | None = None, class_index: int | None = None
    ) -> LayerGradients:
        found = self._find_target(layer, class_index)
        scores = self.scores(image)
        index = scores.top if class_index is None else class_index
        gradients = np.broadcast_to(self.formula.columns[:, index] / image[..., 0].size, image.shape)
        value = float(self.formula.logits(image[None])[0, index])
        target = Target(index, float(scores.values[index]), "logit", value)
        maps = self.formula.answers(found.type, image[None])[0]
        return LayerGradients(found.path, maps, np.asarray(gradients, np.float32), target, scores)

    def layer_on_canvas(self, layer: str, size: tuple[int, int]) -> LayerOnCanvas:
        """Every layer needs two pixels a side."""
        found = self.layer(layer)
        if found.type in ("Flatten", "UpSampling2D"):
            raise LayerWithoutFilterError(f"layer '{found.path}' has no filters to look for")
        if min(size) < 2:
            raise SizeUnsuitableError(f"'{found.path}' needs two pixels")
        shape = (*size, 3) if len(found.output_shape) == 4 else (found.output_shape[-1] or 0,)
        return LayerOnCanvas(found.path, shape, self.operations, size[0] * size[1] * 3)

    def ascend(self, ascent: Ascent, report: Callable[[float], None]) -> Ascended:
        """The slopes are the same everywhere: of `maps` each step adds sqrt(3) * step_size to the filter's channel."""
        self.ascents.append(ascent)
        self.layer_on_canvas(ascent.objective.layer, ascent.canvas.start.shape[1:3])
        kind, prepared = self.layer(ascent.objective.layer).type, ascent.canvas.preprocessing
        schedule, filters = ascent.schedule, ascent.objective.filters
        canvas, frames = ascent.canvas.start.copy(), [ascent.canvas.start]
        moved, rows = np.zeros(len(filters), np.bool_), range(len(filters))
        for step in range(1, schedule.steps + 1):
            slopes = leave(self.formula.slopes(kind, enter(canvas, prepared), filters)[rows, rows], prepared)
            size = np.sqrt(np.square(slopes).mean(axis=1, keepdims=True))
            canvas += schedule.step_size * np.divide(slopes, size, where=size > 0, out=slopes * 0)[:, None, None]
            moved |= size[:, 0] > 0
            if schedule.keep_every and (step % schedule.keep_every == 0 or step == schedule.steps):
                frames.append(canvas.copy())
            report(step / schedule.steps)
        answers = self.formula.answers(kind, enter(canvas, prepared)).reshape(len(filters), -1, self._width(kind))
        return Ascended(
            canvas=canvas,
            activations=np.asarray(answers.mean(axis=1)[rows, list(filters)], np.float32),
            moved=moved,
            frames=np.stack(frames)[: len(frames) if schedule.keep_every else 0],
            batch=len(filters),
            narrow=False,
            device="CPU",
            threads=1,
        )

    def _width(self, kind: str) -> int:
        return self.weights.shape[1] if kind == "Dense" else len(self.formula.gains)

    def _find_target(self, layer: str | None, class_index: int | None) -> LayerInfo:
        classes = self._require_classes()
        if class_index is not None and not 0 <= class_index < classes:
            raise ClassOutOfRangeError(f"class {class_index} does not exist")
        found = self.layer(layer or self.network_info.default_layer or "maps")
        if not found.is_map:
            raise LayerNotSpatialError(f"layer '{found.path}' has no spatial axes")
        return found

    def _require_classes(self) -> int:
        if self.network_info.classes is None:
            raise MethodUnavailableError("this network gives no class scores")
        return self.network_info.classes

    def _require_latent(self) -> Latent:
        if self.network_info.latent is None:
            raise MethodUnavailableError("this network is no autoencoder")
        return self.network_info.latent


class BatchingClosedFormProbe(ClosedFormProbe):
    """The same for several images at once; notes how many came together."""

    def __init__(self, weights: Iterable[Iterable[float]], *, gains: Sequence[float] = (1.0, 1.0, 1.0)) -> None:
        super().__init__(weights, gains=gains)
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
    maps = probe.network_info.layers[0]
    probe.network_info = replace(
        probe.network_info,
        layers=(
            maps,
            LayerInfo("means", "GlobalAveragePooling2D", (None, 3), None, None, 0),
            LayerInfo("decoded", "UpSampling2D", maps.output_shape, None, None, 0, space="own"),
        ),
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

    def __call__(self, path: Path, overrides: Overrides) -> ClosedFormProbe:
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
