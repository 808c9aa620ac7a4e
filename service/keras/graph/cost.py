"""What one run of a traced graph costs: floating-point operations, and numbers left in memory. Runs nothing."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import tensorflow as tf

_FREE = {"Placeholder", "Const", "ReadVariableOp", "Identity", "IdentityN", "NoOp", "Shape", "Reshape"}


def count_operations(graph: "tf.Graph") -> int:
    """Multiplications and additions of every convolution and product; one per number for all else."""
    return sum(_COSTS.get(operation.type, _elementwise)(operation) for operation in graph.get_operations())


def count_values(graph: "tf.Graph") -> int:
    """Numbers that come out of the graph's operations, weights left out."""
    return sum(_size(operation) for operation in graph.get_operations() if operation.type not in _FREE)


def count_widest(graph: "tf.Graph") -> int:
    """Numbers of the largest tensor that comes out of an operation, weights left out."""
    return max((_size(operation) for operation in graph.get_operations() if operation.type not in _FREE), default=0)


def _elementwise(operation: "tf.Operation") -> int:
    return 0 if operation.type in _FREE else _size(operation)


def _convolution(operation: "tf.Operation") -> int:
    return 2 * _size(operation) * math.prod(operation.inputs[1].shape[:-1])


def _depthwise(operation: "tf.Operation") -> int:
    return 2 * _size(operation) * math.prod(operation.inputs[1].shape[:2])


def _transposed(operation: "tf.Operation") -> int:
    return 2 * _elements(operation.inputs[2]) * math.prod(operation.inputs[1].shape[:-1])


def _product(operation: "tf.Operation") -> int:
    return 2 * _size(operation) * int(operation.inputs[0].shape[-1])


def _einsum(operation: "tf.Operation") -> int:
    """Each number of the output sums over the axes that it lacks."""
    sides = operation.get_attr("equation").decode().partition("->")
    axes: dict[str, int] = {}
    for names, tensor in zip(sides[0].split(","), operation.inputs, strict=True):
        axes |= dict(zip(names.replace("...", ""), tensor.shape[-len(names.replace("...", "")) :], strict=True))
    return 2 * _size(operation) * math.prod(size for name, size in axes.items() if name not in sides[2])


def _size(operation: "tf.Operation") -> int:
    return sum(_elements(output) for output in operation.outputs)


def _elements(tensor: "tf.Tensor") -> int:
    return int(tensor.shape.num_elements() or 0)


_COSTS: Final[dict[str, Callable[["tf.Operation"], int]]] = {
    "Conv2D": _convolution,
    "Conv3D": _convolution,
    "DepthwiseConv2dNative": _depthwise,
    "Conv2DBackpropInput": _transposed,
    "Conv3DBackpropInputV2": _transposed,
    "MatMul": _product,
    "BatchMatMulV2": _product,
    "Einsum": _einsum,
}
