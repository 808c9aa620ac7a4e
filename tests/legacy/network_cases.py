"""Networks as people built them with Keras 2: those of tutorials and books, and every way of putting parts together.

Runs under Keras 2 alone.
"""

from typing import Any

import tensorflow as tf

from tests.legacy.layer_cases import SHAPE, Case, chain

keras = tf.keras
L = keras.layers


def _cats_and_dogs(_: str) -> Any:
    """Chollet's book, chapter 5 of the first edition."""
    layers = [L.Conv2D(32, 3, activation="relu", input_shape=SHAPE), L.MaxPooling2D(2)]
    layers += [L.Conv2D(64, 3, activation="relu"), L.MaxPooling2D(2), L.Flatten(), L.Dropout(0.5)]
    return keras.Sequential([*layers, L.Dense(32, activation="relu"), L.Dense(1, activation="sigmoid")])


def _digits(_: str) -> Any:
    layers = [L.Conv2D(8, 3, activation="relu"), L.MaxPooling2D(), L.Conv2D(16, 3, activation="relu"), L.MaxPooling2D()]
    head = [L.Flatten(), L.Dropout(0.5), L.Dense(10, activation="softmax")]
    return keras.Sequential([keras.Input(SHAPE), L.Rescaling(1 / 255.0), *layers, *head])


def _flowers(_: str) -> Any:
    """TensorFlow's tutorial on image classification, with augmentation in the network."""
    augmentation = keras.Sequential(
        [L.RandomFlip("horizontal", input_shape=SHAPE), L.RandomRotation(0.1), L.RandomZoom(0.1)]
    )
    layers = [L.Conv2D(8, 3, padding="same", activation="relu"), L.MaxPooling2D()]
    layers += [L.Conv2D(16, 3, padding="same", activation="relu"), L.MaxPooling2D(), L.Dropout(0.2), L.Flatten()]
    return keras.Sequential(
        [augmentation, L.Rescaling(1.0 / 255), *layers, L.Dense(16, activation="relu"), L.Dense(5, name="outputs")]
    )


def _transfer(_: str) -> Any:
    """TensorFlow's tutorial on transfer learning: `preprocess_input` within the network."""
    base = keras.applications.MobileNetV2((32, 32, 3), include_top=False, weights=None, alpha=0.35)
    base.trainable = False
    inputs = keras.Input(SHAPE)
    values = L.Resizing(32, 32)(L.RandomFlip()(inputs))
    values = base(keras.applications.mobilenet_v2.preprocess_input(values), training=False)
    values = L.Dropout(0.2)(L.GlobalAveragePooling2D()(values))
    return keras.Model(inputs, L.Dense(1, activation="sigmoid")(values))


def _from_scratch(_: str) -> Any:
    """Keras's example "image classification from scratch": a small Xception with residuals."""
    inputs = keras.Input(SHAPE)
    values = L.Rescaling(1.0 / 255)(inputs)
    values = L.Activation("relu")(L.BatchNormalization()(L.Conv2D(8, 3, strides=2, padding="same")(values)))
    before = values
    for size in (12, 16):
        values = L.SeparableConv2D(size, 3, padding="same")(L.Activation("relu")(values))
        values = L.BatchNormalization()(values)
        values = L.MaxPooling2D(3, strides=2, padding="same")(values)
        values = before = L.add([values, L.Conv2D(size, 1, strides=2, padding="same")(before)])
    return keras.Model(inputs, L.Dense(3, activation="softmax")(L.GlobalAveragePooling2D()(values)))


def _autoencoder(_: str) -> Any:
    inputs = keras.Input((28, 28, 1))
    values = L.MaxPooling2D(2, padding="same")(L.Conv2D(8, 3, activation="relu", padding="same")(inputs))
    values = L.UpSampling2D(2)(L.Conv2D(4, 3, activation="relu", padding="same")(values))
    return keras.Model(inputs, L.Conv2D(1, 3, activation="sigmoid", padding="same")(values))


def _dense_autoencoder(_: str) -> Any:
    encoder = [L.Rescaling(1 / 255), L.Flatten(), L.Dense(16, activation="relu"), L.Dense(2, name="latent")]
    decoder = [L.Dense(16, activation="relu"), L.Dense(784, activation="sigmoid"), L.Reshape((28, 28, 1))]
    return keras.Sequential([keras.Input((28, 28, 1)), *encoder, *decoder])


def _transposed_autoencoder(_: str) -> Any:
    encoder = [L.Conv2D(8, 3, activation="relu", padding="same", strides=2), L.Conv2D(4, 3, padding="same", strides=2)]
    decoder = [L.Conv2DTranspose(size, 3, strides=2, activation="relu", padding="same") for size in (4, 8)]
    last = L.Conv2D(1, 3, activation="sigmoid", padding="same")
    return keras.Sequential(
        [keras.Input((28, 28, 1)), keras.Sequential(encoder, name="encoder"), keras.Sequential([*decoder, last])]
    )


