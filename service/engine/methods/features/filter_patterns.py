"""Filter patterns: the picture that excites a filter most, found by gradient ascent on the input.

Recipe `classic`, as in the tutorials: from noise around mid-gray, steps along the gradient of the filter's mean answer,
divided by its root mean square; drawn with a deviation of 0.1 around 0.5. Unlike there the network's preprocessing is
part of the ascent, images of a batch do not mix, and where a ReLU lets nothing through the objective is what lies
before it.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from schemas.methods import MethodParams
from schemas.references import LayerReference, Selection
from schemas.values.patterns import FilterPattern, FilterPatternsValues, PatternSheet
from service.engine.arrays import Array
from service.engine.drawing.sheets import lay_on_sheets, plan_grid
from service.engine.drawing.visuals import Drawn, Picture, Pictures
from service.engine.kinds.context import Context, Reduction, Summary
from service.engine.kinds.method import ItemsMethod
from service.engine.kinds.packing import Chunk
from service.engine.kinds.requirements import refuse_without_kernel
from service.engine.methods.channel_selection import select
from service.engine.ports.answers import LayerOnCanvas
from service.engine.ports.ascent import Ascended, Ascent, Canvas, FilterMeans, Schedule
from service.engine.ports.network_info import NetworkInfo
from service.engine.ports.probe import AscentProbe
from service.errors import (
    FilterOutOfRangeError,
    JobTooLargeError,
    MethodUnavailableError,
    NotFiniteError,
    SizeUnsuitableError,
)

DEFAULT_SIDE = 128
# A network's own size is taken as it is only where its pictures are neither tiny nor slow.
OWN_SIDES = range(64, 257)
MAX_FRAMES = 100
# So long one step of a batch may last before progress is heard of, on two cores that do so much in a second.
STEP_SECONDS = 0.7
OPERATIONS_PER_SECOND = 60e9
BYTES_PER_SECOND = 2e9
MAX_BATCH = 8
MAX_BYTES = 2**30
# Of a number: its 4 bytes, and its gradient's.
VALUE_BYTES = 8
# A frame is in memory alone, in two stacks, and as it is drawn.
FRAME_COPIES = 4


class FilterPatternsParams(MethodParams):
    """Parameters of `filter-patterns`."""

    layer: LayerReference | None = Field(
        None, description="A layer by path, unique name or index; default: the last maps before space is given up."
    )
    filters: Selection = Field("all", description="Filters to draw: `3`, `0,5`, `0-63` or `all`.", examples=["0-7"])
    size: int | None = Field(
        None,
        ge=1,
        le=8192,
        description="Side of the pictures in pixels; default: the network's own from 64 to 256, else 128.",
        examples=[128],
    )
    steps: int = Field(40, ge=1, le=100_000, description="Steps of the ascent.")
    step_size: float = Field(1.0, gt=0, le=1000, description="Length of a step, in the units of the canvas.")
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of the noise from which the ascent starts.")
    recipe: Literal["classic"] = Field("classic", description="How the picture is searched for.")
    preprocess: bool = Field(
        default=True,
        description="Whether the canvas is a picture in 0…255 that is preprocessed for the network, or its raw input.",
    )
    columns: int = Field(8, ge=1, le=256, description="Pictures in a row of the grid.")
    margin: int = Field(5, ge=0, le=64, description="Pixels between the pictures of the grid.")
    frames: int = Field(
        0, ge=0, le=100_000, description="An animation beside each picture, a frame every so many steps."
    )


def cut(probe: AscentProbe, params: FilterPatternsParams, max_bytes: int = MAX_BYTES) -> list[list[int]]:
    """Chunks of as many filters as one step of 0.7 s on two cores, and `max_bytes` of memory, can take."""
    view, size = _look(probe, params)
    filters = select(params.filters, view.filters, FilterOutOfRangeError)
    frames = _count_frames(params)
    if frames > MAX_FRAMES:
        raise JobTooLargeError(
            f"an animation may have {MAX_FRAMES} frames, not {frames}: ask for one every "
            f"{-(-params.steps // (MAX_FRAMES - 1))} steps",
            "frames",
        )
    batch = _batch(view, size, frames, max_bytes)
    return [filters[start : start + batch] for start in range(0, len(filters), batch)]


class FilterPatternsChunk(Chunk):
    """What the filters of a chunk came to, and (h, w) of their pictures."""

    filters: list[FilterPattern]
    size: tuple[int, int]


def filter_patterns(probe: AscentProbe, _: Array | None, params: FilterPatternsParams, context: Context) -> Pictures:
    view, size = _look(probe, params)
    start = np.stack([_noise(params.seed, number, (*size, _channels(probe))) for number in context.items])
    ascent = Ascent(
        FilterMeans(view.layer, tuple(context.items)),
        Canvas(start, context.preprocessing if params.preprocess else None),
        Schedule(params.steps, params.step_size, params.frames),
    )
    ascended = probe.ascend(ascent, context.report)
    if not np.isfinite(ascended.activations).all():
        raise NotFiniteError(f"layer '{view.layer}' answers NaN or infinity: check its weights and its preprocessing")
    turned = not params.preprocess and context.preprocessing.channel_order == "bgr"
    return Pictures(
        layer=view.layer,
        pictures=tuple(_draw(ascended, context.items, turned=turned)),
        numbers=FilterPatternsChunk(filters=_measure(ascended, context.items), size=size),
        resolved={"size": size[0]} if size[0] == size[1] else {},
        plan={
            "batch": ascended.batch,
            "last_layer": "wanted filters" if ascended.narrow else "all filters",
            "layer_shape": list(view.output_shape),
            "preprocessing": context.preprocessing.name if params.preprocess else None,
            "device": ascended.device,
            "threads": ascended.threads,
        },
        changes=_changes(ascended, start, context.items),
    )


def reduce(chunks: Sequence[FilterPatternsChunk], reduction: Reduction, params: FilterPatternsParams) -> Summary:
    """The grid, in as many sheets as it needs; a filter without a gradient is an empty cell."""
    found = [item for chunk in chunks for item in chunk.filters]
    size = chunks[0].size
    grid = plan_grid(size, len(found), columns=params.columns, margin=params.margin)
    sheets = [found[start : start + grid.cells] for start in range(0, len(found), grid.cells)]
    names = ["grid", *(f"grid-{number}" for number in range(2, len(sheets) + 1))]
    values = FilterPatternsValues(
        layer=reduction.layer,
        seed=params.seed,
        size=list(size),
        filters=found,
        no_gradient=[item.filter for item in found if item.no_gradient],
        sheets=[
            PatternSheet(name=name, columns=grid.columns, filters=[item.filter for item in sheet])
            for name, sheet in zip(names, sheets, strict=True)
        ],
    )
    pixels = lay_on_sheets([_name(item.filter) for item in found], reduction.pictures, grid)
    return Summary((Drawn(*each) for each in zip(names, pixels, strict=True)), values)


def _look(probe: AscentProbe, params: FilterPatternsParams) -> tuple[LayerOnCanvas, tuple[int, int]]:
    """The layer on the canvas that the request means, and the canvas's (h, w)."""
    layer = params.layer or _default_layer(probe.network_info)
    if params.size is not None:
        return probe.layer_on_canvas(layer, (params.size, params.size)), (params.size, params.size)
    own = _own_size(probe.network_info)
    if own is not None and set(own) <= set(OWN_SIDES):
        return probe.layer_on_canvas(layer, own), own
    try:
        return probe.layer_on_canvas(layer, (DEFAULT_SIDE, DEFAULT_SIDE)), (DEFAULT_SIDE, DEFAULT_SIDE)
    except SizeUnsuitableError:
        # A layer behind a Flatten takes no other size than the network's own.
        if own is None:
            raise
        return probe.layer_on_canvas(layer, own), own


