"""Classifiers of KerasHub with random weights: as files, as presets, and as presets that a hub has."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import keras_hub
import numpy as np
import pytest
from huggingface_hub import constants

from service.composition.models import open_catalog, open_model_file
from service.errors import ModelFailedError
from service.keras.cell.building import put_together, take_apart
from service.keras.cell.parcel import Contents, read_parcel, write_parcel
from service.keras.compute.probe import KerasProbe
from service.keras.compute.tuning import UNTUNED
from service.keras.files.admission.configuration import require_allowed
from service.keras.files.admission.limits import MODEL_FILE_LIMITS
from service.keras.files.admission.trusted_classes import import_trusted
from service.keras.files.loading import load_probe
from service.keras.graph.replay import plainly, replay
from service.models.model_config import read_model_config
from service.settings import Settings
from tests.hub import COMMIT, serve_hub
from tests.server import ROOT

hub = keras_hub.models
TRUSTING = replace(MODEL_FILE_LIMITS, trusted_packages=("keras_hub",))
SIDE = 64
PICTURE = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
IMAGE = np.asarray(PICTURE, np.float32) / np.float32(255)
SCALE, OFFSET = [0.017, 0.0175, 0.0174], [-2.1, -2.0, -1.8]


def _resnet() -> keras.Model:
    backbone = hub.ResNetBackbone([64], [7], [64, 64], [1, 1], [1, 2], "basic_block")
    converter = hub.ResNetImageClassifierPreprocessor.image_converter_cls(
        image_size=(SIDE, SIDE), scale=SCALE, offset=OFFSET
    )
    preprocessor = hub.ResNetImageClassifierPreprocessor(image_converter=converter)
    return hub.ResNetImageClassifier(backbone, 5, preprocessor=preprocessor, activation="softmax")


def _efficientnet() -> keras.Model:
    """Of version 2: its blocks are layers of KerasHub's own."""
    backbone = hub.EfficientNetBackbone(
        stackwise_width_coefficients=[1.0] * 3,
        stackwise_depth_coefficients=[1.0] * 3,
        stackwise_kernel_sizes=[3] * 3,
        stackwise_num_repeats=[1] * 3,
        stackwise_input_filters=[24, 24, 32],
        stackwise_output_filters=[24, 32, 48],
        stackwise_expansion_ratios=[1, 4, 4],
        stackwise_strides=[1, 2, 2],
        stackwise_squeeze_and_excite_ratios=[0, 0, 0.25],
        stackwise_block_types=["cba", "fused", "unfused"],
        stackwise_force_input_filters=[0] * 3,
        stackwise_nores_option=[False] * 3,
        min_depth=8,
        include_initial_padding=False,
        use_depth_divisor_as_min_depth=False,
        cap_round_filter_decrease=False,
        stem_conv_padding="same",
        batch_norm_momentum=0.9,
    )
    return hub.EfficientNetImageClassifier(backbone, 5, activation="softmax")


def _vit() -> keras.Model:
    return hub.ViTImageClassifier(hub.ViTBackbone((SIDE, SIDE, 3), 16, 2, 2, 32, 64), 5)


# With the layer that heat maps are made at, as far as it has one, and what is to be doubted of it.
MODELS: dict[str, tuple[Callable[[], keras.Model], str | None, str]] = {
    "resnet": (_resnet, "stack1_block0_out", ""),
    "efficientnet": (_efficientnet, "top_activation", "is of a class that is not Keras's"),
    "vit": (_vit, "vit_patching_and_embedding/patch_embedding", "as tokens, in"),
}


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A preset's folder."""
    keras.utils.set_random_seed(2)
    folder = tmp_path_factory.mktemp("presets") / "resnet"
    _resnet().save_to_preset(str(folder))
    return folder


