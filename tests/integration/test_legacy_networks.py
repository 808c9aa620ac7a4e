"""Small networks written to HDF5 as older Keras did, spoiled on purpose, too large, or with ends of every kind."""

import json
import tempfile
import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from service.errors import MethodUnavailableError, ModelFailedError
from service.keras.files.loading import load_probe
from service.keras.graph.replay import infer, replay

Entry = dict[str, Any]
SCALES = ((0.5, 1.0, 2.0), (3.0, 1.0, 7.0))


def _layer(class_name: str, name: str, *inbound: list[Any], **arguments: Any) -> Entry:
    config = {"name": name, **arguments}
    return {"class_name": class_name, "config": config, "name": name, "inbound_nodes": [list(inbound)] * bool(inbound)}


def _model(name: str, *entries: Entry, inputs: list[str], output: str) -> Entry:
    ends = {"input_layers": [[end, 0, 0] for end in inputs], "output_layers": [[output, 0, 0]]}
    return {"class_name": "Model", "config": {"name": name, "layers": list(entries), **ends}}


def _write(path: Path, config: Entry, weights: dict[str, dict[str, Any]], version: str = "2.4.0") -> Path:
    """An HDF5 file as Keras 2 laid it out: `weights` are arrays by name, by layer."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"model_config": json.dumps(config), "keras_version": version, "backend": "tensorflow"})
        group = file.create_group("model_weights")
        group.attrs.update({"layer_names": [*weights], "keras_version": version, "backend": "tensorflow"})
        for layer, arrays in weights.items():
            group.require_group(layer).attrs["weight_names"] = [f"{name}:0" for name in arrays]
            for name, array in arrays.items():
                group[layer][f"{name}:0"] = array
    return path


@pytest.fixture
def siamese(tmp_path: Path) -> tuple[Path, keras.Model]:
    """Two pictures through one nested model, as Keras 2.4 wrote it, and the same network built with Keras 3."""
    picture = {"batch_input_shape": [None, 8, 8, 3]}
    inner = _model(
        "twin",
        _layer("InputLayer", "in", **picture),
        _layer("Conv2D", "block/conv", ["in", 0, 0, {}], filters=4, kernel_size=[3, 3]),
        _layer("BatchNormalization", "block/bn", ["block/conv", 0, 0, {}], axis=[3]),
        _layer("DepthwiseConv2D", "depth", ["block/bn", 0, 0, {}], kernel_size=[3, 3], groups=1),
        inputs=["in"],
        output="depth",
    )
    calls = [[["left", 0, 0, {}]], [["right", 0, 0, {}]]]
    outer = _model(
        "siamese",
        _layer("InputLayer", "left", **picture),
        _layer("InputLayer", "right", **picture),
        {**inner, "name": "twin", "inbound_nodes": calls},
        _layer("Subtract", "difference", ["twin", 1, 0, {}], ["twin", 2, 0, {}]),
        _layer("GlobalMaxPooling2D", "pool", ["difference", 0, 0, {}]),
        _layer("Dense", "same", ["pool", 0, 0, {}], units=1, activation="sigmoid"),
        inputs=["left", "right"],
        output="same",
    )
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 3))
    maps = layers.BatchNormalization(name="bn")(layers.Conv2D(4, 3, name="conv")(image))
    twin = keras.Model(image, layers.DepthwiseConv2D(3, name="depth")(maps), name="twin")
    pair = [keras.Input((8, 8, 3)), keras.Input((8, 8, 3))]
    vector = layers.GlobalMaxPooling2D()(layers.Subtract()([twin(pair[0]), twin(pair[1])]))
    network = keras.Model(pair, layers.Dense(1, activation="sigmoid", name="same")(vector))
    for weight in network.weights:
        weight.assign(np.random.default_rng(len(weight.path)).uniform(0.1, 1, weight.shape))
    conv, norm, depth = (twin.get_layer(name) for name in ("conv", "bn", "depth"))
    arrays = {
        "block/conv/kernel": conv.kernel,
        "block/conv/bias": conv.bias,
        "block/bn/gamma": norm.gamma,
        "block/bn/beta": norm.beta,
        "depth/depthwise_kernel": depth.kernel,
        "depth/bias": depth.bias,
        "block/bn/moving_mean": norm.moving_mean,
        "block/bn/moving_variance": norm.moving_variance,
    }
    same = network.get_layer("same")
    weights = {"twin": arrays, "same": {"same/kernel": same.kernel, "same/bias": same.bias}}
    stored = {layer: {name: np.asarray(value) for name, value in held.items()} for layer, held in weights.items()}
    return _write(tmp_path / "siamese.h5", outer, stored), network


def test_network_computes_the_same_when_everything_old_is_in_it(siamese: tuple[Path, keras.Model]):
    path, network = siamese
    probe = load_probe(path)
    assert probe.network_info.repairs == (
        "arguments that Keras 3 no longer takes were dropped: 'depth'",
        "the single input or output of a nested model was taken out of its list: 'twin'",
        "calls of nested models were counted from 0 instead of 1: 'twin'",
        "'/' in layer names was replaced by '_': 'block/conv', 'block/bn'",
    )
    left, right = np.random.default_rng(0).random((2, 5, 8, 8, 3), np.float32)
    (found,) = replay(probe._network, [left, right], lambda _, node, args, kwargs: infer(node, args, kwargs))
    np.testing.assert_allclose(np.asarray(found), np.asarray(network([left, right], training=False)), rtol=1e-6)


def test_methods_are_refused_when_two_pictures_go_in(siamese: tuple[Path, keras.Model]):
    probe = load_probe(siamese[0])
    assert probe.network_info.input_shape is None
    with pytest.raises(MethodUnavailableError, match="no single picture"):
        probe.scores(np.zeros((8, 8, 3), np.float32))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Two convolutions of one shape and a normalisation, saved by Keras 3."""
    keras.utils.set_random_seed(2)
    names = ("first", "second")
    stack = [layers.Conv2D(3, 3, name=name, bias_initializer="glorot_uniform") for name in names]
    network = keras.Sequential([keras.Input((8, 8, 3)), *stack, layers.BatchNormalization(name="norm")])
    network.save(tmp_path / "model.h5")
    return tmp_path / "model.h5"


