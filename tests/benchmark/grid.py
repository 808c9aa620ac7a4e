"""A grid of 512 activation maps, activations to PNG bytes, against matplotlib as books use it."""

import io
import tempfile
from contextlib import ExitStack
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from service.engine.arrays import Array
from service.engine.images.photo import ImageFile
from service.engine.methods import METHODS
from service.engine.model import Model
from service.engine.running.request import Request
from service.engine.running.run import run
from service.keras.compute.probe import KerasProbe
from tests.benchmark.engine import compare
from tests.benchmark.networks import LIMITS, as_model
from tests.benchmark.others import PAUSE_SECONDS
from tests.benchmark.peers.process import Peer, PeerFailedError
from tests.benchmark.pictures import jpeg
from tests.benchmark.rows import Goal, Row, Table, at_least
from tests.benchmark.turns import Contender, take_turns, timed

METHOD = METHODS["activations"]
SIDE, CHANNELS, LAYER = 56, 512, "maps"
# What books do: one array shown once, or a subplot for each channel.
WAYS: dict[str, tuple[str, Goal]] = {
    "display_grid": ("matplotlib, one grid built by hand", at_least(20)),
    "subplots": ("matplotlib, a subplot for each channel", at_least(20)),
}
SELDOM = {"subplots": 5}


def measure_grid(table: Table, rounds: int) -> None:
    """Ours starts at the JPEG and runs the network, of one layer that costs next to nothing, as well."""
    table.head(f"A grid of {CHANNELS} channels of {SIDE} x {SIDE}")
    model = _model()
    params = METHOD.params(layer=LAYER)
    contenders: dict[str, Contender] = {
        "ours": timed(
            lambda image: run(model, Request(METHOD, params, ImageFile(image)), LIMITS),
            lambda number: jpeg(number, SIDE),
        )
    }
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        activations = Path(folder) / "activations.npy"
        np.save(activations, _activations(model))
        for way in WAYS:
            try:
                peer = stack.enter_context(Peer("matplotlib_grid", way, activations=str(activations)))
                contenders[way] = peer.run
            except PeerFailedError as error:
                failed[way] = str(error)
        taken = take_turns(contenders, rounds, warm_up=1, seldom=SELDOM, pause_seconds=PAUSE_SECONDS)
    for way, (name, goal) in WAYS.items():
        what = f"{name} ÷ ours"
        table.add(Row(what, None, goal, failed[way]) if way in failed else compare(what, taken, way, "ours", goal))


def _model() -> Model:
    keras.utils.set_random_seed(1)
    entry = keras.Input((SIDE, SIDE, 3))
    maps = keras.layers.Conv2D(CHANNELS, 3, padding="same", activation="relu", name=LAYER)(entry)
    scores = keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling2D()(maps))
    return as_model("grid", KerasProbe(keras.Model(entry, scores)))


def _activations(model: Model) -> Array:
    with Image.open(io.BytesIO(jpeg(1, SIDE))) as picture:
        image: Array = np.asarray(np.asarray(picture) / 255, np.float32)
    return model.probe.activations(image, [LAYER])[0].values
