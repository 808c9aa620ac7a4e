"""The demo's convolutional classifier: as it is trained, and as it is saved. Knows no scenes and no files.

It is trained with batch normalisation, with which four epochs are enough, and saved without it: a plain chain of
convolutions is easier to look into, and the two compute the same function.
"""

from typing import Any

from keras import Input, Model, layers

# (filters, kernel side, stride), or None for a 2x2 maximum. The last map is 12x12, and each of its cells sees 79 pixels
# of 96. With a 24x24 map and a view of 47 pixels, Grad-CAM's peak missed the object, mostly by a pixel or two, in a
# quarter of the scenes.
_STACK = (
    (24, 5, 2),
    (32, 3, 1),
    None,
    (48, 3, 1),
    (64, 3, 1),
    None,
    (96, 3, 1),
    (128, 3, 1),
    (128, 3, 1),
)


def build_network(classes: int, *, normalised: bool) -> Any:
    """The untrained network; its input is (96, 96, 3) in [0, 1], RGB."""
    x = inputs = Input((96, 96, 3), name="image")
    convolutions = poolings = 0
    for entry in _STACK:
        if entry is None:
            poolings += 1
            x = layers.MaxPooling2D(2, name=f"pool{poolings}")(x)
            continue
        convolutions += 1
        x = _convolve(x, entry, name=f"conv{convolutions}", normalised=normalised)
    x = layers.GlobalAveragePooling2D(name="pooling")(x)
    return Model(inputs, layers.Dense(classes, activation="softmax", name="predictions")(x), name="shapes")


def fold_normalisation(trained: Any) -> Any:
    """The same function as `trained` without its batch normalisation: scale and shift go into kernel and bias."""
    plain = build_network(trained.output_shape[-1], normalised=False)
    plain.get_layer("predictions").set_weights(trained.get_layer("predictions").get_weights())
    for layer in plain.layers:
        if not isinstance(layer, layers.Conv2D):
            continue
        (kernel,) = trained.get_layer(layer.name).get_weights()
        normalisation = trained.get_layer(f"{layer.name}_normalisation")
        scale, shift, mean, variance = normalisation.get_weights()
        factor = scale / (variance + normalisation.epsilon) ** 0.5
        layer.set_weights([kernel * factor, shift - mean * factor])
    return plain


def _convolve(x: Any, entry: tuple[int, int, int], *, name: str, normalised: bool) -> Any:
    filters, side, stride = entry
    if not normalised:
        return layers.Conv2D(filters, side, stride, padding="same", activation="relu", name=name)(x)
    x = layers.Conv2D(filters, side, stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=name)(
        x
    )
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_normalisation")(x)
    return layers.ReLU(name=f"{name}_activation")(x)
