"""Trains the demo's autoencoder anew and measures it: `python -m service.demo.train_glyphs`, a minute on two cores.

A snapshot is kept as a version of the model each time the network has seen all glyphs as often as EPOCHS says. The
pictures are divided by 255 before the network sees them, which is the "unit" preprocessing of `model.toml`.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from service.demo.glyphs import GLYPHS, draw_glyphs
from service.demo.glyphs_network import build_network
from service.engine.methods.autoencoders.silhouette import measure_silhouette

OUTPUT = Path(__file__).parent / "models" / "glyphs"
EPOCHS = (0, 3, 5, 8, 20, 50)
MOST_ERROR = 0.033
LEAST_SILHOUETTE = 0.35
BATCH = 64

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


def to_unit(glyphs: NDArray[np.uint8]) -> Images:
    return glyphs[..., None].astype(np.float32) / np.float32(255.0)


def train(images: Images) -> Iterator[Any]:
    """The same network again and again, after growing numbers of epochs."""
    network = build_network()
    # Of the same layers; the network itself stays without an optimizer, which its file would have to hold.
    trained = keras.Model(network.input, network.output)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, EPOCHS[-1] * (len(images) // BATCH), alpha=0.02)
    # With the usual epsilon of 1e-7 the weights of the border, which sees nothing but noise, move like all others; with
    # less decay a unit's weights stay much as they were at the start.
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.3, epsilon=1e-6)
    trained.compile(optimizer, "mse", steps_per_execution=len(images) // BATCH)
    done = 0
    for epochs in EPOCHS:
        trained.fit(images, images, batch_size=BATCH, initial_epoch=done, epochs=epochs, verbose=0)
        done = epochs
        yield network


def measure(network: Any, images: Images, labels: Labels) -> tuple[float, float]:
    """The mean squared error of a pixel, and how well the labels lie apart in the plane of the latent."""
    latents, decoded = keras.Model(network.input, [network.get_layer("latent").output, network.output]).predict(
        images, verbose=0
    )
    return float(np.mean((decoded - images) ** 2)), measure_silhouette(latents, labels)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--glyphs", type=int, default=8_000, help="drawn for training")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(arguments.seed)
    training, fresh = np.random.default_rng(arguments.seed).spawn(2)
    glyphs, _ = draw_glyphs(training, arguments.glyphs)
    fresh_glyphs, labels = draw_glyphs(fresh, 100 * len(GLYPHS))
    errors, silhouette = [], 0.0
    print(f"{len(labels)} fresh glyphs\nversion  epochs     MSE  silhouette")
    for version, network in enumerate(train(to_unit(glyphs)), start=1):
        error, silhouette = measure(network, to_unit(fresh_glyphs), labels)
        errors.append(error)
        print(f"{version:7}  {EPOCHS[version - 1]:6}  {error:.4f}  {silhouette:10.2f}", flush=True)
        file = arguments.output / str(version) / "model.keras"
        file.parent.mkdir(parents=True, exist_ok=True)
        network.save(file)
    falling = errors == sorted(errors, reverse=True)
    return 0 if falling and errors[-1] <= MOST_ERROR and silhouette >= LEAST_SILHOUETTE else 1


if __name__ == "__main__":
    sys.exit(main())
