"""Layouts, norms and duplicates of kernels, on small ones written out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from service.engine.arrays import Array
from service.engine.methods.layers.filters import FiltersParams, filters
from service.engine.ports.answers import Kernel
from service.errors import ChannelOutOfRangeError, FilterOutOfRangeError
from tests.unit.fakes import ClosedFormProbe


class KernelProbe(ClosedFormProbe):
    """A network of one layer with the given kernels."""

    def __init__(self, *kernels: Kernel) -> None:
        super().__init__([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
        self._kernels = list(kernels)

    def kernels(self, layer: str) -> list[Kernel]:
        return self._kernels


def _kernel(*shape: int, name: str = "kernel") -> Kernel:
    return Kernel("conv", name, np.random.default_rng(0).normal(size=shape).astype(np.float32))


def _shapes(probe: KernelProbe, **params: object) -> dict[str, tuple[int, ...]]:
    sheets = filters(probe, FiltersParams.model_validate(params))
    return {tiles.name: tiles.values.shape for tiles in sheets.tiles}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3, 3, 3, 8), {"conv--rgb": (8, 3, 3, 3), "conv--channels": (24, 3, 3)}),
        ((5, 3, 7, 8), {"conv--channels": (56, 5, 3)}),
        ((3, 3, 100, 2), {"conv--channels": (128, 3, 3)}),
        ((3, 3, 1, 8), {"conv": (8, 3, 3)}),
        ((1, 1, 20, 8), {"conv": (1, 8, 20)}),
    ],
)
def test_layout_follows_the_kernel_when_it_is_drawn(shape: Sequence[int], expected: dict[str, tuple[int, ...]]):
    assert _shapes(KernelProbe(_kernel(*shape))) == expected


def test_rows_are_filters_when_the_tutorials_six_by_three_is_asked_for():
    kernel = _kernel(3, 3, 3, 64)
    sheets = filters(KernelProbe(kernel), FiltersParams(filters="0-5", channels="0-2"))
    colour, matrix = sheets.tiles
    assert matrix.columns == 3
    np.testing.assert_array_equal(matrix.values[3 * 4 + 1], kernel.values[:, :, 1, 4])
    np.testing.assert_array_equal(colour.values[4], kernel.values[:, :, :, 4])
    assert (matrix.low, matrix.high) == (kernel.values.min(), kernel.values.max())


def test_scale_is_that_of_what_is_drawn_when_asked_for():
    values = np.asarray([[-5, 3, 1], [0, 2, 9], [7, 7, 8]], np.float32)[None, None]
    probe = KernelProbe(Kernel("dense", "kernel", values))
    (matrix,) = filters(probe, FiltersParams(filters="1", channels="0-1", scale="shown")).tiles
    assert (matrix.low, matrix.high) == (2, 3)
    (matrix,) = filters(probe, FiltersParams(filters="1", channels="0-1")).tiles
    assert (matrix.low, matrix.high) == (-5, 9)


def test_whole_kernel_is_in_the_colours_when_fewer_channels_are_drawn():
    kernel = _kernel(3, 3, 3, 2)
    colour, _ = filters(KernelProbe(kernel), FiltersParams(filters="1", channels="0", scale="shown")).tiles
    assert (colour.low, colour.high) == (kernel.values[..., 1].min(), kernel.values[..., 1].max())


def test_both_kernels_are_drawn_when_the_convolution_is_separable():
    probe = KernelProbe(_kernel(3, 3, 1, 4, name="depthwise_kernel"), _kernel(1, 1, 4, 6, name="pointwise_kernel"))
    assert _shapes(probe) == {"conv--depthwise_kernel": (4, 3, 3), "conv--pointwise_kernel": (1, 6, 4)}


def test_duplicates_are_listed_when_filters_are_alike():
    values: Array = np.random.default_rng(1).normal(size=(3, 3, 4, 6)).astype(np.float32)
    values[..., 5] = 2 * values[..., 1]
    values[..., 3] = 0
    numbers: Any = filters(KernelProbe(Kernel("conv", "kernel", values)), FiltersParams()).numbers
    assert [pair.filters for pair in numbers.near_duplicates] == [[1, 5]]
    assert numbers.near_duplicates[0].cosine == pytest.approx(1)
    expected = np.sqrt((values.astype(np.float64) ** 2).sum(axis=(0, 1, 2)))
    np.testing.assert_allclose(numbers.norms, expected, rtol=1e-6)


def test_choice_is_refused_when_it_is_out_of_range():
    probe = KernelProbe(_kernel(3, 3, 3, 8))
    with pytest.raises(FilterOutOfRangeError, match="there are 8"):
        _shapes(probe, filters="8")
    with pytest.raises(ChannelOutOfRangeError, match="there are 3"):
        _shapes(probe, channels="0-3")
