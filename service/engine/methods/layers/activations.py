"""Activations: what the channels of a layer answer to the picture, as a grid of maps.

Each channel is drawn as in the tutorials: its mean taken off, divided by its deviation, times 64 plus 128. Unlike there
no channel is dropped, a dead one is flat instead of NaN, and a layer without space is drawn as a strip of cells.
"""

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from schemas.references import LayerReference, LayerReferences, Selection
from schemas.rendering import TilesRendering
from schemas.values.base import Numbers
from schemas.values.layers import ActivationsOfLayers, ActivationsValues
from schemas.values.layers import LayerActivations as LayerActivationsValues
from service.engine.arrays import Array
from service.engine.drawing.visuals import Sheets, Tiles
from service.engine.kinds.context import Context
from service.engine.kinds.method import ImageMethod
from service.engine.kinds.requirements import refuse_without_image
from service.engine.methods.channel_selection import Page, default_layer, select, turn_to
from service.engine.ports.answers import LayerActivations
from service.engine.ports.probe import LayersProbe, NetworkProbe
from service.errors import ChannelOutOfRangeError, LayerNotDrawableError, TooManyValuesError

MAX_RAW_VALUES = 1_000_000
# A strip of a thousand units reads better in long rows.
STRIP_COLUMNS = 64


class ActivationsParams(TilesRendering):
    """Parameters of `activations`."""

    layer: LayerReference | None = Field(
        None, description="A layer by path, unique name or index; default: the last maps before space is given up."
    )
    layers: LayerReferences = Field([], max_length=500, description="Several layers, in one forward pass.")
    channel: int | None = Field(None, ge=0, lt=2**31, description="One channel alone, drawn large.", examples=[3])
    channels: Selection = Field("all", description="Channels to draw: `3`, `0,5`, `0-63` or `all`.")
    scale: Literal["per_channel", "shared"] = Field(
        "per_channel",
        description="`per_channel`: each by its mean and deviation. `shared`: all from least to greatest.",
    )
    page: int = Field(1, ge=1, lt=2**31, description="Page of the channels.")
    page_size: int = Field(1024, ge=1, le=4096, description="Channels on a page.")
    values: Literal["none", "raw"] = Field(
        "none", description="`raw` adds `map`: the layer's numbers, (h, w) of one channel or (h, w, channels)."
    )

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> Self:
        if self.channel is not None and self.channels != "all":
            raise ValueError("'channel' and 'channels' exclude each other")
        return self


def activations(probe: LayersProbe, image: Array, params: ActivationsParams, _: Context) -> Sheets:
    layers = _asked_layers(probe, params)
    answers = probe.activations(image, layers)
    pairs = [_draw(answer, params) for answer in answers]
    numbers = [own for _, own in pairs]
    # A single layer's numbers stand at the top as well, where every other method has them.
    is_one = len(numbers) == 1
    return Sheets(
        tuple(tiles for tiles, _ in pairs),
        ActivationsValues(**dict(numbers[0]), layers=numbers) if is_one else ActivationsOfLayers(layers=numbers),
        whole={answer.layer: answer.values for answer in answers},
    )


def _asked_layers(probe: NetworkProbe, params: ActivationsParams) -> list[str]:
    return [*([params.layer] if params.layer else []), *params.layers] or [default_layer(probe.network_info)]


def _draw(answer: LayerActivations, params: ActivationsParams) -> tuple[Tiles, LayerActivationsValues]:
    maps = _as_maps(answer)  # (c, h, w)
    page = _choose(params, len(maps))
    shown = maps[page.indices]
    is_strip = answer.values.ndim == 1
    tiles = Tiles(
        name=answer.layer.replace("/", "--"),
        layer=answer.layer,
        values=shown,
        scale="standard" if params.scale == "per_channel" and not is_strip else "bounds",
        low=float(maps.min()),
        high=float(maps.max()),
        columns=STRIP_COLUMNS if is_strip else None,
    )
    raw = _raw(answer.values, page.indices, params) if params.values == "raw" else None
    return tiles, _measure(answer, maps, page, raw)


def _as_maps(answer: LayerActivations) -> Array:
    values = answer.values
    if values.ndim == 1:
        return values[:, None, None]
    if values.ndim == 2:
        return values.T[:, None, :]
    if values.ndim == 3:
        return np.moveaxis(values, -1, 0)
    raise LayerNotDrawableError(f"layer '{answer.layer}' has an output of {values.ndim} axes: choose another layer")


def _choose(params: ActivationsParams, count: int) -> Page:
    selection = params.channels if params.channel is None else str(params.channel)
    return turn_to(params.page, params.page_size, select(selection, count, ChannelOutOfRangeError))


def _measure(answer: LayerActivations, maps: Array, page: Page, raw: Numbers | None) -> LayerActivationsValues:
    """Statistics over every channel of the layer, whatever is shown.

    A dead channel answers 0 everywhere; a constant one answers something, and the same everywhere.
    """
    flat = maps.reshape(len(maps), -1)
    dead = ~flat.any(axis=1)
    constant = (flat.min(axis=1) == flat.max(axis=1)) & ~dead if flat.shape[1] > 1 else np.zeros(len(flat), np.bool_)
    return LayerActivationsValues(
        layer=answer.layer,
        shape=list(answer.values.shape),
        min=float(flat.min()),
        max=float(flat.max()),
        mean=float(flat.mean(dtype=np.float64)),
        sparsity=float((flat == 0).mean()),
        dead_channels=np.flatnonzero(dead).tolist(),
        constant_channels=np.flatnonzero(constant).tolist(),
        empty=bool((flat == 0).all()),
        channels=page.indices,
        page=page.number,
        pages=page.count,
        map=raw,
    )


def _raw(values: Array, indices: list[int], params: ActivationsParams) -> Numbers:
    chosen = values[..., indices]
    if chosen.size > MAX_RAW_VALUES:
        raise TooManyValuesError(
            f"{chosen.size} raw numbers are more than the {MAX_RAW_VALUES} that an answer may hold: "
            "ask for fewer with 'channels' or 'page_size'"
        )
    numbers: Numbers = (chosen[..., 0] if params.channel is not None else chosen).tolist()
    return numbers


def _check(probe: NetworkProbe, params: ActivationsParams) -> None:
    for layer in _asked_layers(probe, params):
        shape = probe.layer(layer).output_shape
        if shape[-1] is not None:
            _choose(params, shape[-1])


ACTIVATIONS = ImageMethod(
    name="activations",
    title="Activations of a layer",
    description="What every channel of a layer answers to the picture: one map each, laid out as a grid.",
    params=ActivationsParams,
    values=(ActivationsValues, ActivationsOfLayers),
    compute=activations,
    refuse=refuse_without_image,
    check=_check,
    compared="of each layer asked for the answers of all its channels, whichever are drawn",
)
