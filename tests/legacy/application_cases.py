"""Every family of `keras.applications`, as small as it goes, as Keras 2 built it. Runs under Keras 2 alone."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tests.legacy.layer_cases import Case

keras = tf.keras
applications = keras.applications

# The smallest of each family, and the size of picture that it is built for; a size that it allows.
_FAMILIES: dict[str, tuple[int, dict[str, Any]]] = {
    "ConvNeXtTiny": (64, {}),
    "DenseNet121": (64, {}),
    "EfficientNetB0": (64, {}),
    "EfficientNetV2B0": (64, {}),
    "InceptionResNetV2": (80, {}),
    "InceptionV3": (80, {}),
    "MobileNet": (64, {"alpha": 0.25}),
    "MobileNetV2": (64, {"alpha": 0.35}),
    "MobileNetV3Large": (64, {"alpha": 0.75, "minimalistic": True}),
    "MobileNetV3Small": (64, {}),
    "NASNetMobile": (64, {}),
    "ResNet50": (64, {}),
    "ResNet50V2": (64, {}),
    "RegNetX002": (64, {}),
    "RegNetY002": (64, {}),
    "ResNetRS50": (64, {}),
    "VGG16": (32, {}),
    "Xception": (80, {}),
}


def _family(name: str) -> Case:
    size, options = _FAMILIES[name]
    build: Callable[..., Any] = _find(name)
    return lambda _: build(weights=None, input_shape=(size, size, 3), classes=5, **options)


def _find(name: str) -> Any:
    modules = (applications, *(getattr(applications, module, None) for module in ("regnet", "resnet_rs")))
    return next(getattr(module, name) for module in modules if hasattr(module, name))


def _backbone(_: str) -> Any:
    """A network without its top, as the first layer of a Sequential."""
    base = applications.MobileNetV3Small((64, 64, 3), include_top=False, weights=None)
    layers = [base, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax")]
    return keras.Sequential(layers)


CASES: dict[str, Case] = {f"application-{name}": _family(name) for name in _FAMILIES} | {
    "application-as-backbone": _backbone
}
