"""From a network's last tensors to scores for clients and numbers to differentiate. Knows no graph and no traces."""

import keras
import tensorflow as tf
from keras import tree

from service.engine.ports.network_info import Task
from service.keras.graph.first_bias import compute_with_first_bias, has_first_bias
from service.keras.graph.head import Head

# Keeps log(p) finite where a class has no probability at all.
_TINY = 1e-30


def first_tensor(args: tuple[object, ...], kwargs: dict[str, object]) -> tf.Tensor:
    """The tensor that an operation was called on, however it was passed."""
    return next(item for item in tree.flatten((args, kwargs)) if tf.is_tensor(item))


def preactivation(layer: keras.Layer, inputs: tf.Tensor) -> tf.Tensor:
    """What a layer with a fused activation computes before it, without touching the layer."""
    if has_first_bias(layer):
        return compute_with_first_bias(layer, inputs, activation=None)
    # `copy.copy` would serialise and reload the layer.
    twin = object.__new__(type(layer))
    twin.__dict__.update(layer.__dict__, activation=None)
    return twin(inputs)


def is_plain_dense(layer: keras.Layer) -> bool:
    """Whether `pick_logits` knows how the layer computes."""
    return type(layer) is keras.layers.Dense and layer.compute_dtype == "float32" and not layer.quantization_mode


def pick_logits(layer: keras.Layer, inputs: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """Of each image the logit of its own class, (n,), from the inputs (n, features) of a plain Dense layer.

    Differentiated, the choice among all logits would send zeros back through the kernels of all other classes.
    """
    columns = tf.gather(tf.convert_to_tensor(layer.kernel), indices, axis=1)
    values = tf.reduce_sum(inputs * tf.transpose(columns), axis=-1)
    return values + tf.gather(tf.convert_to_tensor(layer.bias), indices) if layer.use_bias else values


def score(head: Head, task: Task, output: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Scores as clients see them, and the numbers whose gradient explains them, both (n, classes) float32.

    `output` and `logits` are (n, units); without reachable logits the latter are not looked at.
    """
    if task == "regression":
        return output, output
    if head.activation == "log_softmax":
        return tf.exp(output), output
    single = task == "binary" and output.shape[-1] == 1
    if not head.has_logits:
        values = tf.concat([1 - output, output], axis=-1) if single else output
        return values, tf.math.log(values + _TINY) if head.gives_probabilities else values
    if single:
        both = tf.concat([-logits, logits], axis=-1)
        return tf.sigmoid(both), both
    return (tf.nn.softmax(logits) if head.activation == "linear" else output), logits
