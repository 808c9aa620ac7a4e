"""A network grown at random, layer by layer; which way its maps lie is written down as it grows, by each step.

Nothing of the service is used: what is written down here is what it is held against.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import ops

L: Any = keras.layers
LAYOUTS = ("hwc", "whc", "chw", "cwh", "hcw", "wch")
ACTIVATIONS = ("relu", "tanh", "gelu", "linear", "sigmoid")


@dataclass(frozen=True)
class Noted:
    """A layer's last tensor. `layout` names its axes after the batch; None where they are not the picture's."""

    tensor: Any
    layout: str | None
    is_scaled: bool


@dataclass
class Growth:
    """What has grown so far: `maps`, which lie as `layout` says, and every layer by its path."""

    rng: np.random.Generator
    maps: Any
    layout: str | None = "hwc"
    layers: dict[str, Noted] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)

    def choose(self, *options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def add(self, layer: Any, *, layout: str | None = "same") -> None:
        """Put a layer, or a nested model, on the maps.

        Where Keras would add a bias along the width (see `first_bias`), no layer is put: there is nothing to compare.
        """
        if getattr(layer, "use_bias", False) and self.layout is not None and self.form == "channels_first":
            _, channels, _, columns = layer.compute_output_shape(self.maps.shape)
            if channels == columns:
                return
        self.put(layer(self.maps), layout=layout, inside=layer.layers[-1].name if hasattr(layer, "layers") else None)

    def put(self, tensor: Any, *, layout: str | None = "same", inside: str | None = None) -> None:
        self.layout = self.layout if layout == "same" else layout
        self.maps = tensor
        path = tensor._keras_history.operation.name
        self.layers[f"{path}/{inside}" if inside else path] = Noted(tensor, self.layout, "scale" in self.kinds)

    @property
    def form(self) -> str:
        """The `data_format` that suits the maps."""
        assert self.layout is not None
        return "channels_first" if self.layout[0] == "c" else "channels_last"

    @property
    def channels(self) -> int:
        return int(self.maps.shape[self.channel_axis])

    @property
    def channel_axis(self) -> int:
        assert self.layout is not None
        return 1 + self.layout.index("c")

    @property
    def space(self) -> tuple[int, int]:
        """In the order in which the layers meet it."""
        assert self.layout is not None
        sizes = [self.maps.shape[1 + at] for at, name in enumerate(self.layout) if name != "c"]
        return int(sizes[0]), int(sizes[1])

    @property
    def is_regular(self) -> bool:
        """Whether layers with windows can be put on the maps as they lie."""
        return self.layout is not None and self.layout[1] != "c"


def _is_ambiguous(growth: Growth) -> bool:
    """As above, where a step makes several layers."""
    return growth.form == "channels_first" and growth.maps.shape[3] in (growth.channels, 3)


def _windows(growth: Growth) -> dict[str, Any]:
    return {
        "padding": growth.choose("same", "valid") if min(growth.space) > 5 else "same",
        "data_format": growth.form,
    }


def _strides(growth: Growth) -> int:
    return int(growth.choose(1, 1, 2)) if min(growth.space) > 5 else 1


def convolve(growth: Growth) -> None:
    dilation = int(growth.choose(1, 1, 2)) if min(growth.space) > 6 else 1
    window = growth.choose(3, 2, (1, 3), (3, 2), 1)
    strides = 1 if dilation > 1 else _strides(growth)
    activation = growth.choose(*ACTIVATIONS)
    options = {"strides": strides, "dilation_rate": dilation, "activation": activation}
    growth.add(L.Conv2D(int(growth.choose(2, 3, 4)), window, **options, **_windows(growth)))


def convolve_each(growth: Growth) -> None:
    growth.add(L.DepthwiseConv2D(3, depth_multiplier=int(growth.choose(1, 2)), **_windows(growth)))


def convolve_apart(growth: Growth) -> None:
    growth.add(L.SeparableConv2D(3, (3, 2), activation=growth.choose(*ACTIVATIONS), **_windows(growth)))


def transpose_convolution(growth: Growth) -> None:
    if max(growth.space) > 14:
        return
    growth.add(L.Conv2DTranspose(3, growth.choose(2, 3, 4), strides=int(growth.choose(1, 2)), **_windows(growth)))


def pool(growth: Growth) -> None:
    kind = growth.choose(L.MaxPooling2D, L.AveragePooling2D)
    if min(growth.space) > 3:
        growth.add(kind(growth.choose(2, (2, 1), 3), strides=growth.choose(None, 1, 2), **_windows(growth)))


def upsample(growth: Growth) -> None:
    if max(growth.space) <= 12:
        size, way = growth.choose(2, (2, 1), (1, 3)), growth.choose("nearest", "bilinear", "bicubic")
        growth.add(L.UpSampling2D(size, data_format=growth.form, interpolation=way))


def resize(growth: Growth) -> None:
    height, width = (max(4, side + int(growth.choose(-2, 3))) for side in growth.space)
    growth.add(L.Resizing(height, width, data_format=growth.form, interpolation=growth.choose("bilinear", "nearest")))


def pad(growth: Growth) -> None:
    growth.add(L.ZeroPadding2D(((1, 0), (2, 1)), data_format=growth.form))


def crop(growth: Growth) -> None:
    if min(growth.space) > 6:
        growth.add(L.Cropping2D(((1, 0), (0, 2)), data_format=growth.form))


def normalise(growth: Growth) -> None:
    kind = growth.choose(L.BatchNormalization, L.LayerNormalization, L.UnitNormalization, L.GroupNormalization)
    options = {"groups": 1} if kind is L.GroupNormalization else {}
    growth.add(kind(axis=growth.channel_axis, **options))


def activate(growth: Growth) -> None:
    kinds = (L.ReLU(), L.LeakyReLU(), L.ELU(), L.PReLU(), L.Activation("silu"), L.Activation("softplus"))
    growth.add(growth.choose(*kinds))


def pass_on(growth: Growth) -> None:
    kinds = (L.Dropout(0.3), L.GaussianNoise(0.2), L.Identity(), L.Rescaling(1.5, 0.1), L.GaussianDropout(0.1))
    growth.add(growth.choose(*kinds))


def flip_at_random(growth: Growth) -> None:
    growth.add(L.RandomContrast(0.2) if growth.layout == "hwc" and growth.channels == 3 else L.SpatialDropout2D(0.2))


def permute(growth: Growth) -> None:
    """Turn the maps with one of Keras's many ways to do so."""
    assert growth.layout is not None
    target = growth.choose(*LAYOUTS[:4]) if growth.rng.random() < 0.8 else growth.choose(*LAYOUTS)
    order = [growth.layout.index(name) for name in target]
    if order == [0, 1, 2]:
        return
    axes = [1 + place for place in order]
    way = growth.choose("permute", "transpose", "moveaxis")
    if way == "permute":
        growth.add(L.Permute(axes), layout=target)
    elif way == "transpose":
        growth.put(ops.transpose(growth.maps, (0, *axes)), layout=target)
    else:
        growth.put(ops.moveaxis(growth.maps, axes, [1, 2, 3]), layout=target)


