"""From what a client calls a layer to the call that is meant, or an error that names the nearest one that would do."""

from collections.abc import Callable
from typing import Final

from service.engine.nearest import find_nearest, shorten
from service.engine.ports.answers import Kernel
from service.errors import (
    LayerNotFoundError,
    LayerNotSpatialError,
    LayerWithoutFilterError,
    LayerWithoutKernelError,
)
from service.keras.graph.axes.axes import find_order, name_of
from service.keras.graph.axes.kinds import kind_of
from service.keras.graph.kernels import read_kernels
from service.keras.graph.replay import Call, Value, Wiring
from service.keras.graph.upright import describe_axes, is_map

_MOST_DIGITS: Final = 20
# Whatever their last axis is, it is not filters.
_REARRANGING = {"InputLayer", "Flatten", "Reshape", "RepeatVector", "ExpandDims"}
_PASSING_ON = {"Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AlphaDropout", "Identity", "Cast"}


def find_layer(wiring: Wiring, reference: str) -> Call:
    """The layer of that path, of that name where only one layer has it, or of that index.

    Raises LayerNotFoundError.
    """
    if reference in wiring.by_path:
        return wiring.by_path[reference]
    if reference.isdecimal():
        layers = wiring.layers
        # Python does not read thousands of digits.
        if len(reference) < _MOST_DIGITS and int(reference) < len(layers):
            return layers[int(reference)]
        raise LayerNotFoundError(f"layer {shorten(reference)} is out of range: they count from 0 to {len(layers) - 1}")
    named = [path for path in wiring.by_path if path.rsplit("/", 1)[-1] == reference]
    if len(named) == 1:
        return wiring.by_path[named[0]]
    near = named[:3] or find_nearest(reference, wiring.by_path, count=3, cutoff=0.4)
    advice = f"nearest: {', '.join(repr(name) for name in near)}" if near else "GET …/layers lists them all"
    trouble = "is the name of several layers" if named else "is not in this network"
    raise LayerNotFoundError(f"layer '{shorten(reference)}' {trouble}; {advice}")


def find_spatial_layer(wiring: Wiring, reference: str) -> Call:
    """The layer, if its output has the picture's height and width.

    Raises LayerNotFoundError or LayerNotSpatialError.
    """
    call = find_layer(wiring, reference)
    if not is_map(call.outputs[0]):
        raise not_spatial(wiring, call)
    return call


def find_kernels(wiring: Wiring, reference: str) -> list[Kernel]:
    """The layer's kernels. Raises LayerNotFoundError or LayerWithoutKernelError."""
    call = find_layer(wiring, reference)
    kernels = list(read_kernels(call.site.path, call.operation))
    if not kernels:
        nearest = _nearest(wiring, call, lambda other: any(read_kernels("", other.operation)))
        advice = f"; nearest with one: '{nearest.site.path}'" if nearest else ""
        raise LayerWithoutKernelError(f"layer '{call.site.path}' has no kernel to show{advice}")
    return kernels


def find_layer_with_filters(wiring: Wiring, reference: str) -> Call:
    """The layer, if one of its axes counts what it has learned to see.

    Raises LayerNotFoundError or LayerWithoutFilterError.
    """
    call = find_layer(wiring, reference)
    if _has_filters(wiring, call):
        return call
    nearest = _nearest(wiring, call, lambda other: _has_filters(wiring, other))
    advice = f"; nearest with some: '{nearest.site.path}'" if nearest else ""
    raise LayerWithoutFilterError(f"layer '{call.site.path}' has no filters to look for{advice}")


def _has_filters(wiring: Wiring, call: Call) -> bool:
    source = call
    while kind_of(source.operation) in _PASSING_ON and source.inputs:
        source = source.inputs[0].call
    if kind_of(source.operation) in _REARRANGING or not _has_channels(call.outputs[0]):
        return False
    # Before the first layer that has learned something there are only the picture's own channels.
    return any(learns(value.call) for value in wiring.ancestors(call.outputs[0]))


def _has_channels(value: Value) -> bool:
    order = find_order(value.axes)
    return order is not None and len(order) > 1 and name_of(value.axes[order[-1]]) == "c"


def learns(call: Call) -> bool:
    """True for a layer with a kernel, of whatever kind."""
    return any(len(weight.shape) > 1 for weight in getattr(call.operation, "weights", []))


def not_spatial(wiring: Wiring, call: Call) -> LayerNotSpatialError:
    """The error for a layer without height and width, which for open sizes only running it may show."""
    nearest = _nearest(wiring, call, lambda other: is_map(other.outputs[0]))
    advice = f"; nearest with space: '{nearest.site.path}'" if nearest else ""
    return LayerNotSpatialError(f"layer '{call.site.path}' {describe_axes(call.outputs[0])}{advice}")


def _nearest(wiring: Wiring, call: Call, wanted: Callable[[Call], bool]) -> Call | None:
    """The wanted call nearest in execution order, earlier ones first."""
    found = [other for other in wiring.calls if not other.is_input and wanted(other)]
    earlier = [other for other in found if other.order < call.order]
    return earlier[-1] if earlier else next(iter(found), None)
