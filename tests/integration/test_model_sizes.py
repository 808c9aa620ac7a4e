"""Networks whose size only Keras can tell, refused before there is memory for them; and honest ones, which all load."""

import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

import keras
import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from keras import layers

from service.cli import main
from service.engine.ports.overrides import Overrides
from service.errors import ModelFailedError
from service.keras.files.loading import load_probe
from tests.oversized_models import layer, sequential, sequentials, take, weights_file, write_archive

WIDE = [None, 1000, 1000, 3]
SOME = weights_file({"kernel": np.ones((100, 100), np.float32)})


def _wide(*entries: dict[str, Any], shape: list[int | None] | None = None) -> dict[str, Any]:
    return sequential("model", take(shape or WIDE), *entries)


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    # 12 GB of weights, of which the configuration alone shows a thousand.
    "dense": (
        _wide(layer("Flatten", "f"), layer("Dense", "d", units=1000)),
        r"'.*d/kernel' has 3000000 x 1000 weights",
    ),
    "normalisation": (
        _wide(layer("Permute", "p", dims=[3, 1, 2]), layer("Flatten", "f"), layer("BatchNormalization", "b")),
        r"'.*b/gamma' has 3000000 weights",
    ),
    "wrapped": (
        _wide(layer("TimeDistributed", "t", layer=layer("Dense", "d", units=2000)), shape=[None, 4, 2000]),
        r"'.*kernel' has 2000 x 2000 weights",
    ),
    "slow initializer": (
        _wide(layer("Dense", "d", units=4000, kernel_initializer="orthogonal"), shape=[None, 4000]),
        "4000 x 4000 weights",
    ),
    "padding": (_wide(layer("ZeroPadding2D", "z", padding=20_000), shape=[None, 8, 8, 3]), "layer 'z' would fill"),
    "one-hot": (_wide(layer("CategoryEncoding", "c", num_tokens=10**9), shape=[None, 4]), "would fill"),
    "repeated": (_wide(layer("RepeatVector", "r", n=10**9), shape=[None, 4]), "would fill"),
}


@pytest.mark.parametrize(("config", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_network_is_refused_before_it_takes_memory_when_it_is_too_large(
    tmp_path: Path, config: dict[str, Any], reason: str
):
    file = write_archive(tmp_path / "m.keras", config, SOME)
    process = psutil.Process()
    before = process.memory_info().rss
    with pytest.raises(ModelFailedError, match=reason):
        load_probe(file)
    assert process.memory_info().rss - before < 300 * 2**20


def test_first_pass_is_refused_when_it_would_take_too_long(tmp_path: Path):
    # Each layer of 2048 x 2048 x 64 fits; eight of them are 1.2e12 operations.
    network = keras.Sequential([keras.Input((2048, 2048, 3)), layers.Conv2D(60, 3, padding="same")])
    for _ in range(8):
        network.add(layers.Conv2D(60, 3, padding="same"))
    network.save(tmp_path / "m.keras")
    with pytest.raises(
        ModelFailedError, match=r"one pass would take \d{13} operations for an input of 2048 x 2048 x 3"
    ):
        load_probe(tmp_path / "m.keras")


def test_first_pass_is_refused_when_a_layer_within_another_would_fill_the_memory(tmp_path: Path):
    picture = keras.Input((512, 512, 1))
    pixels = layers.Reshape((512 * 512, 1))(picture)
    # Each pixel with each: 275 GB, which its output of a megabyte does not show.
    attention = layers.Attention()([pixels, pixels])
    keras.Model(picture, layers.GlobalAveragePooling1D()(attention)).save(tmp_path / "m.keras")
    with pytest.raises(ModelFailedError, match=r"one layer would fill 27\d{10} bytes for an input of 512 x 512 x 1"):
        load_probe(tmp_path / "m.keras")


def test_first_pass_is_refused_when_the_stated_size_is_too_large(tmp_path: Path):
    keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(60, 3), layers.GlobalAveragePooling2D()]).save(
        tmp_path / "m.keras"
    )
    assert load_probe(tmp_path / "m.keras", Overrides(input_size=(64, 64))).network_info.input_shape == (None, None, 3)
    with pytest.raises(ModelFailedError, match=r"for an input of 4096 x 4096 x 3; at most .* set input_size"):
        load_probe(tmp_path / "m.keras", Overrides(input_size=(4096, 4096)))


