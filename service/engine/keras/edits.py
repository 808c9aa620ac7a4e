"""What older Keras wrote otherwise: the edits that make a model's configuration readable to Keras 3, in one table.

Each edit takes one layer's or model's entry of the JSON configuration, changes it in place where it has to, and returns
the names of the layers it changed. Knows no files and imports no Keras.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from service.engine.keras.keras1 import modernise

Entry = dict[str, Any]

_ANY = object()
_MODELS = {"Sequential", "Model", "Functional"}
# Arguments that Keras 3 no longer takes, with the value at which they say nothing.
_OBSOLETE: dict[str, dict[str, Any]] = {
    "DepthwiseConv2D": {"groups": 1},
    "Conv2DTranspose": {"groups": 1},
    # These wrote what their base class wrote; both their kernels have arguments of their own.
    "SeparableConv2D": {
        "groups": 1,
        "kernel_initializer": _ANY,
        "kernel_regularizer": _ANY,
        "kernel_constraint": _ANY,
    },
    "SpatialDropout2D": {"noise_shape": None, "trainable": _ANY},
    "LSTM": {"time_major": False},
    "GRU": {"time_major": False},
}
_RENAMED_CLASSES = {
    "BatchNormalizationV1": ("BatchNormalization", {}),
    "BatchNormalizationV2": ("BatchNormalization", {}),
    "ThresholdedReLU": ("ReLU", {"theta": "threshold"}),
}


class Edit(NamedTuple):
    """`sentence` is shown to users; `{layers}` in it stands for the layers that `mend` changed."""

    sentence: str
    mend: Callable[[Entry], list[str]]


def mend(config: Entry) -> tuple[str, ...]:
    """Apply every edit that `config` needs, in place, and return a sentence for each."""
    changed = ((edit, [name for entry in _walk(config) for name in edit.mend(entry)]) for edit in EDITS)
    return tuple(edit.sentence.format(layers=_enumerate(names)) for edit, names in changed if names)


def sequential_as_list(entry: Entry) -> list[str]:
    """Keras before 2.2.3: the layers themselves, where a name and the layers are expected."""
    if entry.get("class_name") != "Sequential" or not isinstance(entry.get("config"), list):
        return []
    name = entry.get("name") or "sequential"
    entry["config"] = {"name": name, "layers": entry["config"]}
    return [name]


def module_names(entry: Entry) -> list[str]:
    """Keras 2.13 to 2.15: entries of nested models look like Keras 3's, which would read them by its own rules."""
    # Not what a wrapper holds: that is read by Keras 3's rules in any case.
    layers = [layer for layer in _layers(entry) if "module" in layer]
    for layer in layers:
        for key in ("module", "registered_name", "build_config"):
            layer.pop(key, None)
    return [_name(layer) for layer in layers]


def old_class(entry: Entry) -> list[str]:
    """Layers under a name that Keras 3 does not have."""
    if entry.get("class_name") not in _RENAMED_CLASSES:
        return []
    entry["class_name"], arguments = _RENAMED_CLASSES[entry["class_name"]]
    config = _config(entry)
    for old in arguments.keys() & config.keys():
        config[arguments[old]] = config.pop(old)
    return [_name(entry)]


def obsolete_arguments(entry: Entry) -> list[str]:
    """Arguments that Keras 3 refuses, where they say nothing; at any other value they stay, and Keras refuses them."""
    config = _config(entry)
    known = _OBSOLETE.get(str(entry.get("class_name")), {})
    if str(entry.get("class_name")).startswith("Random"):
        known = {"rng_type": _ANY}
    found = [key for key, neutral in known.items() if key in config and neutral in (_ANY, config[key])]
    for key in found:
        del config[key]
    return [_name(entry)] if found else []


def numpy_scalars(entry: Entry) -> list[str]:
    """Keras 2.2's ReLU: `{"type": "ndarray", "value": 6.0}` for 6.0."""
    config = _config(entry)
    found = [key for key, value in config.items() if isinstance(value, dict) and value.get("type") == "ndarray"]
    for key in found:
        config[key] = config[key].get("value")
    return [_name(entry)] if found else []


