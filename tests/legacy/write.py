"""Writes files of Keras 2 and what it computes itself: `python -m tests.legacy.write FOLDER`, under Keras 2.

Each case comes as `NAME.h5` and `NAME.keras`, with `NAME.npz`: the picture, the scores, the outputs of layers and the
Grad-CAM map before its ReLU. A file that this version cannot write is left out.
"""

import os
import sys
import traceback
from pathlib import Path
from typing import Any

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow 2.15's faster kernels end with "double free" in gradients of small separable convolutions.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import numpy as np
import tensorflow as tf

from tests.legacy import application_cases, layer_cases, network_cases, operation_cases
from tests.legacy.pictures import picture

keras = tf.keras
_CASES = {
    **layer_cases.CASES,
    **operation_cases.CASES,
    **network_cases.CASES,
    **application_cases.CASES,
}
# Keras 2.12 takes "keras" for HDF5 and calls its archives so.
_ARCHIVE = {"save_format": "keras_v3"} if tf.__version__.startswith("2.12") else {}


def write(folder: Path, wanted: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in wanted or _CASES:
        if (folder / f"{name}.npz").exists():
            continue
        keras.backend.clear_session()
        try:
            network = _CASES[name](name)
            spread(network, gain=0.6 if name in application_cases.CASES else 0.9)
        except (AttributeError, TypeError, ValueError):
            traceback.print_exc(limit=-1)
            continue
        for file, options in ((f"{name}.h5", {}), (f"{name}.keras", _ARCHIVE)):
            try:
                network.save(folder / file, **options)
            except (NotImplementedError, OSError, TypeError, ValueError):
                traceback.print_exc(limit=-1)
                (folder / file).unlink(missing_ok=True)
        np.savez_compressed(folder / f"{name}.npz", **compute(network))


def spread(network: Any, gain: float) -> None:
    """Weights that let every value matter: scaled by fan-in, with biases and statistics that are not neutral.

    In a hundred layers a gain near 1 makes much of a rounding.
    """
    numbers = np.random.default_rng(3)
    # What Normalization has seen counts as it was when its statistics were made.
    adapted = [id(weight) for layer in _layers(network, keras.layers.Normalization) for weight in layer.weights]
    for weight in network.weights:
        if weight.dtype.is_integer or id(weight) in adapted:
            continue
        if any(word in weight.name for word in ("variance", "gamma", "stddev")):
            values = numbers.uniform(0.5, 1.5, weight.shape)
        elif len(weight.shape) > 1:
            values = numbers.normal(0, gain * np.sqrt(2 / np.prod(weight.shape[:-1])), weight.shape)
        else:
            values = numbers.normal(0, 0.3, weight.shape)
        # In few steps, so that the files of the suite are small when they are packed.
        step = 2 ** np.floor(np.log2(np.std(values) + 1e-9)) / 8
        weight.assign(np.rint(values / step) * step)


def _layers(network: Any, kind: Any) -> list[Any]:
    return [layer for layer in network.submodules if isinstance(layer, kind)]


def compute(network: Any) -> dict[str, Any]:
    """What Keras 2 says of one picture."""
    image = picture(*(size or 40 for size in network.input_shape[1:]))
    batch = tf.constant(image[None])
    found = {"image": image, "scores": np.asarray(network(batch, training=False), np.float32)[0]}
    layers = [layer for layer in network.layers if _has_maps(layer)]
    for layer in layers[:1] + layers[-6:]:
        maps = keras.Model(network.inputs, layer.output)(batch, training=False)
        found[f"maps:{layer.name}"] = np.asarray(maps, np.float32)[0]
    last = network.layers[-1]
    if layers and getattr(last, "activation", None) is keras.activations.softmax and len(network.output_shape) == 2:
        found |= _explain(network, layers[-1], batch)
    return found


def _has_maps(layer: Any) -> bool:
    try:
        shape = layer.output_shape
    except (AttributeError, RuntimeError):
        return False
    if isinstance(layer, (keras.Model, keras.layers.InputLayer)):
        return False  # of a nested model, Keras 2 gives the output within it
    # Of a layer that is called twice, the output is not one.
    once = len(layer.inbound_nodes) == 1
    return once and isinstance(shape, tuple) and len(shape) == 4 and shape[1] != 1


def _explain(network: Any, layer: Any, batch: Any) -> dict[str, Any]:
    """Grad-CAM of the first class, of its logit."""
    last = network.layers[-1]
    last.activation = keras.activations.linear
    both = keras.Model(network.inputs, [layer.output, network.output])
    with tf.GradientTape() as tape:
        tape.watch(batch)
        maps, logits = both(batch, training=False)
        target = logits[0, 0]
    try:
        gradients = tape.gradient(target, maps)
    except LookupError:  # ResizeArea has none
        gradients = None
    last.activation = keras.activations.softmax
    if gradients is None:
        return {}
    weights = np.asarray(gradients, np.float64)[0].mean(axis=(0, 1))
    evidence = np.einsum("hwc,c->hw", np.asarray(maps, np.float64)[0], weights)
    if np.abs(evidence).max() < 1e-4 * np.abs(gradients).max() * np.abs(maps).max():
        # Gradients that cancel each other out: what is left is rounding.
        return {}
    return {"evidence": evidence.astype(np.float32), "layer": np.array(layer.name)}


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2:])
