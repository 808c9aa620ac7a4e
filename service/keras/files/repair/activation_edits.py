"""hard_sigmoid, whose slope Keras 3 changed from 1/5 to 1/6: as a layer, it is given back by a Rescaling before it.

Where it is fused into a layer with weights, they are scaled once they are loaded (`hard_sigmoid`). Imports no Keras.
"""

from typing import Final

from service.keras.files.entries import Entry, config_of, held_by, layers_of, name_of

# hard_sigmoid of Keras 3 at 1.2 x is clip(0.2 x + 0.5, 0, 1), that of Keras 2 at x.
SCALE: Final = 1.2


def hard_sigmoid_over_time(entry: Entry) -> list[str]:
    """TimeDistributed around it: what happens to each number by itself needs no wrapper."""
    held = held_by(entry) if entry.get("class_name") == "TimeDistributed" else []
    if len(held) != 1 or not _is_hard_sigmoid(held[0]):
        return []
    own = {key: value for key, value in config_of(entry).items() if key != "layer"}
    entry |= {"class_name": "Activation", "config": own | {"activation": "hard_sigmoid"}}
    return [name_of(entry)]


def hard_sigmoid_layers(entry: Entry) -> list[str]:
    """Put a Rescaling before each Activation of this model that is a hard_sigmoid."""
    found = [layer for layer in layers_of(entry) if _is_hard_sigmoid(layer)]
    names = {name_of(layer) for layer in layers_of(entry)}
    for layer in found:
        scaling = _rescaling(layer, names)
        layers = entry["config"]["layers"]
        layers.insert(next(index for index, item in enumerate(layers) if item is layer), scaling)
        if "inbound_nodes" in layer:
            scaling["name"] = scaling["config"]["name"]
            scaling["inbound_nodes"] = layer["inbound_nodes"]
            calls = range(len(layer["inbound_nodes"]))
            layer["inbound_nodes"] = [[[scaling["name"], call, 0, {}]] for call in calls]
    return [name_of(layer) for layer in found]


def _rescaling(layer: Entry, names: set[str]) -> Entry:
    name = f"{name_of(layer)}_scaled"
    while name in names:
        name += "_"
    names.add(name)
    config: Entry = {"name": name, "scale": SCALE, "offset": 0.0}
    if "dtype" in config_of(layer):
        config["dtype"] = config_of(layer)["dtype"]
    return {"class_name": "Rescaling", "config": config}


def _is_hard_sigmoid(layer: Entry) -> bool:
    function = config_of(layer).get("activation")
    if isinstance(function, dict) and function.get("class_name") == "function":
        function = function.get("config")
    return layer.get("class_name") == "Activation" and function == "hard_sigmoid"
