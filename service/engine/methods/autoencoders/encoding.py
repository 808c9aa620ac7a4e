"""The codes that an autoencoder gives to the pictures of a set, slice by slice and then all together."""

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
from service.engine.ports.network_info import Code, NetworkInfo
from service.engine.ports.probe import Probe
from service.errors import CodeTooLargeError, NotFiniteError, UnitOutOfRangeError

MAX_UNITS: Final = 4096


@dataclass(frozen=True)
class Codes:
    """Of n pictures, in order: `members` say which they are, `values` is (n, units) float32."""

    members: list[dict[str, Any]]
    values: Array

    @property
    def labels(self) -> tuple[str | None, ...]:
        return tuple(member["label"] for member in self.members)


def code_of(network_info: NetworkInfo) -> Code:
    """The code of a network that was not refused."""
    assert network_info.code is not None, "refuse() lets only autoencoders through"
    return network_info.code


def require_modest(network_info: NetworkInfo) -> None:
    """Raise CodeTooLargeError where the code has more units than can be kept of every picture."""
    code = code_of(network_info)
    if code.units > MAX_UNITS:
        raise CodeTooLargeError(
            f"the code in layer '{code.layer}' has {code.units} units; this method takes up to {MAX_UNITS}: "
            "name a smaller layer in model.toml, latent_layer"
        )


def encode_batches(probe: Probe, batches: Iterable[Batch]) -> dict[str, Any]:
    """The codes of a slice, as parts are kept."""
    members: list[dict[str, Any]] = []
    found: list[Array] = []
    for batch, codes in ask_each(lambda batch: probe.encode(batch.inputs), batches):
        members += [{"index": each.index, "name": each.name, "label": each.label} for each in batch.members]
        found.append(codes)
    values = np.concatenate(found) if found else np.zeros((0, code_of(probe.network_info).units), np.float32)
    return {"members": members, "codes": to_text(values)}


def gather(parts: Sequence[Answer], units: int) -> Codes:
    """The codes of all slices. Raises NotFiniteError."""
    members = [member for part in parts for member in part.values["members"]]
    values = np.concatenate([from_text(part.values["codes"]).reshape(-1, units) for part in parts])
    if not np.isfinite(values).all():
        raise NotFiniteError("the code holds NaN or infinity: check the network's weights and its preprocessing")
    return Codes(members, values)


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
