"""Where the positions of a layer's output come from along one axis: one table, from Keras's class names to moves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from service.keras.graph.axes.kinds import kind_of
from service.keras.graph.axes.steps import space_of

if TYPE_CHECKING:
    import keras

Places = NDArray[np.int64]
_ROUNDING: Final = 1e-6


# In the place of a source that is none.
NONE: Final = -(2**40)


class Move(Protocol):
    """`count` places become so many, None where that cannot be told; `between` fixes both numbers.

    `taps` are the sources of each place, (n, k), some of them NONE; they may lie outside of what goes in.
    """

    def count(self, count: int) -> int | None: ...

    def between(self, before: int, after: int) -> Self: ...

    def taps(self, places: Places) -> Places: ...


class _Even:
    """Whatever the numbers of places are."""

    def between(self, *_: int) -> Self:
        return self


@dataclass(frozen=True)
class Stay:
    """Each place is its own source; one place alone is the source of all."""

    is_one: bool = False

    def count(self, count: int) -> int | None:
        return count

    def between(self, before: int, after: int) -> "Stay":
        return Stay(is_one=before == 1 != after)

    def taps(self, places: Places) -> Places:
        return (np.zeros_like(places) if self.is_one else places)[:, None]


@dataclass(frozen=True)
class Shift(_Even):
    """Places are put before the first and after the last, or cut off there."""

    before: int
    after: int

    def count(self, count: int) -> int | None:
        return count + self.before + self.after

    def taps(self, places: Places) -> Places:
        return places[:, None] - self.before


@dataclass(frozen=True)
class Window:
    """Each place sees `size` of them, `gap` apart, and `step` further on than the one before.

    `padding` is put before the first where the layer pads to the `same` size, as TensorFlow divides it.
    """

    size: int
    gap: int
    step: int
    is_same: bool
    padding: int = 0

    @property
    def reach(self) -> int:
        return (self.size - 1) * self.gap + 1

    def count(self, count: int) -> int | None:
        return -(-count // self.step) if self.is_same else (count - self.reach) // self.step + 1

    def between(self, before: int, after: int) -> "Window":
        total = max((after - 1) * self.step + self.reach - before, 0) if self.is_same else 0
        return replace(self, padding=total // 2)

    def taps(self, places: Places) -> Places:
        return places[:, None] * self.step - self.padding + np.arange(self.size) * self.gap


@dataclass(frozen=True)
class Centre:
    """Places in the middle, where there are so many."""

    target: int
    first: int = 0

    def count(self, count: int) -> int | None:
        return self.target if count >= self.target else None

    def between(self, before: int, _: int) -> "Centre":
        return replace(self, first=(before - self.target) // 2)

    def taps(self, places: Places) -> Places:
        return places[:, None] + self.first


class Spread(Window):
    """A window the other way round: each place is put into `size` of them."""

    def count(self, count: int) -> int | None:
        return count * self.step + (0 if self.is_same else max(self.reach - self.step, 0))

    def between(self, before: int, after: int) -> "Spread":
        total = max((before - 1) * self.step + self.reach - after, 0) if self.is_same else 0
        return replace(self, padding=total // 2)

    def taps(self, places: Places) -> Places:
        shifted = places[:, None] + self.padding - np.arange(self.size) * self.gap
        return np.where(shifted % self.step == 0, shifted // self.step, NONE)


@dataclass(frozen=True)
class Repeat(_Even):
    """Each place, `times` times."""

    times: int

    def count(self, count: int) -> int | None:
        return count * self.times

    def taps(self, places: Places) -> Places:
        return places[:, None] // self.times


@dataclass(frozen=True)
class Resize:
    """By their centres each place is drawn from the two nearest, or the nearest, to `target` places or so many `times`.

    Beyond the border lies what lies at the border.
    """

    is_linear: bool
    target: int | None = None
    times: int = 1
    before: int = 1
    after: int = 1

    def count(self, count: int) -> int | None:
        return self.target or count * self.times

    def between(self, before: int, after: int) -> "Resize":
        return replace(self, before=before, after=after)

    def taps(self, places: Places) -> Places:
        centres = (places + 0.5) * (self.before / self.after) - 0.5
        if self.is_linear:
            found = np.stack([np.floor(centres + _ROUNDING), np.ceil(centres - _ROUNDING)], axis=1)
        else:
            found = np.floor(centres + 0.5 + _ROUNDING)[:, None]
        is_inside = (places >= 0) & (places < self.after)
        return np.where(is_inside[:, None], np.clip(found, 0, self.before - 1), found).astype(np.int64)


def find_moves(operation: "keras.Operation", places: tuple[int, ...], rank: int) -> tuple[Move, Move] | None:
    """Along the axes of height and width, which are `places[0]` and `places[1]` of what goes in; `places[2]` channels.

    None for what is not known.
    """
    rule = _RULES.get(kind_of(operation))
    if rule is None or rank != 4:
        return None
    if rule is _stay:
        mixes = kind_of(operation) in _OVER_AXES and not _is_over(operation, places[2], rank)
        return None if mixes else (Stay(), Stay())
    space = space_of(operation, rank)
    if not {*places[:2]} <= {*space}:
        return None
    down, across = (rule(operation, space.index(place)) for place in places[:2])
    return None if down is None or across is None else (down, across)


def _is_over(operation: "keras.Operation", channels: int, rank: int) -> bool:
    """Whether it works along the channels alone."""
    axes = getattr(operation, "axis", None)
    axes = [axes] if isinstance(axes, int) else list(axes or range(rank))
    return {place % rank for place in axes} == {channels}


def _stay(_: "keras.Operation", __: int) -> Move | None:
    return Stay()


def _convolve(layer: "keras.Operation", at: int) -> Move | None:
    return Window(layer.kernel_size[at], layer.dilation_rate[at], layer.strides[at], layer.padding == "same")


def _transpose(layer: "keras.Operation", at: int) -> Move | None:
    return Spread(layer.kernel_size[at], layer.dilation_rate[at], layer.strides[at], layer.padding == "same")


def _pool(layer: "keras.Operation", at: int) -> Move | None:
    size, steps = (_both(each) for each in (layer.pool_size, layer.strides or layer.pool_size))
    return Window(size[at], 1, steps[at], layer.padding == "same")


def _both(size: int | Sequence[int]) -> tuple[int, ...]:
    return (size, size) if isinstance(size, int) else tuple(size)


def _pad(layer: "keras.Operation", at: int) -> Move | None:
    return Shift(*layer.padding[at])


def _crop(layer: "keras.Operation", at: int) -> Move | None:
    before, after = layer.cropping[at]
    return Shift(-before, -after)


def _centre(layer: "keras.Operation", at: int) -> Move | None:
    return Centre((layer.height, layer.width)[at])


def _upsample(layer: "keras.Operation", at: int) -> Move | None:
    if layer.interpolation == "nearest":
        return Repeat(layer.size[at])
    return Resize(is_linear=True, times=layer.size[at]) if layer.interpolation == "bilinear" else None


def _resize(layer: "keras.Operation", at: int) -> Move | None:
    is_cut = layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio
    if is_cut or getattr(layer, "antialias", False) or layer.interpolation not in ("nearest", "bilinear"):
        return None
    size = layer.size if hasattr(layer, "size") else (layer.height, layer.width)
    return Resize(is_linear=layer.interpolation == "bilinear", target=size[at])


def _to_depth(layer: "keras.Operation", _: int) -> Move | None:
    return Window(layer.block_size, 1, layer.block_size, is_same=False)


def _to_space(layer: "keras.Operation", _: int) -> Move | None:
    return Repeat(layer.block_size)


def _patches(layer: "keras.Operation", at: int) -> Move | None:
    size, gap, step = (_both(each)[at] for each in (layer.size, layer.dilation_rate, layer.strides))
    return Window(size, gap, step, layer.padding == "same")


# Where they work along another axis than the channels, every position sees all of that.
_OVER_AXES: Final = {
    *("LayerNormalization", "UnitNormalization", "RMSNormalization", "Softmax", "LogSoftmax", "Normalize"),
    *("Max", "Min", "Mean", "Sum", "Amax", "Amin", "Var", "Std", "Split", "Concatenate", "Glu"),
}
_STAYING: Final = """
    Activation ActivityRegularization AlphaDropout BatchNormalization CustomScaleLayer Dropout ELU GaussianDropout
    GaussianNoise Identity LayerScale LeakyReLU Normalization PReLU ReLU Rescaling SpatialDropout2D StochasticDepth
    RandomBrightness RandomContrast RandomFlip RandomRotation RandomTranslation RandomZoom
    Cast ConvertToTensor StopGradient
    Celu Elu Gelu HardShrink HardSigmoid HardSilu HardSwish HardTanh LeakyRelu LogSigmoid Relu Relu6 Selu Sigmoid Silu
    SoftShrink Softplus Softsign Swish Mish TanhShrink Threshold Tanh
    Abs Absolute Clip Exp Log Log1p Maximum Minimum Negative Power Reciprocal Rsqrt Sqrt Square
    Add Subtract Multiply Average TrueDivide Divide Where
    Dense Permute Transpose Moveaxis Swapaxes GetItem
"""
_RULES: Final[dict[str, Callable[["keras.Operation", int], Move | None]]] = {
    **dict.fromkeys((*_STAYING.split(), *_OVER_AXES), _stay),
    **dict.fromkeys(("Conv2D", "DepthwiseConv2D", "SeparableConv2D"), _convolve),
    **dict.fromkeys(("MaxPooling2D", "AveragePooling2D", "MaxPool", "AveragePool"), _pool),
    "Conv2DTranspose": _transpose,
    "ZeroPadding2D": _pad,
    "Cropping2D": _crop,
    "CenterCrop": _centre,
    "UpSampling2D": _upsample,
    "Resizing": _resize,
    "Resize": _resize,
    "SpaceToDepth": _to_depth,
    "DepthToSpace": _to_space,
    "ExtractPatches": _patches,
}
