"""What of the picture one position of a layer can see, by arithmetic on the graph alone; nothing runs."""

from dataclasses import dataclass
from typing import Any, Final

from service.engine.anatomy import is_spatial
from service.engine.keras.graph import Call, Value
from service.engine.probe import ReceptiveField

# What leaves every position where it is.
_IN_PLACE: Final = frozenset(
    (
        *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "BatchNormalization", "Rescaling"),
        *("Normalization", "Identity", "Cast", "Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout"),
        *("Relu", "Relu6", "Sigmoid", "Tanh", "Silu", "Gelu", "Elu", "HardSigmoid", "HardSilu", "HardSwish", "Swish"),
        *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "TrueDivide", "Clip"),
    )
)
_WINDOWS: Final = frozenset(("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "MaxPooling2D", "AveragePooling2D"))


@dataclass(frozen=True)
class _Span:
    """Of one axis: position i sees `size` pixels from `first + i * stride` on."""

    size: float = 1
    stride: float = 1
    first: float = 0


_Spans = tuple[_Span, _Span]


def find_receptive_field(call: Call) -> ReceptiveField | None:
    """Of a layer's output; None where it has no space, or something on the way is not known."""
    if not is_spatial(call.outputs[0].shape):
        return None
    spans = _follow(call.outputs[0], {})
    if spans is None:
        return None
    down, across = spans
    return ReceptiveField(
        size=(round(down.size), round(across.size)),
        stride=(down.stride, across.stride),
        first=(down.first, across.first),
    )


def _follow(value: Value, known: dict[Value, _Spans | None]) -> _Spans | None:
    """From the picture to a value; without recursion, as networks are deep."""
    waiting = [value]
    while waiting:
        current = waiting[-1]
        missing = [source for source in _sources(current.call) if source not in known]
        if missing:
            waiting += missing
            continue
        known[waiting.pop()] = _step(current.call, [known[source] for source in _sources(current.call)])
    return known[value]


def _sources(call: Call) -> list[Value]:
    """What a call's positions come from; a factor for each channel has none, and only scales."""
    spatial = [value for value in call.inputs if is_spatial(value.shape)]
    return spatial or list(call.inputs)


def _step(call: Call, spans: list[_Spans | None]) -> _Spans | None:
    if call.is_input:
        return (_Span(), _Span())
    given = [span for span in spans if span is not None]
    operation, kind = call.operation, type(call.operation).__name__
    if len(given) < len(spans) or getattr(operation, "data_format", "channels_last") != "channels_last":
        return None
    if kind in _IN_PLACE:
        return (_cover([span[0] for span in given]), _cover([span[1] for span in given]))
    sizes = call.inputs[0].shape[1:3]
    down, across = (_pass(operation, kind, axis, given[0][axis], sizes[axis]) for axis in range(2))
    return None if down is None or across is None else (down, across)


def _cover(spans: list[_Span]) -> _Span:
    first = min(span.first for span in spans)
    return _Span(max(span.first + span.size for span in spans) - first, spans[0].stride, first)


def _pass(operation: Any, kind: str, axis: int, span: _Span, count: int | None) -> _Span | None:
    """One axis through a layer that has windows or moves positions."""
    if kind in _WINDOWS:
        window, step = _window(operation, axis), operation.strides[axis]
        padding = 0 if operation.padding == "valid" else _padding_before(count, window, step)
        return _Span(span.size + (window - 1) * span.stride, span.stride * step, span.first - padding * span.stride)
    if kind == "ZeroPadding2D":
        return _Span(span.size, span.stride, span.first - operation.padding[axis][0] * span.stride)
    if kind == "Cropping2D":
        return _Span(span.size, span.stride, span.first + operation.cropping[axis][0] * span.stride)
    if kind == "UpSampling2D":
        return _finer(span, operation.size[axis], 1)
    if kind == "Conv2DTranspose":
        return _finer(span, operation.strides[axis], -(-operation.kernel_size[axis] // operation.strides[axis]))
    return None


def _window(operation: Any, axis: int) -> int:
    size = getattr(operation, "kernel_size", None) or operation.pool_size
    dilation = getattr(operation, "dilation_rate", (1, 1))
    return int((size[axis] - 1) * dilation[axis] + 1)


def _padding_before(count: int | None, window: int, step: int) -> int:
    """TensorFlow's, which depends on the size; where that is open, as of one that the steps divide."""
    total = window - step if count is None else (-(-count // step) - 1) * step + window - count
    return max(total, 0) // 2


def _finer(span: _Span, factor: int, window: int) -> _Span:
    """Several positions for each: they lie evenly about its centre."""
    size = span.size + (window - 1) * span.stride
    centre = span.first + span.size / 2 + (0.5 / factor - 0.5) * span.stride
    return _Span(size, span.stride / factor, centre - size / 2)
