"""Classes of a package that the operator trusts: what they compute, what stays refused, and what they cost."""

import re
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras import layers
from PIL import Image

from service.cli import main
from service.errors import ModelFailedError
from service.keras.cell.building import put_together, take_apart
from service.keras.cell.parcel import BrokenParcelError, Contents, read_parcel, write_parcel
from service.keras.compute.probe import KerasProbe
from service.keras.compute.tuning import UNTUNED
from service.keras.files.admission.limits import MODEL_FILE_LIMITS
from service.keras.files.loading import load_probe
from service.keras.graph.replay import plainly, replay
from tests.hostile_models import layer, read_config, replace_config
from tests.server import Server
from tests.trusted.faults import Faulty
from tests.trusted.layers import Block, Classifier, Dense, Doubling, Opaque, OwnLambda, Patches, Ramp, Shift, Softmax

PACKAGES = ("tests.trusted",)
TRUSTING = replace(MODEL_FILE_LIMITS, trusted_packages=PACKAGES)
IMAGE = np.random.default_rng(0).random((16, 16, 3), np.float32)


def _functional(*parts: keras.Layer) -> keras.Model:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((16, 16, 3), name="picture")
    values = inputs
    for part in parts:
        values = part(values)
    values = layers.GlobalAveragePooling2D(name="pooled")(values)
    ramp = layers.Dense(3, "softmax", kernel_initializer=Ramp(1.0), name="scores")
    return keras.Model(inputs, ramp(values), name="net")


def _classifier() -> keras.Model:
    part = keras.Sequential(
        [keras.Input((16, 16, 3)), Block(4, 2, name="first"), Shift(0.5, name="shift")], name="part"
    )
    return Classifier(part, 3, norm=layers.BatchNormalization(name="norm"), name="classifier")


HONEST: dict[str, Callable[[], keras.Model]] = {
    "blocks": lambda: _functional(Block(4, 2, name="first"), Block(4, name="second"), Block(6, 2, name="third")),
    "by module": lambda: _functional(Shift(0.5, name="shift")),
    "wrapped": lambda: _functional(layers.TimeDistributed(Shift(1.0), name="wrapped")),
    "classifier": _classifier,
}


def _save(network: keras.Model, file: Path) -> Path:
    network.save(file)
    return file


def _pass_on(file: Path, folder: Path) -> tuple[KerasProbe, KerasProbe]:
    """Loaded directly, and by way of a parcel."""
    probe = load_probe(file, limits=TRUSTING)
    network = probe._network
    with (folder / "parcel").open("w+b") as stream:
        write_parcel(stream, take_apart(network, TRUSTING), (np.asarray(w.value).tobytes() for w in network.weights))
        contents = read_parcel(stream, TRUSTING)
        assert isinstance(contents, Contents)
        again = put_together(contents, stream, file.name, TRUSTING)
    return probe, KerasProbe(again, tuning=UNTUNED)


def _answer(probe: KerasProbe) -> Any:
    """Layer by layer: a compiled graph may round otherwise."""
    return np.asarray(replay(probe._network, [IMAGE[None]], plainly)[0])[0]


@pytest.mark.parametrize("name", HONEST)
def test_scores_are_those_of_the_network_when_its_classes_are_trusted(tmp_path: Path, name: str):
    network = HONEST[name]()
    expected = network(IMAGE[None], training=False)[0]
    file = _save(network, tmp_path / "model.keras")
    with pytest.raises(ModelFailedError, match=r"is no \w+ of the module 'tests\.trusted\.layers'.*TRUSTED_PACKAGES"):
        load_probe(file)
    for probe in _pass_on(file, tmp_path):
        np.testing.assert_array_equal(_answer(probe), expected)
        np.testing.assert_allclose(probe.scores(IMAGE).values, expected, atol=1e-6)


def test_network_is_looked_into_when_its_model_is_of_a_trusted_class(tmp_path: Path):
    direct, passed_on = _pass_on(_save(_classifier(), tmp_path / "model.keras"), tmp_path)
    assert [facts.path for facts in direct.network_info.layers][1:4] == ["part/first", "part/shift", "norm"]
    assert direct.network_info.default_layer == "norm"
    assert direct.network_info.doubt is not None
    assert "'part/shift' (Shift)" in direct.network_info.doubt
    # Also of what the classes have not named.
    assert passed_on.network_info == direct.network_info


