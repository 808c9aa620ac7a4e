"""A convolution or dense layer of which each image is given one filter alone: the layer's cost over its filters.

A kernel's window is taken apart: for each of its places a plane, which is the image's channels weighted as there (one
matrix product for all places), and the sum of the planes, each shifted by its place. Knows no objectives.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf

# Each of these works number by number; a softmax would need the other filters.
_ELEMENTWISE = {"linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "sigmoid", "tanh"} | {
    "softplus", "softsign", "mish", "exponential", "hard_sigmoid", "hard_silu", "hard_tanh"
}  # fmt: skip


@dataclass(frozen=True)
class Picked:
    """Of image i its filter's own `kernels`, (n, places, channels), and `biases`, (n, 1, 1), or None."""

    kernels: tf.Tensor
    biases: tf.Tensor | None


@dataclass(frozen=True)
class _Axis:
    """Along height or width: places of the kernel, their distance, the layer's stride, and the zeros around."""

    places: int
    dilation: int
    stride: int
    before: int
    after: int

    @property
    def reach(self) -> int:
        return (self.places - 1) * self.dilation


def is_worthwhile(layer: keras.Operation) -> bool:
    """Whether the layer can be computed so, and has more filters than that makes planes."""
    # A subclass may compute anything, a quantised layer has no kernel of its own, and half precision adds up otherwise.
    if type(layer) not in (keras.layers.Conv2D, keras.layers.Dense) or layer.compute_dtype not in (
        "float32",
        "float64",
    ):
        return False
    if layer.quantization_mode or getattr(layer.activation, "__name__", "") not in _ELEMENTWISE:
        return False
    if isinstance(layer, keras.layers.Dense):
        return True
    planes = layer.kernel_size[0] * layer.kernel_size[1] * layer.strides[0] * layer.strides[1]
    return layer.groups == 1 and layer.data_format == "channels_last" and planes <= layer.filters


def pick(layer: keras.Layer, filters: tf.Tensor) -> Picked:
    """`filters` (n,) int32."""
    kernel = tf.convert_to_tensor(layer.kernel)
    table = tf.reshape(kernel, [-1, *kernel.shape[-2:]])
    kernels = tf.transpose(tf.gather(table, filters, axis=2), [2, 0, 1])
    biases = tf.gather(tf.convert_to_tensor(layer.bias), filters)[:, None, None] if layer.use_bias else None
    return Picked(tf.cast(kernels, layer.compute_dtype), biases)


def compute(layer: keras.Layer, images: tf.Tensor, picked: Picked) -> tf.Tensor:
    """What the layer answers before its activation, (n, …, 1). Raises ValueError where its kernel does not fit."""
    images = tf.cast(images, layer.compute_dtype)
    if isinstance(layer, keras.layers.Dense):
        shape = images.shape[1:-1]
        sums = tf.matmul(
            picked.kernels, tf.reshape(images, [-1, shape.num_elements(), images.shape[-1]]), transpose_b=True
        )
    else:
        rows, columns = (_axis(layer, images.shape[1 + axis], axis) for axis in (0, 1))
        maps = _correlate(images, picked.kernels, rows, columns)[:, :: rows.stride, :: columns.stride]
        shape = maps.shape[1:]
        sums = tf.reshape(maps, [-1, 1, shape.num_elements()])
    if picked.biases is not None:
        sums += tf.cast(picked.biases, sums.dtype)
    return tf.reshape(sums, [-1, *shape, 1])


def _axis(layer: keras.Layer, size: int, axis: int) -> _Axis:
    places, stride, dilation = layer.kernel_size[axis], layer.strides[axis], layer.dilation_rate[axis]
    reach = (places - 1) * dilation
    zeros = max((-(-size // stride) - 1) * stride + reach + 1 - size, 0) if layer.padding == "same" else 0
    if size + zeros <= reach:
        raise ValueError(f"a kernel that reaches over {reach + 1} does not fit into {size}")
    return _Axis(places, dilation, stride, zeros // 2, zeros - zeros // 2)


def _correlate(images: tf.Tensor, kernels: tf.Tensor, rows: _Axis, columns: _Axis) -> tf.Tensor:
    """(n, h, w, c) with (n, places, c) to (n, h', w'), at every place that a stride of one would give."""
    height, width, channels = images.shape[1:]
    places = [(row * rows.dilation, column * columns.dilation)
              for row in range(rows.places) for column in range(columns.places)]  # fmt: skip
    around = [[rows.before, rows.after], [columns.before, columns.after]]
    size = [height + sum(around[0]) - rows.reach, width + sum(around[1]) - columns.reach]

    def shifted(planes: tf.Tensor, down: int, right: int, size: list[int]) -> tf.Tensor:
        return planes[:, down : down + size[0], right : right + size[1]]

    # The derivative that TensorFlow would find pads every plane by itself: twice as slow.
    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def add_up(images: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        planes = tf.matmul(kernels, tf.reshape(images, [-1, height * width, channels]), transpose_b=True)
        planes = tf.pad(tf.reshape(planes, [-1, len(places), height, width]), [[0, 0], [0, 0], *around])
        maps = tf.add_n([shifted(planes[:, place], *at, size) for place, at in enumerate(places)])

        def differentiate(slopes: tf.Tensor) -> tf.Tensor:
            slopes = tf.pad(slopes, [[0, 0], [rows.reach] * 2, [columns.reach] * 2])
            planes = tf.stack([shifted(slopes, rows.before + rows.reach - down, columns.before + columns.reach - right,
                                       [height, width]) for down, right in places], axis=1)  # fmt: skip
            planes = tf.reshape(planes, [-1, len(places), height * width])
            return tf.reshape(tf.matmul(planes, kernels, transpose_a=True), [-1, height, width, channels])

        return maps, differentiate

    return add_up(images)
