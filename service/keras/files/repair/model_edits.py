"""Edits that concern a model and the layers in it. Each changes its entry in place and returns the layers' names."""

from collections.abc import Iterable

from service.keras.files.entries import (
    Entry,
    Reference,
    children_of,
    config_of,
    ends,
    layers_of,
    name_of,
    references,
    walk,
)

_MODELS = {"Sequential", "Model", "Functional"}
# Where Keras 3 keeps its models, and what it calls them.
MODULES_OF_MODELS = {
    "Sequential": ("keras", "Sequential"),
    "Functional": ("keras.src.models.functional", "Functional"),
    "Model": ("keras.src.models.functional", "Functional"),
}
# A note in each layer's entry: the class that its weights are filed under in an archive of Keras 2.
CLASS_IN_KERAS_2 = "class_in_keras_2"


def note_classes(config: Entry) -> None:
    """Before anything is changed, write down what the layers' classes are called in the file."""
    for entry in walk(config):
        for layer in layers_of(entry):
            layer[CLASS_IN_KERAS_2] = str(layer.get("class_name"))


def module_of_model(entry: Entry) -> list[str]:
    """The module of an archive's model, which was another in each version of Keras 2, and is in tf_keras."""
    place = MODULES_OF_MODELS.get(str(entry.get("class_name")))
    if place is None or not str(entry.get("module")).startswith(("keras", "tf_keras")) or entry["module"] == place[0]:
        return []
    entry |= {"module": place[0], "class_name": place[1], "registered_name": None}
    return [name_of(entry)]


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
    layers = [layer for layer in layers_of(entry) if "module" in layer]
    for layer in layers:
        for key in ("module", "registered_name", "build_config"):
            layer.pop(key, None)
    return [name_of(layer) for layer in layers]


def training_settings(entry: Entry) -> list[str]:
    """Of a model within another one: Keras reads them though it is told not to compile."""
    return [name_of(layer) for layer in children_of(entry) if layer.pop("compile_config", None)]


def input_shape_on_layer(entry: Entry) -> list[str]:
    """A layer that carries the input's shape: as a Sequential's first, Keras 3 would add a second batch axis to it."""
    layers = layers_of(entry)
    carriers = [layer for layer in layers if layer.get("class_name") != "InputLayer" and _shape_argument(layer)]
    if layers and entry.get("class_name") == "Sequential" and layers[0].get("class_name") != "InputLayer":
        first = layers[0]
        config = {"name": f"{name_of(first)}_input", "batch_shape": _input_shape(first)}
        if config["batch_shape"] is None:
            return []
        if isinstance(dtype := config_of(first).get("dtype"), str):
            config["dtype"] = dtype
        entry["config"]["layers"] = [{"class_name": "InputLayer", "config": config}, *layers]
        carriers = carriers or [first]
    for layer in carriers:
        config_of(layer).pop("batch_input_shape", None)
    return [name_of(layer) for layer in carriers]


def ends_of_nested_models(entry: Entry) -> list[str]:
    """A nested model with one input or output, written as a list of it: Keras 3 would pass lists between layers."""
    changed = []
    for child in children_of(entry):
        config = config_of(child)
        for key in ("input_layers", "output_layers"):
            found = config.get(key)
            if isinstance(found, list) and len(found) == 1 and isinstance(found[0], list):
                config[key] = found[0]
                changed.append(name_of(child))
    return list(dict.fromkeys(changed))


def calls_of_nested_models(entry: Entry) -> list[str]:
    """Keras 2 counts a nested model's calls from 1, as its own graph was call 0; Keras 3 counts from 0."""
    changed = []
    models = [child for child in layers_of(entry) if child.get("class_name") in _MODELS]
    # Looked through once: there may be thousands of both.
    all_calls, all_outputs = (_by_layer(found) for found in ((references(entry), ends(entry)) if models else ((), ())))
    for child in models:
        # A name that two have is the first one's.
        calls, outputs = all_calls.pop(name_of(child), []), all_outputs.pop(name_of(child), [])
        if not calls + outputs or min(reference[1] for reference in calls + outputs) < 1:
            continue
        # Keras 3 itself counts back at the outputs of a model, but only for Functional ones.
        for reference in calls + (outputs if child["class_name"] == "Sequential" else []):
            reference[1] -= 1
        changed.append(name_of(child))
    return changed


def slashes_in_names(entry: Entry) -> list[str]:
    """DenseNet's `conv1/conv`: Keras 3 keeps the slash for paths."""
    layers = [layer for layer in layers_of(entry) if "/" in name_of(layer)]
    changed = [name_of(layer) for layer in layers]
    if not {without_slashes(name) for name in changed}.isdisjoint(map(name_of, layers_of(entry))):
        # Two layers would have one name: Keras refuses the slash, and says so.
        return []
    for layer in layers:
        for place in (layer, config_of(layer)):
            if isinstance(place.get("name"), str):
                place["name"] = without_slashes(place["name"])
    for reference in [*references(entry), *ends(entry)] if changed else []:
        reference[0] = without_slashes(reference[0])
    return changed


def without_slashes(name: str) -> str:
    """The name that `slashes_in_names` gives."""
    return name.replace("/", "_")


def _by_layer(found: Iterable[Reference]) -> dict[str, list[Reference]]:
    layers: dict[str, list[Reference]] = {}
    for reference in found:
        layers.setdefault(reference[0], []).append(reference)
    return layers


def _shape_argument(entry: Entry) -> object:
    return config_of(entry).get("batch_input_shape")


def _input_shape(entry: Entry) -> object:
    """The shape that a layer or a model with one input takes, batch axis included."""
    while (shape := _shape_argument(entry) or config_of(entry).get("batch_shape")) is None:
        layers = layers_of(entry)
        if entry.get("class_name") != "Sequential":
            layers = [layer for layer in layers if layer.get("class_name") == "InputLayer"]
        if not layers or (entry.get("class_name") != "Sequential" and len(layers) != 1):
            return None
        entry = layers[0]
    return shape
