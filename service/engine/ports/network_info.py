"""Facts about a network, read from its graph without running it: its layers, its input, its code, what it is for."""

from dataclasses import dataclass
from math import prod
from typing import Literal

Task = Literal["classification", "binary", "regression", "autoencoder", "features"]
Space = Literal["picture", "own", "unknown"]
TargetKind = Literal["logit", "log_probability", "value"]


def is_spatial(shape: tuple[int | None, ...]) -> bool:
    """True for (batch, h, w, c) where h and w are not both 1; an open size (None) counts as spatial."""
    return len(shape) == 4 and shape[1:3] != (1, 1)


@dataclass(frozen=True)
class LayerInfo:
    """One call of one layer; a layer that is shared appears once, with the shape of its last call.

    `output_shape` is that of the answers about it: (batch, h, w, c) for maps, however they lie in the network. `space`
    says whose rows and columns those are: the picture's, a decoder's own, or nobody knows.

    Where the layer has a kernel, `response` is the path at which its filters' answer stands once it is normalised and
    activated, if layers of their own do that; else the layer's own.
    """

    path: str
    type: str
    output_shape: tuple[int | None, ...]
    kernel_shape: tuple[int, ...] | None
    bias_shape: tuple[int, ...] | None
    parameters: int
    response: str | None = None
    space: Space = "picture"

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @property
    def is_spatial(self) -> bool:
        return self.space != "unknown" and is_spatial(self.output_shape)

    @property
    def is_map(self) -> bool:
        """Whether it can lie over the picture."""
        return self.space == "picture" and self.is_spatial


@dataclass(frozen=True)
class Latent:
    """Where an autoencoder holds all that it decodes its picture from: the layer, its shape without the batch axis.

    `wired` are the layers whose units see the picture itself, so that a unit's weights are a picture too.
    """

    layer: str
    shape: tuple[int, ...]
    wired: tuple[str, ...] = ()

    @property
    def units(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class NetworkInfo:
    """Facts about a network, read from its graph without running it.

    `input_shape` is (h, w, c) with None for an open size, or None where no picture goes in.
    `classes` counts the scores; None where the network gives no class scores. `logits` says in words where the numbers
    are that class heat maps differentiate. `other_layers` could have been the default layer as well, and `doubt` says
    why its map may not be what a heat map is for. `latent` is an autoencoder's; `no_latent` says why not.
    `inputs` and `outputs` are shapes without the batch axis.
    """

    input_shape: tuple[int | None, int | None, int] | None
    task: Task
    classes: int | None
    target_kind: TargetKind | None
    default_layer: str | None
    logits: str | None
    layers: tuple[LayerInfo, ...]
    parameters: int
    trainable_parameters: int
    other_layers: tuple[str, ...] = ()
    doubt: str | None = None
    repairs: tuple[str, ...] = ()
    latent: Latent | None = None
    no_latent: str | None = None
    inputs: tuple[tuple[int | None, ...], ...] = ()
    outputs: tuple[tuple[int | None, ...], ...] = ()