def test_other_threads_go_on_while_a_long_configuration_is_refused(tmp_path: Path):
    file = write_archive(tmp_path / "m.keras", sequentials(14, 290))
    done, pauses = Event(), [0.0]

    def watch() -> None:
        while not done.is_set():
            began = time.perf_counter()
            time.sleep(0.005)
            pauses.append(time.perf_counter() - began)

    watcher = Thread(target=watch)
    watcher.start()
    with pytest.raises(ModelFailedError, match="call layers some"):
        load_probe(file)
    done.set()
    watcher.join()
    assert max(pauses) < 1


def _zoo() -> keras.Model:
    """A weight of every kind that Keras makes by itself, or from the shape of what comes."""
    picture = keras.Input((16, 16, 3))
    x = layers.Rescaling(1 / 255)(layers.RandomFlip()(picture))
    x = layers.Normalization(mean=[0.0, 0.0, 0.0], variance=[1.0, 1.0, 1.0])(x)
    x = layers.PReLU()(layers.SeparableConv2D(6, 3)(x))
    x = layers.LayerNormalization()(layers.Conv2DTranspose(4, 3)(x))
    x = layers.GroupNormalization(2)(layers.DepthwiseConv2D(3, depth_multiplier=2)(x))
    x = layers.SpectralNormalization(layers.Conv2D(8, 3))(x)
    x = layers.Reshape((-1, 8))(layers.MaxPooling2D(3)(x))
    x = layers.MultiHeadAttention(2, 4)(x, x)
    x = layers.Bidirectional(layers.LSTM(5, return_sequences=True))(x)
    x = layers.GRU(4, return_sequences=True, stateful=False)(layers.TimeDistributed(layers.Dense(6))(x))
    x = layers.EinsumDense("xyc,cd->xyd", output_shape=(None, 4))(x)
    x = layers.Dropout(0.1, seed=1)(layers.GlobalAveragePooling1D()(x))
    return keras.Model(picture, layers.Dense(3, activation="softmax")(x))


def _mobile() -> keras.Model:
    return keras.applications.MobileNetV2(weights=None, input_shape=(96, 96, 3), alpha=0.35)


@pytest.mark.parametrize(("make", "suffix"), [(_zoo, ".keras"), (_mobile, ".h5")])
def test_honest_network_loads_with_as_many_weights_as_its_file_has(
    tmp_path: Path, make: Callable[[], keras.Model], suffix: str
):
    network = make()
    network.save(tmp_path / f"m{suffix}")
    assert load_probe(tmp_path / f"m{suffix}").network_info.parameters == network.count_params()


def test_archive_loads_when_it_was_packed_anew(tmp_path: Path):
    network = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)])
    network.save(tmp_path / "plain.keras")
    with (
        zipfile.ZipFile(tmp_path / "plain.keras") as plain,
        zipfile.ZipFile(tmp_path / "packed.keras", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert load_probe(tmp_path / "packed.keras").network_info.parameters == network.count_params()


def test_doctor_refuses_by_the_same_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = write_archive(tmp_path / "m.keras", _wide(layer("Dense", "wide", units=10**9), shape=[None, 4]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path / "data"))
    answer = CliRunner().invoke(main, ["doctor", str(file)])
    assert answer.exit_code != 0
    assert "'wide' has at least 1000000000 weights" in answer.output
    monkeypatch.setenv("CONVSCOPE_LIMITS__MODEL_LAYERS", "1")
    assert "at most 1 are loaded" in CliRunner().invoke(main, ["doctor", str(file)]).output