def _u_net(_: str) -> Any:
    inputs = keras.Input(SHAPE)
    one = L.Conv2D(4, 3, activation="relu", padding="same")(L.Rescaling(1 / 255.0)(inputs))
    two = L.Conv2D(8, 3, activation="relu", padding="same")(L.MaxPooling2D()(one))
    up = L.concatenate([L.Conv2DTranspose(4, 2, strides=2)(two), one])
    return keras.Model(inputs, L.Conv2D(2, 1, activation="softmax")(L.Conv2D(4, 3, padding="same")(up)))


def _residual(_: str) -> Any:
    inputs = keras.Input(SHAPE)
    values = L.Conv2D(8, 3, padding="same")(L.Rescaling(1 / 255.0)(inputs))
    for _unused in range(3):
        inner = L.ReLU()(L.BatchNormalization()(L.Conv2D(8, 3, padding="same", use_bias=False)(values)))
        values = L.Add()([values, L.BatchNormalization()(L.Conv2D(8, 3, padding="same")(inner))])
    return keras.Model(inputs, L.Dense(4, activation="softmax")(L.GlobalAveragePooling2D()(values)))


def _squeeze_excite(_: str) -> Any:
    inputs = keras.Input(SHAPE)
    values = L.Conv2D(8, 3)(L.Rescaling(1 / 255.0)(inputs))
    weights = L.Dense(8, activation="hard_sigmoid")(L.Dense(4, activation="relu")(L.GlobalAveragePooling2D()(values)))
    values = L.multiply([values, L.Reshape((1, 1, 8))(weights)])
    return keras.Model(inputs, L.Dense(4, activation="softmax")(L.GlobalAveragePooling2D()(values)))


def _vision_transformer(_: str) -> Any:
    inputs = keras.Input(SHAPE)
    values = L.Reshape((24, 16))(L.Conv2D(16, 8, strides=8)(L.Rescaling(1 / 255.0)(inputs)))
    for _unused in range(2):
        inner = L.LayerNormalization(epsilon=1e-6)(values)
        values = L.Add()([L.MultiHeadAttention(2, 8, dropout=0.1)(inner, inner), values])
        inner = L.Dense(16)(L.Dense(32, activation=tf.nn.gelu)(L.LayerNormalization(epsilon=1e-6)(values)))
        values = L.Add()([inner, values])
    return keras.Model(inputs, L.Dense(4, activation="softmax")(L.Flatten()(values)))


def _captions(_: str) -> Any:
    layers = [L.Conv2D(8, 3, activation="relu"), L.MaxPooling2D(2), L.Reshape((15, -1))]
    layers += [L.Bidirectional(L.LSTM(6, return_sequences=True)), L.Bidirectional(L.LSTM(4))]
    return chain([L.Rescaling(1 / 255.0), *layers, L.Dense(4, activation="softmax")])


def _body(name: str) -> Any:
    return keras.Sequential([L.Conv2D(6, 3, activation="relu", input_shape=SHAPE), L.BatchNormalization()], name=name)


def _functional_body(name: str) -> Any:
    inputs = keras.Input(SHAPE)
    values = L.ReLU()(L.BatchNormalization()(L.Conv2D(6, 3)(inputs)))
    return keras.Model(inputs, L.Concatenate()([values, L.Conv2D(2, 1)(values)]), name=name)


def _head(values: Any) -> Any:
    return L.Dense(4, activation="softmax", name="scores")(L.GlobalAveragePooling2D()(values))


def _nested_sequential(_: str) -> Any:
    return chain([L.Rescaling(1 / 255.0), _body("body"), L.GlobalAveragePooling2D(), L.Dense(4, activation="softmax")])


def _nested_functional(_: str) -> Any:
    return keras.Sequential(
        [_functional_body("body"), L.GlobalAveragePooling2D(), L.Dense(4, activation="softmax", name="scores")]
    )


def _two_sequentials(_: str) -> Any:
    """One without weights, one with them: places of weights are counted by class."""
    augmentation = keras.Sequential([L.RandomFlip(), L.Rescaling(1 / 255.0)], name="augmentation")
    return chain([augmentation, _body("body"), _second("second"), *_tail()])


def _second(name: str) -> Any:
    return keras.Sequential([L.Conv2D(6, 3, padding="same"), L.BatchNormalization(), L.Conv2D(6, 1)], name=name)


