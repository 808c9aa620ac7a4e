"""Small networks with weights of some size, each with an answer of its own."""

import io
from pathlib import Path

import keras
import numpy as np
from keras import layers as L  # noqa: N812 - as the other tests have it
from PIL import Image

SIDE = 64
# Their weights: 16 MB.
UNITS, DENSE_LAYERS = 1024, 4


def save_network(folder: Path, name: str, version: str, seed: int, units: int = UNITS) -> None:
    """As `folder/name/version/model.keras`, at once."""
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input((SIDE, SIDE, 3))
    x = L.Conv2D(8, 3, padding="same", activation="relu", name="conv")(x)
    x = L.Flatten()(L.AveragePooling2D(8)(x))
    for _ in range(DENSE_LAYERS):
        x = L.Dense(units, activation="relu")(x)
    network = keras.Model(inputs, L.Dense(5, activation="softmax")(x))
    # Hidden, and put in its place with its folder: nobody is to see a version without a file, or half of one.
    part = folder / ".part" / "model.keras"
    part.parent.mkdir(parents=True)
    network.save(part)
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "model.toml").write_text('preprocessing = "unit"\n', encoding="utf-8")
    part.parent.rename(folder / name / version)
    keras.backend.clear_session()


def draw_photo() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
