"""Finding an autoencoder's latent on the static graph: the narrowest place that all of its output is made from."""

from collections.abc import Iterator
from math import prod

from service.engine.ports.network_info import Latent
from service.keras.graph.axes.kinds import kind_of
from service.keras.graph.axes.steps import channels_of
from service.keras.graph.head import IDENTITIES, RESHAPES
from service.keras.graph.lookup import learns
from service.keras.graph.replay import Call, Value, Wiring
from service.keras.graph.subgraph import find_subgraph
from service.keras.graph.upright import upright_shape

_ACTIVATIONS = {"Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "BatchNormalization", "Relu", "Sigmoid", "Tanh"}
_ADVICE = "name the layer that holds the latent in model.toml: latent_layer"


class NoCodeError(Exception):
    """This is no autoencoder; the text says why."""


def find_decoded(wiring: Wiring) -> Value:
    """The output that is a picture like the input. Raises NoCodeError."""
    if len(wiring.inputs) != 1:
        raise NoCodeError("several inputs go into it")
    shape = wiring.inputs[0].shape[1:]
    decoded = next((value for value in wiring.outputs if upright_shape(value)[1:] == shape), None)
    if decoded is None:
        found = ", ".join(str(value.shape[1:]) for value in wiring.outputs)
        raise NoCodeError(
            f"it decodes no picture like its input, whose shape is {shape}, but gives {found}; "
            "of an encoder, name the decoder in model.toml: decoder"
        )
    if None in shape or len(shape) != 3:
        raise NoCodeError(f"its input has no fixed height and width, or no channels: {shape}")
    return decoded


def find_latent(wiring: Wiring, stated: Call | None) -> tuple[Latent, Value]:
    """The latent, and the tensor that it is; `stated` is the layer that the owner names. Raises NoCodeError."""
    decoded = find_decoded(wiring)
    value = _narrowest(wiring, decoded) if stated is None else stated.outputs[0]
    if not _holds_all(wiring, value, decoded):
        raise NoCodeError(f"what it decodes is made from more than layer '{value.call.site.path}' holds")
    shape = tuple(size for size in upright_shape(value)[1:] if size is not None)
    if len(shape) != len(value.shape) - 1 or not shape:
        raise NoCodeError(f"layer '{value.call.site.path}' has no fixed size: {value.shape[1:]}")
    return Latent(value.call.site.path, shape, tuple(_wired(wiring))), value


def _narrowest(wiring: Wiring, decoded: Value) -> Value:
    """The first of the smallest that hold all, past its activation; between what is learned before and after."""
    before = [value for value in wiring.ancestors(decoded) if _is_learned(wiring, value)]
    fitting = [value for value in before if _is_narrower(upright_shape(value), wiring.inputs[0].shape)]
    candidates = [value for value in fitting if _is_refined(value, decoded)]
    if not candidates:
        raise NoCodeError(f"no layer inside it is narrower than the picture: {_ADVICE}")
    holding = [value for value in candidates if _holds_all(wiring, value, decoded)]
    if not holding:
        raise NoCodeError("what it decodes is made from more than one layer holds: some are skipped on the way")
    best = min(holding, key=lambda value: (_count(value.shape), value.call.order))
    return _past_activations(best, holding)


def _is_narrower(shape: tuple[int | None, ...], picture: tuple[int | None, ...]) -> bool:
    """Fewer numbers than the picture, or maps smaller than it."""
    sizes = [size for size in shape[1:] if size is not None]
    height, width, channels = (size or 0 for size in picture[1:])
    if len(sizes) != len(shape) - 1 or not sizes:
        return False
    return prod(sizes) < height * width * channels or (len(sizes) == 3 and sizes[0] * sizes[1] < height * width)


def _is_learned(wiring: Wiring, value: Value) -> bool:
    return any(learns(found.call) for found in wiring.ancestors(value))


def _is_refined(value: Value, decoded: Value) -> bool:
    """True where something that has learned comes after it."""
    between: set[Value] = set()
    waiting = [decoded]
    while waiting:
        current = waiting.pop()
        if current not in between and current is not value:
            between.add(current)
            waiting += current.call.inputs
    return value is not decoded and any(learns(found.call) for found in between if found.call.order > value.call.order)


def _holds_all(wiring: Wiring, value: Value, decoded: Value) -> bool:
    entries = {entry.call.site for entry in wiring.inputs}
    return not value.call.is_input and value is not decoded and not entries & find_subgraph([value], [decoded]).calls


def _past_activations(value: Value, among: list[Value]) -> Value:
    """A layer's activation, normalisation or dropout belongs to it, where that is a layer of its own."""
    following = [other for other in among if other.call.inputs == (value,)]
    if len(following) == 1 and kind_of(following[0].call.operation) in _ACTIVATIONS | IDENTITIES:
        return _past_activations(following[0], among)
    return value


def _wired(wiring: Wiring) -> Iterator[str]:
    """The dense and convolutional layers that take the picture itself, flattened or as it is."""
    entry = wiring.inputs[0]
    for call in wiring.layers:
        if kind_of(call.operation) not in ("Dense", "Conv2D") or len(call.inputs) != 1:
            continue
        source = call.inputs[0]
        while kind_of(source.call.operation) in IDENTITIES | RESHAPES and source.call.inputs:
            source = source.call.inputs[0]
        if source is entry and (_weighs_all(call, entry) or _slides(call, entry)):
            yield call.site.path


def _weighs_all(call: Call, entry: Value) -> bool:
    """Whether each unit's weights are a picture: pixel by pixel, in the picture's own order."""
    pixels = [factor for one in entry.axes[1:] for factor in one if factor.size != 1]
    value = call.inputs[0]
    return kind_of(call.operation) == "Dense" and [list(one) for one in value.axes[1:]] == [pixels]


def _slides(call: Call, entry: Value) -> bool:
    """Whether its kernels are over the picture's rows and columns, with its channels."""
    value = call.inputs[0]
    return kind_of(call.operation) == "Conv2D" and value.shape == entry.shape and channels_of(call.operation, 4) == 3


def _count(shape: tuple[int | None, ...]) -> int:
    """The numbers of one picture."""
    return prod(size or 0 for size in shape[1:])