def _not_training(_: str) -> Any:
    inputs = keras.Input(SHAPE)
    values = L.BatchNormalization()(L.Conv2D(4, 3)(L.Rescaling(1 / 255.0)(inputs)), training=False)
    return keras.Model(inputs, _head(L.Dropout(0.5)(values, training=False)))


def _training(_: str) -> Any:
    """Statistics of the picture itself, whatever is asked of the network."""
    inputs = keras.Input(SHAPE)
    values = L.BatchNormalization()(L.Conv2D(4, 3)(L.Rescaling(1 / 255.0)(inputs)), training=True)
    return keras.Model(inputs, _head(values))


def _nested_thrice(_: str) -> Any:
    inner = chain([_functional_body("inner"), L.Conv2D(5, 3)])
    return chain([keras.Sequential([inner, L.Conv2D(5, 3), L.BatchNormalization()]), *_tail()])


def _tail() -> list[Any]:
    return [L.GlobalAveragePooling2D(), L.Dense(4, activation="softmax")]


def _nested_twice(_: str) -> Any:
    inputs = keras.Input(SHAPE)
    body = _functional_body("body")
    one, two = body(L.Rescaling(1 / 255.0)(inputs)), body(L.Rescaling(-1 / 255.0)(inputs))
    return keras.Model(inputs, _head(L.Subtract()([one, two])))


def _shared_layer(_: str) -> Any:
    inputs = keras.Input(SHAPE)
    shared, gate = L.Conv2D(3, 3, padding="same"), L.Activation("hard_sigmoid")
    values = gate(shared(L.Rescaling(1 / 255.0)(inputs)))
    return keras.Model(inputs, _head(gate(shared(values))))


def _slashes(_: str) -> Any:
    inputs = keras.Input(SHAPE, name="in/put")
    values = L.Conv2D(4, 3, name="block/conv")(inputs)
    return keras.Model(inputs, _head(L.Activation("relu", name="block/relu")(values)))


def _same_classes(_: str) -> Any:
    """Layers of one shape and class, which only their place tells apart."""
    return chain([L.Rescaling(1 / 255.0), *(L.Conv2D(3, 3, padding="same") for _ in range(5)), *_tail()])


def _open_size(_: str) -> Any:
    inputs = keras.Input((None, None, 3))
    values = L.Resizing(24, 24)(L.Conv2D(4, 3, activation="relu")(L.Rescaling(1 / 255.0)(inputs)))
    return keras.Model(inputs, _head(values))


def _mixed_precision(_: str) -> Any:
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        layers = [L.Rescaling(1 / 255.0), L.Conv2D(8, 3, activation="relu"), L.GlobalAveragePooling2D()]
        return chain([*layers, L.Dense(4), L.Activation("softmax", dtype="float32")])
    finally:
        keras.mixed_precision.set_global_policy("float32")


def _compiled(_: str) -> Any:
    network = chain([L.Rescaling(1 / 255.0), L.Conv2D(4, 3), L.BatchNormalization(), *_tail()])
    network.compile(keras.optimizers.Adam(1e-4), "categorical_crossentropy", metrics=["accuracy", "AUC"])
    network.fit(tf.zeros((2, *SHAPE)), tf.one_hot([0, 1], 4), verbose=0)
    return network


def _subclassed(_: str) -> Any:
    inputs = keras.Input(SHAPE)
    return type("Own", (keras.Model,), {})(inputs, _head(L.Conv2D(4, 3)(inputs)))


def _lambda(_: str) -> Any:
    return chain([L.Lambda(lambda values: values / 255.0), L.Conv2D(4, 3), *_tail()])


CASES: dict[str, Case] = {
    "cats-and-dogs": _cats_and_dogs,
    "digits": _digits,
    "flowers": _flowers,
    "transfer-learning": _transfer,
    "from-scratch": _from_scratch,
    "autoencoder": _autoencoder,
    "autoencoder-dense": _dense_autoencoder,
    "autoencoder-transposed": _transposed_autoencoder,
    "u-net": _u_net,
    "residual": _residual,
    "squeeze-excite": _squeeze_excite,
    "vision-transformer": _vision_transformer,
    "recurrent-head": _captions,
    "nested-sequential": _nested_sequential,
    "nested-functional": _nested_functional,
    "nested-thrice": _nested_thrice,
    "two-sequentials": _two_sequentials,
    "called-without-training": _not_training,
    "called-with-training": _training,
    "nested-called-twice": _nested_twice,
    "shared-layer": _shared_layer,
    "slashes-in-names": _slashes,
    "same-classes": _same_classes,
    "open-size": _open_size,
    "mixed-precision": _mixed_precision,
    "compiled": _compiled,
    "own-model-class": _subclassed,
    "lambda": _lambda,
}
