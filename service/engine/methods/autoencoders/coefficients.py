"""Coefficients: what each hidden unit of an autoencoder looks for, and what each unit of its latent decodes.

A unit that is wired straight to the picture shows its weights, dense ones at the size of the picture, convolutions as
their kernels. Any other shows the mean of its gradient with respect to the picture over the dataset; of a layer that
has height and width, each channel's unit in the middle of the map. The normalised sheet divides each unit by its
largest absolute value. The decoder's effect of a unit is what it decodes with the unit a deviation above the mean, less
what it decodes at the mean, all others staying there.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schemas.methods import MethodParams
from schemas.references import LayerReference, Selection
from schemas.values.autoencoders import CoefficientsValues, DecoderEffects
from service.engine.arrays import Array
from service.engine.drawing.visuals import Numbers, Tiles
from service.engine.kinds.context import Batch, Context, Reduction, Summary
from service.engine.kinds.method import DatasetMethod
from service.engine.kinds.packing import PackedFloats
from service.engine.kinds.requirements import refuse_without_latent
from service.engine.methods.autoencoders.encoding import (
    EncodedPictures,
    choose_units,
    encode_batches,
    gather,
    latent_of,
    require_modest,
)
from service.engine.methods.channel_selection import select
from service.engine.ports.network_info import LayerInfo
from service.engine.ports.probe import AutoencoderProbe, NetworkProbe, Probe
from service.errors import TooManyValuesError, UnitOutOfRangeError

SLICE: Final = 128
MOST_SHOWN: Final = 32
COLUMNS: Final = 8
# Of the pictures of one sheet together.
MAX_NUMBERS: Final = 1_000_000


class AutoencoderCoefficientsParams(MethodParams):
    """Parameters of `autoencoder-coefficients`."""

    layer: LayerReference | None = Field(
        None,
        description="A layer of the encoder, by path, unique name or index; default: the dense layer that is wired "
        "straight to the picture, or else the one that holds the latent.",
    )
    units: Selection | None = Field(
        None, description="Units, or channels, of that layer: `3`, `0,5`, `0-63` or `all`; default: the first 32."
    )


class CoefficientsChunk(EncodedPictures):
    """And the sum of the units' gradients over the slice, (units, h, w, c); None where they are not needed."""

    gradients: PackedFloats | None


def autoencoder_coefficients(
    probe: Probe, batches: Iterator[Batch], params: AutoencoderCoefficientsParams, _: Context
) -> Numbers[CoefficientsChunk]:
    """The latents of a slice, and the sum of its units' gradients, for `reduce`."""
    layer, units = _choose(probe, params)
    wired = layer.path in latent_of(probe.network_info).wired
    total: NDArray[np.float64] | None = None

    def add_up() -> Iterator[Batch]:
        nonlocal total
        for batch in batches:
            if not wired:
                mean = probe.unit_gradients(batch.inputs, layer.path, _positions(layer, units))
                total = (0.0 if total is None else total) + len(batch.members) * mean.astype(np.float64)
            yield batch

    found = encode_batches(probe, add_up())
    gradients = None if total is None else total.astype(np.float32)
    return Numbers(layer.path, CoefficientsChunk(**dict(found), gradients=gradients))


def reduce(chunks: Sequence[CoefficientsChunk], reduction: Reduction, params: AutoencoderCoefficientsParams) -> Summary:
    """The units' pictures on one scale, raw and normalised, and the decoder's effects."""
    probe = reduction.probe
    layer, units = _choose(probe, params)
    latents = gather(chunks).values
    wired = layer.path in latent_of(probe.network_info).wired
    maps = _read_weights(probe, layer, units) if wired else _average(chunks, len(latents))
    largest = np.abs(maps).max(axis=(1, 2, 3))
    normalised = np.asarray(maps / np.where(largest > 0, largest, 1)[:, None, None, None], np.float32)
    effects, shown, deviation = _decode_effects(probe, latents)
    values = CoefficientsValues(
        layer=layer.path,
        kind="weights" if wired else "mean input gradients",
        units=units,
        max_abs=largest.tolist(),
        norm=np.linalg.norm(maps.reshape(len(maps), -1), axis=1).tolist(),
        decoder=DecoderEffects(
            units=shown,
            std=deviation[shown].tolist(),
            effect=np.sqrt((effects.astype(np.float64) ** 2).mean(axis=(1, 2, 3))).tolist(),
        ),
    )
    sheets = [
        _lay("coefficients", layer.path, maps),
        _lay("coefficients-normalised", layer.path, normalised),
        _lay("decoder", latent_of(probe.network_info).layer, effects),
    ]
    return Summary(sheets, values, _by_unit(probe, layer, units, maps if not wired else None))