def swap(growth: Growth) -> None:
    assert growth.layout is not None
    one, other = growth.choose((1, 2), (1, 3), (2, 3))
    names = list(growth.layout)
    names[one - 1], names[other - 1] = names[other - 1], names[one - 1]
    growth.put(ops.swapaxes(growth.maps, one, other), layout="".join(names))


def branch(growth: Growth) -> None:
    """A convolution beside what is there, added or concatenated."""
    if _is_ambiguous(growth):
        return
    before, channels = growth.maps, growth.channels
    options = {"padding": "same", "data_format": growth.form, "activation": growth.choose(*ACTIVATIONS)}
    growth.add(L.Conv2D(channels, 3, **options))
    kind = growth.choose(L.Add, L.Multiply, L.Maximum, L.Average, L.Concatenate)
    layer = kind(axis=growth.channel_axis) if kind is L.Concatenate else kind()
    growth.put(layer([before, growth.maps]))


def scale(growth: Growth) -> None:
    """Squeeze and excitation."""
    if _is_ambiguous(growth) or growth.channels == 1:
        return
    factors = L.GlobalAveragePooling2D(keepdims=True, data_format=growth.form)(growth.maps)
    factors = L.Conv2D(growth.channels, 1, activation="sigmoid", data_format=growth.form)(factors)
    growth.kinds.append("scale")
    growth.put(L.Multiply(name=f"scaled_{len(growth.kinds)}")([growth.maps, factors]))


def attend_to_places(growth: Growth) -> None:
    """A weight for each place, from a mean over channels."""
    weights = ops.sigmoid(ops.mean(growth.maps, axis=growth.channel_axis, keepdims=True))
    growth.put(growth.maps * weights)


