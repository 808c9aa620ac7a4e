"""Keras 1's names for layers and arguments, translated to those that Keras 2 and 3 share. Imports no Keras.

Only where the weights lie in the file as Keras 3 wants them: TensorFlow's axis order, and no transposed or separable
convolutions. Anything else keeps its old name, and Keras refuses it by that.
"""

from service.keras.files.entries import Entry

_KERNEL = {
    "init": "kernel_initializer",
    "bias": "use_bias",
    "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint",
}
_SPACE = {"dim_ordering": "data_format"}
_STEPS = {"border_mode": "padding", "subsample": "strides"} | _SPACE
_POOL = {"border_mode": "padding"} | _SPACE

# Class in Keras 1: class in Keras 3, and the arguments that are called otherwise.
_CLASSES: dict[str, tuple[str, dict[str, str]]] = {
    "Convolution2D": ("Conv2D", {"nb_filter": "filters"} | _STEPS | _KERNEL),
    "AtrousConvolution2D": ("Conv2D", {"nb_filter": "filters", "atrous_rate": "dilation_rate"} | _STEPS | _KERNEL),
    "Dense": ("Dense", {"output_dim": "units"} | _KERNEL),
    "MaxPooling2D": ("MaxPooling2D", _POOL),
    "AveragePooling2D": ("AveragePooling2D", _POOL),
    "GlobalMaxPooling2D": ("GlobalMaxPooling2D", _SPACE),
    "GlobalAveragePooling2D": ("GlobalAveragePooling2D", _SPACE),
    "ZeroPadding2D": ("ZeroPadding2D", _SPACE),
    "Cropping2D": ("Cropping2D", _SPACE),
    "UpSampling2D": ("UpSampling2D", _SPACE),
    "Dropout": ("Dropout", {"p": "rate"}),
    "SpatialDropout2D": ("SpatialDropout2D", {"p": "rate"} | _SPACE),
}
_DATA_FORMATS = {"tf": "channels_last", "th": "channels_first"}


def modernise(entry: Entry) -> list[str]:
    """Translate one layer's entry in place; returns its name where something had an old name."""
    config = entry.get("config")
    if not isinstance(config, dict):
        return []
    class_name, arguments = _CLASSES.get(str(entry.get("class_name")), (entry.get("class_name"), {}))
    old = arguments.keys() & config.keys()
    special = [translate(config) for translate in (_kernel_size, _mode, _input)]
    for key in old:
        config[arguments[key]] = config.pop(key)
    if not old and not any(special):
        return []
    entry["class_name"] = class_name
    if "data_format" in config:
        config["data_format"] = _DATA_FORMATS.get(config["data_format"], config["data_format"])
    # The weights come from the file: by which rule they began does not matter, and its name may be gone.
    config.pop("kernel_initializer", None)
    if class_name == "Dense":
        config.pop("input_dim", None)
    return [str(config.get("name", class_name))]


def _kernel_size(config: Entry) -> bool:
    if not {"nb_row", "nb_col"} <= config.keys():
        return False
    config["kernel_size"] = [config.pop("nb_row"), config.pop("nb_col")]
    return True


def _mode(config: Entry) -> bool:
    # BatchNormalization's per-sample mode (1) has no counterpart; the others differ while training only.
    if config.get("mode") not in (0, 2) or "momentum" not in config:
        return False
    del config["mode"]
    return True


def _input(config: Entry) -> bool:
    if "input_dtype" not in config:
        return False
    dtype = config.pop("input_dtype")
    if dtype is not None:
        config["dtype"] = dtype
    return True
