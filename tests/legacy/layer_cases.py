"""Keras 2's layers, one or few in a small network, with the options that its configurations tell apart.

Runs under Keras 2 alone. Every network takes one picture of `SHAPE` in 0…255 and gives scores of a softmax, where it is
not the output itself that is tried.
"""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

keras = tf.keras
L = keras.layers

SHAPE = (32, 48, 3)
Case = Callable[[str], Any]


def _maps(*layers: Callable[[], Any]) -> Case:
    """A convolution, the layers, the mean of each map and a Dense layer."""
    return _stack(lambda: L.Conv2D(4, 3, name="first"), *layers, L.GlobalAveragePooling2D)


def _rows(*layers: Callable[[], Any]) -> Case:
    """Layers over a sequence of 24 rows of 16 numbers; the result is flattened."""
    return _stack(lambda: L.Conv2D(16, 8, strides=8, name="first"), lambda: L.Reshape((24, 16)), *layers, L.Flatten)


def _volumes(*layers: Callable[[], Any]) -> Case:
    return _stack(lambda: L.Reshape((4, 8, 48, 3)), *layers, L.Flatten)


def _stack(*layers: Callable[[], Any]) -> Case:
    return lambda name: build(name, [make() for make in layers])


def build(name: str, layers: list[Any], *, classes: int = 4) -> Any:
    """A Sequential or a Functional model of the layers, which of them depending on the name."""
    layers = [L.Rescaling(1 / 255.0), *layers, L.Dense(classes, activation="softmax", name="scores")]
    if zlib.crc32(name.encode()) % 2:
        return keras.Sequential([L.InputLayer(SHAPE), *layers])
    return chain(layers)


def chain(layers: list[Any]) -> Any:
    inputs = keras.Input(SHAPE)
    values: Any = inputs
    for layer in layers:
        values = layer(values)
    return keras.Model(inputs, values)


def _pairs(join: Callable[[Any, Any], Any]) -> Case:
    """Two convolutions of one picture, joined."""

    def make(_: str) -> Any:
        inputs = keras.Input(SHAPE)
        values = L.Rescaling(1 / 255.0)(inputs)
        joined = join(L.Conv2D(4, 3, name="one")(values), L.Conv2D(4, 3, name="two")(values))
        vector = L.GlobalAveragePooling2D()(joined) if len(joined.shape) == 4 else L.Flatten()(joined)
        return keras.Model(inputs, L.Dense(4, activation="softmax", name="scores")(vector))

    return make


def _sequences(join: Callable[[Any, Any], Any]) -> Case:
    return _pairs(lambda one, two: join(*(L.Reshape((15, 92))(L.MaxPooling2D(2)(values)) for values in (one, two))))


def _normalised(**arguments: Any) -> Case:
    def make(name: str) -> Any:
        layer = L.Normalization(**arguments)
        if not arguments:
            layer.adapt(np.random.default_rng(1).normal(0.4, 0.3, (64, *SHAPE)).astype(np.float32))
        return build(name, [layer, L.Conv2D(4, 3), L.GlobalAveragePooling2D()])

    return make


_FUNCTIONS = (
    *("elu", "exponential", "gelu", "hard_sigmoid", "linear", "relu", "selu"),
    *("sigmoid", "softmax", "softplus", "softsign", "swish", "tanh"),
)


def _lstm_cells() -> list[Any]:
    return [L.LSTMCell(6), L.LSTMCell(5)]


def _fused(function: str) -> Case:
    return _maps(lambda: L.Conv2D(5, 3, activation=function))


def _by_itself(function: str) -> Case:
    return _maps(lambda: L.Activation(function))


