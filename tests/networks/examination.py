"""A grown network asked by the service and by eager Keras: activations, scores, heat maps, unit activations, fields."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from service.errors import LayerNotDrawableError, LayerNotSpatialError
from service.keras.compute.probe import KerasProbe
from tests.gradient_support import find_support, positive_twin, spans_of
from tests.networks.growth import Noted
from tests.networks.heads import Grown
from tests.oracle import Floats, softmax, weigh

TOLERANCE = 2e-4


@dataclass
class Findings:
    """What was compared, and what differed."""

    seed: int
    kinds: list[str]
    heat_maps: int = 0
    activations: int = 0
    fields: int = 0
    unknown_fields: int = 0
    refused: int = 0
    faults: list[str] | None = None

    def fault(self, what: str) -> None:
        self.faults = [*(self.faults or []), what]

    def close(self, what: str, found: Floats, expected: Floats) -> None:
        """Note a difference of shape or numbers."""
        if found.shape != expected.shape:
            self.fault(f"{what}: shape {found.shape} instead of {expected.shape}")
            return
        error = np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-3)
        if not error < TOLERANCE:
            self.fault(f"{what}: off by {error:.2g}")


def examine(grown: Grown) -> Findings:
    """Ask everything of one network."""
    findings = Findings(grown.seed, grown.growth.kinds)
    image = np.random.default_rng(grown.seed).random(grown.network.input_shape[1:], np.float32)
    probe = KerasProbe(grown.network)
    _compare_scores(findings, probe, grown, image)
    _compare_activations(findings, probe, grown, image)
    for path in _choose(grown, probe.network_info.default_layer, count=1):
        _compare_heat_map(findings, probe, grown, image, path)
    for path in _choose(grown, None, count=1):
        _compare_unit_activations(findings, probe, grown, image, path)
    _compare_fields(findings, probe, grown)
    return findings


def upright(maps: Any, layout: str) -> Any:
    return tf.transpose(maps, (0, *(1 + layout.index(name) for name in "hwc")))


def _choose(grown: Grown, first: str | None, *, count: int) -> list[str]:
    """The default layer, and some others."""
    paths = list(grown.growth.layers)
    others = [str(path) for path in grown.growth.rng.choice(paths, min(count, len(paths)), replace=False)]
    return list(dict.fromkeys([*([first] if first in paths else []), *others]))


def _compare_scores(findings: Findings, probe: KerasProbe, grown: Grown, image: Floats) -> None:
    output = grown.network(image[None], training=False)[0].numpy()
    if output.shape == (1,) and grown.activation == "sigmoid":
        output = np.array([1 - output[0], output[0]])
    findings.close("scores", probe.scores(image).values, output)


def _compare_activations(findings: Findings, probe: KerasProbe, grown: Grown, image: Floats) -> None:
    layers = grown.growth.layers
    tensors = keras.Model(grown.network.inputs[0], [noted.tensor for noted in layers.values()])(
        image[None], training=False
    )
    for (path, noted), tensor in zip(layers.items(), tensors if len(layers) > 1 else [tensors], strict=True):
        if noted.layout is None:
            continue
        expected = upright(tensor, noted.layout)[0].numpy()
        findings.activations += 1
        findings.close(f"activations of {path}", probe.activations(image, [path])[0].values, expected)
        shape = probe.layer(path).output_shape
        if shape[1:] != expected.shape:
            findings.fault(f"shape of {path}: {shape}")


def _compare_heat_map(findings: Findings, probe: KerasProbe, grown: Grown, image: Floats, path: str) -> None:
    noted = grown.growth.layers[path]
    classes = len(probe.scores(image).values)
    index = int(grown.growth.rng.integers(classes))
    try:
        answer = probe.activations_and_gradients(image, layer=path, class_index=index)
    except LayerNotSpatialError as error:
        findings.refused += 1
        if noted.layout is not None and _has_space(noted):
            findings.fault(f"heat map of {path} ({noted.layout}) refused: {error.detail}")
        return
    if noted.layout is None:
        findings.fault(f"heat map of {path}, which is none of the picture")
        return
    maps, gradients, logits = _explain(grown, noted, image, index)
    findings.heat_maps += 1
    if grown.activation in ("softmax", "linear"):
        findings.close(f"target at {path}", np.array(answer.target.value), logits[index])
    if grown.activation == "softmax":
        findings.close(f"softmax at {path}", answer.scores.values, softmax(logits))
    findings.close(f"gradients of {path}", answer.gradients, gradients)
    findings.close(f"heat map of {path}", weigh(answer.activations, answer.gradients), weigh(maps, gradients))


def _has_space(noted: Noted) -> bool:
    assert noted.layout is not None
    return any(noted.tensor.shape[1 + at] != 1 for at, name in enumerate(noted.layout) if name != "c")


def _explain(grown: Grown, noted: Noted, image: Floats, index: int) -> tuple[Floats, Floats, Floats]:
    """Maps and gradients upright, and the logits, by eager Keras."""
    twin = keras.Model(grown.network.inputs[0], [noted.tensor, grown.features])
    with tf.GradientTape() as tape:
        picture = tf.constant(image[None])
        tape.watch(picture)
        maps, features = twin(picture, training=False)
        logits = grown.to_logits(features)
        single = logits.shape[-1] == 1
        target = logits[0, 0] * (1 if index else -1) if single else logits[0, index]
    gradients = tape.gradient(target, maps, unconnected_gradients="zero")
    assert noted.layout is not None
    return upright(maps, noted.layout)[0].numpy(), upright(gradients, noted.layout)[0].numpy(), logits[0].numpy()


def _compare_unit_activations(findings: Findings, probe: KerasProbe, grown: Grown, image: Floats, path: str) -> None:
    noted = grown.growth.layers[path]
    if noted.layout is None:
        try:
            probe.unit_activations(image[None], path)
        except LayerNotDrawableError:
            findings.refused += 1
        return
    images = np.stack([image, image[::-1]])
    maps = upright(keras.Model(grown.network.inputs[0], noted.tensor)(images, training=False), noted.layout).numpy()
    found = probe.unit_activations(images, path)
    if found.shape != maps.shape[1:3]:
        findings.fault(f"unit_activations of {path}: maps of {found.shape} instead of {maps.shape[1:3]}")
        return
    flat = maps.reshape(2, -1, maps.shape[-1])
    findings.close(f"greatest unit_activations of {path}", found.greatest, flat.max(axis=1))
    findings.close(f"mean unit_activations of {path}", found.mean, flat.mean(axis=1))
    at_place = np.take_along_axis(flat, found.place[:, None], axis=1)[:, 0]
    findings.close(f"places of {path}", at_place, flat.max(axis=1))


def _compare_fields(findings: Findings, probe: KerasProbe, grown: Grown) -> None:
    size = grown.network.input_shape[1:3]
    for path in _choose(grown, list(grown.growth.layers)[-1], count=1):
        noted = grown.growth.layers[path]
        field = probe.receptive_field(path, size)
        if field is None or noted.layout is None:
            findings.unknown_fields += 1
            if field is not None:
                findings.fault(f"receptive field of {path}, which is no map of the picture")
            continue
        twin = positive_twin(keras.Model(grown.network.inputs[0], noted.tensor))
        support = find_support(twin, size, upright=partial(upright, layout=noted.layout))
        findings.fields += 1
        wrong = [
            f"{place} sees {box} instead of {expected}"
            for row, spans in enumerate(spans_of(support))
            for column, expected in enumerate(spans)
            if (box := _inside(field.at(row, column), size)) != expected
            for place in [(row, column)]
        ]
        if wrong:
            findings.fault(f"receptive field of {path}: {len(wrong)} positions; {wrong[0]}")


def _inside(box: Any, size: tuple[int, int]) -> Any:
    if box is None:
        return None
    top, left, bottom, right = box
    return (max(top, 0), min(bottom, size[0])), (max(left, 0), min(right, size[1]))
