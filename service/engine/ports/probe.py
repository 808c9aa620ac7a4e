"""All that a method may ask of a network, as narrow protocols; `Probe` is all of them together.

`image` is always (h, w, c) float32, `images` (n, h, w, c), already preprocessed for the network. Implementations run
the network in inference mode, never change it, and may be called from several threads at once. A layer is named by its
path, by its name where only one layer has it, or by its index in `network_info.layers`; answers name it by its path.
There is always one image at least. Whatever runs the network may raise ComputationFailedError.

`tests/contract/probe` holds every implementation to what is said here.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from service.engine.arrays import Array
from service.engine.ports.answers import (
    ChannelStatistics,
    Kernel,
    LayerActivations,
    LayerGradients,
    LayerOnCanvas,
    ReceptiveField,
    Scores,
    UnitActivations,
)
from service.engine.ports.ascent import Ascended, Ascent
from service.engine.ports.network_info import LayerInfo, NetworkInfo


class NetworkProbe(Protocol):
    """What is known of a network without running it."""

    @property
    def network_info(self) -> NetworkInfo: ...

    @property
    def held_bytes(self) -> int:
        """Memory that the network takes in this process, with all that was compiled for it. Takes no lock."""
        ...

    def layer(self, reference: str) -> LayerInfo:
        """The layer that a path, a unique name or an index means. Raises LayerNotFoundError."""
        ...

    def kernels(self, layer: str) -> list[Kernel]:
        """The layer's kernels: one, or two for a separable convolution.

        Raises LayerNotFoundError or LayerWithoutKernelError.
        """
        ...

    def receptive_field(self, layer: str, size: tuple[int, int]) -> ReceptiveField | None:
        """Of pictures of (h, w). None where the layer has no space, or the network does what is not known here.

        Raises LayerNotFoundError.
        """
        ...


class ScoresProbe(NetworkProbe, Protocol):
    """A network that says how much a picture is of each class."""

    def scores(self, image: Array) -> Scores:
        """Raises MethodUnavailableError where the network gives no class scores, or takes no single picture."""
        ...


class LayersProbe(NetworkProbe, Protocol):
    """A network whose layers can be looked into."""

    def activations(self, image: Array, layers: Sequence[str]) -> list[LayerActivations]:
        """The outputs of layers, in one forward pass, in the order asked.

        Raises LayerNotFoundError, or LayerNotDrawableError where nobody can say which axis of an output is what.
        """
        ...

    def channel_statistics(self, images: Array, layers: Sequence[str], signs: Array) -> list[ChannelStatistics]:
        """The answers of all channels of layers to (n, h, w, c), in one forward pass, in the order asked.

        `signs` (n, k, places); see ChannelStatistics. Raises LayerNotFoundError, LayerNotDrawableError or
        NotFiniteError.
        """
        ...

    def unit_activations(self, images: Array, layer: str) -> UnitActivations:
        """The answers of all channels of a layer to (n, h, w, c).

        Raises LayerNotFoundError, LayerNotDrawableError or NotFiniteError.
        """
        ...


class GradientsProbe(NetworkProbe, Protocol):
    """A network whose scores, and units, can be differentiated."""

    def activations_and_gradients(
        self, image: Array, *, layer: str | None = None, class_index: int | None = None
    ) -> LayerGradients:
        """Differentiate the target with respect to a layer that has spatial axes.

        `layer` None takes the default layer, `class_index` None the best class. Raises LayerNotFoundError,
        LayerNotSpatialError, LayerNotConnectedError, ClassOutOfRangeError or MethodUnavailableError (see `scores`).
        """
        ...

    def unit_gradients(self, images: Array, layer: str, units: Sequence[int]) -> Array:
        """The mean over (n, h, w, c) of the gradients of k of a layer's units: (k, h, w, c).

        Units are counted over the layer's output, flattened; those that do not exist are the caller's to refuse.
        Raises LayerNotFoundError, LayerNotDrawableError or NotFiniteError.
        """
        ...

    def require_target(self, *, layer: str | None, class_index: int | None) -> None:
        """Raise what `activations_and_gradients` would, as far as it can be known without computing."""
        ...


class AscentProbe(NetworkProbe, Protocol):
    """A network whose input can be changed until a filter is excited most."""

    def layer_on_canvas(self, layer: str, size: tuple[int, int]) -> LayerOnCanvas:
        """How a layer comes out of a canvas of (h, w), whatever size the network was made for; runs nothing.

        Raises LayerNotFoundError, LayerWithoutFilterError, SizeUnsuitableError, or MethodUnavailableError where no
        single picture goes into the network.
        """
        ...

    def ascend(self, ascent: Ascent, report: Callable[[float], None]) -> Ascended:
        """Climb. Images do not influence each other.

        `report(fraction)` is called several times a second, as far as single steps are quick enough: with what never
        falls and is 1 in the end. What it raises passes through.
        Where memory does not suffice, fewer images are computed together. Raises what `layer_on_canvas` raises, or
        ComputationFailedError.
        """
        ...


class AutoencoderProbe(NetworkProbe, Protocol):
    """A network that gives its input back."""

    def encode(self, images: Array) -> Array:
        """An autoencoder's latents of (n, h, w, c), flattened: (n, units).

        Raises NotFiniteError, or MethodUnavailableError where the network info has no latent.
        """
        ...

    def decode(self, latents: Array) -> Array:
        """What an autoencoder decodes from latents (n, units): (n, h, w, c). Raises as `encode` does.

        Latents of another width are a ComputationFailedError.
        """
        ...


class Probe(ScoresProbe, LayersProbe, GradientsProbe, AscentProbe, AutoencoderProbe, Protocol):
    """A network that answers all questions, about one image at a time."""


@runtime_checkable
class BatchProbe(Probe, Protocol):
    """A Probe that answers for several images of one shape at once, in the order given."""

    def scores_of(self, images: Sequence[Array]) -> list[Scores]:
        """See `scores`."""
        ...

    def gradients_of(
        self, images: Sequence[Array], classes: Sequence[int | None], *, layer: str | None = None
    ) -> list[LayerGradients]:
        """See `activations_and_gradients`; each image has a class of its own, or None."""
        ...