CASES: dict[str, Case] = {
    # Convolutions
    "conv-strides": _maps(lambda: L.Conv2D(6, 3, strides=2, padding="same", use_bias=False)),
    "conv-dilated": _maps(lambda: L.Conv2D(6, 3, dilation_rate=2)),
    "conv-groups": _maps(lambda: L.Conv2D(6, 3, groups=2)),
    "conv-constrained": _maps(
        lambda: L.Conv2D(6, 3, kernel_constraint="max_norm", kernel_regularizer="l2", bias_regularizer="l1")
    ),
    "conv-initializers": _maps(
        lambda: L.Conv2D(6, 3, kernel_initializer=keras.initializers.VarianceScaling(2.0), bias_initializer="he_normal")
    ),
    "conv-transposed": _maps(lambda: L.Conv2DTranspose(6, 3, strides=2, padding="same")),
    "conv-transposed-valid": _maps(lambda: L.Conv2DTranspose(6, 4, strides=3)),
    "conv-transposed-output-padding": _maps(lambda: L.Conv2DTranspose(6, 3, strides=2, output_padding=1)),
    "conv-transposed-dilated": _maps(lambda: L.Conv2DTranspose(6, 3, dilation_rate=2)),
    "depthwise": _maps(lambda: L.DepthwiseConv2D(3, depth_multiplier=2, strides=2, padding="same")),
    "depthwise-dilated": _maps(lambda: L.DepthwiseConv2D(3, dilation_rate=2, activation="relu")),
    "separable": _maps(lambda: L.SeparableConv2D(6, 3, depth_multiplier=2, activation="relu")),
    "separable-regularized": _maps(lambda: L.SeparableConv2D(6, 3, depthwise_regularizer="l2", use_bias=False)),
    "conv1d": _rows(lambda: L.Conv1D(6, 3, padding="causal", dilation_rate=2)),
    "conv1d-transposed": _rows(lambda: L.Conv1DTranspose(6, 3, strides=2)),
    "depthwise1d": _rows(lambda: L.DepthwiseConv1D(3, depth_multiplier=2)),
    "separable1d": _rows(lambda: L.SeparableConv1D(6, 3)),
    "conv3d": _volumes(lambda: L.Conv3D(4, (2, 3, 3), strides=(1, 2, 2))),
    "conv3d-transposed": _volumes(lambda: L.Conv3DTranspose(4, 2, strides=2)),
    "locally-connected": _maps(lambda: L.MaxPooling2D(4), lambda: L.LocallyConnected2D(4, 3)),
    # Pooling
    "max-pooling": _maps(lambda: L.MaxPooling2D(3, 2, padding="same")),
    "average-pooling": _maps(lambda: L.AveragePooling2D(3, 2, padding="same")),
    "global-pooling-keepdims": _maps(lambda: L.GlobalAveragePooling2D(keepdims=True), lambda: L.Conv2D(5, 1)),
    "global-max-pooling": _stack(lambda: L.Conv2D(4, 3), L.GlobalMaxPooling2D),
    "pooling1d": _rows(lambda: L.MaxPooling1D(2), lambda: L.AveragePooling1D(3, 2, padding="same")),
    "global-pooling1d": _rows(L.GlobalAveragePooling1D),
    "global-max-pooling1d": _rows(lambda: L.GlobalMaxPooling1D(keepdims=True)),
    "pooling3d": _volumes(lambda: L.MaxPooling3D(2), lambda: L.AveragePooling3D(2)),
    "global-pooling3d": _volumes(lambda: L.Conv3D(4, 2), L.GlobalAveragePooling3D),
    # Activations, fused and as layers
    **{f"fused-{function}": _fused(function) for function in _FUNCTIONS},
    **{f"activation-{function}": _by_itself(function) for function in _FUNCTIONS},
    "fused-tf-relu": _maps(lambda: L.Conv2D(5, 3, activation=tf.nn.relu)),
    "fused-tf-leaky-relu": _maps(lambda: L.Conv2D(5, 3, activation=tf.nn.leaky_relu)),
    "fused-layer": _maps(lambda: L.Conv2D(5, 3, activation=L.LeakyReLU(0.3))),
    "fused-prelu": _stack(L.Flatten, lambda: L.Dense(7, activation=L.PReLU())),
    "fused-relu-layer": _maps(lambda: L.Conv2D(5, 3, activation=L.ReLU(6.0))),
    "activation-of-layer": _maps(lambda: L.Activation(L.LeakyReLU(0.2))),
    "leaky-relu": _maps(lambda: L.LeakyReLU(0.1)),
    "prelu": _maps(lambda: L.PReLU(shared_axes=[1, 2])),
    "elu-layer": _maps(lambda: L.ELU(0.7)),
    "relu6": _maps(lambda: L.ReLU(6.0)),
    "relu-options": _maps(lambda: L.ReLU(max_value=2.0, negative_slope=0.1, threshold=0.2)),
    "thresholded-relu": _maps(lambda: L.ThresholdedReLU(0.3)),
    "softmax-layer": _maps(lambda: L.Softmax(axis=[1, 2])),
    # hard_sigmoid, whose formula changed
    "hard-sigmoid-output": lambda _: chain(
        [L.Rescaling(1 / 255.0), L.Conv2D(4, 3), L.GlobalAveragePooling2D(), L.Dense(1, activation="hard_sigmoid")]
    ),
    "hard-sigmoid-function": _maps(
        lambda: L.Conv2D(5, 3, activation=keras.activations.hard_sigmoid),
        lambda: L.Activation(keras.activations.hard_sigmoid),
    ),
    "hard-sigmoid-no-bias": _maps(lambda: L.Conv2D(5, 3, use_bias=False, activation="hard_sigmoid")),
    "hard-sigmoid-transposed": _maps(lambda: L.Conv2DTranspose(5, 3, activation="hard_sigmoid")),
    "hard-sigmoid-depthwise": _maps(lambda: L.DepthwiseConv2D(3, activation="hard_sigmoid")),
    "hard-sigmoid-separable": _maps(lambda: L.SeparableConv2D(5, 3, activation="hard_sigmoid")),
    "hard-sigmoid-einsum": _maps(
        lambda: L.EinsumDense("bhwc,cd->bhwd", (None, None, 5), bias_axes="d", activation="hard_sigmoid")
    ),
    "hard-sigmoid-lstm": _rows(lambda: L.LSTM(5, recurrent_activation="hard_sigmoid")),
    "hard-sigmoid-lstm-no-bias": _rows(lambda: L.LSTM(5, recurrent_activation="hard_sigmoid", use_bias=False)),
    "hard-sigmoid-lstm-activation": _rows(lambda: L.LSTM(5, activation="hard_sigmoid")),
    "hard-sigmoid-gru": _rows(lambda: L.GRU(5, recurrent_activation="hard_sigmoid")),
    "hard-sigmoid-gru-before": _rows(lambda: L.GRU(5, recurrent_activation="hard_sigmoid", reset_after=False)),
    "hard-sigmoid-gru-activation": _rows(lambda: L.GRU(5, activation="hard_sigmoid")),
    "hard-sigmoid-gru-both": _rows(
        lambda: L.GRU(5, activation="hard_sigmoid", recurrent_activation="hard_sigmoid", reset_after=False)
    ),
    "hard-sigmoid-rnn": _rows(lambda: L.SimpleRNN(5, activation="hard_sigmoid")),
    "hard-sigmoid-cells": _rows(
        lambda: L.RNN([L.LSTMCell(6, recurrent_activation="hard_sigmoid"), L.GRUCell(5, activation="hard_sigmoid")])
    ),
    "hard-sigmoid-bidirectional": _rows(lambda: L.Bidirectional(L.LSTM(4, recurrent_activation="hard_sigmoid"))),
    "hard-sigmoid-distributed": _rows(lambda: L.TimeDistributed(L.Dense(4, activation="hard_sigmoid"))),
    "hard-sigmoid-activation-distributed": _rows(lambda: L.TimeDistributed(L.Activation("hard_sigmoid"))),
    "hard-sigmoid-convlstm": _volumes(lambda: L.ConvLSTM2D(3, 3, padding="same")),
    # Normalisation
    "batch-normalization": _maps(L.BatchNormalization),
    "batch-normalization-plain": _maps(lambda: L.BatchNormalization(scale=False, center=False, epsilon=1e-5)),
    "batch-normalization-axis": _maps(lambda: L.BatchNormalization(axis=1)),
    "sync-batch-normalization": _maps(
        L.BatchNormalization, L.experimental.SyncBatchNormalization, lambda: L.Conv2D(4, 1), L.BatchNormalization
    ),
    "layer-normalization": _maps(L.LayerNormalization),
    "layer-normalization-axes": _maps(lambda: L.LayerNormalization(axis=[1, 2, 3], scale=False)),
    "group-normalization": _maps(lambda: L.GroupNormalization(2)),
    "unit-normalization": _maps(lambda: L.UnitNormalization(axis=-1)),
    "normalization-adapted": _normalised(),
    "normalization-given": _normalised(mean=[0.4, 0.5, 0.6], variance=[0.1, 0.2, 0.3]),
    "normalization-number": _normalised(mean=0.4, variance=0.1, axis=None),
    # Nothing at inference
    "dropout": _maps(lambda: L.Dropout(0.5, noise_shape=(None, 1, 1, 4)), lambda: L.SpatialDropout2D(0.2)),
    "dropout-1d": _rows(lambda: L.SpatialDropout1D(0.5)),
    "dropout-3d": _volumes(lambda: L.SpatialDropout3D(0.5)),
    "noise": _maps(lambda: L.GaussianNoise(0.5), lambda: L.GaussianDropout(0.5), lambda: L.AlphaDropout(0.5)),
    "activity-regularization": _maps(lambda: L.ActivityRegularization(0.1, 0.1)),
    "identity": _maps(L.Identity),
    "random-flip": _maps(lambda: L.RandomFlip("horizontal"), lambda: L.RandomRotation(0.2)),
    "random-zoom": _maps(lambda: L.RandomZoom(0.2, fill_mode="constant"), lambda: L.RandomTranslation(0.1, 0.1)),
    "random-contrast": _maps(lambda: L.RandomContrast(0.2), lambda: L.RandomBrightness(0.2)),
    "random-height": _maps(lambda: L.RandomHeight(0.2), lambda: L.RandomWidth(0.2), lambda: L.Resizing(20, 30)),
    "random-crop": _maps(lambda: L.RandomCrop(21, 30), lambda: L.Conv2D(4, 3)),
    "random-crop-flat": _stack(lambda: L.RandomCrop(21, 29), lambda: L.Conv2D(4, 3), L.Flatten),
    "random-crop-larger": _stack(lambda: L.RandomCrop(40, 70), lambda: L.Conv2D(4, 3), L.Flatten),
    "random-crop-exact": _stack(lambda: L.RandomCrop(32, 32), lambda: L.Conv2D(4, 3), L.Flatten),
    # Shapes
    "flatten": _stack(lambda: L.Conv2D(4, 8, strides=8), L.Flatten),
    "reshape": _stack(lambda: L.Conv2D(4, 8, strides=8), lambda: L.Reshape((-1, 8)), L.Flatten),
    "permute": _maps(lambda: L.Permute((2, 1, 3)), lambda: L.Conv2D(4, 3)),
    "repeat-vector": _stack(L.GlobalAveragePooling2D, lambda: L.RepeatVector(3), L.Flatten),
    "cropping": _maps(lambda: L.Cropping2D(((1, 2), (3, 0)))),
    "padding": _maps(lambda: L.ZeroPadding2D(((1, 2), (3, 0))), lambda: L.Conv2D(4, 3)),
    "cropping1d": _rows(lambda: L.ZeroPadding1D(2), lambda: L.Cropping1D((1, 3))),
    "cropping3d": _volumes(lambda: L.ZeroPadding3D(1), lambda: L.Cropping3D((1, 2, 2))),
    "up-sampling": _maps(lambda: L.UpSampling2D(2)),
    "up-sampling-bilinear": _maps(lambda: L.UpSampling2D((3, 2), interpolation="bilinear"), lambda: L.Conv2D(4, 3)),
    "up-sampling-bicubic": _maps(lambda: L.UpSampling2D(2, interpolation="bicubic"), lambda: L.Conv2D(4, 3)),
    "up-sampling-area": _maps(lambda: L.UpSampling2D(2, interpolation="area"), lambda: L.Conv2D(4, 3)),
    "up-sampling1d": _rows(lambda: L.UpSampling1D(3)),
    "up-sampling3d": _volumes(lambda: L.UpSampling3D((1, 2, 1)), lambda: L.Conv3D(2, 3)),
    "resizing": _maps(lambda: L.Resizing(20, 31), lambda: L.Conv2D(4, 3)),
    "resizing-nearest": _maps(lambda: L.Resizing(50, 31, interpolation="nearest"), lambda: L.Conv2D(4, 3)),
    "resizing-cropping": _maps(lambda: L.Resizing(20, 20, crop_to_aspect_ratio=True), lambda: L.Conv2D(4, 3)),
    "center-crop": _maps(lambda: L.CenterCrop(21, 30), lambda: L.Conv2D(4, 3)),
    "center-crop-larger": _maps(lambda: L.CenterCrop(60, 60), lambda: L.Conv2D(4, 3)),
    "rescaling": _maps(lambda: L.Rescaling([0.5, 1.0, 2.0, 3.0], [0.1, 0.2, 0.3, 0.4])),
    "discretization": _stack(
        lambda: L.Discretization([0.21, 0.49]), lambda: L.Rescaling(0.5), lambda: L.Conv2D(4, 3), L.GlobalMaxPooling2D
    ),
    # Two branches
    "add": _pairs(lambda one, two: L.Add()([one, two])),
    "subtract": _pairs(lambda one, two: L.Subtract()([one, two])),
    "multiply": _pairs(lambda one, two: L.Multiply()([one, two])),
    "average": _pairs(lambda one, two: L.Average()([one, two])),
    "maximum": _pairs(lambda one, two: L.Maximum()([one, two])),
    "minimum": _pairs(lambda one, two: L.Minimum()([one, two])),
    "concatenate": _pairs(lambda one, two: L.Concatenate(axis=2)([one, two])),
    "dot": _sequences(lambda one, two: L.Dot(axes=2, normalize=True)([one, two])),
    # Attention
    "attention": _sequences(lambda one, two: L.Attention(use_scale=True)([one, two])),
    "attention-plain": _sequences(lambda one, two: L.Attention(dropout=0.2)([one, two])),
    "attention-concat": _sequences(lambda one, two: L.Attention(score_mode="concat")([one, two])),
    "attention-additive": _sequences(lambda one, two: L.AdditiveAttention()([one, two])),
    "multi-head-attention": _sequences(lambda one, two: L.MultiHeadAttention(2, 5)(two, one)),
    "multi-head-attention-self": _sequences(
        lambda one, _: L.MultiHeadAttention(2, 5, value_dim=3, output_shape=7, dropout=0.1)(one, one)
    ),
    "multi-head-attention-key": _sequences(
        lambda one, two: L.MultiHeadAttention(2, 5, use_bias=False)(one, L.Dense(11)(two), key=two)
    ),
    # Recurrent
    "lstm": _rows(lambda: L.LSTM(5, return_sequences=True, go_backwards=True)),
    "lstm-options": _rows(
        lambda: L.LSTM(5, dropout=0.1, recurrent_dropout=0.1, unroll=True, unit_forget_bias=False, implementation=1)
    ),
    "gru": _rows(lambda: L.GRU(5, return_sequences=True)),
    "gru-before": _rows(lambda: L.GRU(5, reset_after=False)),
    "simple-rnn": _rows(lambda: L.SimpleRNN(5)),
    "rnn-of-a-cell": _rows(lambda: L.RNN(L.GRUCell(5))),
    "rnn-of-cells": _rows(lambda: L.RNN(_lstm_cells(), return_sequences=True)),
    "rnn-of-stacked-cells": _rows(lambda: L.RNN(L.StackedRNNCells(_lstm_cells()))),
    "bidirectional": _rows(lambda: L.Bidirectional(L.LSTM(5, return_sequences=True), merge_mode="sum")),
    "bidirectional-backward-layer": _rows(
        lambda: L.Bidirectional(L.GRU(5), backward_layer=L.GRU(5, go_backwards=True, activation="relu"))
    ),
    "time-major": _rows(lambda: L.LSTM(5, time_major=True)),
    "masking": _rows(lambda: L.Masking(0.0), lambda: L.LSTM(5)),
    "time-distributed": _volumes(
        lambda: L.TimeDistributed(L.Conv2D(4, 3, activation="relu")),
        lambda: L.TimeDistributed(L.DepthwiseConv2D(3)),
        lambda: L.TimeDistributed(L.GlobalAveragePooling2D()),
    ),
    "time-distributed-model": _volumes(
        lambda: L.TimeDistributed(
            keras.Sequential([L.Conv2D(4, 3, input_shape=(8, 48, 3)), L.BatchNormalization(), L.Flatten()])
        ),
        lambda: L.LSTM(3),
    ),
    "convlstm1d": _volumes(lambda: L.Reshape((4, 8, 144)), lambda: L.ConvLSTM1D(3, 3, recurrent_activation="sigmoid")),
    "convlstm2d": _volumes(
        lambda: L.ConvLSTM2D(3, 3, padding="same", recurrent_activation="sigmoid", return_sequences=True)
    ),
    "convlstm3d": _volumes(
        lambda: L.Reshape((2, 2, 8, 48, 3)), lambda: L.ConvLSTM3D(2, 2, recurrent_activation="sigmoid")
    ),
    # Dense
    "dense": _stack(L.Flatten, lambda: L.Dense(8, activation="relu", kernel_regularizer=keras.regularizers.L1L2(0.1))),
    "dense-on-maps": _maps(lambda: L.Dense(6, activation="relu")),
    "einsum-dense": _rows(lambda: L.EinsumDense("btc,cd->btd", (None, 6), bias_axes="d")),
    "embedding": _stack(
        L.GlobalAveragePooling2D, lambda: L.Discretization([0.4, 0.5]), lambda: L.Embedding(3, 5), L.Flatten
    ),
    "spectral-normalization": _maps(lambda: L.SpectralNormalization(L.Conv2D(4, 3))),
}
