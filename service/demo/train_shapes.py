"""Trains the demo's classifier anew and measures it: `python -m service.demo.train_shapes`, minutes on two cores.

The pictures are divided by 255 before the network sees them, which is the "unit" preprocessing of `model.toml`.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from service.demo.scenes import CLASSES, Scene, draw_scene
from service.demo.shapes_network import build_network, fold_normalisation

OUTPUT = Path(__file__).parent / "models" / "shapes" / "1" / "model.keras"
LEAST_ACCURACY = 0.97
BATCH = 64

Images = NDArray[np.float32]


class Batches(keras.utils.PyDataset):
    """The scenes in a new order every epoch, each batch turned and mirrored at random: no class has a handedness."""

    def __init__(self, scenes: list[Scene], generator: np.random.Generator) -> None:
        super().__init__()
        self.images = np.stack([scene.image for scene in scenes])
        self.labels = np.array([scene.label for scene in scenes])
        self.generator = generator
        self.on_epoch_end()

    def __len__(self) -> int:
        return len(self.labels) // BATCH

    def __getitem__(self, index: int) -> tuple[Images, NDArray[np.int64]]:
        chosen = self.order[index * BATCH : (index + 1) * BATCH]
        images = np.rot90(self.images[chosen], int(self.generator.integers(4)), (1, 2))
        if self.generator.integers(2):
            images = images[:, :, ::-1]
        return to_unit(images), self.labels[chosen]

    def on_epoch_end(self) -> None:
        self.order = self.generator.permutation(len(self.labels))


def to_unit(images: NDArray[np.uint8]) -> Images:
    return images.astype(np.float32) / np.float32(255.0)


def train(scenes: list[Scene], generator: np.random.Generator, *, epochs: int) -> Any:
    """A trained network without batch normalisation."""
    batches = Batches(scenes, generator)
    steps = epochs * len(batches)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 10, warmup_target=4e-3, warmup_steps=steps // 10
    )
    network = build_network(len(CLASSES), normalised=True)
    network.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-4), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    network.fit(batches, epochs=epochs, verbose=2)
    return fold_normalisation(network)


def measure(network: Any, scenes: list[Scene]) -> tuple[float, float]:
    """Accuracy, and the share of scenes where the peak of the true class's Grad-CAM lies on the object.

    Only an average and one dense layer follow the last map, so Grad-CAM's weights are the class's weights over the
    number of cells; a positive factor moves no peak and is left out.
    """
    last = network.get_layer("pooling").input
    maps, scores = keras.Model(network.input, [last, network.output]).predict(
        to_unit(np.stack([scene.image for scene in scenes])), batch_size=BATCH, verbose=0
    )
    weights = network.get_layer("predictions").get_weights()[0]
    labels = np.array([scene.label for scene in scenes])
    hits = [
        _peaks_inside(np.maximum(cells @ weights[:, scene.label], 0.0), scene.mask)
        for cells, scene in zip(maps, scenes, strict=True)
    ]
    return float(np.mean(scores.argmax(axis=1) == labels)), float(np.mean(hits))


def _peaks_inside(heat: Images, mask: NDArray[np.bool_]) -> bool:
    resized = cv2.resize(heat, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return bool(mask.flat[resized.argmax()])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenes", type=int, default=10_000, help="drawn for training")
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(arguments.seed)
    training, order, fresh = np.random.default_rng(arguments.seed).spawn(3)
    network = train([draw_scene(training) for _ in range(arguments.scenes)], order, epochs=arguments.epochs)
    accuracy, pointing = measure(network, [draw_scene(fresh) for _ in range(2_000)])
    print(f"2000 fresh scenes: accuracy {accuracy:.2%}, Grad-CAM's peak on the object {pointing:.2%}")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    network.save(arguments.output)
    return 0 if accuracy >= LEAST_ACCURACY else 1


if __name__ == "__main__":
    sys.exit(main())
