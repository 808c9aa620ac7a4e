"""The latents that an autoencoder gives to the pictures of a dataset, slice by slice and then all together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.values.base import Picture
from service.engine.arrays import Array
from service.engine.datasets.pipelining import ask_each
from service.engine.kinds.context import Batch
from service.engine.kinds.packing import Chunk, PackedFloats
from service.engine.methods.channel_selection import select
from service.engine.ports.network_info import Latent, NetworkInfo
from service.engine.ports.probe import AutoencoderProbe
from service.errors import LatentTooLargeError, UnitOutOfRangeError

MAX_UNITS: Final = 4096


class EncodedPictures(Chunk):
    """The latents of a slice of the dataset, as chunks keep them: (n, units), and which pictures they are of."""

    pictures: list[Picture]
    latents: PackedFloats


@dataclass(frozen=True)
class Latents:
    """Of n pictures, in order: `values` is (n, units) float32."""

    pictures: list[Picture]
    values: Array

    @property
    def labels(self) -> tuple[str | None, ...]:
        return tuple(picture.label for picture in self.pictures)


def latent_of(network_info: NetworkInfo) -> Latent:
    """The latent of a network that was not refused."""
    assert network_info.latent is not None, "refuse() lets only autoencoders through"
    return network_info.latent


def require_modest(network_info: NetworkInfo) -> None:
    """Raise LatentTooLargeError where the latent has more units than can be kept of every picture."""
    latent = latent_of(network_info)
    if latent.units > MAX_UNITS:
        raise LatentTooLargeError(
            f"the latent in layer '{latent.layer}' has {latent.units} units; this method takes up to {MAX_UNITS}: "
            "name a smaller layer in model.toml, latent_layer"
        )


def encode_batches(probe: AutoencoderProbe, batches: Iterable[Batch]) -> EncodedPictures:
    """The latents of a slice. Raises NotFiniteError."""
    pictures: list[Picture] = []
    found: list[Array] = []
    for batch, latents in ask_each(lambda batch: probe.encode(batch.inputs), batches):
        pictures += [Picture(index=each.index, name=each.name, label=each.label) for each in batch.members]
        found.append(latents)
    values = np.concatenate(found) if found else np.zeros((0, latent_of(probe.network_info).units), np.float32)
    return EncodedPictures(pictures=pictures, latents=values)


def gather(chunks: Sequence[EncodedPictures]) -> Latents:
    """The latents of all slices."""
    pictures = [picture for chunk in chunks for picture in chunk.pictures]
    return Latents(pictures, np.concatenate([chunk.latents for chunk in chunks]))


def choose_units(selection: str | None, count: int, deviations: NDArray[np.float64], most: int) -> list[int]:
    """Those that are asked for, or else the `most` that vary most, in their order. Raises UnitOutOfRangeError."""
    if selection is not None:
        return select(selection, count, UnitOutOfRangeError)
    return sorted(np.argsort(-deviations, kind="stable")[:most].tolist())
