"""Layers, a model and other objects as people write them: some well, some not."""

from typing import Any

import keras
from keras import layers, ops

register: Any = keras.saving.register_keras_serializable("ours")


@register
class Block(keras.layers.Layer):
    """A block of ConvNeXt. Its inner layers have no names of their own, and are made only when it is built."""

    def __init__(self, filters: int, strides: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides

    def build(self, input_shape: Any) -> None:
        self.down = layers.Conv2D(self.filters, self.strides, self.strides)
        self.depthwise = layers.DepthwiseConv2D(7, padding="same")
        self.norm = layers.LayerNormalization()
        self.wide = layers.Dense(4 * self.filters, activation="gelu")
        self.narrow = layers.Dense(self.filters)
        self.gamma = self.add_weight(shape=(self.filters,), initializer=Ramp(0.5), name="gamma")

    def call(self, inputs: Any) -> Any:
        values = self.down(inputs)
        return values + self.gamma * self.narrow(self.wide(self.norm(self.depthwise(values))))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"filters": self.filters, "strides": self.strides}


@keras.saving.register_keras_serializable("ours", name="Steep")
class Ramp(keras.initializers.Initializer):
    """Registered under another name than its own."""

    def __init__(self, top: float) -> None:
        self.top = top

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return ops.reshape(ops.linspace(0.0, self.top, int(ops.prod(shape))), shape)

    def get_config(self) -> dict[str, Any]:
        return {"top": self.top}


class Shift(keras.layers.Layer):
    """Not registered."""

    def __init__(self, by: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.by = by

    def call(self, inputs: Any) -> Any:
        return inputs + self.by

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"by": self.by}


@register
class Classifier(keras.Model):
    """Functional underneath, with a part of whatever kind, as KerasHub's are."""

    def __init__(self, part: Any, classes: int, norm: Any = None, **kwargs: Any) -> None:
        inputs = keras.Input((16, 16, 3))
        maps = part(inputs)
        maps = norm(maps) if norm is not None else maps
        super().__init__(inputs, layers.Dense(classes, name="scores")(layers.GlobalAveragePooling2D()(maps)), **kwargs)
        self.part = part
        self.norm = norm
        self.classes = classes

    def get_config(self) -> dict[str, Any]:
        parts = {key: keras.layers.serialize(getattr(self, key)) for key in ("part", "norm") if getattr(self, key)}
        return {"name": self.name, "classes": self.classes} | parts

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Classifier":
        parts = {key: keras.layers.deserialize(config[key]) for key in ("part", "norm") if key in config}
        return cls(**(config | parts))


@register
class Opaque(keras.Model):
    """One whose graph would not show what it computes."""

    def call(self, inputs: Any, *_: Any, **__: Any) -> Any:
        return 2 * super().call(inputs)


@register
class Doubling(Shift):
    """Comes back as another each time."""

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"by": 2 * self.by}


@register
class OwnLambda(keras.layers.Lambda):
    """What runs a file's code, under another name."""


@register  # type: ignore[untyped-decorator]
def shout() -> None:
    """A function."""
    raise AssertionError


class Dense(keras.layers.Layer):
    """Not registered, under a name of Keras's own."""


@register
class Softmax(keras.layers.Layer):
    """Registered, called as a layer of Keras's, and something else."""

    def call(self, inputs: Any) -> Any:
        return 2 * inputs


@register
class Patches(keras.layers.Layer):
    """Tokens out of a picture; with `leaks`, also by another way than its convolution."""

    def __init__(self, units: int, *, leaks: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.leaks = leaks

    def build(self, input_shape: Any) -> None:
        self.cut = layers.Conv2D(self.units, 4, 4, name="cut")
        self.cut.build(input_shape)
        self.shift = self.add_weight(shape=(self.units,), initializer="ones", name="shift")

    def call(self, inputs: Any) -> Any:
        maps = self.cut(inputs)
        tokens = ops.reshape(maps, [-1, 16, self.units]) + self.shift
        return tokens + ops.mean(inputs, axis=(1, 2, 3), keepdims=True)[:, 0] if self.leaks else tokens

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"units": self.units, "leaks": self.leaks}
