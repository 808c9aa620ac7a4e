"""What each kind of layer and operation does to the axes of its tensors: one table, from Keras's class names to rules.

A test holds the table against every name that a model file may use. A class of somebody's own is taken to leave every
number in its place where it gives the shape that it was given, and rows and columns in theirs where it gives fewer, or
other channels, in the same proportion.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeVar

import keras

from service.keras.graph.axes.axes import BATCH, Axes, Factor, axis, has_batch, name_of
from service.keras.graph.axes.kinds import is_keras_own, kind_of
from service.keras.graph.axes.layers import (
    attend,
    convolve,
    convolve_each,
    dense,
    einsum,
    embed,
    extract_patches,
    multiply_matrices,
    pool_all,
    recur,
    sample,
)
from service.keras.graph.axes.reshapes import (
    broadcast,
    concatenate,
    expand,
    flatten,
    get_item,
    move_axes,
    permute,
    reduce,
    reorder,
    repeat,
    repeat_rows,
    repeat_vector,
    reshape,
    split,
    squeeze,
    stack,
    swap_axes,
    take_slice,
    transpose,
    unstack,
)
from service.keras.graph.axes.steps import Rule, Step, leave_unknown, merge, mix_all, space_of, stay

# An axis, or its size.
Item = TypeVar("Item")


def find_axes(step: Step) -> list[Axes]:
    """The axes of each output, not yet of known size."""
    found = RULES.get(step.kind, _guess)(step)
    return found if isinstance(found, list) else [found] * len(step.made)


def is_guessed(operation: keras.Operation) -> bool:
    """Whether the axes of what it makes are only taken to be so."""
    return kind_of(operation) not in RULES and not is_keras_own(operation)


def _guess(step: Step) -> Axes | list[Axes]:
    if step.made == step.shapes or len(step.given) != 1 or len(step.made) != 1 or not _keeps_proportion(step):
        return stay(step)
    return convolve(step)


def _keeps_proportion(step: Step) -> bool:
    before, after = step.shapes[0], step.made[0]
    if len(before) != 4 or len(after) != 4:
        return False
    pairs = [(before[place], after[place]) for place in space_of(step.operation, 4)]
    if any((one is None) != (other is None) for one, other in pairs):
        return False
    # Rounded up or down, as windows at the border count or not.
    steps = {round(one / other) for one, other in pairs if one and other}
    return len(steps) < 2 and 0 not in steps


def _average(step: Step) -> Axes | list[Axes]:
    """A layer and an operation have this name."""
    return (merge if isinstance(step.operation, keras.layers.Layer) else reduce)(step)


def _one_by_one(step: Step) -> Axes | list[Axes]:
    """A layer, of whatever kind, on each place of the first axis after the batch."""
    inner = step.operation.layer

    def without(row: Sequence[Item]) -> tuple[Item, ...]:
        return (row[0], *row[2:])

    if inner.__class__.__module__.startswith("keras.src.models"):
        return leave_unknown(step)
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


def _discretize(step: Step) -> Axes | list[Axes]:
    """Each number by itself, unless it becomes a row of zeros with a one."""
    return stay(step) if step.operation.output_mode == "int" else leave_unknown(step)


def _wrapped(step: Step) -> list[Axes]:
    return find_axes(replace(step, operation=step.operation.layer))


def _rows(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


RULES: Final[dict[str, Rule]] = {
    **_rows(
        stay,
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
        merge,
        """
        Add Maximum Minimum Multiply Subtract
        Arctan2 BitwiseAnd BitwiseLeftShift BitwiseOr BitwiseRightShift BitwiseXor Divide DivideNoNan Equal FloorDivide
        Fmax Fmin Fmod Gcd Greater GreaterEqual Heaviside Hypot Isclose Lcm Ldexp LeftShift Less LessEqual Logaddexp
        Logaddexp2 LogicalAnd LogicalOr LogicalXor Mod Nextafter NotEqual Power RightShift TrueDivide Where
        """,
    ),
    **_rows(
        convolve,
        "Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose SeparableConv1D SeparableConv2D "
        "Conv ConvTranspose SeparableConv",
    ),
    **_rows(convolve_each, "DepthwiseConv1D DepthwiseConv2D DepthwiseConv"),
    **_rows(
        sample,
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
        pool_all,
        "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D "
        "GlobalMaxPooling3D",
    ),
    **_rows(
        reduce,
        """
        All Amax Amin Any Argmax Argmin CountNonzero Logsumexp Max Mean Median Min Moments Nanargmax Nanargmin Nanmax
        Nanmean Nanmedian Nanmin Nanprod Nanstd Nansum Nanvar Norm Prod Ptp Std Sum Var
        """,
    ),
    **_rows(recur, "Bidirectional GRU LSTM RNN SimpleRNN"),
    **_rows(attend, "AdditiveAttention Attention GroupQueryAttention MultiHeadAttention DotProductAttention"),
    **_rows(reorder, "Argpartition Argsort Diff Flip Glu Roll Sort Take TakeAlongAxis"),
    **_rows(split, "ArraySplit Split"),
    **_rows(
        mix_all,
        """
        AllClose Append Arange Bincount Corrcoef Correlate Cross Diag Diagflat Diagonal Digitize Dsplit Dstack Fliplr
        Flipud Full Geomspace Histogram Hsplit Hstack Inner IsIn Kron Linspace Logspace Meshgrid Nanpercentile
        Nanquantile Ndim Nonzero Outer Percentile Quantile Ravel Rearrange Rot90 Scatter SearchSorted SegmentMax
        SegmentMin SegmentProd SegmentReduction SegmentSum Select Size Tensordot Trace Trapezoid Unique UnravelIndex
        Vander Vdot Vsplit Vstack
        """,
    ),
    **_rows(
        leave_unknown,
        """
        CategoryEncoding ConvLSTM1D ConvLSTM2D ConvLSTM3D Dot GRUCell HashedCrossing Hashing LSTMCell
        MaxNumBoundingBoxes MelSpectrogram ReversibleEmbedding SimpleRNNCell StackedRNNCells
        AffineTransform ElasticTransform MapCoordinates PerspectiveTransform SSIM ScaleAndTranslate SobelEdges
        Cholesky CholeskyInverse Det Eig Eigh Inv Lstsq LuFactor MatrixRank Pinv Qr SVD Slogdet Solve SolveTriangular
        CDist ExtractSequences FFT FFT2 IFFT2 IRFFT ISTFT InTopK Logdet RFFT STFT TopK ViewAsComplex ViewAsReal
        BinaryCrossentropy CTCDecode CTCLoss CategoricalCrossentropy Fold MultiHot PSNR SparseCategoricalCrossentropy
        Unfold View
        """,
    ),
    "Average": _average,
    "Discretization": _discretize,
    "Concatenate": concatenate,
    "Dense": dense,
    "EinsumDense": einsum,
    "Einsum": einsum,
    "Matmul": multiply_matrices,
    "Embedding": embed,
    "OneHot": embed,
    "Flatten": flatten,
    "Reshape": reshape,
    "Permute": permute,
    "Transpose": transpose,
    "Moveaxis": move_axes,
    "Swapaxes": swap_axes,
    "ExpandDims": expand,
    "Squeeze": squeeze,
    "Stack": stack,
    "Unstack": unstack,
    "GetItem": get_item,
    "Tile": repeat,
    "Pad": lambda step: step.given[0],
    "Slice": take_slice,
    "Repeat": repeat_rows,
    "BroadcastTo": broadcast,
    "RepeatVector": repeat_vector,
    "ExtractPatches": extract_patches,
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


_IMAGE_LAYERS: Final = {name for name, rule in RULES.items() if rule in (convolve, convolve_each, sample)} - {
    name for name in RULES if name.endswith(("1D", "3D", "1DTranspose", "3DTranspose"))
}