def share(growth: Growth) -> None:
    if _is_ambiguous(growth):
        return
    layer = L.Conv2D(growth.channels, 3, padding="same", data_format=growth.form, activation="tanh")
    growth.put(layer(layer(growth.maps)))


def nest(growth: Growth) -> None:
    """A model within the model, once or twice."""
    if _is_ambiguous(growth):
        return
    options = {"padding": "same", "data_format": growth.form, "activation": growth.choose(*ACTIVATIONS)}
    layers = [L.Conv2D(3, 2, **options), L.Conv2D(growth.channels, 3, **options)]
    if growth.rng.random() < 0.5:
        inner = keras.Sequential([keras.Input(growth.maps.shape[1:]), *layers])
    else:
        inputs = keras.Input(growth.maps.shape[1:])
        inner = keras.Model(inputs, layers[1](layers[0](inputs)))
    if growth.rng.random() < 0.5:
        growth.maps = inner(growth.maps)
    growth.add(inner)


def mix_channels(growth: Growth) -> None:
    if growth.channel_axis == 3:
        growth.add(L.Dense(3, activation=growth.choose(*ACTIVATIONS)))


def fold_windows(growth: Growth) -> None:
    """Into windows and back, with the batch in between as the first axis of all windows."""
    (rows, columns), channels = growth.space, growth.channels
    if growth.channel_axis != 3 or rows % 2 or columns % 2:
        return
    x = ops.reshape(growth.maps, (-1, rows // 2, 2, columns // 2, 2, channels))
    x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 4, channels))
    x = L.Dense(channels, activation="tanh")(x)
    x = ops.reshape(x, (-1, rows // 2, columns // 2, 2, 2, channels))
    growth.put(ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, rows, columns, channels)))


def fold_tokens(growth: Growth) -> None:
    """A row of tokens, and maps again."""
    if growth.channel_axis == 3:
        shape = growth.maps.shape[1:]
        x = L.Reshape((-1, growth.channels))(growth.maps)
        growth.add(L.Reshape(shape)) if growth.rng.random() < 0.2 else growth.put(
            L.Reshape(shape)(L.Dense(growth.channels)(x))
        )


def row_by_row(growth: Growth) -> None:
    if growth.channel_axis == 3:
        growth.add(L.TimeDistributed(L.Conv1D(3, 3, padding="same", activation="relu")))


def turn_over(growth: Growth) -> None:
    """Upside down: a map of something, but not of the picture as it lies."""
    assert growth.layout is not None
    growth.put(ops.flip(growth.maps, axis=1 + growth.layout.index("h")), layout=None)


def make_anew(growth: Growth) -> None:
    """All in one vector, and maps of that."""
    vector = L.Dense(24)(L.Flatten()(growth.maps))
    growth.put(L.Reshape((4, 3, 2))(vector), layout=None)


Step = Callable[[Growth], None]
STEPS: dict[str, Step] = {
    step.__name__: step
    for step in (
        *(convolve, convolve_each, convolve_apart, transpose_convolution, pool, upsample, resize, pad, crop),
        *(normalise, activate, pass_on, flip_at_random, permute, swap, branch, scale, attend_to_places, share),
        *(nest, mix_channels, fold_windows, fold_tokens, row_by_row, turn_over, make_anew),
    )
}
ANYHOW = {"permute", "swap", "activate", "pass_on"}
WEIGHTS = {"turn_over": 0.1, "make_anew": 0.1, "permute": 3.0, "convolve": 2.0}


def grow(seed: int) -> tuple[Growth, Any]:
    """A network up to its head, and its input."""
    rng = np.random.default_rng(seed)
    sides = rng.choice(np.arange(8, 17), 2, replace=False)
    inputs = keras.Input((int(sides[0]), int(sides[1]), int(rng.choice([1, 3]))))
    growth = Growth(rng, inputs)
    growth.add(L.Conv2D(4, 3, padding="same", activation="tanh"))
    names = list(STEPS)
    weights = np.array([WEIGHTS.get(name, 1.0) for name in names])
    for _ in range(int(rng.integers(3, 8))):
        name = str(rng.choice(names, p=weights / weights.sum()))
        if growth.layout is None or (not growth.is_regular and name not in ANYHOW):
            continue
        growth.kinds.append(name)
        STEPS[name](growth)
    return growth, inputs