def _swap_layers(group: Any) -> None:
    group.attrs["layer_names"] = ["second", "first", "norm"]


def _swap_weights(group: Any) -> None:
    first, second, *others = group["norm"].attrs["weight_names"]
    group["norm"].attrs["weight_names"] = [second, first, *others]


def _rename(group: Any) -> None:
    group.move("second", "third")
    group.attrs["layer_names"] = ["first", "third", "norm"]


def _forget_array(group: Any) -> None:
    del group[f"first/{group['first'].attrs['weight_names'][0]}"]


def _forget_name(group: Any) -> None:
    group["first"].attrs["weight_names"] = group["first"].attrs["weight_names"][:1]


def _forget_layer(group: Any) -> None:
    group.attrs["layer_names"] = ["first", "norm"]


def _reshape(group: Any) -> None:
    name = f"first/{group['first'].attrs['weight_names'][0]}"
    del group[name]
    group[name] = np.zeros((5, 5, 3, 3), np.float32)


def _forget_all(group: Any) -> None:
    del group.file["model_weights"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_swap_layers, "weights 'second/sequential/second/kernel' of layer|not where the network expects them"),
        (_swap_weights, "of layer 'norm' are not where the network expects them"),
        (_rename, "weights for a layer 'third', which is not in its network"),
        (_forget_array, "cannot load 'model.h5'"),
        (_forget_name, "Weight count mismatch"),
        (_forget_layer, "Layer count mismatch"),
        (_reshape, "Shape mismatch"),
        (_forget_all, "cannot load 'model.h5'"),
    ],
)
def test_file_is_refused_when_its_weights_are_not_the_networks(saved: Path, spoil: Callable[[Any], None], words: str):
    assert load_probe(saved).network_info.repairs == ()
    with h5py.File(saved, "r+") as file:
        spoil(file["model_weights"])
    with pytest.raises(ModelFailedError, match=words) as failure:
        load_probe(saved)
    assert str(saved.parent) not in failure.value.detail


