"""A model's configuration judged by its size, before Keras sees it: text, nesting, names, inputs, widths.

Imports no Keras, and knows neither formats nor what a layer is for. Nothing here recurses, as the file is not trusted.
"""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Final

from service.errors import ModelFailedError
from service.keras.files.admission.build_work import measure_work
from service.keras.files.admission.limits import ModelFileLimits, Stored, shown
from service.keras.files.entries import Entry

# Lists and objects within each other; a nested model adds about four.
_MAX_DEPTH: Final = 256
_MAX_NUMBER: Final = 2**63
# Of a network with a fixed batch: the states of its recurrent layers have that size.
_MAX_BATCH: Final = 256
_INPUT_SHAPES: Final = {"batch_shape", "batch_input_shape", "build_input_shape"}
# Keras builds it anew with each layer: 300 take 10 s, 1,000 two minutes and then fail in a recursion.
_MAX_SEQUENTIAL_LAYERS: Final = 300
_CONVOLUTIONS: Final = {f"Conv{rank}D{kind}" for rank in (1, 2, 3) for kind in ("", "Transpose")}
_RECURRENT: Final = {f"{kind}{part}" for kind in ("SimpleRNN", "GRU", "LSTM") for part in ("", "Cell")}


def require_short_text(text: str | bytes, path: Path, limits: ModelFileLimits) -> None:
    """Raise ModelFailedError before a text is parsed that would become too much."""
    if len(text) > limits.config_bytes:
        raise ModelFailedError(
            f"'{path.name}' has a configuration of more than {limits.config_bytes} bytes "
            "(CONVSCOPE_LIMITS__MODEL_CONFIG_BYTES)"
        )
    try:
        content = text.encode() if isinstance(text, str) else text
    except UnicodeEncodeError as error:
        raise ModelFailedError(f"'{path.name}' has a configuration that is no Unicode text: copy it again") from error
    if sum(content.count(mark) for mark in (b",", b"[", b"{")) > limits.config_entries:
        raise ModelFailedError(
            f"'{path.name}' has a configuration of more than {limits.config_entries} entries "
            "(CONVSCOPE_LIMITS__MODEL_CONFIG_ENTRIES)"
        )


def require_modest(config: object, path: Path, limits: ModelFileLimits) -> None:
    """Raise ModelFailedError where the configuration would take Keras, or ourselves, too long or too much memory."""
    for key, value in _walk(config, path):
        _require_short(key, value, limits)
        if key in _INPUT_SHAPES:
            _require_modest_input(value, limits)
        if isinstance(value, dict):
            _require_short_sequential(value, path)
            _require_modest_spectrum(value, limits)
    work = measure_work(config, limits.build_calls)
    if work.calls > limits.layers:
        raise ModelFailedError(
            f"'{path.name}' has {work.calls} layers; at most {limits.layers} are loaded "
            "(CONVSCOPE_LIMITS__MODEL_LAYERS)"
        )
    if work.build > limits.build_calls:
        raise ModelFailedError(
            f"Keras would call layers some {work.build} times to build '{path.name}'; at most {limits.build_calls} are "
            "allowed (CONVSCOPE_LIMITS__MODEL_BUILD_CALLS): build long or nested Sequentials as Functional models, and "
            "list layers in the order they are called in"
        )


