"""Arithmetic on tensors in Keras 2, which its files hold as names of TensorFlow's functions, as operations of Keras 3.

Only the functions of this table, with arguments that are known: each is a plain function of its tensors. Anything else
stays what it was, and is refused as code. Imports no Keras.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

from service.engine.keras.calls import CONSTANT, as_argument, called, references_of, tensor_or_number
from service.engine.keras.entries import Entry, config_of, is_reference, layers_of, name_of


@dataclass(frozen=True)
class _Function:
    """An operation of Keras 3, and what TensorFlow's arguments are there.

    `operands` are arguments that are tensors or numbers. `settings` map the others to those of the operation.
    `neutral` are arguments that say nothing at that value; `defaults` are TensorFlow's where the operation's differ.
    """

    operation: str
    operands: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    neutral: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
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
_TRANSPOSITION: Final = _Function("numpy.Transpose", settings={"perm": "axes"}, neutral={"conjugate": False})
_PADDING: Final = _Function(
    "numpy.Pad",
    settings={"paddings": "pad_width", "mode": "mode"},
    neutral={"constant_values": 0},
    convert=_pad,
)
_SQUEEZING: Final = _Function("numpy.Squeeze", settings={"axis": "axis"}, convert=_unnested)
_FUNCTIONS: Final[dict[str, _Function]] = {
    **{f"math.{name}": _Function(operation) for name, operation in _UNARY.items()},
    **{name: _Function(operation, operands=("y",)) for name, operation in _BINARY.items()},
    **{f"math.reduce_{name}": _Function(f"numpy.{it}", settings=_REDUCTION) for name, it in _REDUCTIONS.items()},
    "cast": _Function("core.Cast", settings={"dtype": "dtype"}),
    "clip_by_value": _Function("numpy.Clip", settings={"clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "compat.v1.pad": _PADDING,
    "compat.v1.squeeze": _SQUEEZING,
    "compat.v1.transpose": _TRANSPOSITION,
    "concat": _Function("numpy.Concatenate", settings={"axis": "axis"}, takes_list=True),
    "expand_dims": _Function("numpy.ExpandDims", settings={"axis": "axis"}),
    "image.resize": _Function(
        "image.Resize",
        settings={"size": "size", "method": "interpolation", "antialias": "antialias"},
        neutral={"preserve_aspect_ratio": False},
        defaults={"interpolation": "bilinear"},
        convert=_resize,
    ),
    "linalg.matmul": _Function(
        "numpy.Matmul",
        operands=("b",),
        neutral=dict.fromkeys(
            ("transpose_a", "transpose_b", "adjoint_a", "adjoint_b", "a_is_sparse", "b_is_sparse"), False
        ),
    ),
    "math.l2_normalize": _Function(
        "nn.Normalize",
        settings={"axis": "axis", "epsilon": "epsilon"},
        defaults={"epsilon": 1e-12},
        convert=lambda settings: _normalise(_unnested(settings)) if "axis" in settings else None,
    ),
    "nn.bias_add": _Function("numpy.Add", operands=("bias",), neutral=_CHANNELS_LAST),
    "nn.depth_to_space": _Function(
        "nn.DepthToSpace",
        settings={"block_size": "block_size"},
        neutral=_CHANNELS_LAST,
        defaults={"data_format": "channels_last"},
    ),
    "nn.elu": _Function("nn.Elu"),
    "nn.gelu": _Function("nn.Gelu", settings={"approximate": "approximate"}, defaults={"approximate": False}),
    "nn.leaky_relu": _Function("nn.LeakyRelu", settings={"alpha": "negative_slope"}),
    "nn.relu": _Function("nn.Relu"),
    "nn.relu6": _Function("nn.Relu6"),
    "nn.selu": _Function("nn.Selu"),
    "nn.silu": _Function("nn.Silu", neutral={"beta": 1.0}),
    "nn.softmax": _Function("nn.Softmax", settings={"axis": "axis"}),
    "nn.space_to_depth": _Function(
        "nn.SpaceToDepth",
        settings={"block_size": "block_size"},
        neutral=_CHANNELS_LAST,
        defaults={"data_format": "channels_last"},
    ),
    "pad": _PADDING,
    "repeat": _Function("numpy.Repeat", settings={"repeats": "repeats", "axis": "axis"}),
    "reshape": _Function("numpy.Reshape", settings={"shape": "newshape"}),
    "reverse": _Function("numpy.Flip", settings={"axis": "axis"}),
    "split": _Function(
        "numpy.Split",
        settings={"num_or_size_splits": "indices_or_sections", "axis": "axis"},
        neutral={"num": None},
        convert=_split,
    ),
    "squeeze": _SQUEEZING,
    "stack": _Function("numpy.Stack", settings={"axis": "axis"}, takes_list=True),
    "tile": _Function("numpy.Tile", settings={"multiples": "repeats"}),
    "transpose": _TRANSPOSITION,
}


def functions_of_tensorflow(entry: Entry) -> list[str]:
    """Make operations of those of this model's layers that are functions of the table."""
    changed = []
    for layer in layers_of(entry):
        nodes = layer.get("inbound_nodes")
        if layer.get("class_name") not in ("TFOpLambda", "SlicingOpLambda") or not isinstance(nodes, list):
            continue
        calls = references_of(nodes[0]) if len(nodes) == 1 else []
        mended = _slice(calls) if layer["class_name"] == "SlicingOpLambda" else _operate(layer, calls)
        if calls and mended is not None:
            operation, settings, node = mended
            changed.append(name := name_of(layer))
            module, _, class_name = operation.rpartition(".")
            layer |= {
                "module": f"keras.src.ops.{module}",
                "class_name": class_name,
                "config": {"name": name, **settings},
                "registered_name": None,
                "inbound_nodes": [node],
            }
    return changed