def _own_size(network_info: NetworkInfo) -> tuple[int, int] | None:
    height, width, _ = network_info.input_shape or (None, None, 0)
    return (height, width) if height and width else None


def _channels(probe: AscentProbe) -> int:
    assert probe.network_info.input_shape is not None, "refuse() lets only networks with an image input through"
    return probe.network_info.input_shape[2]


def _default_layer(network_info: NetworkInfo) -> str:
    if network_info.default_layer is not None:
        return network_info.default_layer
    kernels = [layer for layer in network_info.layers if layer.kernel_shape is not None]
    if not kernels:
        raise MethodUnavailableError("this network has no default layer: name one with 'layer'")
    return ([layer for layer in kernels if layer.is_spatial] or kernels)[-1].path


def _count_frames(params: FilterPatternsParams) -> int:
    """The start, every so many steps, and the end."""
    return 1 - (-params.steps // params.frames) if params.frames else 0


def _batch(view: LayerOnCanvas, size: tuple[int, int], frames: int, max_bytes: int) -> int:
    # The gradient costs about as much as the forward pass.
    seconds = 2 * view.operations / OPERATIONS_PER_SECOND + VALUE_BYTES * view.values / BYTES_PER_SECOND
    held = VALUE_BYTES * view.values + 4 * FRAME_COPIES * frames * size[0] * size[1] * 3
    return int(max(1, min(MAX_BATCH, STEP_SECONDS / max(seconds, 1e-9), max_bytes / max(held, 1))))


def _noise(seed: int, number: int, shape: tuple[int, ...]) -> Array:
    """Uniform in 128…148: each filter's own, whatever else is asked for."""
    generator = np.random.default_rng([seed, number])
    return (generator.random(shape) * 20 + 128).astype(np.float32)


def _draw(ascended: Ascended, filters: Sequence[int], *, turned: bool) -> Iterator[Picture]:
    order = slice(None, None, -1 if turned else 1)
    for image, number in enumerate(filters):
        if not ascended.moved[image]:
            continue
        frames = [_standardise(frame[image][..., order]) for frame in ascended.frames]
        picture = _standardise(ascended.canvas[image][..., order])
        yield Picture(_name(number), picture, np.stack(frames) if frames else None)


def _changes(ascended: Ascended, start: Array, filters: Sequence[int]) -> dict[str, Array | None]:
    """The canvas less the noise that it began as, which is the same for every network."""
    return {
        _name(number): ascended.canvas[image] - start[image] if ascended.moved[image] else None
        for image, number in enumerate(filters)
    }


def _standardise(canvas: Array) -> Array:
    """Deviation 0.1 around 0.5, clipped to 0…1."""
    centred = canvas - canvas.mean()
    return np.asarray(np.clip(centred / (centred.std() + 1e-5) * 0.1 + 0.5, 0, 1), np.float32)


def _measure(ascended: Ascended, filters: Sequence[int]) -> list[FilterPattern]:
    answers = zip(filters, ascended.activations.tolist(), ascended.moved.tolist(), strict=True)
    return [
        FilterPattern(filter=number, activation=activation, no_gradient=not moved)
        for number, activation, moved in answers
    ]


def _name(number: int) -> str:
    return f"filter-{number}"


FILTER_PATTERNS = ItemsMethod(
    name="filter-patterns",
    title="Filter patterns",
    description="The picture that excites each filter of a layer most, found by gradient ascent on the input.",
    params=FilterPatternsParams,
    values=(FilterPatternsValues,),
    chunk=FilterPatternsChunk,
    unit="filters",
    cut=cut,
    compute=filter_patterns,
    reduce=reduce,
    refuse=refuse_without_kernel,
    compared="of each filter the canvas in the end less the noise that it began as",
)
