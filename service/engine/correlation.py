"""How alike two versions are: Pearson's correlation of the arrays that a method states, and why there is none.

Knows arrays by name, no pictures and no networks. An array that is the same everywhere has no correlation: where it is
so, and equal, in both versions, it is left out and counted; where only one of them is, that is told.
"""

from collections.abc import Mapping, Sequence
from math import isclose
from typing import Final

import numpy as np

from schemas.values.versions import Likeness, Likenesses, Worst
from service.engine.arrays import Array

# By name; None where a version has none, such as the pattern of a filter without a gradient.
Arrays = Mapping[str, Array | None]

# Numbers that differ by less, as a share of the greatest, differ by rounding.
_ROUNDING: Final = 1e-6
# Below this there is nothing but rounding noise, as in a heat map without evidence.
_NOTHING: Final = 1e-12
# Numbers that are held in double precision at once.
_BLOCK: Final = 2**20


def compare(first: Arrays, second: Arrays, versions: tuple[str, str]) -> list[Likeness]:
    """Array by array, in the order of the first; `versions` are named in reasons."""
    names = dict.fromkeys((*first, *second))
    return [_compare(name, first.get(name), second.get(name), versions) for name in names]


def summarise(items: Sequence[Likeness]) -> Likenesses:
    """The mean and the worst of likenesses; `reason` where one of them has one, or where nothing is left."""
    known = [(item.correlation, item.of) for item in items if item.correlation is not None]
    without = [item for item in items if item.reason is not None]
    left_out = len(items) - len(known) - len(without)
    worst = min(known, key=lambda pair: pair[0], default=None)
    return Likenesses(
        correlation=float(np.mean([correlation for correlation, _ in known])) if known else None,
        worst=None if worst is None else Worst(of=worst[1], correlation=worst[0]),
        compared=len(known),
        left_out=left_out,
        without=len(without),
        reason=_explain(without) if without else None if known else _explain_nothing(left_out),
        items=list(items),
    )


def correlate(first: Array, second: Array) -> float | None:
    """Pearson's correlation of two arrays of one shape; None where one of them is the same everywhere."""
    if _value_of_constant(first) is not None or _value_of_constant(second) is not None:
        return None
    if np.array_equal(first, second):
        # Rounding would leave a little less than that.
        return 1.0
    one, other = first.ravel(), second.ravel()
    means = one.mean(dtype=np.float64), other.mean(dtype=np.float64)
    products = np.zeros((2, 2))
    for start in range(0, one.size, _BLOCK):
        block = np.stack([each[start : start + _BLOCK].astype(np.float64) for each in (one, other)])
        block -= np.asarray(means)[:, None]
        products += block @ block.T
    return float(np.clip(products[0, 1] / np.sqrt(products[0, 0] * products[1, 1]), -1, 1))


def _compare(name: str, first: Array | None, second: Array | None, versions: tuple[str, str]) -> Likeness:
    if first is None or second is None:
        missing = [version for version, array in zip(versions, (first, second), strict=True) if array is None]
        return Likeness(of=name, reason=f"version {missing[0]} has none") if len(missing) == 1 else Likeness(of=name)
    for version, array in zip(versions, (first, second), strict=True):
        if not np.isfinite(array).all():
            return Likeness(of=name, reason=f"version {version} has NaN or infinity")
    if first.shape != second.shape:
        return Likeness(of=name, reason=f"shapes differ: {first.shape} and {second.shape}")
    return _correlate(name, first, second, versions)


def _correlate(name: str, first: Array, second: Array, versions: tuple[str, str]) -> Likeness:
    one, other = _value_of_constant(first), _value_of_constant(second)
    if first.size < 2 or (
        one is not None and other is not None and isclose(one, other, rel_tol=_ROUNDING, abs_tol=_NOTHING)
    ):
        # A single number has no correlation, whatever it is.
        return Likeness(of=name)
    for version, constant in zip(versions, (one, other), strict=True):
        if constant is not None:
            return Likeness(of=name, reason=f"in version {version} all numbers are {constant:.4g}")
    return Likeness(of=name, correlation=correlate(first, second))


def _value_of_constant(array: Array) -> float | None:
    """The number that is everywhere in the array; None where there are several."""
    if not array.size:
        return 0.0
    low, high = float(array.min()), float(array.max())
    is_constant = high - low <= max(_ROUNDING * max(abs(low), abs(high)), _NOTHING)
    return (low + high) / 2 if is_constant else None


def _explain(without: Sequence[Likeness]) -> str:
    first = without[0]
    subject = f"{first.of}: " if first.of else ""
    more = f"; and {len(without) - 1} more" if len(without) > 1 else ""
    return f"{subject}{first.reason}{more}"


def _explain_nothing(left_out: int) -> str:
    if not left_out:
        return "there is nothing to compare"
    counted = "the only array is" if left_out == 1 else f"each of {left_out} arrays is"
    return f"nothing is left to compare: {counted} constant and equal in both versions, a single number, or in neither"