def typed_initializers(entry: Entry) -> list[str]:
    """TensorFlow 1's initializers had a dtype; the weights come from the file in any case."""
    initializers = (value for key, value in _config(entry).items() if key.endswith("_initializer"))
    typed = [item for item in initializers if isinstance(item, dict) and "dtype" in _config(item)]
    for initializer in typed:
        del _config(initializer)["dtype"]
    return [_name(entry)] if typed else []


def several_axes(entry: Entry) -> list[str]:
    """A layer over several axes, or all: Keras 3 ignores the argument where it takes the entry for an old one."""
    axis = _config(entry).get("axis", 0)
    if isinstance(axis, int) or (isinstance(axis, list) and len(axis) == 1):
        return []
    entry |= {"module": "keras.layers", "registered_name": None}
    return [_name(entry)]


def precision_policy(entry: Entry) -> list[str]:
    """Keras 2's mixed precision: a Policy object for the name of a dtype."""
    config = _config(entry)
    dtype = config.get("dtype")
    if not isinstance(dtype, dict) or dtype.get("class_name") not in ("Policy", "PolicyV1"):
        return []
    config["dtype"] = _config(dtype).get("name")
    return [_name(entry)]


def input_shape_on_layer(entry: Entry) -> list[str]:
    """A layer that carries the input's shape: as a Sequential's first, Keras 3 would add a second batch axis to it."""
    layers = _layers(entry)
    carriers = [layer for layer in layers if layer.get("class_name") != "InputLayer" and _shape_argument(layer)]
    if layers and entry.get("class_name") == "Sequential" and layers[0].get("class_name") != "InputLayer":
        first = layers[0]
        config = {"name": f"{_name(first)}_input", "batch_shape": _input_shape(first)}
        if config["batch_shape"] is None:
            return []
        if isinstance(dtype := _config(first).get("dtype"), str):
            config["dtype"] = dtype
        entry["config"]["layers"] = [{"class_name": "InputLayer", "config": config}, *layers]
        carriers = carriers or [first]
    for layer in carriers:
        _config(layer).pop("batch_input_shape", None)
    return [_name(layer) for layer in carriers]


def ends_of_nested_models(entry: Entry) -> list[str]:
    """A nested model with one input or output, written as a list of it: Keras 3 would pass lists between layers."""
    changed = []
    for child in _children(entry):
        config = _config(child)
        for key in ("input_layers", "output_layers"):
            ends = config.get(key)
            if isinstance(ends, list) and len(ends) == 1 and isinstance(ends[0], list):
                config[key] = ends[0]
                changed.append(_name(child))
    return list(dict.fromkeys(changed))


def calls_of_nested_models(entry: Entry) -> list[str]:
    """Keras 2 counts a nested model's calls from 1, as its own graph was call 0; Keras 3 counts from 0."""
    changed = []
    for child in _layers(entry):
        if child.get("class_name") not in _MODELS:
            continue
        calls = [reference for reference in _references(entry) if reference[0] == _name(child)]
        ends = [reference for reference in _ends(entry) if reference[0] == _name(child)]
        if not calls + ends or min(reference[1] for reference in calls + ends) < 1:
            continue
        # Keras 3 itself counts back at the outputs of a model, but only for Functional ones.
        for reference in calls + (ends if child["class_name"] == "Sequential" else []):
            reference[1] -= 1
        changed.append(_name(child))
    return changed


def slashes_in_names(entry: Entry) -> list[str]:
    """DenseNet's `conv1/conv`: Keras 3 keeps the slash for paths."""
    layers = [layer for layer in _layers(entry) if "/" in _name(layer)]
    changed = [_name(layer) for layer in layers]
    for layer in layers:
        for place in (layer, _config(layer)):
            if isinstance(place.get("name"), str):
                place["name"] = without_slashes(place["name"])
    for reference in [*_references(entry), *_ends(entry)] if changed else []:
        reference[0] = without_slashes(reference[0])
    return changed


