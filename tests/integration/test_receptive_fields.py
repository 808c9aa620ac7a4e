"""Receptive fields of forty small networks, at every position of their maps, against the support of gradients."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import ops

from service.engine.ports.answers import Box
from service.keras.graph.lookup import find_layer
from service.keras.graph.receptive_field import find_receptive_field
from service.keras.graph.replay import wire
from tests.gradient_support import find_support, positive_twin, spans_of

L: Any = keras.layers
SIZE = (13, 18)
Build = Callable[[Any], Any]


def _chain(*layers: Any) -> Build:
    def build(x: Any) -> Any:
        for layer in layers:
            x = layer(x)
        return x

    return build


def _conv(window: Any = 3, **options: Any) -> Any:
    return L.Conv2D(2, window, **options)


def _deconv(window: Any = 3, **options: Any) -> Any:
    return L.Conv2DTranspose(2, window, **options)


def _up(size: Any = 2, interpolation: str = "nearest") -> Any:
    return L.UpSampling2D(size, interpolation=interpolation)


def _residual(x: Any) -> Any:
    x = _conv(padding="same", strides=2)(x)
    return L.Add()([_conv(5, padding="same")(x), _conv(1)(x)])


def _skipped(x: Any) -> Any:
    """A U-shape: what is drawn larger meets what was there before."""
    first = _conv(padding="same")(x)
    deep = L.ZeroPadding2D(((0, 1), (0, 0)))(_up()(L.MaxPooling2D()(_conv(padding="same")(first))))
    return L.Concatenate()([first, deep])


def _scaled(x: Any) -> Any:
    """A factor for each channel only scales."""
    x = _conv(padding="same")(x)
    return _conv()(L.Multiply(name="scaled")([x, L.Dense(2)(L.GlobalAveragePooling2D(keepdims=True)(x))]))


def _first(layers: int, at: int) -> Build:
    return _chain(*(_conv(padding="same", strides=2) for _ in range(layers)), *(_up() for _ in range(at)))


NETWORKS: dict[str, Build] = {
    "valid": _chain(_conv(), _conv(5)),
    "same": _chain(_conv(padding="same"), _conv((4, 5), padding="same")),
    "stride 2": _chain(_conv(strides=2), _conv(strides=2, padding="same")),
    "stride over remainder": _chain(_conv(4, strides=3), _conv(padding="same")),
    "stride wider than window": _chain(_conv(2, strides=3, padding="same"), _conv(2, strides=3)),
    "dilation": _chain(_conv(dilation_rate=2, padding="same"), _conv(2, dilation_rate=3)),
    "pooling": _chain(_conv(padding="same"), L.MaxPooling2D(3, 2, "same"), L.AveragePooling2D((2, 3))),
    "padding and cropping": _chain(L.ZeroPadding2D(((2, 1), (0, 3))), _conv(), L.Cropping2D(((1, 0), (2, 3)))),
    "cropped, then same": _chain(L.Cropping2D(((3, 2), (1, 4))), _conv(5, padding="same")),
    "middle": _chain(_conv(strides=2), L.CenterCrop(3, 5), _conv(padding="same")),
    "padded deep inside": _chain(_conv(), L.ZeroPadding2D(4), _conv(padding="same", strides=2)),
    "depthwise": _chain(L.DepthwiseConv2D(3, depth_multiplier=2), L.SeparableConv2D(2, (1, 4), padding="same")),
    "rows and columns apart": _chain(_conv((1, 5), strides=(1, 1)), _conv((3, 1), padding="same")),
    "normalised": _chain(_conv(use_bias=False), L.BatchNormalization(), L.LayerNormalization(), L.ReLU()),
    "residual": _residual,
    "U-shape": _skipped,
    "scaled by channel": _scaled,
    "nearest": _chain(_conv(), _up()),
    "nearest by three": _chain(_conv(strides=2), _up((3, 2)), _conv(padding="same")),
    "nearest, coarse": _chain(_conv(4, strides=4, padding="same"), _up(4), _conv(5, padding="same")),
    "nearest of the picture": _chain(_up(), _conv(3, strides=2)),
    "nearest, three times": _first(3, 3),
    "bilinear": _chain(_conv(), _up(2, "bilinear")),
    "bilinear by three": _chain(_conv(strides=3), _up(3, "bilinear"), _conv()),
    "bilinear by four and two": _chain(_conv(strides=2, padding="same"), _up((4, 2), "bilinear")),
    "bilinear of the picture": _chain(_up(2, "bilinear"), _conv(padding="same", strides=2)),
    "bilinear twice": _chain(_conv(strides=2), _up(2, "bilinear"), _conv(padding="same"), _up(2, "bilinear")),
    "resizing up": _chain(_conv(), L.Resizing(20, 31)),
    "resizing down": _chain(_conv(), L.Resizing(5, 7), _conv(padding="same")),
    "resizing to the nearest": _chain(_conv(), L.Resizing(17, 11, interpolation="nearest")),
    "transposed, valid": _chain(_conv(), _deconv()),
    "transposed, same": _chain(_conv(padding="same"), _deconv(4, padding="same")),
    "transposed by two, valid": _chain(_conv(strides=2), _deconv(3, strides=2)),
    "transposed by two, same": _chain(_conv(strides=2, padding="same"), _deconv(3, strides=2, padding="same")),
    "transposed by two, window of four": _chain(_conv(strides=2), _deconv(4, strides=2, padding="same")),
    "transposed by three": _chain(_conv(strides=3), _deconv((5, 4), strides=3, padding="same"), _conv()),
    "transposed, window smaller than steps": _chain(_conv(), _deconv(2, strides=3), L.ReLU()),
    "transposed, output padded": _chain(_conv(), _deconv(3, strides=2, padding="same", output_padding=1)),
    "transposed, dilated": _chain(_conv(), _deconv(3, dilation_rate=2, padding="same")),
    "transposed twice": _chain(_conv(4, strides=4), _deconv(2, strides=2), _deconv(3, strides=2, padding="same")),
    "depth to space": _chain(_conv(2), L.Conv2D(8, 1), lambda x: ops.depth_to_space(x, 2), _conv()),
    "turned and turned back": _chain(_conv(), L.Permute((2, 1, 3)), _conv((1, 4)), L.Permute((2, 1, 3))),
    "turned": _chain(_conv(), L.Permute((2, 1, 3)), _conv((1, 4), strides=(2, 1))),
    "channels first": _chain(
        L.Permute((3, 1, 2)),
        L.Conv2D(2, (2, 5), data_format="channels_first"),
        L.AveragePooling2D((1, 2), data_format="channels_first"),
        L.Permute((2, 3, 1)),
    ),
}


OPEN = ("stride 2", "padded deep inside", "U-shape", "bilinear twice", "transposed twice", "turned")
CASES = [*((name, SIZE) for name in NETWORKS), *((name, (None, None)) for name in OPEN)]


@pytest.mark.parametrize(("name", "sides"), CASES, ids=lambda value: value if isinstance(value, str) else str(value[0]))
def test_every_position_sees_what_its_gradient_reaches(name: str, sides: tuple[int | None, int | None]):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((*sides, 3))
    network = keras.Model(inputs, L.Activation("linear", name="last")(NETWORKS[name](inputs)))
    wiring = wire(network)
    field = find_receptive_field(wiring, find_layer(wiring, "last"), SIZE)
    assert field is not None
    turned = (lambda maps: ops.transpose(maps, (0, 2, 1, 3))) if name == "turned" else (lambda maps: maps)
    expected = spans_of(find_support(positive_twin(network), SIZE, upright=turned))
    found = [[_inside(field.at(row, column)) for column in range(len(expected[0]))] for row in range(len(expected))]
    assert found == expected


def _inside(box: Box | None) -> tuple[tuple[int, int], tuple[int, int]] | None:
    if box is None:
        return None
    top, left, bottom, right = box
    return (max(top, 0), min(bottom, SIZE[0])), (max(left, 0), min(right, SIZE[1]))
