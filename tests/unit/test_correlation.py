"""How alike arrays are, with numbers worked out by hand, and what is said where there is no correlation."""

from typing import Any

import numpy as np
import pytest

from schemas.values.base import to_json
from schemas.values.versions import Neighbours
from service.cli.gate import describe_pair, find_failures
from service.engine.correlation import compare, correlate, summarise

VERSIONS = ("1", "2")
RISING, FALLING = (np.array([[0, 1], [2, 3]], np.float32) * factor for factor in (1, -1))
ZEROS = np.zeros((2, 2), np.float32)


def _summary(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    found = dict(summarise(compare(first, second, VERSIONS)))
    return to_json(Neighbours.model_validate({"from": "1", "to": "2"} | found))


def test_correlation_is_pearsons():
    assert correlate(RISING, 5 + 2 * RISING) == pytest.approx(1)
    assert correlate(RISING, FALLING) == pytest.approx(-1)
    # Deviations -1.5, -0.5, 0.5, 1.5 and -0.5, 0.5, -0.5, 0.5.
    assert correlate(RISING, np.array([[0, 1], [0, 1]], np.float32)) == pytest.approx(1 / np.sqrt(5))


def test_correlation_is_exactly_one_when_arrays_are_the_same():
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    assert correlate(values, values.copy()) == 1.0


def test_correlation_is_numpys_when_arrays_are_larger_than_a_block():
    first, second = np.random.default_rng(1).normal(3, 1, (2, 3 * 2**19 + 7)).astype(np.float32)
    assert correlate(first, second) == pytest.approx(np.corrcoef(first, second)[0, 1], abs=1e-9)


def test_array_is_left_out_when_it_is_constant_and_equal_in_both():
    summary = _summary({"a": ZEROS, "b": RISING, "c": None}, {"a": ZEROS, "b": RISING, "c": None})
    assert (summary["correlation"], summary["compared"], summary["left_out"], summary["reason"]) == (1, 1, 2, None)
    assert find_failures([summary], 1.0) == []
    assert describe_pair(summary) == "1-2 r = 1.000; 2 left out"


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (RISING, ZEROS, "in version 2 all numbers are 0"),
        (ZEROS, RISING, "in version 1 all numbers are 0"),
        (ZEROS, ZEROS + 1, "in version 1 all numbers are 0"),
        # Rounding alone makes no map.
        (RISING, np.float32(7) + RISING * np.float32(1e-6), "in version 2 all numbers are 7"),
        (RISING, 1e-13 * RISING, "in version 2 all numbers are 1.5e-13"),
        (RISING, None, "version 2 has none"),
        (RISING, np.where(RISING > 2, np.nan, RISING), "version 2 has NaN or infinity"),
        (RISING, RISING[:1], "shapes differ: (2, 2) and (1, 2)"),
    ],
)
def test_reason_is_told_when_one_side_has_no_correlation(first: Any, second: Any, reason: str):
    summary = _summary({"cat.png": first, "fine": RISING}, {"cat.png": second, "fine": RISING})
    assert summary["items"][0] == {"of": "cat.png", "correlation": None, "reason": reason}
    # Of the others the mean is shown, but no gate goes by it alone.
    assert (summary["correlation"], summary["without"]) == (1, 1)
    assert find_failures([summary], -1) == [f"versions 1 and 2 cannot be compared: cat.png: {reason}"]


def test_gate_fails_when_nothing_is_left_to_compare():
    for summary in (_summary({"": ZEROS}, {"": ZEROS}), _summary({"": ZEROS[:1, :1]}, {"": ZEROS[:1, :1] + 1})):
        assert summary["correlation"] is None
        assert summary["left_out"] == 1
        assert "nothing is left to compare" in summary["reason"]
        assert find_failures([summary], -1)
    assert "there is nothing to compare" in find_failures([_summary({}, {})], -1)[0]


def test_mean_and_worst_are_told_when_there_are_several():
    summary = _summary({"a": RISING, "b": RISING}, {"a": RISING, "b": FALLING})
    assert summary["correlation"] == pytest.approx(0)
    assert summary["worst"] == {"of": "b", "correlation": pytest.approx(-1)}
    assert describe_pair(summary) in ("1-2 r = 0.000; worst -1.000 (b)", "1-2 r = -0.000; worst -1.000 (b)")
    assert find_failures([summary], 0.5)[0].endswith("less than 0.5")
