"""Replay, logits and default layer on keras.applications networks with random weights; `make families` writes a table.

Each family is examined flat and as the backbone of a Sequential, against the eager oracle on the same network. Random
weights often give dead maps, so it is the weighted sum before Grad-CAM's ReLU that is compared.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from service.engine.ports.answers import LayerGradients
from service.keras.compute.probe import KerasProbe
from tests.oracle import Floats, Oracle, correlation, dense, flat_oracle, relative_error, snapshot, softmax, weigh

CLASSES = 5
PAGE = Path(__file__).parent.parent / "docs" / "families.md"


@dataclass(frozen=True)
class Family:
    """`layer` is the last layer with space; a class name where Keras counts the names up: the last one of it.

    `nested_layer` differs where `include_top=False` leaves a layer at the end that the whole network has elsewhere.
    """

    name: str
    layer: str
    nested_layer: str | None = None
    size: int = 128
    raw_pixels: bool = False


FAMILIES = (
    Family("VGG16", "block5_conv3"),
    Family("ResNet50", "conv5_block3_out"),
    Family("MobileNetV2", "out_relu"),
    Family("EfficientNetB0", "top_activation", raw_pixels=True),
    Family("Xception", "block14_sepconv2_act"),
    Family("DenseNet121", "relu"),
    Family("InceptionV3", "mixed10", size=160),
    Family("ConvNeXtTiny", "Add", nested_layer="LayerNormalization", raw_pixels=True),
    Family("NASNetMobile", "Activation"),
)


@dataclass(frozen=True)
class Findings:
    """Service against oracle, for one network."""

    layer: str
    expected_layer: str
    scores_error: float
    softmax_error: float
    activations_error: float
    gradients_error: float
    correlation: float
    unchanged: bool


def build_flat(family: Family) -> keras.Model:
    keras.utils.set_random_seed(7)
    shape = (family.size, family.size, 3)
    return enliven(_application(family)(weights=None, input_shape=shape, classes=CLASSES))


def build_nested(family: Family) -> keras.Sequential:
    """Unbuilt, as such networks usually are when they have just been put together."""
    keras.utils.set_random_seed(7)
    shape = (family.size, family.size, 3)
    return keras.Sequential(
        [
            keras.layers.Rescaling(1 / 127.5, offset=-1),
            enliven(_application(family)(weights=None, include_top=False, input_shape=shape)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def examine_flat(family: Family) -> Findings:
    network = build_flat(family)
    expected = default_layer(network, family.layer)
    image = make_image(family.size) if family.raw_pixels else make_image(family.size) / 127.5 - 1
    return examine(network, image, expected, lambda: flat_oracle(network, expected))


def examine_nested(family: Family) -> Findings:
    network = build_nested(family)
    network.build((None, family.size, family.size, 3))
    backbone = network.layers[1]
    expected = default_layer(backbone, family.nested_layer or family.layer)
    return examine(
        network, make_image(family.size), f"{backbone.name}/{expected}", lambda: nested_oracle(network, expected)
    )


def examine(network: keras.Model, image: Floats, expected_layer: str, make_oracle: Callable[[], Oracle]) -> Findings:
    """Ask the service, then the oracle, about every class; the oracle comes last, as it may add to the network."""
    before = snapshot(network)
    probe = KerasProbe(network)
    scores = probe.scores(image).values
    answers = [probe.activations_and_gradients(image, class_index=index) for index in range(CLASSES)]
    unchanged = snapshot(network) == before
    output = network(tf.constant(image[None]), training=False)[0].numpy()
    logits = np.array([answer.target.value for answer in answers])
    answer = answers[int(output.argmax())]
    expected = make_oracle().explain(image, answer.target.index)
    return Findings(
        layer=answer.layer,
        expected_layer=expected_layer,
        scores_error=float(np.abs(scores - output).max()),
        softmax_error=float(np.abs(softmax(logits) - output).max()),
        activations_error=relative_error(answer.activations, expected.activations),
        gradients_error=relative_error(answer.gradients, expected.gradients),
        correlation=correlation(evidence(answer), expected.evidence),
        unchanged=unchanged,
    )


def evidence(answer: LayerGradients) -> Floats:
    return weigh(answer.activations, answer.gradients)


def nested_oracle(network: keras.Sequential, layer: str) -> Oracle:
    """The backbone of `build_nested`, fed with rescaled pixels, then the head by hand."""
    _, backbone, _, scores = network.layers
    maps = find_operation(backbone, layer).output
    pixels = keras.Input(backbone.input_shape[1:])
    trunk = keras.Model(backbone.inputs, [maps, backbone.outputs[0]])
    to_logits = dense(scores)
    return Oracle(
        keras.Model(pixels, trunk(pixels / 127.5 - 1.0)),
        lambda features: to_logits(tf.reduce_mean(features, axis=(1, 2))),
    )


def default_layer(network: keras.Model, layer: str) -> str:
    names = [operation.name for operation in network.operations if type(operation).__name__ == layer]
    return names[-1] if names else layer


def find_operation(network: keras.Model, name: str) -> Any:
    return next(operation for operation in network.operations if operation.name == name)


def make_image(size: int) -> Floats:
    """Coarse blobs under fine noise, in 0…255: noise alone gives maps that are nearly flat."""
    rng = np.random.default_rng(11)
    blobs = np.kron(rng.uniform(0, 255, (4, 4, 3)), np.ones((size // 4, size // 4, 1)))
    return np.asarray(0.8 * blobs + 0.2 * rng.uniform(0, 255, blobs.shape), np.float32)


def enliven(network: keras.Model) -> keras.Model:
    """Give batch normalisation statistics that a batch of one image does not have: training mode would show."""
    rng = np.random.default_rng(5)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(rng.normal(0, 0.1, layer.moving_mean.shape))
            layer.moving_variance.assign(rng.uniform(0.5, 1.5, layer.moving_variance.shape))
    return network


def _application(family: Family) -> Callable[..., keras.Model]:
    application: Callable[..., keras.Model] = getattr(keras.applications, family.name)
    return application


def _row(family: Family) -> str:
    flat = examine_flat(family)
    keras.utils.clear_session()
    nested = examine_nested(family)
    keras.utils.clear_session()
    for findings in (flat, nested):
        sound = findings.layer == findings.expected_layer and findings.unchanged
        assert sound, f"{family.name}: {findings}"
    return (
        f"| {family.name} | `{flat.layer}` | `{nested.layer}` | {flat.scores_error:.1e} / {nested.scores_error:.1e}"
        f" | {flat.softmax_error:.1e} / {nested.softmax_error:.1e}"
        f" | {_truncated(flat.correlation)} / {_truncated(nested.correlation)} |"
    )


def _truncated(value: float) -> str:
    """Six places, cut off rather than rounded up to 1."""
    return f"{np.floor(value * 1e6) / 1e6:.6f}"


PREFACE = f"""\
# Application families

Generated by `make families` (`python -m tests.families`) with Keras {keras.__version__} and TensorFlow
{tf.__version__}; do not edit.

Each network of `keras.applications` with random weights, flat and as
`Sequential(Rescaling, backbone, GlobalAveragePooling2D, Dense(softmax))`, against an independent eager oracle.
Pairs are flat / nested: the largest difference of the scores from `network(x, training=False)`, that of the softmax of
the logits from the network's output, and the correlation of the Grad-CAM maps, before the ReLU, with the oracle's.
Nothing was added to any network.

| network | default layer, flat | default layer, nested | scores | softmax of logits | map correlation |
| --- | --- | --- | --- | --- | --- |
"""


def main() -> None:
    """Examine every family and write docs/families.md."""
    page = PREFACE
    sys.stdout.write(page)
    for family in FAMILIES:
        row = _row(family) + "\n"
        sys.stdout.write(row)
        sys.stdout.flush()
        page += row
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
