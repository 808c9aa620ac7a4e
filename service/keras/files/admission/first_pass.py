"""What the first pass of a network would cost, known before it runs: operations, and bytes of its widest layer."""

from collections.abc import Iterator, Sequence
from math import prod
from typing import Final, NamedTuple

import keras
import tensorflow as tf

from service.errors import ModelFailedError
from service.keras.compute.compiling import compile_graph
from service.keras.files.admission.limits import ModelFileLimits, shown
from service.keras.graph.axes.kinds import kind_of
from service.keras.graph.cost import count_operations, count_widest
from service.keras.graph.replay import Call, graph_of, plainly, replay, wire

# What a probe takes where a network leaves its size open.
OPEN_SIZE: Final = (224, 224)
_BYTES_PER_NUMBER: Final = 4
# Layers that compute much which their output does not show: attention is as long as the picture squared.
_HIDING: Final = (
    *("Attention", "Spectrogram", "LSTM", "GRU", "RNN", "Cell", "TimeDistributed", "Bidirectional"),
    *("SpectralNormalization", "Einsum", "Dot", "Matmul"),
)


class _Cost(NamedTuple):
    operations: int
    widest: int


def require_affordable_pass(network: keras.Model, input_size: tuple[int, int] | None, limits: ModelFileLimits) -> None:
    """Raise ModelFailedError where one picture would take too long or too much memory. Runs nothing."""
    shapes = [_close(value.shape, input_size or OPEN_SIZE) for value in graph_of(network).inputs]
    for shape in shapes:
        if prod(shape) > limits.input_numbers:
            raise ModelFailedError(
                f"the network takes {' x '.join(map(str, shape[1:]))} numbers; at most {limits.input_numbers} are "
                "allowed (CONVSCOPE_LIMITS__MODEL_INPUT_NUMBERS): build it for smaller pictures"
            )
    calls = wire(network).calls
    _require_narrow(calls, limits)
    cost = _add_up(calls) or _trace(network, shapes)
    if cost is None:
        return
    size = " x ".join(map(str, shapes[0][1:]))
    if cost.widest * _BYTES_PER_NUMBER > limits.tensor_bytes:
        raise ModelFailedError(
            f"one layer would fill {cost.widest * _BYTES_PER_NUMBER} bytes for an input of {size}; at most "
            f"{limits.tensor_bytes} are allowed (CONVSCOPE_LIMITS__MODEL_TENSOR_BYTES): build it for smaller pictures, "
            "or set input_size in model.toml where the size is open"
        )
    if cost.operations > limits.operations:
        raise ModelFailedError(
            f"one pass would take {cost.operations} operations for an input of {size}; at most {limits.operations} are "
            "allowed (CONVSCOPE_LIMITS__MODEL_OPERATIONS): build it for smaller pictures, or set input_size in "
            "model.toml where the size is open"
        )


def _close(shape: Sequence[int | None], size: tuple[int, int]) -> list[int]:
    """One picture's shape, its batch axis included, with `size` wherever it is open."""
    return [1, *(side or size[min(axis, 1)] for axis, side in enumerate(shape[1:]))]


def _require_narrow(calls: tuple[Call, ...], limits: ModelFileLimits) -> None:
    for call in calls:
        for value in call.outputs:
            numbers = prod(side for side in value.shape[1:] if side is not None)
            if numbers * _BYTES_PER_NUMBER > limits.tensor_bytes:
                raise ModelFailedError(
                    f"layer '{shown(call.site.path)}' would fill {numbers * _BYTES_PER_NUMBER} bytes for one picture; "
                    f"at most {limits.tensor_bytes} are allowed (CONVSCOPE_LIMITS__MODEL_TENSOR_BYTES): build the "
                    "network for smaller pictures"
                )


def _add_up(calls: tuple[Call, ...]) -> _Cost | None:
    """By arithmetic on the graph; None where a size is open or a layer hides what it computes."""
    operations = widest = 0
    for call in calls:
        if _hides(call.operation):
            return None
        sizes = [_numbers(value.shape) for value in (*call.inputs, *call.outputs)]
        if None in sizes:
            return None
        known = [size or 0 for size in sizes]
        going_in, coming_out = sum(known[: len(call.inputs)]), sum(known[len(call.inputs) :])
        widest = max(widest, *known)
        operations += coming_out + 2 * sum(_multiplications(call.operation, going_in, coming_out))
    return _Cost(operations, widest)


def _hides(operation: keras.Operation) -> bool:
    name = kind_of(operation)
    is_layer = isinstance(operation, keras.layers.Layer)
    # An operation of `keras.ops` has no kernel to be seen.
    return any(word in name for word in _HIDING) or (not is_layer and "Conv" in name)


def _multiplications(operation: keras.Operation, going_in: int, coming_out: int) -> Iterator[int]:
    """Of each of a layer's kernels; a depthwise one has but one channel for each number."""
    name = kind_of(operation)
    for weight in getattr(operation, "weights", ()):
        if "kernel" not in weight.name:
            continue
        depthwise = "Depthwise" in name or weight.name == "depthwise_kernel"
        each = prod(weight.shape[:-2] if depthwise else weight.shape[:-1])
        yield each * (going_in if "Transpose" in name else coming_out)


def _numbers(shape: tuple[int | None, ...]) -> int | None:
    sides = [side for side in shape[1:] if side is not None]
    return prod(sides) if len(sides) == len(shape) - 1 else None


def _trace(network: keras.Model, shapes: list[list[int]]) -> _Cost | None:
    """By a graph that is let go; None where the network does not take these sizes, which its run will tell."""
    symbols = graph_of(network).inputs
    signature = [tf.TensorSpec(shape, symbol.dtype) for shape, symbol in zip(shapes, symbols, strict=True)]
    try:
        graph = compile_graph(lambda *images: replay(network, images, plainly), *signature).graph
    except Exception:  # noqa: BLE001 -- a layer may raise anything here
        return None
    return _Cost(count_operations(graph), count_widest(graph))
