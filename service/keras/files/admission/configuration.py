"""May Keras see this configuration? Every name in it is one of the committed list, in its own place, or it is refused.

Keras makes objects of whatever a configuration names, among them functions that read and write files and settings of
the whole process; `safe_mode` guards against some of them (CVE-2025-1550, CVE-2025-8747, CVE-2025-9906 and
CVE-2026-1462 were others). So it is asked to load only what is known. Imports no Keras; knows no files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final, NamedTuple, NoReturn

from service.errors import ModelFailedError
from service.keras.files.admission.allowed_names import Place, allowed_names
from service.keras.files.admission.trusted_names import NO_TRUSTED_NAMES, InModule, TrustedNames

# Objects that are values, as both of Keras's readers make them: by which of their members they have.
_VALUES: Final = ("__tuple__", "__ellipsis__", "__slice__", "__bytes__", "__numpy__", "__tensor__", "TensorShape")
_PLACES: Final[dict[str, Place]] = {
    "layers": "layer",
    "layer": "layer",
    "forward_layer": "layer",
    "backward_layer": "layer",
    "cell": "layer",
    "cells": "layer",
    "dtype": "policy",
    "default_policy": "policy",
    "policy_map": "policy",
    "seed": "seed",
    "quantization_config": "quantizer",
    "weight_quantizer": "quantizer",
    "activation_quantizer": "quantizer",
}
# Keras's own naming of arguments: `recurrent_activation`, `depthwise_initializer`, …
_ENDINGS: Final[dict[str, Place]] = {
    "activation": "activation",
    "initializer": "initializer",
    "regularizer": "regularizer",
    "constraint": "constraint",
    "dtype": "policy",
}
# The HDF5 reader takes a text for one of these functions, as they stand beside Keras's layers.
FUNCTIONS_BESIDE_LAYERS: Final = frozenset(
    [
        "Input",
        "add",
        "average",
        "concatenate",
        "deserialize",
        "dot",
        "maximum",
        "minimum",
        "multiply",
        "serialize",
        "subtract",
    ]
)
# Each runs code, or a graph of unknown content, that came with the file.
_CODE: Final = ("Lambda", "__lambda__", "TFOpLambda", "SlicingOpLambda", "TFSMLayer")
# What to use where something is refused.
_ONES_OWN: Final[dict[Place, str]] = {
    "model": "a Functional or Sequential model",
    "layer": "Keras's own layers",
    "activation": "Keras's own activations",
    "initializer": "Keras's own initializers",
    "regularizer": "Keras's own regularizers",
    "constraint": "Keras's own constraints",
    "policy": "Keras's own dtypes",
    "quantizer": "the model as it was before it was quantized",
}
# Members of an object by which Keras finds its class.
_NAMES: Final = ("module", "class_name", "registered_name")
_MAX_SHOWN: Final = 80


class NameRefusedError(ModelFailedError):
    """A name that is not in the list: a newer version of the file may have another."""


class _Item(NamedTuple):
    value: object
    place: Place
    # The layer or model that it belongs to, and the members on the way to it from there.
    owner: str
    path: str
    trusted: TrustedNames


def require_allowed(
    config: object, *, is_archive: bool, trusted: TrustedNames = NO_TRUSTED_NAMES
) -> frozenset[InModule]:
    """Raise ModelFailedError, mostly NameRefusedError with the name and its place, unless all of `config` is allowed.

    `is_archive`: of a `.keras` archive, whose own training settings Keras is told to leave out. Without recursion, as
    the file is not trusted. Returns the trusted classes in it that Keras has to be told of.
    """
    if not isinstance(config, dict) or "class_name" not in config:
        raise ModelFailedError("the configuration describes no model")
    if is_archive:
        config = {key: value for key, value in config.items() if key != "compile_config"}
    told = trusted.find_in_modules(config)
    names = trusted.resolvable | {each.class_name for each in told}
    waiting = [_Item(config, "model", "", "", replace(trusted, resolvable=names))]
    while waiting:
        waiting += _check(waiting.pop())
    return told


def _check(item: _Item) -> Iterator[_Item]:
    """Refuse the item, or give what it holds."""
    value = item.value
    if isinstance(value, list):
        return (item._replace(value=element) for element in value)
    if isinstance(value, dict):
        return _check_object(value, item) if "class_name" in value else _members(value, item)
    if isinstance(value, str):
        _check_text(value, item)
    return iter(())


def _check_text(text: str, item: _Item) -> None:
    if not allowed_names().has_text(item.place, text):
        _refuse(item, text, _describe(item.place, None))
    if text in item.trusted.resolvable and item.path.rpartition(".")[2] != "name":
        _refuse(item, text, "a registered name where plain values belong")


def _check_object(entry: Mapping[str, object], item: _Item) -> Iterator[_Item]:
    name, place = entry["class_name"], item.place
    if not isinstance(name, str):
        _refuse(item, name, "no name of a class")
    if name in _VALUES or (name == "__keras_tensor__" and place == "tensors"):
        return _check_value(entry, item)
    if name in _CODE:
        _refuse_latent(entry, item)
    if name == "function":
        _check_function(entry, item)
        return iter(())
    module = entry.get("module")
    if place in ("data", "tensors"):
        _refuse(item, name, "an object where plain values belong")
    if item.trusted.has_object(place, entry):
        return _parts(entry, item, is_trusted=True)
    if not (module is None or isinstance(module, str)) or not allowed_names().has_object(place, module, name):
        _refuse(item, name, _describe(place, module))
    if entry.get("registered_name") not in (None, name):
        _refuse(item, entry["registered_name"], f"registered under another name than '{name}', as no class of Keras is")
    return _parts(entry, item)


def _parts(entry: Mapping[str, object], item: _Item, *, is_trusted: bool = False) -> Iterator[_Item]:
    """What an allowed object is made of."""
    if entry.get("compile_config"):
        _refuse(item, entry["class_name"], "compiled within another model: save it uncompiled")
    config = entry.get("config")
    owner = _own_name(entry) if item.place in ("model", "layer", "any") else ""
    inside = item._replace(owner=owner, path="") if owner else item
    for key, value in entry.items():
        if key == "config" and isinstance(config, dict):
            free: Place = "any" if is_trusted else "data"
            yield from _arguments(config, inside, free, has_module=entry.get("module") is not None)
        elif key == "config":
            # Before Keras 2.2.3 a Sequential's configuration was the list of its layers.
            yield _below(inside, key, value, "layer" if entry["class_name"] == "Sequential" else "data")
        elif key == "inbound_nodes":
            yield _below(inside, key, value, "tensors")
        elif key not in _NAMES:
            yield _below(inside, key, value, "data")


def _arguments(config: Mapping[str, object], item: _Item, free: Place, *, has_module: bool) -> Iterator[_Item]:
    for key, value in config.items():
        place = _place_of(key, free)
        if not has_module and key != "name" and isinstance(value, str) and value in FUNCTIONS_BESIDE_LAYERS:
            _refuse(_below(item, key, value, place), value, "a function of Keras where plain values belong")
        yield _below(item, key, value, place)


def _members(value: Mapping[str, object], item: _Item) -> Iterator[_Item]:
    """Of a dictionary that is no object: what holds for it holds for everything in it."""
    return (_below(item, key, member, item.place) for key, member in value.items())


def _check_value(entry: Mapping[str, object], item: _Item) -> Iterator[_Item]:
    config = entry.get("config")
    dtype = config.get("dtype") if isinstance(config, dict) else None
    if dtype is not None and dtype not in allowed_names().dtypes:
        _refuse(item, dtype, "no dtype of Keras")
    place: Place = "tensors" if item.place == "tensors" else "data"
    return (_below(item, key, value, place) for key, value in entry.items() if key != "class_name")


def _check_function(entry: Mapping[str, object], item: _Item) -> None:
    """A function by its name. Keras 3 finds it by `config`, or by `registered_name`, so that both have to be it."""
    name, module = entry.get("config"), entry.get("module")
    names = {name, entry.get("registered_name", name) or name} if isinstance(name, str) else set()
    if item.place != "activation":
        _refuse(item, name, "a function where none belongs")
    if len(names) != 1 or (module, name) not in allowed_names().functions:
        _refuse(item, name if len(names) == 1 else entry.get("registered_name"), _describe("activation", module))


def _place_of(key: str, free: Place) -> Place:
    """`free` is what stands under names that Keras gives no meaning."""
    if key in _PLACES:
        return _PLACES[key]
    return _ENDINGS.get(key.rpartition("_")[2], free)


def _own_name(entry: Mapping[str, object]) -> str:
    config = entry.get("config")
    name = (config.get("name") if isinstance(config, dict) else None) or entry.get("name")
    return name if isinstance(name, str) else ""


def _below(item: _Item, key: object, value: object, place: Place) -> _Item:
    return item._replace(value=value, place=place, path=f"{item.path}.{key}" if item.path else str(key))


def _describe(place: Place, module: object) -> str:
    source = "Keras 3" if module is None else f"the module '{_shown(module)}'"
    what = "nothing" if place == "any" else f"no {place}"
    advice = f"use {_ONES_OWN.get(place, 'plain values')}"
    if isinstance(module, str) and not module.startswith("keras."):
        advice += ", or have the operator trust its package (CONVSCOPE_TRUSTED_PACKAGES)"
    return f"{what} of {source} that may be loaded: {advice}"


def _refuse_latent(entry: Mapping[str, object], item: _Item) -> NoReturn:
    name = _own_name(entry) or item.owner or "unnamed"
    config = entry.get("config")
    if isinstance(config, dict) and entry["class_name"] in ("TFOpLambda", "SlicingOpLambda") and "function" in config:
        raise ModelFailedError(
            f"layer '{_shown(name)}' calls TensorFlow's '{_shown(config['function'])}' ({entry['class_name']}), "
            "which in this form is none of the functions that are known to be the same in Keras 3. "
            "Replace it by a Keras layer (Rescaling, Reshape, …) and save the model again"
        )
    raise ModelFailedError(
        f"layer '{_shown(name)}' is a Lambda ({entry['class_name']}): it carries code that would run on this server. "
        "Replace it by a Keras layer (Rescaling, Reshape, …) and save the model again"
    )


def _refuse(item: _Item, name: object, why: str) -> NoReturn:
    owner = f"'{_shown(item.owner)}'" if item.owner else "the model"
    where = f" ({_shown(item.path)})" if item.path else ""
    raise NameRefusedError(f"{owner}{where}: '{_shown(name)}' is {why}")


def _shown(name: object) -> str:
    return (name if isinstance(name, str) else type(name).__name__)[:_MAX_SHOWN]
