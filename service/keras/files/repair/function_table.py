"""TensorFlow's functions that Keras 2's files may name, each with the operation of Keras 3 that computes the same.

Only plain functions of tensors, and only with the arguments that stand here. Imports no Keras.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from service.keras.files.entries import Entry


@dataclass(frozen=True)
class Function:
    """An operation of Keras 3, and what TensorFlow's arguments are there.

    `operands` are arguments that are tensors or numbers. `settings` map the others to those of the operation.
    `neutral` are arguments that say nothing at that value; `defaults` are TensorFlow's where the operation's differ.
    """

    operation: str
    operands: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    neutral: Mapping[str, object] = field(default_factory=dict)
    defaults: Mapping[str, object] = field(default_factory=dict)
    # Whether the first operand is a list of tensors.
    takes_list: bool = False
    convert: Callable[[Entry], Entry | None] = lambda settings: settings


def _resize(settings: Entry) -> Entry | None:
    """None for what Keras 3 has no counterpart to."""
    known = settings.get("interpolation") in ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")
    return settings | {"data_format": "channels_last"} if known and isinstance(settings.get("size"), list) else None


def _normalise(settings: Entry) -> Entry:
    # TensorFlow compares the sum of squares with it, Keras 3 the root.
    return settings | {"epsilon": settings["epsilon"] ** 0.5}


def _pad(settings: Entry) -> Entry | None:
    mode = str(settings.get("mode", "CONSTANT")).lower()
    return settings | {"mode": mode} if mode in ("constant", "reflect", "symmetric") else None


def _unnested(settings: Entry) -> Entry:
    """One axis in a list."""
    axis = settings.get("axis")
    return settings | {"axis": axis[0]} if isinstance(axis, list) and len(axis) == 1 else settings


def _split(settings: Entry) -> Entry | None:
    """TensorFlow gives the sizes of the parts, Keras 3 takes where each begins."""
    parts = settings.get("indices_or_sections")
    if isinstance(parts, list) and all(isinstance(part, int) and part >= 0 for part in parts):
        return settings | {"indices_or_sections": [*accumulate(parts[:-1])]}
    return settings if isinstance(parts, int) else None


_REDUCTION: Final = {"axis": "axis", "keepdims": "keepdims"}
_CHANNELS_LAST: Final = {"data_format": "NHWC"}
_UNARY: Final = {
    "abs": "numpy.Abs",
    "ceil": "numpy.Ceil",
    "cos": "numpy.Cos",
    "erf": "math.Erf",
    "exp": "numpy.Exp",
    "expm1": "numpy.Expm1",
    "floor": "numpy.Floor",
    "log": "numpy.Log",
    "log1p": "numpy.Log1p",
    "negative": "numpy.Negative",
    "reciprocal": "numpy.Reciprocal",
    "round": "numpy.Round",
    "rsqrt": "math.Rsqrt",
    "sigmoid": "nn.Sigmoid",
    "sign": "numpy.Sign",
    "sin": "numpy.Sin",
    "softplus": "nn.Softplus",
    "sqrt": "numpy.Sqrt",
    "square": "numpy.Square",
    "tanh": "numpy.Tanh",
}
_BINARY: Final = {
    "__operators__.add": "numpy.Add",
    "math.add": "numpy.Add",
    "math.divide": "numpy.TrueDivide",
    "math.maximum": "numpy.Maximum",
    "math.minimum": "numpy.Minimum",
    "math.multiply": "numpy.Multiply",
    "math.pow": "numpy.Power",
    "math.subtract": "numpy.Subtract",
    "math.truediv": "numpy.TrueDivide",
}
_REDUCTIONS: Final = {"mean": "Mean", "sum": "Sum", "max": "Max", "min": "Min", "std": "Std", "variance": "Var"}
_TRANSPOSITION: Final = Function("numpy.Transpose", settings={"perm": "axes"}, neutral={"conjugate": False})
_PADDING: Final = Function(
    "numpy.Pad",
    settings={"paddings": "pad_width", "mode": "mode"},
    neutral={"constant_values": 0},
    convert=_pad,
)
_SQUEEZING: Final = Function("numpy.Squeeze", settings={"axis": "axis"}, convert=_unnested)
FUNCTIONS: Final[dict[str, Function]] = {
    **{f"math.{name}": Function(operation) for name, operation in _UNARY.items()},
    **{name: Function(operation, operands=("y",)) for name, operation in _BINARY.items()},
    **{f"math.reduce_{name}": Function(f"numpy.{it}", settings=_REDUCTION) for name, it in _REDUCTIONS.items()},
    "cast": Function("core.Cast", settings={"dtype": "dtype"}),
    "clip_by_value": Function("numpy.Clip", settings={"clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "compat.v1.pad": _PADDING,
    "compat.v1.squeeze": _SQUEEZING,
    "compat.v1.transpose": _TRANSPOSITION,
    "concat": Function("numpy.Concatenate", settings={"axis": "axis"}, takes_list=True),
    "expand_dims": Function("numpy.ExpandDims", settings={"axis": "axis"}),
    "image.resize": Function(
        "image.Resize",
        settings={"size": "size", "method": "interpolation", "antialias": "antialias"},
        neutral={"preserve_aspect_ratio": False},
        defaults={"interpolation": "bilinear"},
        convert=_resize,
    ),
    "linalg.matmul": Function(
        "numpy.Matmul",
        operands=("b",),
        neutral=dict.fromkeys(
            ("transpose_a", "transpose_b", "adjoint_a", "adjoint_b", "a_is_sparse", "b_is_sparse"), False
        ),
    ),
    "math.l2_normalize": Function(
        "nn.Normalize",
        settings={"axis": "axis", "epsilon": "epsilon"},
        defaults={"epsilon": 1e-12},
        convert=lambda settings: _normalise(_unnested(settings)) if "axis" in settings else None,
    ),
    "nn.bias_add": Function("numpy.Add", operands=("bias",), neutral=_CHANNELS_LAST),
    "nn.depth_to_space": Function(
        "nn.DepthToSpace",
        settings={"block_size": "block_size"},
        neutral=_CHANNELS_LAST,
        defaults={"data_format": "channels_last"},
    ),
    "nn.elu": Function("nn.Elu"),
    "nn.gelu": Function("nn.Gelu", settings={"approximate": "approximate"}, defaults={"approximate": False}),
    "nn.leaky_relu": Function("nn.LeakyRelu", settings={"alpha": "negative_slope"}),
    "nn.relu": Function("nn.Relu"),
    "nn.relu6": Function("nn.Relu6"),
    "nn.selu": Function("nn.Selu"),
    "nn.silu": Function("nn.Silu", neutral={"beta": 1.0}),
    "nn.softmax": Function("nn.Softmax", settings={"axis": "axis"}),
    "nn.space_to_depth": Function(
        "nn.SpaceToDepth",
        settings={"block_size": "block_size"},
        neutral=_CHANNELS_LAST,
        defaults={"data_format": "channels_last"},
    ),
    "pad": _PADDING,
    "repeat": Function("numpy.Repeat", settings={"repeats": "repeats", "axis": "axis"}),
    "reshape": Function("numpy.Reshape", settings={"shape": "newshape"}),
    "reverse": Function("numpy.Flip", settings={"axis": "axis"}),
    "split": Function(
        "numpy.Split",
        settings={"num_or_size_splits": "indices_or_sections", "axis": "axis"},
        neutral={"num": None},
        convert=_split,
    ),
    "squeeze": _SQUEEZING,
    "stack": Function("numpy.Stack", settings={"axis": "axis"}, takes_list=True),
    "tile": Function("numpy.Tile", settings={"multiples": "repeats"}),
    "transpose": _TRANSPOSITION,
}