def test_scores_are_the_same_when_a_file_is_hdf5(tmp_path: Path):
    network = HONEST["blocks"]()
    file = _save(network, tmp_path / "model.h5")
    for probe in _pass_on(file, tmp_path):
        np.testing.assert_array_equal(_answer(probe), network(IMAGE[None], training=False)[0])
    unknown = _save(HONEST["by module"](), tmp_path / "unknown.h5")
    with pytest.raises(ModelFailedError, match="'Shift' is no layer of Keras 3"):
        load_probe(unknown, limits=TRUSTING)


def _tokens(folder: Path, *, leaks: bool) -> KerasProbe:
    inputs = keras.Input((16, 16, 3), name="picture")
    pooled = layers.GlobalAveragePooling1D()(Patches(5, leaks=leaks, name="patches")(inputs))
    network = keras.Model(inputs, layers.Dense(3, "softmax", name="scores")(pooled))
    expected = network(IMAGE[None], training=False)[0]
    probe, passed_on = _pass_on(_save(network, folder / "model.keras"), folder)
    for each in (probe, passed_on):
        np.testing.assert_array_equal(_answer(each), expected)
    assert passed_on.network_info == probe.network_info
    assert sum(facts.parameters for facts in probe.network_info.layers) == network.count_params()
    return probe


def test_convolution_is_found_when_a_layer_makes_tokens_of_it(tmp_path: Path):
    probe = _tokens(tmp_path, leaks=False)
    info = probe.network_info
    assert [facts.path for facts in info.layers[:3]] == ["picture", "patches/cut", "patches"]
    assert info.default_layer == "patches/cut"
    assert "as tokens, in 'patches'" in (info.doubt or "")
    (answer,) = probe.activations(IMAGE, ["patches/cut"])
    np.testing.assert_allclose(answer.values, probe._network.get_layer("patches").cut(IMAGE[None])[0], atol=1e-6)
    # All that is behind the maps is linear, but for the softmax.
    gradients = probe.activations_and_gradients(IMAGE, class_index=1).gradients
    np.testing.assert_allclose(
        gradients, np.broadcast_to(probe._network.layers[-1].kernel[:, 1] / 16, (4, 4, 5)), atol=1e-6
    )


def test_layer_is_left_whole_when_the_picture_goes_another_way_too(tmp_path: Path):
    info = _tokens(tmp_path, leaks=True).network_info
    assert [facts.path for facts in info.layers[:2]] == ["picture", "patches"]
    assert info.default_layer is None


def test_rules_of_keras_are_not_meant_when_a_class_has_only_the_name(tmp_path: Path):
    network = _functional(Softmax(name="twice"))
    file = _save(keras.Sequential([network, Softmax(name="end")]), tmp_path / "model.keras")
    info = load_probe(file, limits=TRUSTING).network_info
    assert (info.task, info.logits) == (
        "regression",
        "the output itself: what 'end' ends with gives no probabilities",
    )


def _hide(file: Path, entry: dict[str, Any]) -> Path:
    """The classifier's file with another object in the place of its norm, deep inside."""
    config = read_config(file)
    config["config"]["norm"] = entry
    return replace_config(file, config, file.with_name("hidden.keras"))


def _entry(kind: type, **config: Any) -> dict[str, Any]:
    """As Keras would write it."""
    return {
        "module": kind.__module__,
        "class_name": kind.__name__,
        "config": {"name": "hidden", **config},
        "registered_name": keras.saving.get_registered_name(kind),
    }


