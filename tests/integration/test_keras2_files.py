"""Small files that Keras 2.12 and 2.15 wrote (`tests/legacy`), against what Keras 2 itself computes for one picture."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.engine.keras.loading import load_probe
from service.errors import ModelFailedError
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