def without_slashes(name: str) -> str:
    """The name that `slashes_in_names` gives."""
    return name.replace("/", "_")


# In this order: the first makes every layer reachable, and names change last.
EDITS = (
    Edit("the Sequential's list of layers was given the form that Keras 3 reads", sequential_as_list),
    Edit("Keras 1's names of layers and arguments were translated: {layers}", modernise),
    Edit("module names of Keras 2.13 to 2.15 were dropped: {layers}", module_names),
    Edit("layers were given the name that Keras 3 has for them: {layers}", old_class),
    Edit("arguments that Keras 3 no longer takes were dropped: {layers}", obsolete_arguments),
    Edit("numbers written as NumPy arrays were read as numbers: {layers}", numpy_scalars),
    Edit("the dtype of initializers was dropped: {layers}", typed_initializers),
    Edit("layers over several axes were marked, so that Keras 3 sees all of them: {layers}", several_axes),
    Edit("mixed-precision policies were replaced by their names: {layers}", precision_policy),
    Edit("the input shape stands in an InputLayer instead of a layer: {layers}", input_shape_on_layer),
    Edit("the single input or output of a nested model was taken out of its list: {layers}", ends_of_nested_models),
    Edit("calls of nested models were counted from 0 instead of 1: {layers}", calls_of_nested_models),
    Edit("'/' in layer names was replaced by '_': {layers}", slashes_in_names),
)


def _walk(config: Entry) -> Iterator[Entry]:
    """The model and every layer in it, nested or wrapped; without recursion, as the file is not trusted."""
    waiting = [config]
    while waiting:
        entry = waiting.pop()
        yield entry
        # Only now: what was done to the entry may have brought its layers to light.
        waiting += reversed(_children(entry))


def _children(entry: Entry) -> list[Entry]:
    wrapped = _config(entry).get("layer")
    return _layers(entry) + ([wrapped] if isinstance(wrapped, dict) else [])


def _layers(entry: Entry) -> list[Entry]:
    layers = _config(entry).get("layers")
    return [layer for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []


def _config(entry: Entry) -> Entry:
    config = entry.get("config")
    return config if isinstance(config, dict) else {}


def _name(entry: Entry) -> str:
    return str(_config(entry).get("name") or entry.get("name") or entry.get("class_name"))


def _shape_argument(entry: Entry) -> Any:
    return _config(entry).get("batch_input_shape")


def _input_shape(entry: Entry) -> Any:
    """The shape that a layer or a model with one input takes, batch axis included."""
    while (shape := _shape_argument(entry) or _config(entry).get("batch_shape")) is None:
        layers = _layers(entry)
        if entry.get("class_name") != "Sequential":
            layers = [layer for layer in layers if layer.get("class_name") == "InputLayer"]
        if not layers or (entry.get("class_name") != "Sequential" and len(layers) != 1):
            return None
        entry = layers[0]
    return shape


def _references(entry: Entry) -> Iterator[list[Any]]:
    """Every `[layer, call, tensor, …]` that a layer of this model is called on."""
    for layer in _layers(entry):
        yield from _triples(layer.get("inbound_nodes"))


def _ends(entry: Entry) -> Iterator[list[Any]]:
    yield from _triples([_config(entry).get("input_layers"), _config(entry).get("output_layers")])


def _triples(tree: Any) -> Iterator[list[Any]]:
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if not isinstance(item, list):
            continue
        if len(item) >= 3 and isinstance(item[0], str) and isinstance(item[1], int):
            yield item
        else:
            waiting += item


def _enumerate(names: Iterable[str], shown: int = 3) -> str:
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - shown} more" if len(distinct) > shown else ""
    return ", ".join(f"'{name}'" for name in distinct[:shown]) + more