_Mended = tuple[str, Entry, Entry] | None


def _operate(layer: Entry, calls: list[Any]) -> _Mended:
    """The operation, its settings and its call; None for a function or arguments that are not known."""
    function = _FUNCTIONS.get(str(config_of(layer).get("function")))
    if function is None or not calls or (len(calls) > 1 and not function.takes_list):
        return None
    arguments = dict(calls[0][3]) if len(calls[0]) > 3 else {}
    arguments.pop("name", None)
    tensors = [tensor_or_number(call) for call in calls]
    positions = [tensors if function.takes_list else _operand(tensors[0])]
    positions += [_operand(as_argument(arguments.pop(name))) for name in function.operands if name in arguments]
    settings = {function.settings[key]: value for key, value in arguments.items() if key in function.settings}
    rest = {key: value for key, value in arguments.items() if key not in function.settings}
    if len(positions) != 1 + len(function.operands) or any(map(_holds_tensor, settings.values())):
        return None
    if any(key not in function.neutral or function.neutral[key] != value for key, value in rest.items()):
        return None
    converted = function.convert({**function.defaults, **settings})
    return None if converted is None else (function.operation, converted, called(positions, {}))


def _operand(value: Any) -> Any:
    """A list of numbers as an array, which operations add and multiply."""
    if not isinstance(value, list):
        return value
    return {"class_name": "__numpy__", "config": {"value": value, "dtype": "float32"}}


def _holds_tensor(value: Any) -> bool:
    return is_reference(value) or (isinstance(value, list) and any(map(_holds_tensor, value)))


def _slice(calls: list[Any]) -> _Mended:
    """`x[1:3]`; with `...`, the reversal of the last axis alone (`x[..., ::-1]`: RGB to BGR)."""
    if len(calls) != 1 or len(calls[0]) < 4 or calls[0][0] == CONSTANT or set(calls[0][3]) != {"slice_spec"}:
        return None
    spec, tensor = calls[0][3]["slice_spec"], tensor_or_number(calls[0])
    if not isinstance(spec, list):
        return None
    if spec == [{"class_name": "__ellipsis__"}, {"start": None, "stop": None, "step": -1}]:
        return "numpy.Flip", {"axis": -1}, called([tensor], {})
    if not all(isinstance(part, int) or _is_slice(part) for part in spec):
        return None
    key = [{"class_name": "__slice__", "config": part} if isinstance(part, dict) else part for part in spec]
    return "numpy.GetItem", {}, called([tensor, key], {})


def _is_slice(part: Any) -> bool:
    if not isinstance(part, dict) or part.keys() != {"start", "stop", "step"}:
        return False
    return all(value is None or isinstance(value, int) for value in part.values())
