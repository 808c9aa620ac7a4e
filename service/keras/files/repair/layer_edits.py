"""Edits that concern one layer by itself. Each changes its entry in place and returns its name where it had to."""

from collections.abc import Mapping

from service.keras.files.admission.configuration import FUNCTIONS_BESIDE_LAYERS
from service.keras.files.entries import Entry, config_of, held_by, name_of
from service.keras.files.repair.model_edits import MODULES_OF_MODELS

_ANY = object()
_CONVOLUTION = {"groups": 1}
# These wrote what their base class wrote; both their kernels have arguments of their own.
_SEPARABLE = {
    "groups": 1,
    "kernel_initializer": _ANY,
    "kernel_regularizer": _ANY,
    "kernel_constraint": _ANY,
}
_SPATIAL_DROPOUT = {"noise_shape": None, "trainable": _ANY}
_RECURRENT = {"time_major": False}
# Arguments that Keras 3 no longer takes, with the value at which they say nothing.
_OBSOLETE: Mapping[str, Mapping[str, object]] = {
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _CONVOLUTION),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _CONVOLUTION),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _SEPARABLE),
    **dict.fromkeys(("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"), _SPATIAL_DROPOUT),
    **dict.fromkeys(("RNN", "SimpleRNN", "LSTM", "GRU", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"), _RECURRENT),
    "Discretization": {"trainable": _ANY},
    # The shapes that it was built for, which its call tells again.
    "MultiHeadAttention": {"query_shape": _ANY, "key_shape": _ANY, "value_shape": _ANY},
}
_RENAMED_CLASSES = {
    "BatchNormalizationV1": ("BatchNormalization", {}),
    "BatchNormalizationV2": ("BatchNormalization", {}),
    # As it computes when nothing is trained.
    "SyncBatchNormalization": ("BatchNormalization", {}),
    "ThresholdedReLU": ("ReLU", {"theta": "threshold"}),
}
_OF_APPLICATIONS = {
    "LayerScale": "convnext",
    "StochasticDepth": "convnext",
    "CustomScaleLayer": "inception_resnet_v2",
}
_OF_EVERY_LAYER = ("name", "trainable", "dtype", "batch_input_shape")


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
    """Numbers written as arrays: `{"type": "ndarray", "value": 6.0}`, or as "__numpy__" in archives of Keras 2.12."""
    config = config_of(entry)
    found = {key: _number(value) for key, value in config.items() if isinstance(value, dict)}
    found = {key: value for key, value in found.items() if value is not None}
    config |= found
    return [name_of(entry)] if found else []


def _number(value: Entry) -> object:
    """The number or list in one of these; None for anything else."""
    if value.get("type") == "ndarray":
        return value.get("value")
    return config_of(value).get("value") if value.get("class_name") == "__numpy__" else None


def typed_initializers(entry: Entry) -> list[str]:
    """TensorFlow 1's initializers had a dtype; the weights come from the file in any case."""
    typed = [item for item in _initializers(entry) if "dtype" in config_of(item)]
    for initializer in typed:
        del config_of(initializer)["dtype"]
    return [name_of(entry)] if typed else []


def initializers_of_tensorflow(entry: Entry) -> list[str]:
    """Those of TensorFlow itself, as in EfficientNetV2, which Keras 3 has under the same names."""
    foreign = [item for item in _initializers(entry) if item.get("module") == "tensorflow.python.ops.init_ops_v2"]
    for initializer in foreign:
        initializer |= {"module": "keras.initializers", "registered_name": None}
    return [name_of(entry)] if foreign else []


def _initializers(entry: Entry) -> list[Entry]:
    values = (value for key, value in config_of(entry).items() if key.endswith("_initializer"))
    return [value for value in values if isinstance(value, dict)]


def several_axes(entry: Entry) -> list[str]:
    """A layer over several axes, or all: Keras 3 ignores the argument where it takes the entry for an old one."""
    axis = config_of(entry).get("axis", 0)
    if isinstance(axis, int) or (isinstance(axis, list) and len(axis) == 1):
        return []
    return _mark(entry)


def names_of_functions(entry: Entry) -> list[str]:
    """A text that is also a function beside Keras's layers (`score_mode = "dot"`): Keras 3 puts that in its place."""
    texts = (value for key, value in config_of(entry).items() if key != "name" and isinstance(value, str))
    return _mark(entry) if not FUNCTIONS_BESIDE_LAYERS.isdisjoint(texts) else []


def _mark(entry: Entry) -> list[str]:
    """Have Keras 3 read the entry by its own rules, not by those for old ones."""
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


def application(entry: Entry) -> list[str]:
    """Layers of ConvNeXt and InceptionResNetV2, which stand beside the network itself."""
    class_name = str(entry.get("class_name")).removeprefix("Custom>")
    if class_name not in _OF_APPLICATIONS or "module" in entry:
        return []
    module = f"keras.src.applications.{_OF_APPLICATIONS[class_name]}"
    entry |= {"class_name": class_name, "module": module, "registered_name": None}
    return [name_of(entry)]


def random_sizes(entry: Entry) -> list[str]:
    """Layers that changed a picture's size at random, in training alone."""
    if entry.get("class_name") not in ("RandomHeight", "RandomWidth"):
        return []
    entry |= {"class_name": "Identity", "config": _common(entry)}
    return [name_of(entry)]


def random_crop(entry: Entry) -> list[str]:
    """Keras 2's RandomCrop at inference: the largest window of that aspect ratio, resized. Keras 3's does nothing."""
    if entry.get("class_name") != "RandomCrop":
        return []
    size = {key: config_of(entry).get(key) for key in ("height", "width")}
    entry |= {"class_name": "Resizing", "config": _common(entry) | size | {"crop_to_aspect_ratio": True}}
    return [name_of(entry)]


def held_layers(entry: Entry) -> list[str]:
    """What a wrapper or an activation holds, which Keras 3 looks for by its module."""
    changed = []
    for held in held_by(entry):
        place = MODULES_OF_MODELS.get(str(held.get("class_name")), ("keras.layers", held.get("class_name")))
        module, class_name = held.get("module"), held.get("class_name")
        if class_name == "function" or (module is not None and not module.startswith("keras")):
            # A function, or a class of somebody's own: refused by that name.
            continue
        held.pop("build_config", None)
        if (module, class_name) != place or held.get("registered_name", held) is not None:
            held |= {"module": place[0], "class_name": place[1], "registered_name": None}
            changed.append(name_of(held))
    return changed


def _common(entry: Entry) -> Entry:
    return {key: value for key, value in config_of(entry).items() if key in _OF_EVERY_LAYER}