def _answer(probe: KerasProbe) -> Any:
    return np.asarray(replay(probe._network, [IMAGE[None]], plainly)[0])[0]


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_those_of_the_classifier_when_it_is_loaded(tmp_path: Path, name: str):
    keras.utils.set_random_seed(1)
    make, layer, doubt = MODELS[name]
    network = make()
    expected = np.asarray(network(IMAGE[None], training=False))[0]
    network.save(tmp_path / "model.keras")
    network.save_to_preset(str(tmp_path / "preset"))
    probe = load_probe(tmp_path / "model.keras", limits=TRUSTING)
    with (tmp_path / "parcel").open("w+b") as stream:
        contents = take_apart(probe._network, TRUSTING)
        write_parcel(stream, contents, (np.asarray(weight.value).tobytes() for weight in probe._network.weights))
        assert isinstance(read_parcel(stream, TRUSTING), Contents)
        passed_on = KerasProbe(put_together(contents, stream, "model.keras", TRUSTING), tuning=UNTUNED)
    preset = load_probe(tmp_path / "preset", limits=TRUSTING)
    for each in (probe, passed_on, preset):
        np.testing.assert_array_equal(_answer(each), expected)
    info = probe.network_info
    assert info == passed_on.network_info == preset.network_info
    assert info.classes == 5
    assert (info.default_layer or "").endswith(layer or "")
    assert (info.default_layer is None) == (layer is None)
    assert doubt in (info.doubt or "")
    if layer is not None:
        answer = probe.activations_and_gradients(IMAGE)
        assert np.abs(answer.gradients).max() > 0


def _takes(entry: object, argument: str = "part") -> bool:
    """Whether it may stand within a classifier."""
    config = {
        "module": "keras_hub.src.models.resnet.resnet_image_classifier",
        "class_name": "ResNetImageClassifier",
        "config": {"name": "net", argument: entry},
        "registered_name": "keras_hub>ResNetImageClassifier",
    }
    try:
        require_allowed(config, is_archive=True, trusted=import_trusted(("keras_hub",)))
    except ModelFailedError:
        return False
    return True


def test_layers_of_keras_hub_alone_may_be_named_when_it_is_trusted():
    import_trusted(("keras_hub",))
    taken, refused = set[Any](), set[Any]()
    for name, kind in keras.saving.get_custom_objects().items():
        entry = {
            "module": kind.__module__,
            "class_name": kind.__name__,
            "config": {"name": "it"},
            "registered_name": name,
        }
        (taken if _takes(entry) else refused).add(kind)
        function = {"module": "builtins", "class_name": "function", "config": name, "registered_name": name}
        for other in (name, [name], function, {**entry, "class_name": "Dense", "module": "keras.layers"}):
            assert not _takes(other)
            assert not _takes(other, "activation")
    own = {kind for kind in taken | refused if kind.__module__.startswith("keras_hub.")}
    readers = {kind for kind in own if isinstance(kind, type) and issubclass(kind, keras_hub.tokenizers.Tokenizer)}
    assert taken == {kind for kind in own if isinstance(kind, type) and issubclass(kind, keras.Layer)} - readers
    assert len(taken) > 300
    assert len(readers) > 10


def _settings(folder: Path, **more: Any) -> Settings:
    return Settings(data=folder / "data", trusted_packages=("keras_hub",), **more)


def _place(preset: Path, folder: Path, config: str = "") -> Path:
    """A version of a model, as a copy of the preset."""
    shutil.copytree(preset, folder / "models" / "net" / "1")
    (folder / "models" / "net" / "model.toml").write_text(config)
    return folder / "models" / "net" / "1"


def test_picture_comes_to_the_network_as_the_preset_says(resnet: Path, tmp_path: Path):
    place = _place(resnet, tmp_path)
    model = open_model_file(place, _settings(tmp_path))
    theirs = keras_hub.layers.ImageConverter.from_preset(str(resnet))(PICTURE[None])[0]
    np.testing.assert_allclose(model.preprocessing.apply(PICTURE), theirs, atol=1e-5)
    assert (model.fit, model.input_size) == ("crop", (SIDE, SIDE))
    assert {"preprocessing", "fit", "input_size"} <= model.stated
    # Also where it is not in a file of its own.
    (place / "image_converter.json").unlink()
    assert open_model_file(place, _settings(tmp_path)).preprocessing == model.preprocessing
    (place / "preprocessor.json").unlink()
    alone = open_model_file(place, _settings(tmp_path))
    assert (alone.preprocessing.name, alone.input_size) == ("none", None)


