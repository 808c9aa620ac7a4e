"""What each kind of layer and operation does to the axes of its tensors: one table, from Keras's class names to rules.

A test holds the table against every name that a model file may use; a class of somebody's own is taken to leave every
number in its place where it gives the shape that it was given.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import keras

from service.engine.keras.axes import (
    BATCH,
    Axes,
    Axis,
    Factor,
    Name,
    Shape,
    axis,
    has_batch,
    meet,
    name_of,
    regroup,
    unknown,
)


@dataclass(frozen=True)
class Step:
    """One call: its operation, how it was called, the axes and shapes that go in, and the shapes that come out."""

    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    given: tuple[Axes, ...]
    shapes: tuple[Shape, ...]
    made: tuple[Shape, ...]

    @property
    def kind(self) -> str:
        return type(self.operation).__name__


# Axes for every output alike, or a list of one for each.
Rule = Callable[[Step], Axes | list[Axes]]


def space_of(operation: Any, rank: int) -> tuple[int, ...]:
    """Which axes a layer with windows takes for its space, slowest first."""
    form = getattr(operation, "data_format", None) or keras.config.image_data_format()
    return tuple(range(2, rank)) if form == "channels_first" else tuple(range(1, rank - 1))


def channels_of(operation: Any, rank: int) -> int:
    return ({*range(1, rank)} - {*space_of(operation, rank)}).pop()


def find_axes(step: Step) -> list[Axes]:
    """The axes of each output, not yet of known size."""
    found = RULES.get(step.kind, _in_place)(step)
    return found if isinstance(found, list) else [found] * len(step.made)


def _unknown(step: Step) -> list[Axes]:
    keeps = bool(step.given) and all(has_batch(axes) for axes in step.given if axes)
    return [(BATCH, *unknown(shape)[1:]) if keeps and shape else unknown(shape) for shape in step.made]


def _in_place(step: Step) -> Axes | list[Axes]:
    """Every number stays where it is."""
    return step.given[0] if step.shapes[0] == step.made[0] and len(step.made) == 1 else _unknown(step)


def _merge(step: Step) -> Axes:
    """Number by number, what is smaller repeated."""
    rank = len(step.made[0])
    made: list[Axis] = [()] * rank
    for axes, shape in zip(step.given, step.shapes, strict=True):
        places = [*range(rank - len(axes), rank)]
        if isinstance(step.operation, keras.layers.Layer) and places:
            # As Keras's own layers repeat what has fewer axes: picture by picture.
            places[0] = 0
        for place, one, size in zip(places, axes, shape, strict=True):
            made[place] = made[place] if size == 1 and step.made[0][place] != 1 else meet(made[place], one)
    return tuple(made)


def _convolve(step: Step) -> Axes:
    """New channels from all that lies on the channels' axis; along its space a layer's own order goes on."""
    made = _along_space(step, fresh=True)
    made[channels_of(step.operation, len(made))] = axis("c")
    return tuple(made)


def _convolve_each(step: Step) -> Axes:
    made = _along_space(step, fresh=True)
    place = channels_of(step.operation, len(made))
    if step.shapes[0][place] != step.made[0][place] and name_of(made[place]) != "c":
        made[place] = axis("?")
    return tuple(made)


def _sample(step: Step) -> Axes:
    """Fewer, more or other places of the same maps."""
    return tuple(_along_space(step, fresh=False))


def _along_space(step: Step, *, fresh: bool) -> list[Axis]:
    made = list(step.given[0])
    space = space_of(step.operation, len(made))
    names: list[Name] = ["y", "x"] if len(space) == 2 else ["?"] * len(space)
    for place, own in zip(space, names, strict=True):
        grows = step.made[0][place] != 1
        known = name_of(made[place])
        if known in "hwyx" or (known == "*" and not grows):
            continue
        if step.shapes[0][place] == step.made[0][place] and known == "?":
            # Row after row, or nobody knows what: the layer's own rows, if it has some.
            made[place] = made[place] if len(space) == 1 else axis(own if fresh else "?")
        elif known == "*":
            made[place] = axis(own if "Transpose" in step.kind else "*")
        else:
            made[place] = axis(own if fresh and known == "?" else "?")
    return made


def _pool_all(step: Step) -> Axes:
    axes = step.given[0]
    space = space_of(step.operation, len(axes))
    if step.operation.keepdims:
        return tuple(() if place in space else one for place, one in enumerate(axes))
    return tuple(one for place, one in enumerate(axes) if place not in space)


def _dense(step: Step) -> Axes:
    return (*step.given[0][:-1], axis("c"))


def _einsum(step: Step) -> Axes | list[Axes]:
    equation = getattr(step.operation, "equation", None) or step.operation.subscripts
    sides, _, out = equation.replace(" ", "").partition("->")
    known: dict[str, Axis] = {}
    for letters, axes in zip(sides.split(","), step.given, strict=False):
        if "." in equation or len(letters) != len(axes):
            return _unknown(step)
        known = dict(zip(letters, axes, strict=True)) | known
    if not out or not known:
        return _unknown(step)
    return tuple(known.get(letter, axis("c")) for letter in out)


def _multiply_matrices(step: Step) -> Axes | list[Axes]:
    if len(step.given) < 2 or len(step.given[0]) != len(step.given[1]) or len(step.given[0]) < 3:
        # With weights: the last axis is a weighted sum of the last.
        return _dense(step) if len(step.given) == 1 and len(step.made[0]) == len(step.given[0]) else _unknown(step)
    first, second = step.given[:2]
    batch = [meet(one, other) for one, other in zip(first[:-2], second[:-2], strict=True)]
    return (*batch, first[-2], second[-1])


def _flatten(step: Step) -> Axes:
    axes = step.given[0]
    if len(axes) < 2:
        return (*axes, ())
    if channels_of(step.operation, len(axes)) == 1 and len(axes) > 2:
        axes = (axes[0], *axes[2:], axes[1])
    return (axes[0], tuple(factor for one in axes[1:] for factor in one if factor.size != 1))


def _reshape(step: Step) -> Axes:
    return regroup(step.given[0], step.made[0])


def _permute(step: Step) -> Axes:
    return tuple(step.given[0][place] for place in (0, *step.operation.dims))


def _transpose(step: Step) -> Axes:
    axes = step.given[0]
    order = step.operation.axes
    return tuple(axes[place] for place in (reversed(range(len(axes))) if order is None else order))


def _move_axes(step: Step) -> Axes:
    axes = step.given[0]
    operation, rank = step.operation, len(axes)
    sources, targets = (
        [place % rank for place in _listed(places)] for places in (operation.source, operation.destination)
    )
    rest = iter(place for place in range(rank) if place not in sources)
    order = [sources[targets.index(place)] if place in targets else next(rest) for place in range(rank)]
    return tuple(axes[place] for place in order)


def _swap_axes(step: Step) -> Axes:
    axes = list(step.given[0])
    one, other = step.operation.axis1, step.operation.axis2
    axes[one], axes[other] = axes[other], axes[one]
    return tuple(axes)


def _expand(step: Step) -> Axes:
    axes = list(step.given[0])
    rank = len(step.made[0])
    for place in sorted(place % rank for place in _listed(step.operation.axis)):
        axes.insert(place, ())
    return tuple(axes)


def _squeeze(step: Step) -> Axes:
    axes, shape = step.given[0], step.shapes[0]
    chosen = step.operation.axis
    gone = {place % len(axes) for place in _listed(chosen)} if chosen is not None else None
    return tuple(
        one for place, one in enumerate(axes) if (place not in gone if gone is not None else shape[place] != 1)
    )


def _reduce(step: Step) -> Axes | list[Axes]:
    axes, operation = step.given[0], step.operation
    chosen = getattr(operation, "axis", None)
    keeps = bool(getattr(operation, "keepdims", False))
    places = {*range(len(axes))} if chosen is None else {place % len(axes) for place in _listed(chosen)}
    if keeps:
        return tuple(() if place in places else one for place, one in enumerate(axes))
    return tuple(one for place, one in enumerate(axes) if place not in places)


def _average(step: Step) -> Axes | list[Axes]:
    """A layer and an operation have this name."""
    return (_merge if isinstance(step.operation, keras.layers.Layer) else _reduce)(step)


def _mix(step: Step) -> list[Axes]:
    """Nothing can be said, not even of pictures."""
    return [tuple(axis("?") for _ in shape) for shape in step.made]


def _concatenate(step: Step) -> Axes:
    place = step.operation.axis % len(step.made[0])
    made = list(step.given[0])
    for axes in step.given[1:]:
        made = [
            one if at == place else meet(one, other) for at, (one, other) in enumerate(zip(made, axes, strict=True))
        ]
    if len(step.given) > 1:
        along = {name_of(axes[place]) if step.shapes[at][place] != 1 else "c" for at, axes in enumerate(step.given)}
        made[place] = axis("c" if along == {"c"} else "?")
    return tuple(made)


def _stack(step: Step) -> Axes:
    made = list(_merge(replace(step, made=step.shapes[:1])))
    made.insert(step.operation.axis % len(step.made[0]), axis("?"))
    return tuple(made)


def _split(step: Step) -> Axes:
    return _cut_along(step, {step.operation.axis % len(step.given[0])})


def _unstack(step: Step) -> Axes:
    place = step.operation.axis % len(step.given[0])
    return tuple(one for at, one in enumerate(step.given[0]) if at != place)


def _cut_along(step: Step, places: set[int]) -> Axes:
    """A piece of an axis: of channels still channels; of rows no more those of the whole picture."""
    return tuple(
        one if at not in places or name_of(one) == "*" else axis("c" if name_of(one) == "c" else "?")
        for at, one in enumerate(step.given[0])
    )


def _get_item(step: Step) -> Axes | list[Axes]:
    key = step.args[1] if len(step.args) > 1 else step.kwargs.get("key")
    keys = list(key) if isinstance(key, tuple) else [key]
    axes: Axes = step.given[0]
    made: list[Axis] = []
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        keys[at : at + 1] = [slice(None)] * (len(axes) - sum(each is not None for each in keys) + 1)
    rest = iter(axes)
    for each in keys:
        if each is None:
            made.append(())
        elif isinstance(each, slice):
            one = next(rest, ())
            is_all = (each.start, each.stop, each.step) in ((None, None, None), (0, None, None), (0, None, 1))
            made.append(one if is_all else axis("c") if name_of(one) == "c" and one else axis("?"))
        elif isinstance(each, int):
            next(rest, None)
        else:
            return _unknown(step)
    return (*made, *rest)


def _slice(step: Step) -> Axes:
    shapes = zip(step.shapes[0], step.made[0], strict=True)
    return _cut_along(step, {at for at, (before, after) in enumerate(shapes) if before != after})


def _reorder(step: Step) -> Axes:
    """Turned round, shifted or cut along some axes."""
    chosen = getattr(step.operation, "axis", None)
    rank = len(step.given[0])
    places = {*range(rank)} if chosen is None else {place % rank for place in _listed(chosen)}
    return _cut_along(step, places)


def _repeat(step: Step) -> Axes:
    """Along one axis, each place some times, or the whole again."""
    places = {at for at, size in enumerate(step.made[0]) if step.shapes[0][at] != size}
    return tuple(
        one if at not in places else axis("*") if name_of(one) == "*" else axis("c" if name_of(one) == "c" else "?")
        for at, one in enumerate(step.given[0])
    )


def _repeat_rows(step: Step) -> Axes | list[Axes]:
    is_even = isinstance(step.operation.repeats, int) and step.operation.axis is not None
    return step.given[0] if is_even else _unknown(step)


def _broadcast(step: Step) -> Axes:
    axes = step.given[0]
    made = [axis("*")] * (len(step.made[0]) - len(axes)) + list(axes)
    return tuple(axis("*") if name_of(one) == "*" else one for one in made)


def _repeat_vector(step: Step) -> Axes:
    return (step.given[0][0], axis("*"), *step.given[0][1:])


def _recur(step: Step) -> list[Axes]:
    """The last answer, or one for each step, in order; then states."""
    layer = getattr(step.operation, "forward_layer", step.operation)
    axes = step.given[0]
    steps = axis("?") if getattr(layer, "go_backwards", False) and layer is step.operation else axes[1]
    units = axis("c")
    return [(axes[0], steps, units) if len(shape) == 3 else (axes[0], units) for shape in step.made]


def _attend(step: Step) -> list[Axes]:
    """For each query an answer in new channels; then the scores."""
    axes = step.given[0]
    answers: Axes = (*axes[:-1], axis("c"))
    return [answers if at == 0 else _unknown(step)[at] for at in range(len(step.made))]


def _embed(step: Step) -> Axes:
    return (*step.given[0], axis("c"))


def _extract_patches(step: Step) -> Axes | list[Axes]:
    if len(getattr(step.operation, "size", ())) != 2:
        return _unknown(step)
    made = _along_space(step, fresh=False)
    made[channels_of(step.operation, len(made))] = axis("c")
    return tuple(made)


def _one_by_one(step: Step) -> Axes | list[Axes]:
    """A layer, of whatever kind, on each place of the first axis after the batch."""
    inner = step.operation.layer

    def without(row: Sequence[Any]) -> tuple[Any, ...]:
        return (row[0], *row[2:])

    if inner.__class__.__module__.startswith("keras.src.models"):
        return _unknown(step)
    found = find_axes(
        Step(
            inner,
            (),
            {},
            tuple(map(without, step.given)),
            tuple(map(without, step.shapes)),
            tuple(map(without, step.made)),
        )
    )
    return [(axes[0], step.given[0][1], *axes[1:]) for axes in found]


def _wrapped(step: Step) -> list[Axes]:
    return find_axes(replace(step, operation=step.operation.layer))


def _listed(places: Any) -> list[int]:
    return [places] if isinstance(places, int) else list(places)


def _rows(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


RULES: Final[dict[str, Rule]] = {
    **_rows(
        _in_place,
        """
        Activation ActivityRegularization AlphaDropout BatchNormalization CustomScaleLayer Dropout ELU GaussianDropout
        GaussianNoise GroupNormalization Identity LayerNormalization LayerScale LeakyReLU Masking Normalization PReLU
        RMSNormalization ReLU Rescaling Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D StochasticDepth
        UnitNormalization
        AugMix AutoContrast ContrastLimitedAdaptiveHistogramEqualization CutMix Equalization MixUp Pipeline RandAugment
        RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomElasticTransform RandomErasing
        RandomFlip RandomGaussianBlur RandomGrayscale RandomHue RandomInvert RandomPerspective RandomPosterization
        RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation RandomZoom Solarization
        Cast ConvertToTensor SaturateCast StopGradient
        GaussianBlur HSVToRGB RGBToHSV
        BatchNorm Celu Elu Gelu HardShrink HardSigmoid HardSilu HardSwish HardTanh LayerNorm LeakyRelu LogSigmoid
        LogSoftmax Normalize RMSNorm Relu Relu6 Selu Sigmoid Silu SoftShrink Softplus Softsign SparsePlus
        SparseSigmoid Sparsemax Squareplus Swish Mish TanhShrink Threshold Polar
        Abs Absolute Angle Arccos Arccosh Arcsin Arcsinh Arctan Arctanh BitwiseInvert BitwiseNot Cbrt Ceil Clip Conj
        Conjugate Copy Cos Cosh Cumprod Cumsum Deg2rad EmptyLike Erf Erfc Erfinv Exp Exp2 Expm1 Fabs Floor FullLike I0
        Imag Isfinite Isinf Isnan Isneginf Isposinf Isreal Log Log10 Log1p Log2 LogicalNot NanToNum Nancumprod
        Nancumsum Negative OnesLike Rad2deg Real Reciprocal Round Rsqrt Sign Signbit Sin Sinc Sinh Sqrt Square Tan Tanh
        Trunc ZerosLike Array ScatterUpdate SliceUpdate Tril Triu
        """,
    ),
    **_rows(
        _merge,
        """
        Add Maximum Minimum Multiply Subtract
        Arctan2 BitwiseAnd BitwiseLeftShift BitwiseOr BitwiseRightShift BitwiseXor Divide DivideNoNan Equal FloorDivide
        Fmax Fmin Fmod Gcd Greater GreaterEqual Heaviside Hypot Isclose Lcm Ldexp LeftShift Less LessEqual Logaddexp
        Logaddexp2 LogicalAnd LogicalOr LogicalXor Mod Nextafter NotEqual Power RightShift TrueDivide Where
        """,
    ),
    **_rows(
        _convolve,
        "Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose SeparableConv1D SeparableConv2D "
        "Conv ConvTranspose SeparableConv",
    ),
    **_rows(_convolve_each, "DepthwiseConv1D DepthwiseConv2D DepthwiseConv"),
    **_rows(
        _sample,
        """
        AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D
        AdaptiveMaxPooling2D AdaptiveMaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D MaxPooling1D
        MaxPooling2D MaxPooling3D UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
        Cropping1D Cropping2D Cropping3D CenterCrop RandomCrop Resizing
        AdaptiveAveragePool AdaptiveMaxPool AveragePool MaxPool Resize CropImages PadImages RGBToGrayscale
        DepthToSpace SpaceToDepth
        """,
    ),
    **_rows(
        _pool_all,
        "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D "
        "GlobalMaxPooling3D",
    ),
    **_rows(
        _reduce,
        """
        All Amax Amin Any Argmax Argmin CountNonzero Logsumexp Max Mean Median Min Moments Nanargmax Nanargmin Nanmax
        Nanmean Nanmedian Nanmin Nanprod Nanstd Nansum Nanvar Norm Prod Ptp Std Sum Var
        """,
    ),
    **_rows(_recur, "Bidirectional GRU LSTM RNN SimpleRNN"),
    **_rows(_attend, "AdditiveAttention Attention GroupQueryAttention MultiHeadAttention DotProductAttention"),
    **_rows(_reorder, "Argpartition Argsort Diff Flip Glu Roll Sort Take TakeAlongAxis"),
    **_rows(_split, "ArraySplit Split"),
    **_rows(
        _mix,
        """
        AllClose Append Arange Bincount Corrcoef Correlate Cross Diag Diagflat Diagonal Digitize Dsplit Dstack Fliplr
        Flipud Full Geomspace Histogram Hsplit Hstack Inner IsIn Kron Linspace Logspace Meshgrid Nanpercentile
        Nanquantile Ndim Nonzero Outer Percentile Quantile Ravel Rearrange Rot90 Scatter SearchSorted SegmentMax
        SegmentMin SegmentProd SegmentReduction SegmentSum Select Size Tensordot Trace Trapezoid Unique UnravelIndex
        Vander Vdot Vsplit Vstack
        """,
    ),
    **_rows(
        _unknown,
        """
        CategoryEncoding ConvLSTM1D ConvLSTM2D ConvLSTM3D Discretization Dot GRUCell HashedCrossing Hashing LSTMCell
        MaxNumBoundingBoxes MelSpectrogram ReversibleEmbedding SimpleRNNCell StackedRNNCells
        AffineTransform ElasticTransform MapCoordinates PerspectiveTransform SSIM ScaleAndTranslate SobelEdges
        Cholesky CholeskyInverse Det Eig Eigh Inv Lstsq LuFactor MatrixRank Pinv Qr SVD Slogdet Solve SolveTriangular
        CDist ExtractSequences FFT FFT2 IFFT2 IRFFT ISTFT InTopK Logdet RFFT STFT TopK ViewAsComplex ViewAsReal
        BinaryCrossentropy CTCDecode CTCLoss CategoricalCrossentropy Fold MultiHot PSNR SparseCategoricalCrossentropy
        Unfold View
        """,
    ),
    "Average": _average,
    "Concatenate": _concatenate,
    "Dense": _dense,
    "EinsumDense": _einsum,
    "Einsum": _einsum,
    "Matmul": _multiply_matrices,
    "Embedding": _embed,
    "OneHot": _embed,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Permute": _permute,
    "Transpose": _transpose,
    "Moveaxis": _move_axes,
    "Swapaxes": _swap_axes,
    "ExpandDims": _expand,
    "Squeeze": _squeeze,
    "Stack": _stack,
    "Unstack": _unstack,
    "GetItem": _get_item,
    "Tile": _repeat,
    "Pad": lambda step: step.given[0],
    "Slice": _slice,
    "Repeat": _repeat_rows,
    "BroadcastTo": _broadcast,
    "RepeatVector": _repeat_vector,
    "ExtractPatches": _extract_patches,
    "TimeDistributed": _one_by_one,
    "SpectralNormalization": _wrapped,
}


def claim_axes(step: Step) -> Axes | None:
    """What a layer with rows and columns takes its input for, where that has none of its own: units in a new shape."""
    if step.kind not in _IMAGE_LAYERS or not step.given or len(step.given[0]) != 4:
        return None
    axes = step.given[0]
    parts: list[Factor] = [factor for one in axes[1:] for factor in one]
    if not has_batch(axes) or not parts or any(factor.name not in "c?" for factor in parts):
        return None
    if all(name_of(one) == "*" for one in axes[1:3]):
        return None
    made = [BATCH, *[axis("c")] * 3]
    rows, columns = space_of(step.operation, 4)
    made[rows], made[columns] = axis("y"), axis("x")
    return tuple(made)


_IMAGE_LAYERS: Final = {name for name, rule in RULES.items() if rule in (_convolve, _convolve_each, _sample)} - {
    name for name in RULES if name.endswith(("1D", "3D", "1DTranspose", "3DTranspose"))
}
