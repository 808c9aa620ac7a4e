"""Weight norms by hand."""

import pytest
from service.engine.methods.layers.weight_norms import WeightNormsParams, WeightNormsValues, weight_norms

from tests.unit.fakes import IDLE, ClosedFormProbe


def test_largest_norm_is_that_of_the_longest_column():
    probe = ClosedFormProbe([[3.0, 0.0], [4.0, 1.0], [0.0, 0.0]])
    found = weight_norms(probe, WeightNormsParams(layer="scores"), IDLE).numbers
    assert isinstance(found, WeightNormsValues)
    assert found.largest == pytest.approx(5)