REFUSED = {
    "Lambda": ({**_entry(layers.Lambda), "module": "keras.layers"}, "is a Lambda"),
    "Lambda by the package": ({**_entry(layers.Lambda), "module": "tests.trusted"}, "is a Lambda"),
    "Lambda by its other name": (
        {"module": "tests.trusted", "class_name": "Harmless", "config": {}, "registered_name": "Harmless"},
        "'Harmless' is nothing of the module 'tests.trusted'",
    ),
    "kind of Lambda": (_entry(OwnLambda), "'OwnLambda' is nothing"),
    "TFSMLayer": ({**_entry(layers.TFSMLayer), "module": "keras.layers"}, "is a Lambda"),
    "reader of files": ({**_entry(layers.StringLookup), "module": "keras.layers"}, "'StringLookup' is nothing"),
    "module of the package": (
        {"module": "tests.trusted.keras_layers", "class_name": "Dense", "config": {}, "registered_name": "Dense"},
        "'Dense' is nothing",
    ),
    "name of Keras's": (_entry(Dense), "'Dense' is nothing of the module 'tests.trusted.layers'"),
    "function of Python": (
        {"module": "tests.trusted", "class_name": "system", "config": {}, "registered_name": "system"},
        "'system' is nothing",
    ),
    "registered function": (
        {"module": "tests.trusted.layers", "class_name": "shout", "config": {}, "registered_name": "ours>shout"},
        "'shout' is nothing",
    ),
    "registered function by name": (
        {"module": "builtins", "class_name": "function", "config": "ours>shout", "registered_name": "ours>shout"},
        "a function where none belongs",
    ),
    "Keras's own module": (
        {**_entry(layers.Lambda), "module": "keras.src.layers.core.lambda_layer", "class_name": "Layer"},
        "'Layer' is nothing",
    ),
    "test beside the package": (
        {"module": "tests.server", "class_name": "Server", "config": {}, "registered_name": "Server"},
        "'Server' is nothing of the module 'tests.server'",
    ),
    "module that nobody imported": (
        {"module": "tests.trusted.__main__", "class_name": "Block", "config": {}, "registered_name": "Block"},
        "'Block' is nothing of the module",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_class_is_refused_when_it_is_not_the_package_s_own(tmp_path: Path, name: str):
    entry, words = REFUSED[name]
    file = _hide(_save(_classifier(), tmp_path / "model.keras"), entry)
    with pytest.raises(ModelFailedError, match=words):
        load_probe(file, limits=TRUSTING)


def test_text_is_refused_when_keras_would_make_a_function_of_it(tmp_path: Path):
    file = _save(HONEST["blocks"](), tmp_path / "model.keras")
    config = read_config(file)
    layer(config, "first")["config"]["strides"] = "ours>shout"
    with pytest.raises(ModelFailedError, match=r"'first' \(strides\): 'ours>shout' is a registered name"):
        load_probe(replace_config(file, config, tmp_path / "text.keras"), limits=TRUSTING)


def test_model_is_refused_when_its_graph_does_not_show_what_it_computes(tmp_path: Path):
    inputs = keras.Input((16, 16, 3))
    network = Opaque(inputs, layers.Dense(2)(layers.Flatten()(inputs)))
    with pytest.raises(ModelFailedError, match="'Opaque' is a subclassed model"):
        load_probe(_save(network, tmp_path / "model.keras"), limits=TRUSTING)


def test_model_is_refused_when_its_classes_come_back_as_others(tmp_path: Path):
    probe = load_probe(_save(_functional(Doubling(1.0, name="it")), tmp_path / "model.keras"), limits=TRUSTING)
    with pytest.raises(ModelFailedError, match="comes back with other answers: mend its get_config"):
        take_apart(probe._network, TRUSTING)


def test_parcel_is_refused_when_its_names_are_not_trusted_here(tmp_path: Path):
    network = HONEST["blocks"]()
    contents = take_apart(network, TRUSTING)
    with (tmp_path / "parcel").open("w+b") as stream, pytest.raises(ModelFailedError, match="'Ramp' is no initializer"):
        put_together(contents, stream, "model.keras", MODEL_FILE_LIMITS)
    # A name that Keras would know, of a class that is no part of networks.
    forged = contents.model_copy(
        update={"config": contents.config.replace('"Block"', '"shout"').replace("ours>Block", "ours>shout")}
    )
    with (tmp_path / "parcel").open("w+b") as stream, pytest.raises(ModelFailedError, match="'shout' is no layer"):
        put_together(forged, stream, "model.keras", TRUSTING)
    short = contents.model_copy(update={"weights": contents.weights[1:]})
    with (tmp_path / "parcel").open("w+b") as stream, pytest.raises(BrokenParcelError, match="other weights"):
        put_together(short, stream, "model.keras", TRUSTING)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import a_package_that_is_missing", "ModuleNotFoundError"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("import keras; keras.config.set_floatx('float16')", r"Keras's settings of this process \(floatx\)"),
        ("import keras; keras.saving.get_custom_objects()['relu'] = print", "registers 'relu', a name of Keras's own"),
    ],
)
def test_doctor_says_what_to_do_when_a_package_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, words: str
):
    name = f"broken_package_{abs(hash(code))}"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    file = _save(HONEST["by module"](), tmp_path / "model.keras")
    try:
        with pytest.raises(ModelFailedError, match=words) as error:
            load_probe(file, limits=replace(MODEL_FILE_LIMITS, trusted_packages=(name,)))
    finally:
        keras.saving.get_custom_objects().pop("relu", None)
    assert keras.config.floatx() == "float32"
    # The file is not at fault, and is tried again.
    assert isinstance(error.value.__cause__, OSError)
    assert "CONVSCOPE_TRUSTED_PACKAGES" in error.value.detail or "register it with" in error.value.detail


