"""Answers beside each other, and the slopes of plain functions."""

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from tests.contract.probe.subjects import Values

STEP = 1e-5


def assert_same(one: Any, other: Any) -> None:
    """Of two answers all fields and items; numbers as far as rounding lets them."""
    assert type(one) is type(other)
    if is_dataclass(one):
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for here, there in zip(one, other, strict=True):
            assert_same(here, there)
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    elif isinstance(one, float):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    else:
        assert one == other


def assert_close(answer: Any, expected: Any, rtol: float = 1e-4) -> None:
    """A float32 answer of the shape and the numbers of an oracle's."""
    assert answer.dtype == np.float32
    assert answer.shape == expected.shape
    np.testing.assert_allclose(answer, expected, rtol=rtol, atol=1e-5)


def slope(function: Callable[[Values], Values], at: Values) -> Values:
    """The gradient of a number at (…) float64 by central differences; `function` takes (n, …) and gives (n,)."""
    moves = STEP * np.eye(at.size).reshape(at.size, *at.shape)
    return np.asarray((function(at + moves) - function(at - moves)).reshape(at.shape) / (2 * STEP))


def precise(values: Any) -> Values:
    return np.asarray(values, np.float64)


def flat(values: Sequence[Any] | Any) -> Any:
    """(n, …, c) to (n, positions, c)."""
    stacked = np.stack(values)
    return stacked.reshape(len(stacked), -1, stacked.shape[-1])