def _choose(probe: NetworkProbe, params: AutoencoderCoefficientsParams) -> tuple[LayerInfo, list[int]]:
    """The layer, and its units or channels. Raises LayerNotFoundError, UnitOutOfRangeError or TooManyValuesError."""
    latent = latent_of(probe.network_info)
    facts = {layer.path: layer for layer in probe.network_info.layers}
    dense = next((path for path in latent.wired if len(facts[path].output_shape) == 2), latent.layer)
    layer = probe.layer(params.layer or dense)
    count = layer.output_shape[-1] or 1
    units = select(params.units or f"0-{min(count, MOST_SHOWN) - 1}", count, UnitOutOfRangeError)
    size = len(units) * int(np.prod([side or 1 for side in probe.network_info.input_shape or ()]))
    if size > MAX_NUMBERS:
        raise TooManyValuesError(
            f"the pictures of {len(units)} units have {size} pixels, more than the {MAX_NUMBERS} that fit: "
            "ask for fewer 'units'"
        )
    return layer, units


def _positions(layer: LayerInfo, units: Sequence[int]) -> list[int]:
    """Where the units are in the layer's output, flattened: those of a map in its middle."""
    inner = [side or 1 for side in layer.output_shape[1:]]
    place = 0
    for side in inner[:-1]:
        place = place * side + side // 2
    return [place * inner[-1] + unit for unit in units]


def _read_weights(probe: NetworkProbe, layer: LayerInfo, units: Sequence[int]) -> Array:
    """(units, h, w, c): a dense layer's as it sees the flattened picture."""
    kernel = probe.kernels(layer.path)[0].values
    if len(layer.output_shape) == 2:
        kernel = kernel.reshape(*(side or 1 for side in probe.network_info.input_shape or ()), kernel.shape[-1])
    return np.moveaxis(kernel[..., list(units)], -1, 0)


def _by_unit(probe: NetworkProbe, layer: LayerInfo, units: Sequence[int], gradients: Array | None) -> dict[str, Array]:
    """Weights of all units, since they cost nothing; gradients of those that were asked for."""
    if gradients is None:
        units = range(layer.output_shape[-1] or 1)
        gradients = _read_weights(probe, layer, units)
    return {f"unit {unit}": values for unit, values in zip(units, gradients, strict=True)}


def _average(chunks: Sequence[CoefficientsChunk], count: int) -> Array:
    sums = [chunk.gradients.astype(np.float64) for chunk in chunks if chunk.gradients is not None]
    return np.asarray(sum(sums) / np.float64(count), np.float32)


def _decode_effects(probe: AutoencoderProbe, latents: Array) -> tuple[Array, list[int], NDArray[np.float64]]:
    """Of the units that vary most: (units, h, w, c), which those are, and the deviations of all."""
    mean, deviation = latents.mean(axis=0, dtype=np.float64), latents.std(axis=0, dtype=np.float64)
    units = choose_units(None, latents.shape[1], deviation, MOST_SHOWN)
    moved = np.tile(mean, (len(units) + 1, 1))
    moved[np.arange(len(units)), units] += deviation[units]
    decoded = probe.decode(moved.astype(np.float32))
    return decoded[:-1] - decoded[-1], units, deviation


def _lay(name: str, layer: str, maps: Array) -> Tiles:
    """All on one scale around zero; of pictures in colour a row for each unit, with a tile for each channel."""
    channels = maps.shape[-1]
    tiles = np.moveaxis(maps, -1, 1).reshape(-1, *maps.shape[1:3])
    columns = min(COLUMNS, len(maps)) if channels == 1 else channels
    return Tiles(name, layer, tiles, "signed", high=float(np.abs(maps).max()), columns=columns)


def _check(probe: NetworkProbe, params: AutoencoderCoefficientsParams) -> None:
    require_modest(probe.network_info)
    _choose(probe, params)


AUTOENCODER_COEFFICIENTS = DatasetMethod(
    name="autoencoder-coefficients",
    title="Coefficients (autoencoder)",
    description="What each hidden unit of an autoencoder looks for, and what each unit of its latent decodes.",
    params=AutoencoderCoefficientsParams,
    values=(CoefficientsValues,),
    chunk=CoefficientsChunk,
    compute=autoencoder_coefficients,
    reduce=reduce,
    refuse=refuse_without_latent,
    check=_check,
    compared="of each unit its coefficients; where they are weights of all units, where gradients of those asked for",
    slice=SLICE,
    own_scale=True,
)
