"""Edits that concern one layer by itself. Each changes its entry in place and returns its name where it had to."""

from typing import Any

from service.engine.keras.entries import Entry, config_of, name_of

_ANY = object()
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


def old_class(entry: Entry) -> list[str]:
    """Layers under a name that Keras 3 does not have."""
    if entry.get("class_name") not in _RENAMED_CLASSES:
        return []
    entry["class_name"], arguments = _RENAMED_CLASSES[entry["class_name"]]
    config = config_of(entry)
    for old in arguments.keys() & config.keys():
        config[arguments[old]] = config.pop(old)
    return [name_of(entry)]


def obsolete_arguments(entry: Entry) -> list[str]:
    """Arguments that Keras 3 refuses, where they say nothing; at any other value they stay, and Keras refuses them."""
    config = config_of(entry)
    known = _OBSOLETE.get(str(entry.get("class_name")), {})
    if str(entry.get("class_name")).startswith("Random"):
        known = {"rng_type": _ANY}
    found = [key for key, neutral in known.items() if key in config and neutral in (_ANY, config[key])]
    for key in found:
        del config[key]
    return [name_of(entry)] if found else []


def numpy_scalars(entry: Entry) -> list[str]:
    """Keras 2.2's ReLU: `{"type": "ndarray", "value": 6.0}` for 6.0."""
    config = config_of(entry)
    found = [key for key, value in config.items() if isinstance(value, dict) and value.get("type") == "ndarray"]
    for key in found:
        config[key] = config[key].get("value")
    return [name_of(entry)] if found else []


def typed_initializers(entry: Entry) -> list[str]:
    """TensorFlow 1's initializers had a dtype; the weights come from the file in any case."""
    initializers = (value for key, value in config_of(entry).items() if key.endswith("_initializer"))
    typed = [item for item in initializers if isinstance(item, dict) and "dtype" in config_of(item)]
    for initializer in typed:
        del config_of(initializer)["dtype"]
    return [name_of(entry)] if typed else []


def several_axes(entry: Entry) -> list[str]:
    """A layer over several axes, or all: Keras 3 ignores the argument where it takes the entry for an old one."""
    axis = config_of(entry).get("axis", 0)
    if isinstance(axis, int) or (isinstance(axis, list) and len(axis) == 1):
        return []
    entry |= {"module": "keras.layers", "registered_name": None}
    return [name_of(entry)]


def precision_policy(entry: Entry) -> list[str]:
    """Keras 2's mixed precision: a Policy object for the name of a dtype."""
    config = config_of(entry)
    dtype = config.get("dtype")
    if not isinstance(dtype, dict) or dtype.get("class_name") not in ("Policy", "PolicyV1"):
        return []
    config["dtype"] = config_of(dtype).get("name")
    return [name_of(entry)]