def test_model_toml_decides_when_it_says_otherwise(resnet: Path, tmp_path: Path):
    place = _place(resnet, tmp_path, 'preprocessing = "torch"\nfit = "pad"')
    (place / "image_converter.json").write_text(json.dumps({"config": {"image_size": [32, 32], "scale": 2.0}}))
    model = open_model_file(place, _settings(tmp_path))
    assert (model.preprocessing.name, model.fit, model.input_size) == ("torch", "pad", (32, 32))


# What an image converter says, and what the reason names.
CONVERTERS = {
    "data_format": {"data_format": "channels_first"},
    "scale": {"scale": 0.0},
    "offset": {"offset": [1.0, 2.0]},
    "image_size": {"image_size": [0, 10**6]},
    "patch_size": {"patch_size": 16},
}


@pytest.mark.parametrize("member", CONVERTERS)
def test_reason_says_what_to_state_when_the_preprocessing_cannot_be_followed(resnet: Path, tmp_path: Path, member: str):
    place = _place(resnet, tmp_path)
    (place / "image_converter.json").write_text(json.dumps({"config": CONVERTERS[member]}))
    with pytest.raises(ModelFailedError, match=f"has a '{member}' that cannot .* state preprocessing .* in model.toml"):
        open_model_file(place, _settings(tmp_path))


def _spoil_text(text: str, name: str = "task.json") -> Callable[[Path], object]:
    return lambda place: (place / name).write_text(text)


