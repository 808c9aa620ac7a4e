"""Filters: the kernels that a layer has learned, as pictures.

A layer that sees RGB is drawn in colour and, as in the tutorials, as one row per filter with a tile per input channel.
Deeper kernels are that matrix alone, 1 x 1 and dense ones a heat map of weights. All tiles of a kernel share one scale,
that of the whole kernel if not asked otherwise; `colormap=coolwarm` tells their sign, as the tutorials' weight maps do.
"""

from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schemas.references import LayerReference, Selection
from schemas.rendering import Colormap, TilesRendering
from schemas.values.layers import DuplicateFilters, FiltersValues, KernelValues
from service.engine.drawing.visuals import Sheets, Tiles
from service.engine.kinds.context import Context
from service.engine.kinds.method import NetworkMethod
from service.engine.methods.channel_selection import Page, select, turn_to
from service.engine.ports.answers import Kernel
from service.engine.ports.network_info import NetworkInfo
from service.engine.ports.probe import NetworkProbe
from service.errors import ChannelOutOfRangeError, FilterOutOfRangeError

# Two filters this much alike do one filter's work.
DUPLICATE_COSINE = 0.95
MAX_DUPLICATES = 100


class FiltersParams(TilesRendering):
    """Parameters of `filters`."""

    layer: LayerReference | None = Field(
        None, description="A layer by path, unique name or index; default: the first with a kernel."
    )
    filters: Selection = Field("all", description="Filters to draw: `3`, `0,5`, `0-63` or `all`.", examples=["0-5"])
    channels: Selection | None = Field(
        None, description="Input channels to draw of each; default: the first 64.", examples=["0-2"]
    )
    colormap: Colormap = Field(
        "gray",
        description="Colour map of the weights, from least to greatest; `coolwarm`: blue below zero, red above.",
    )
    scale: Literal["kernel", "shown"] = Field(
        "kernel", description="`kernel`: from its least to its greatest weight. `shown`: of those that are drawn."
    )
    margin: int = Field(1, ge=0, le=64, description="Pixels between tiles.")
    page: int = Field(1, ge=1, lt=2**31, description="Page of the filters.")
    page_size: int = Field(64, ge=1, le=1024, description="Filters on a page.")


def filters(probe: NetworkProbe, params: FiltersParams, _: Context | None = None) -> Sheets:
    kernels = probe.kernels(params.layer or _first_with_kernel(probe.network_info))
    tiles: list[Tiles] = []
    numbers = []
    for kernel in kernels:
        page = turn_to(
            params.page, params.page_size, select(params.filters, kernel.values.shape[3], FilterOutOfRangeError)
        )
        drawn, own = _draw(kernel, page, _choose_channels(params, kernel.values.shape[2]), params.scale)
        tiles += drawn
        numbers.append(own)
    return Sheets(
        tuple(tiles),
        FiltersValues(**dict(numbers[0]), kernels=numbers if len(numbers) > 1 else None),
        whole={kernel.name: kernel.values for kernel in kernels},
    )


def _first_with_kernel(network_info: NetworkInfo) -> str:
    return next(layer.path for layer in network_info.layers if layer.kernel_shape is not None)


def _choose_channels(params: FiltersParams, count: int) -> list[int]:
    return select(params.channels or f"0-{min(count, 64) - 1}", count, ChannelOutOfRangeError)


def _draw(kernel: Kernel, page: Page, channels: list[int], scale: str) -> tuple[list[Tiles], KernelValues]:
    values = kernel.values
    height, width, inputs, _ = values.shape
    chosen = values[:, :, channels][:, :, :, page.indices]
    measured = chosen if scale == "shown" else values
    lay = partial(Tiles, scale="bounds", low=float(measured.min()), high=float(measured.max()))
    prefix = kernel.layer.replace("/", "--") + ("" if kernel.name == "kernel" else f"--{kernel.name}")
    if height == width == 1:
        # No space to tile: rows are filters, columns are inputs.
        tiles = [lay(prefix, kernel.layer, chosen[0, 0].T[None], columns=1)]
    elif inputs == 1:
        tiles = [lay(prefix, kernel.layer, np.moveaxis(chosen[:, :, 0], -1, 0))]
    else:
        matrix = chosen.transpose(3, 2, 0, 1).reshape(-1, height, width)
        tiles = [lay(f"{prefix}--channels", kernel.layer, matrix, columns=len(channels))]
    if inputs == 3 and height * width > 1:
        colour = np.moveaxis(values[..., page.indices], -1, 0)  # (n, h, w, 3), in the order that the network takes
        if scale == "shown":
            lay = partial(lay, low=float(colour.min()), high=float(colour.max()))
        tiles.insert(0, lay(f"{prefix}--rgb", kernel.layer, colour))
    return tiles, _measure(kernel, page, channels)


def _measure(kernel: Kernel, page: Page, channels: list[int]) -> KernelValues:
    flat = kernel.values.reshape(-1, kernel.values.shape[3]).astype(np.float64)
    norms = np.linalg.norm(flat, axis=0)
    return KernelValues(
        layer=kernel.layer,
        kernel=kernel.name,
        shape=list(kernel.values.shape),
        min=float(flat.min()),
        max=float(flat.max()),
        empty=not flat.any(),
        filters=page.indices,
        channels=channels,
        page=page.number,
        pages=page.count,
        norms=norms.tolist(),
        near_duplicates=_near_duplicates(flat, norms),
    )


def _near_duplicates(flat: NDArray[np.float64], norms: NDArray[np.float64]) -> list[DuplicateFilters]:
    """Pairs of filters that point the same way, the most alike first, at most MAX_DUPLICATES."""
    if len(flat) == 1:
        # Single numbers are all parallel: nothing can be learnt from that.
        return []
    unit = (flat / np.where(norms > 0, norms, 1)).astype(np.float32)
    cosines = np.triu(unit.T @ unit, k=1)
    pairs = np.argwhere(cosines > DUPLICATE_COSINE)
    order = np.argsort(-cosines[tuple(pairs.T)], kind="stable")[:MAX_DUPLICATES]
    return [DuplicateFilters(filters=pair.tolist(), cosine=float(cosines[tuple(pair)])) for pair in pairs[order]]


def _refuse(network_info: NetworkInfo) -> str | None:
    if not any(layer.kernel_shape is not None for layer in network_info.layers):
        return "no layer of this network has a kernel"
    return None


def _check(probe: NetworkProbe, params: FiltersParams) -> None:
    # Nothing is computed here but from the weights: that is quick.
    filters(probe, params)


FILTERS = NetworkMethod(
    name="filters",
    title="Filters of a layer",
    description="The kernels that a layer has learned: in colour where it sees RGB, else a tile per input channel.",
    params=FiltersParams,
    values=(FiltersValues,),
    compute=filters,
    refuse=_refuse,
    check=_check,
    compared="all weights of the layer's kernel, whatever is drawn of it",
)
