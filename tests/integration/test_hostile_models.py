"""Model files like those that have done harm: each is refused, and nothing of what it tries has happened."""

import warnings
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from service.errors import ModelFailedError
from service.keras.files.keras_settings import unchanged_settings
from service.keras.files.loading import load_probe
from tests.hostile_models import (
    SAMPLES,
    Scene,
    honest_model,
    make_hdf5_sample,
    make_sample,
    read_config,
    replace_config,
)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return honest_model(tmp_path_factory.mktemp("honest") / "honest.keras")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path)
    scene.secret.write_text("secret")
    return scene


def _settings() -> tuple[Any, ...]:
    return keras.config.image_data_format(), keras.config.floatx(), keras.config.epsilon()


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("make", [make_sample, make_hdf5_sample], ids=["keras", "hdf5"])
def test_nothing_happens_when_a_model_file_is_hostile(name: str, make: Any, honest: Path, scene: Scene):
    before = _settings()
    file = make(name, honest, scene)
    held = set(scene.folder.iterdir())
    with pytest.raises(ModelFailedError) as refused:
        load_probe(file)
    assert "Keras cannot load" not in refused.value.detail, "Keras has seen it"
    assert set(scene.folder.iterdir()) == held
    assert _settings() == before
    load_probe(honest)


def test_file_is_refused_when_its_arrays_lie_elsewhere(honest: Path, scene: Scene):
    """CVE-2026-1669: arrays that HDF5 reads from another file."""
    file = scene.folder / "external.h5"
    _save_as_hdf5(honest, file)
    with h5py.File(file, "r+") as hdf5:
        group = hdf5["model_weights/scores/honest/scores"] if "honest" in hdf5["model_weights/scores"] else None
        group = group or hdf5["model_weights/scores/scores"]
        shape, dtype = group["kernel"].shape, group["kernel"].dtype
        del group["kernel"]
        group.create_dataset("kernel", shape, dtype, external=[(str(scene.secret), 0, h5py.h5f.UNLIMITED)])
    with pytest.raises(ModelFailedError):
        load_probe(file)


def test_network_is_the_same_when_a_model_within_it_was_compiled(honest: Path, tmp_path: Path):
    inner = keras.saving.load_model(honest)
    inner.compile("adam", "mse")
    outer = keras.Sequential([keras.Input((6, 6, 1)), inner, keras.layers.Softmax()])
    file = tmp_path / "outer.keras"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        outer.save(file)
    probe = load_probe(file)
    assert probe.network_info.repairs == ("training settings of models within the model were left out: 'honest'",)
    image = np.random.default_rng(1).random((6, 6, 1), np.float32)
    expected = keras.ops.convert_to_numpy(outer(image[None]))[0]
    np.testing.assert_allclose(probe.scores(image).values, expected, atol=1e-6)


def test_training_settings_do_not_matter_when_they_are_the_owners_own_code(honest: Path, tmp_path: Path):
    config = read_config(honest)
    config["compile_config"] = {
        "optimizer": "adam",
        "loss": {"module": "mine", "class_name": "function", "config": "f"},
    }
    load_probe(replace_config(honest, config, tmp_path / "compiled.keras"))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda: keras.config.set_epsilon(0.5), "epsilon"),
        (lambda: keras.config.set_image_data_format("channels_first"), "image_data_format"),
        (lambda: keras.config.set_floatx("float64"), "floatx"),
        (lambda: keras.config.set_dtype_policy("mixed_float16"), "dtype_policy"),
        (keras.config.enable_unsafe_deserialization, "safe_mode"),
        (lambda: keras.saving.get_custom_objects().update({"x>Dense": object}), "custom_objects"),
        (keras.config.disable_traceback_filtering, "traceback_filtering"),
    ],
)
def test_settings_are_put_back_when_a_model_changes_them(change: Any, name: str):
    with unchanged_settings():
        pass
    before = _settings()
    with pytest.raises(ModelFailedError, match=name), unchanged_settings():
        change()
    assert _settings() == before
    with unchanged_settings():
        pass


def _save_as_hdf5(honest: Path, file: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras.saving.load_model(honest).save(file)
    load_probe(file)