def require_stored(config: object, path: Path, stored: Stored) -> None:
    """Raise ModelFailedError where one layer by itself has more weights than the file, whatever goes into it.

    What all layers have together is counted while they are built.
    """
    for _, value in _walk(config, path):
        if not isinstance(value, dict):
            continue
        least = _least_weights(value)
        # Half: weights of four bits lie two in a number.
        if not stored.holds(least // 2):
            raise ModelFailedError(
                f"layer '{shown(value['config'].get('name'))}' has at least {least} weights, but '{path.name}' holds "
                f"{stored.numbers} in all: the file is damaged or was put together; save the model again"
            )


def _walk(config: object, path: Path) -> Iterator[tuple[str | None, object]]:
    """Everything in the configuration, with the key it stands under."""
    waiting: list[tuple[str | None, object, int]] = [(None, config, 0)]
    while waiting:
        key, item, depth = waiting.pop()
        yield key, item
        if depth > _MAX_DEPTH:
            raise ModelFailedError(f"'{path.name}' has a configuration nested more than {_MAX_DEPTH} levels deep")
        if isinstance(item, dict):
            waiting += [(key, value, depth + 1) for key, value in item.items()]
        elif isinstance(item, list):
            waiting += [(None, value, depth + 1) for value in item]


def _require_short(key: str | None, value: object, limits: ModelFileLimits) -> None:
    for text in (key, value):
        if isinstance(text, str) and len(text) > limits.name_length:
            raise ModelFailedError(
                f"'{shown(text)}' has {len(text)} characters; names and other texts of a model may have "
                f"{limits.name_length} (CONVSCOPE_LIMITS__MODEL_NAME_LENGTH)"
            )
    if key in ("name", "class_name") and not isinstance(value, str | None):
        raise ModelFailedError(f"a name in the configuration is no text but a {type(value).__name__}")
    if key == "name" and value in (".", ".."):
        # Keras makes folders by names.
        raise ModelFailedError(f"a layer is called '{value}', which leads out of a folder: give it another name")
    if isinstance(value, int) and abs(value) >= _MAX_NUMBER:
        raise ModelFailedError(f"'{shown(key)}' is a number of more than 63 bits")
    if key == "unroll" and value is True:
        raise ModelFailedError(
            "a recurrent layer is unrolled, which makes a layer of each of its steps: set unroll=False, which computes "
            "the same, and save the model again"
        )


def _require_modest_input(shape: object, limits: ModelFileLimits) -> None:
    if not isinstance(shape, list) or not shape or isinstance(shape[0], list):
        return
    sides = [side for side in shape[1:] if isinstance(side, int)]
    if isinstance(shape[0], int) and shape[0] > _MAX_BATCH:
        raise ModelFailedError(
            f"the network takes batches of {shape[0]}, and of that size alone: leave the batch size open"
        )
    if prod(sides) > limits.input_numbers:
        raise ModelFailedError(
            f"the network takes {_sizes(sides)} numbers; at most {limits.input_numbers} are allowed "
            "(CONVSCOPE_LIMITS__MODEL_INPUT_NUMBERS): build it for smaller pictures"
        )


def _require_short_sequential(entry: Entry, path: Path) -> None:
    config = entry.get("config")
    # Before Keras 2.2.3 a Sequential's configuration was the list itself.
    layers = config.get("layers") if isinstance(config, dict) else config
    if entry.get("class_name") == "Sequential" and isinstance(layers, list) and len(layers) > _MAX_SEQUENTIAL_LAYERS:
        raise ModelFailedError(
            f"'{path.name}' has a Sequential of {len(layers)} layers; at most {_MAX_SEQUENTIAL_LAYERS} are loaded: "
            "build it as a Functional model"
        )


def _require_modest_spectrum(entry: Entry, limits: ModelFileLimits) -> None:
    """Of sound; its matrix is no weight, and made as the layer is."""
    if _size(entry, "num_mel_bins") * _size(entry, "fft_length") > limits.input_numbers:
        raise ModelFailedError(
            "a layer makes a spectrum of more numbers than an input may have: make fft_length smaller"
        )


def _least_weights(entry: Entry) -> int:
    """Weights that a layer has for even a single number of input; 0 where that is not known."""
    config, kind = entry.get("config"), entry.get("class_name")
    if not isinstance(config, dict):
        return 0
    if kind == "Embedding":
        return _size(config, "input_dim") * _size(config, "output_dim")
    if kind in _RECURRENT:
        return _size(config, "units") ** 2
    if kind in _CONVOLUTIONS:
        sides = config.get("kernel_size")
        sides = sides if isinstance(sides, list) else [sides]
        return _size(config, "filters") * prod(side for side in sides if isinstance(side, int))
    return _size(config, "units") if kind == "Dense" else 0


def _sizes(sides: list[int]) -> str:
    return " x ".join(map(str, sides[:4])) + (" x …" if len(sides) > 4 else "")


def _size(config: Entry, key: str) -> int:
    value = config.get(key)
    return int(value) if isinstance(value, int | float) and 0 < value < _MAX_NUMBER else 0