def _replace(old: str, new: str) -> Callable[[Path], object]:
    return lambda place: (place / "task.json").write_text((place / "task.json").read_text().replace(old, new))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no head": (lambda place: (place / "task.weights.h5").unlink(), "its head would be random"),
    "other head": (lambda place: shutil.copy(place / "model.weights.h5", place / "task.weights.h5"), "cannot load"),
    "no JSON": (_spoil_text("{"), "not JSON"),
    "no network": (_spoil_text('{"model_type": "vit"}'), "describes no network of Keras"),
    "too long": (_spoil_text(" " * (5 * 2**20)), "more than 4194304 bytes"),
    "no HDF5": (_spoil_text("PK", "model.weights.h5"), "is no HDF5 file"),
    "converter is no JSON": (_spoil_text("[" * 10**5, "image_converter.json"), "not what KerasHub writes"),
    "Lambda": (_replace('"ResNetBackbone"', '"Lambda"'), "is a Lambda"),
    "vocabulary": (
        _replace('"ResNetImageClassifierPreprocessor"', '"WordPieceTokenizer"'),
        "'WordPieceTokenizer' is nothing of the module",
    ),
    "function of KerasHub's": (
        _spoil_text(
            json.dumps(
                {
                    "module": "keras_hub.src.utils.preset_utils",
                    "class_name": "upload_preset",
                    "config": {},
                    "registered_name": "keras_hub>upload_preset",
                }
            )
        ),
        "'upload_preset' is no model",
    ),
    "larger than its files": (_replace('"num_classes": 5', '"num_classes": 90000000'), "but the file holds"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_reason_is_told_when_a_preset_is_at_fault(resnet: Path, tmp_path: Path, name: str):
    spoil, words = FAULTS[name]
    place = _place(resnet, tmp_path)
    spoil(place)
    with pytest.raises(ModelFailedError, match=words):
        open_model_file(place, _settings(tmp_path))


def test_preset_is_refused_when_nobody_trusts_keras_hub(resnet: Path, tmp_path: Path):
    with pytest.raises(ModelFailedError, match=r"'ResNetImageClassifier' is no model .*CONVSCOPE_TRUSTED_PACKAGES"):
        open_model_file(_place(resnet, tmp_path), Settings(data=tmp_path / "data"))


def test_model_is_that_of_the_hub_when_a_cell_reads_its_preset(
    resnet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "models" / "net").mkdir(parents=True)
    (tmp_path / "models" / "net" / "model.toml").write_text('preset = "hf://ours/net"')
    direct = open_model_file(_place(resnet, tmp_path / "other"), _settings(tmp_path))
    settings = _settings(tmp_path, models=tmp_path / "models", models_cells=True)
    with serve_hub({"ours/net": resnet}) as url, closing(open_catalog(settings)) as catalog:
        # Where HF_ENDPOINT is set as the process begins, they are so by themselves.
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
        model = catalog.model("net")
    assert model.digest == direct.digest
    assert model.probe.network_info == direct.probe.network_info
    image = model.preprocessing.apply(PICTURE)
    np.testing.assert_array_equal(model.probe.scores(image).values, direct.probe.scores(image).values)


_ASK = """
import sys
from pathlib import Path
from service.errors import ConvscopeError
from service.models.sources.hub import HubPresets

for preset in sys.argv[3:]:
    try:
        print("ok", HubPresets(Path(sys.argv[1]), int(sys.argv[2])).get(preset))
    except ConvscopeError as error:
        print(error.code, error.detail)
"""


def _ask(url: str, folder: Path, *presets: str, max_bytes: int = 2**30) -> list[str]:
    """In a process of its own: huggingface_hub reads its settings when it is imported."""
    command = [sys.executable, "-c", _ASK, str(folder), str(max_bytes), *presets]
    environment = os.environ | {"HF_ENDPOINT": url, "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def test_preset_of_a_hub_is_fetched_once_and_kept(resnet: Path, tmp_path: Path):
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_text("{}")
    with serve_hub({"ours/net": resnet, "ours/bare": tmp_path / "bare"}) as url:
        names = ("hf://ours/net", f"hf://ours/net@{COMMIT}", "hf://ours/net@v9", "hf://ours/none", "hf://ours/bare")
        found, pinned, revision, none, bare = _ask(url, tmp_path / "kept", *names)
        (large,) = _ask(url, tmp_path / "other", "hf://ours/net", max_bytes=-(2**26))
    assert found == pinned
    assert found.startswith(f"ok {tmp_path / 'kept'}")
    place = Path(found.removeprefix("ok "))
    assert {file.name for file in place.iterdir()} == {file.name for file in resnet.iterdir()} - {"metadata.json"}
    assert all((place / file.name).read_bytes() == (resnet / file.name).read_bytes() for file in place.iterdir())
    assert "model_failed 'hf://ours/net@v9' is not on the hub" in revision
    assert "model_failed 'hf://ours/none' is not on the hub" in none
    assert "is no preset of KerasHub" in bare
    assert "at most 0 are fetched" in large
    # The hub has gone.
    again, gone = _ask(url, tmp_path / "kept", "hf://ours/net", "hf://ours/none")
    assert again == found
    assert gone.startswith("weights_unavailable 'hf://ours/none' cannot be fetched (ConnectError")


def test_preset_of_a_hub_is_refused_when_it_cannot_be_meant(resnet: Path, tmp_path: Path):
    place = _place(resnet, tmp_path, 'preset = "hf://ours/net"')
    with pytest.raises(ModelFailedError, match="preset: there is '1' beside it: keep one"):
        open_model_file(place, _settings(tmp_path))
    with closing(open_catalog(Settings(data=tmp_path / "data", models=tmp_path / "models"))) as catalog:
        shutil.rmtree(place)
        with pytest.raises(ModelFailedError, match="set CONVSCOPE_TRUSTED_PACKAGES=keras_hub"):
            catalog.model("net")
    (place.parent / "model.toml").write_text('preset = "https://example.com/net"')
    with pytest.raises(ModelFailedError, match="'preset'"):
        read_model_config(place.parent)
