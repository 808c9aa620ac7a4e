"""Small files that Keras 2.12 and 2.15 wrote (`tests/legacy`), against what Keras 2 itself computes for one picture."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from service.errors import ModelFailedError
from service.keras.files.loading import load_probe
from tests.legacy.compare import first_outputs
from tests.legacy.pack import EVIDENCE, EXPECTED
from tests.legacy.pictures import picture

# What cannot be the same, and what the reason says.
REFUSED = {
    "2.15/hard-sigmoid-lstm-activation.keras": "layer 'lstm' .* hard_sigmoid as its activation",
    "2.15/ops-random.h5": "calls TensorFlow's 'random.normal'",
    "2.12/called-with-training.h5": "'batch_normalization' is called with training=True",
}
with zipfile.ZipFile(EVIDENCE) as archive:
    KNOWN: dict[str, Any] = json.loads(archive.read(EXPECTED))


def _extract(name: str, folder: Path) -> Path:
    with zipfile.ZipFile(EVIDENCE) as evidence:
        return Path(evidence.extract(name, folder))


@pytest.mark.parametrize("name", [name for name in KNOWN if name not in REFUSED])
@pytest.mark.filterwarnings("ignore:Argument `alpha` is deprecated:UserWarning")
def test_scores_and_maps_are_those_of_keras_2_when_it_wrote_the_file(tmp_path: Path, name: str):
    network = load_probe(_extract(name, tmp_path))._network
    image = picture(*network.input_shape[1:])
    outputs = first_outputs(network, image)
    np.testing.assert_allclose(outputs[""].ravel(), KNOWN[name]["scores"], atol=2e-6)
    for layer, means in KNOWN[name]["means"].items():
        found = outputs[layer].mean(axis=(0, 1))
        np.testing.assert_allclose(found, means, atol=1e-5 * max(1, np.abs(means).max()), err_msg=layer)


@pytest.mark.parametrize("name", REFUSED)
def test_reason_is_told_when_it_cannot_be_the_same(tmp_path: Path, name: str):
    with pytest.raises(ModelFailedError, match=REFUSED[name]):
        load_probe(_extract(name, tmp_path))


def _swap(layers: Any) -> None:
    layers.move("conv2d", "other")
    layers.move("conv2d_2", "conv2d")
    layers.move("other", "conv2d_2")


def _forget(layers: Any) -> None:
    del layers["conv2d_4"]


def _add(layers: Any) -> None:
    layers["conv2d_9/vars/0"] = np.zeros(3, np.float32)


def _loop(layers: Any) -> None:
    layers["conv2d/vars/up"] = layers


def _link(layers: Any) -> None:
    layers["conv2d/vars/2"] = h5py.ExternalLink("other.h5", "/secret")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_forget, "could not be loaded|no weights for layer"),
        (_add, r"weights that no layer of its network takes: '.*conv2d_9/vars/0'"),
        (_loop, r"one thing in two places \('up'\)"),
        (_link, r"a link '.*/2' to another file"),
    ],
)
@pytest.mark.filterwarnings("ignore:Skipping nested container:UserWarning")
def test_archive_is_refused_when_its_weights_are_not_its_networks(
    tmp_path: Path, spoil: Callable[[Any], None], words: str
):
    spoiled = _spoil(_extract("2.12/same-classes.keras", tmp_path), spoil)
    with pytest.raises(ModelFailedError, match=words):
        load_probe(spoiled)


def test_weights_follow_their_layer_when_two_are_of_one_shape(tmp_path: Path):
    path = _extract("2.12/same-classes.keras", tmp_path)
    before = [layer.get_weights() for layer in load_probe(path)._network.layers if layer.weights]
    after = [layer.get_weights() for layer in load_probe(_spoil(path, _swap))._network.layers if layer.weights]
    for one, other in ((0, 1), (1, 0), (2, 2)):
        np.testing.assert_array_equal(before[one][0], after[other][0])


def _spoil(path: Path, spoil: Callable[[Any], None]) -> Path:
    """The same archive with other weights."""
    target = path.with_name("spoiled.keras")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as spoiled:
        for name in source.namelist():
            data = io.BytesIO(source.read(name))
            if name.endswith(".h5"):
                with h5py.File(data, "r+") as file:
                    spoil(file["_layer_checkpoint_dependencies"])
            spoiled.writestr(name, data.getvalue())
    return target