@pytest.mark.parametrize("size", [100, 4_000, 20_000])
def test_file_is_refused_when_it_is_cut_off(saved: Path, size: int):
    data = saved.read_bytes()
    assert size < len(data)
    saved.write_bytes(data[:size])
    with pytest.raises(ModelFailedError, match=r"copy it again|neither a \.keras archive nor") as failure:
        load_probe(saved)
    assert str(saved.parent) not in failure.value.detail


def test_archive_is_read_when_it_is_called_h5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(3, 3)]).save(tmp_path / "model.keras")
    path = (tmp_path / "model.keras").rename(tmp_path / "model.h5")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    assert load_probe(path).network_info.repairs == ("read as a .keras archive, which it is, whatever its name says",)
    assert not list((tmp_path / "temporary").iterdir())


def test_nothing_is_left_when_a_copy_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    entry = {"class_name": "Sequential", "config": [_layer("Merge", "merge", mode="sum")]}
    path = _write(tmp_path / "model.h5", entry, {}, "1.2.1")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    with pytest.raises(ModelFailedError) as failure:
        load_probe(path)
    assert not list((tmp_path / "temporary").iterdir())
    assert failure.value.detail == (
        "'sequential' (layers): 'Merge' is no layer of Keras 3 that may be loaded: use Keras's own layers "
        "(it was written by Keras 1.2.1: save it again with a newer version)"
    )


@pytest.mark.parametrize("stored", ["Variable", "gamma"])
def test_scales_of_convnext_are_found_under_the_name_that_keras_2_gave_them(tmp_path: Path, stored: str):
    size = {"init_values": 1e-6, "projection_dim": 3}
    places = enumerate(("in", "scale0"))
    scales = [_layer("LayerScale", f"scale{i}", [before, 0, 0, {}], **size) for i, before in places]
    picture = _layer("InputLayer", "in", batch_input_shape=[None, 8, 8, 3])
    values = {f"scale{i}": {f"scale{i}/{stored}": np.array(each, np.float32)} for i, each in enumerate(SCALES)}
    config = _model("convnext", picture, *scales, inputs=["in"], output="scale1")
    probe = load_probe(_write(tmp_path / "model.h5", config, values, "2.12.0"))
    image = np.ones((8, 8, 3), np.float32)
    (maps,) = probe.activations(image, ["scale1"])
    np.testing.assert_allclose(maps.values[0, 0], np.prod(SCALES, axis=0))


def _no_weights() -> bytes:
    content = BytesIO()
    h5py.File(content, "w").close()
    return content.getvalue()


def _chain(length: int) -> Entry:
    entries = [_layer("InputLayer", "a0", batch_input_shape=[None, 8, 8, 3])]
    for index in range(1, length):
        entries.append(_layer("Activation", f"a{index}", [f"a{index - 1}", 0, 0, {}], activation="relu"))
    return _model("chain", *entries, inputs=["a0"], output=f"a{length - 1}")


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize(
    ("class_name", "length", "words"),
    [
        ("Model", 10_000, "10000 layers; at most 5000"),
        ("Model", 4_000, "chained or nested too deep"),
        ("Sequential", 10_000, "a Sequential of 10000 layers; at most 300"),
        ("Sequential", 1_000, "at most 300 are loaded: build it as a Functional model"),
    ],
)
def test_problem_comes_soon_when_a_network_is_too_large(
    tmp_path: Path, class_name: str, length: int, words: str, suffix: str
):
    config = {**_chain(length), "class_name": class_name}
    path = tmp_path / f"model{suffix}"
    if suffix == ".h5":
        _write(path, config, {})
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", json.dumps({"module": "keras", **config}))
            archive.writestr("metadata.json", "{}")
            archive.writestr("model.weights.h5", _no_weights())
    began = time.monotonic()
    with pytest.raises(ModelFailedError, match=words):
        load_probe(path)
    assert time.monotonic() - began < 20
