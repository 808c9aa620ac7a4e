"""Tensors of a network turned so that they lie as the picture does: (n, h, w, c), or with channels last."""

import tensorflow as tf

from service.engine.ports.network_info import is_spatial
from service.errors import LayerNotDrawableError
from service.keras.graph.axes.axes import Shape, find_order, has_batch, is_of_picture, name_of
from service.keras.graph.replay import Call, Value

_WORDS = {
    "n": "pictures",
    "h": "height",
    "w": "width",
    "c": "channels",
    "y": "own rows",
    "x": "own columns",
    "*": "one",
}


def turn(value: Value, tensor: tf.Tensor) -> tf.Tensor:
    """The tensor upright: itself where it lies so already, or where nobody can know."""
    order = find_order(value.axes)
    is_turned = order is not None and order != tuple(range(len(order)))
    return tf.transpose(tensor, order) if is_turned else tensor


def turn_back(value: Value, tensor: tf.Tensor) -> tf.Tensor:
    """The tensor as the network has it, from what `turn` made of it."""
    order = find_order(value.axes)
    is_turned = order is not None and order != tuple(range(len(order)))
    return tf.transpose(tensor, [order.index(place) for place in range(len(order))]) if order and is_turned else tensor


def upright_shape(value: Value) -> Shape:
    """The shape that `turn` gives."""
    order = find_order(value.axes)
    return value.shape if order is None else tuple(value.shape[place] for place in order)


def has_space(value: Value) -> bool:
    """Whether it holds maps with rows and columns, the picture's or a decoder's own, and more than one place."""
    return find_order(value.axes) is not None and is_spatial(upright_shape(value))


def is_map(value: Value) -> bool:
    """Whether it holds maps whose rows and columns are the picture's."""
    return has_space(value) and is_of_picture(value.axes)


def require_known_axes(call: Call) -> None:
    """Raise LayerNotDrawableError where nobody can say which axis of the output is what."""
    value = call.outputs[0]
    if find_order(value.axes) is None:
        raise LayerNotDrawableError(f"layer '{call.site.path}' {describe_axes(value)}: choose another layer")


def describe_axes(value: Value) -> str:
    """What is the matter with a tensor that is no map of the picture."""
    shape = f"its output is {value.shape}"
    if not has_batch(value.axes):
        return f"does not keep pictures apart in its first axis ({shape})"
    if len(value.shape) != 4:
        return f"has no spatial axes ({shape})"
    if find_order(value.axes) is None:
        words = ", ".join(_WORDS.get(name_of(one), "something else") for one in value.axes[1:])
        return f"has axes that are not height, width and channels ({shape}: {words})"
    if not is_spatial(upright_shape(value)):
        return f"has no spatial axes ({shape})"
    return f"has rows and columns that cannot be followed back to the picture's ({shape})"
