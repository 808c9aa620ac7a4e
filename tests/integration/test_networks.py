"""A few of the random networks of `python -m tests.networks`, which takes hundreds."""

import keras
import pytest

from tests.networks.examination import examine
from tests.networks.heads import build

SEEDS = range(1000, 1012)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_network_is_seen_as_keras_computes_it(seed: int):
    keras.utils.clear_session()
    findings = examine(build(seed))
    assert findings.faults is None, findings.kinds
    assert findings.activations