def test_service_does_not_start_when_a_package_is_not_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONVSCOPE_TRUSTED_PACKAGES", "tests.trusted,not_there")
    for command in (["serve"], ["worker"], ["models"], ["doctor", __file__]):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 2
        assert "CONVSCOPE_TRUSTED_PACKAGES: " in result.output
        assert "there is no package 'not_there'" in result.output


# In a cell, by the model's name: what the layer does, where, and what the reason says.
FAULTS = {
    "killed": ("kill", "call", "SIGSEGV|Operation not permitted"),
    "raised": ("raise", "build", "ended with SIGSEGV"),
    "filled": ("fill", "call", "memory|allocate"),
    "endless": ("endless", "build", r"took more than 30 s .CONVSCOPE_LIMITS__CELL_SECONDS"),
}


def _put(models: Path, name: str, fault: str, place: str) -> None:
    """A file whose layer does nothing yet, made into one whose layer does."""
    (models / name / "1").mkdir(parents=True)
    file = _save(_functional(Faulty(name="it")), models / name / "calm.keras")
    config = read_config(file)
    layer(config, "it")["config"] |= {"fault": fault, "place": place}
    replace_config(file, config, models / name / "1" / "model.keras")
    file.unlink()


def test_service_goes_on_when_a_trusted_class_does_harm(tmp_path: Path):
    models = tmp_path / "models"
    for name, (fault, place, _) in FAULTS.items():
        _put(models, name, fault, place)
    (models / "good" / "1").mkdir(parents=True)
    _save(_classifier(), models / "good" / "1" / "model.keras")
    environment = {
        "CONVSCOPE_MODELS": str(models),
        "CONVSCOPE_MODELS_CELLS": "true",
        "CONVSCOPE_TRUSTED_PACKAGES": ",".join(PACKAGES),
        "CONVSCOPE_LIMITS__CELL_SECONDS": "30",
        "CONVSCOPE_LIMITS__CELL_MEMORY_BYTES": str(2**31),
    }
    picture = BytesIO()
    Image.fromarray((IMAGE * 255).astype(np.uint8)).save(picture, "PNG")
    with Server(tmp_path / "log", **environment) as server, httpx2.Client(base_url=server.url, timeout=180) as client:
        pid = server.pid
        for name, (_, _, words) in FAULTS.items():
            refused = client.post(f"/v1/models/{name}/load")
            assert refused.json()["code"] == "model_failed", refused.text
            assert re.search(words, refused.json()["detail"]), refused.text
            listed = {model["name"]: model for model in client.get("/v1/models").json()["details"]}
            assert listed[name]["state"] == "failed"
            answer = client.post("/v1/models/good/grad-cam", files={"image": picture.getvalue()})
            assert answer.status_code == 200, answer.text
        assert server.pid == pid
        assert server.children() == []
