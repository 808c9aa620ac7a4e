"""The latents that an autoencoder gives to the pictures of a dataset, slice by slice and then all together."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas.results import Answer
from service.engine.arrays import Array
from service.engine.datasets.pipelining import ask_each
from service.engine.method import Batch
from service.engine.methods.channel_selection import select
from service.engine.ports.network_info import Latent, NetworkInfo
from service.engine.ports.probe import Probe
from service.errors import LatentTooLargeError, NotFiniteError, UnitOutOfRangeError

MAX_UNITS: Final = 4096


@dataclass(frozen=True)
class Latents:
    """Of n pictures, in order: `members` say which they are, `values` is (n, units) float32."""

    members: list[dict[str, Any]]
    values: Array

    @property
    def labels(self) -> tuple[str | None, ...]:
        return tuple(member["label"] for member in self.members)


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


def encode_batches(probe: Probe, batches: Iterable[Batch]) -> dict[str, Any]:
    """The latents of a slice, as parts are kept."""
    members: list[dict[str, Any]] = []
    found: list[Array] = []
    for batch, latents in ask_each(lambda batch: probe.encode(batch.inputs), batches):
        members += [{"index": each.index, "name": each.name, "label": each.label} for each in batch.members]
        found.append(latents)
    values = np.concatenate(found) if found else np.zeros((0, latent_of(probe.network_info).units), np.float32)
    return {"members": members, "latents": to_text(values)}


def gather(parts: Sequence[Answer], units: int) -> Latents:
    """The latents of all slices. Raises NotFiniteError."""
    members = [member for part in parts for member in part.values["members"]]
    values = np.concatenate([from_text(part.values["latents"]).reshape(-1, units) for part in parts])
    if not np.isfinite(values).all():
        raise NotFiniteError("the latent holds NaN or infinity: check the network's weights and its preprocessing")
    return Latents(members, values)


def choose_units(selection: str | None, count: int, deviations: NDArray[Any], most: int) -> list[int]:
    """Those that are asked for, or else the `most` that vary most, in their order. Raises UnitOutOfRangeError."""
    if selection is not None:
        return select(selection, count, UnitOutOfRangeError)
    return sorted(np.argsort(-deviations, kind="stable")[:most].tolist())


def to_text(values: Array) -> str:
    """Float32 numbers as text."""
    return base64.b64encode(np.ascontiguousarray(values, np.float32).tobytes()).decode("ascii")


def from_text(text: str) -> Array:
    """See `to_text`; flat."""
    return np.frombuffer(base64.b64decode(text), np.float32)
