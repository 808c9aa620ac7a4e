"""How passes are made fast, against networks run as they are: cut at a layer, normalisation folded, pictures kept."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from service.engine.activation_cache import ActivationCache
from service.engine.arrays import Array
from service.engine.ports.overrides import Overrides
from service.keras.compute.folding import Folding
from service.keras.compute.probe import KerasProbe
from service.keras.compute.tuning import Tuning
from service.keras.graph.replay import wire
from service.keras.graph.subgraph import find_cut, find_subgraph
from tests.oracle import relative_error

PLAIN, FOLDED = Tuning(fold=False), Tuning(fold=True)
SIDE = 32


class Counter(layers.Layer):
    """Passes its input on and counts the pictures that really run through it."""

    def __init__(self) -> None:
        super().__init__(name="counter")
        self.pictures = 0

    def call(self, inputs: Any) -> Any:
        def count(number: int) -> int:
            self.pictures += int(number)
            return number

        with tf.control_dependencies([tf.numpy_function(count, [tf.shape(inputs)[0]], tf.int32)]):
            return tf.identity(inputs)


def _normalised(maps: Any, name: str, **settings: Any) -> Any:
    return layers.BatchNormalization(name=f"{name}_bn", **settings)(maps)


def _trunk(inputs: Any) -> Any:
    """What can be folded, of every kind, with a residual around one of them."""
    maps = layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv")(inputs)
    maps = layers.ReLU(name="relu")(_normalised(maps, "conv"))
    wide = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(maps)
    wide = layers.Activation("silu")(_normalised(wide, "depthwise", scale=False))
    narrow = layers.Conv2D(8, 1, name="project")(wide)
    maps = layers.Add(name="add")([_normalised(narrow, "project", center=False), maps])
    maps = layers.Conv2D(12, 3, strides=2, padding="valid", name="stride")(maps)
    maps = layers.ReLU(6.0)(_normalised(maps, "stride"))
    maps = layers.Conv2D(12, 3, dilation_rate=2, padding="same", name="dilated")(maps)
    return layers.ReLU(name="last")(_normalised(maps, "dilated"))


def _network(counter: Counter | None = None) -> keras.Model:
    keras.utils.set_random_seed(5)
    inputs = keras.Input((SIDE, SIDE, 3))
    maps = _trunk(counter(inputs) if counter else inputs)
    network = keras.Model(inputs, layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling2D()(maps)))
    _settle(network)
    return network


def _settle(network: keras.Model) -> None:
    """Moments and scales as training leaves them, of both signs and several magnitudes."""
    rng = np.random.default_rng(7)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_mean.assign(rng.normal(0, 0.5, layer.moving_mean.shape))
            layer.moving_variance.assign(10 ** rng.uniform(-2, 1, layer.moving_variance.shape))
            for weight in (layer.gamma, layer.beta):
                if weight is not None:
                    weight.assign(rng.normal(0.5, 1, weight.shape))


def _images(count: int) -> list[Array]:
    return list(np.random.default_rng(1).random((count, SIDE, SIDE, 3), np.float32))


def _explain(network: keras.Model, layer: str, image: Array, index: int) -> tuple[Any, Any, Any]:
    """Activations, gradients of the logit, and scores, from Keras's own calls."""
    maps = network.get_layer(layer).output
    twin = keras.Model(network.inputs, [maps, network.layers[-1].input])
    last = network.layers[-1]
    with tf.GradientTape() as tape:
        batch = tf.constant(image[None])
        tape.watch(batch)
        found, features = twin([batch], training=False)
        logits = features @ last.kernel + last.bias
        value = logits[0, index]
    return found[0].numpy(), tape.gradient(value, found)[0].numpy(), tf.nn.softmax(logits)[0].numpy()


@pytest.mark.parametrize("layer", ["conv", "conv_bn", "relu", "depthwise", "add", "stride", "dilated", "last"])
def test_answers_are_the_networks_own_when_normalisation_is_folded(layer: str):
    network, image = _network(), _images(1)[0]
    before = [weight.numpy() for weight in network.weights]
    answer = KerasProbe(network, tuning=FOLDED).activations_and_gradients(image, layer=layer, class_index=3)
    activations, gradients, scores = _explain(network, layer, image, 3)
    assert relative_error(answer.activations, activations) < 1e-5
    assert relative_error(answer.gradients, gradients) < 1e-4
    assert relative_error(answer.scores.values, scores) < 1e-5
    assert all(np.array_equal(one, other.numpy()) for one, other in zip(before, network.weights, strict=True))


def test_every_pair_of_the_network_is_folded():
    wiring = wire(_network())
    part = find_subgraph(wiring.inputs, wiring.outputs)
    found = Folding(wiring).apply(part, max_bytes=2**20)
    assert [site.path for site in found.pairs] == ["conv", "depthwise", "project", "stride", "dilated"]
    assert found.bytes == 4 * sum(wiring.by_site[site].operation.kernel.numpy().size for site in found.fixed)


def test_a_part_is_left_alone_when_its_kernels_take_too_much_or_it_is_spared():
    wiring = wire(_network())
    part, folding = find_subgraph(wiring.inputs, wiring.outputs), Folding(wiring)
    whole = folding.apply(part, max_bytes=2**20)
    assert folding.apply(part, max_bytes=whole.bytes).fixed == whole.fixed
    assert not folding.apply(part, max_bytes=whole.bytes - 1).fixed
    spared = {wiring.by_path["conv_bn"].site, wiring.by_path["project"].site}
    found = folding.apply(part, max_bytes=2**20, spared=spared)
    assert [site.path for site in found.pairs] == ["depthwise", "stride", "dilated"]
    assert whole.fixed - found.fixed == {wiring.by_path["project"].site}


def _twice(maps: Any) -> Any:
    conv = layers.Conv2D(3, 3, padding="same")
    return _normalised(conv(conv(maps)), "after")


def _used_elsewhere(maps: Any) -> Any:
    maps = layers.Conv2D(3, 3)(maps)
    return layers.Add()([maps, _normalised(maps, "after")])


def _activated(maps: Any) -> Any:
    return _normalised(layers.Conv2D(3, 3, activation="relu")(maps), "after")


def _other_axis(maps: Any) -> Any:
    return _normalised(layers.Conv2D(3, 3)(maps), "after", axis=1)


def _grouped(maps: Any) -> Any:
    return _normalised(layers.Conv2D(6, 3, groups=3)(maps), "after")


def _half(maps: Any) -> Any:
    return _normalised(layers.Conv2D(3, 3, dtype="mixed_bfloat16")(maps), "after")


@pytest.mark.parametrize("build", [_twice, _used_elsewhere, _activated, _other_axis, _grouped, _half])
def test_nothing_is_folded_where_it_would_not_be_the_same(build: Callable[[Any], Any]):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((9, 9, 3))
    outputs = layers.Dense(2, activation="softmax")(layers.Flatten()(build(inputs)))
    network = keras.Model(inputs, outputs)
    _settle(network)
    assert Folding(wire(network)).pairs == {}
    image = np.random.default_rng(1).random((9, 9, 3), np.float32)
    expected = network(image[None], training=False)[0].numpy()
    assert relative_error(KerasProbe(network, tuning=FOLDED).scores(image).values, expected) < 1e-5


def test_folding_is_given_up_when_it_changes_the_scores(caplog: pytest.LogCaptureFixture):
    # In the network's own order of rounding a bias of ten million swallows what the convolution found.
    inputs = keras.Input((SIDE, SIDE, 3))
    conv, norm = layers.Conv2D(4, 3, bias_initializer=keras.initializers.Constant(1e7)), layers.BatchNormalization()
    maps = norm(conv(inputs))
    keras.utils.set_random_seed(3)
    network = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(maps)))
    norm.moving_mean.assign(np.full(4, 1e7))
    image = _images(1)[0]
    probe = KerasProbe(network, overrides=Overrides(task="regression"), tuning=FOLDED)
    with caplog.at_level(logging.WARNING):
        probe.run_once()
    assert "not folded" in caplog.text
    expected = network(image[None], training=False)[0].numpy()
    assert np.allclose(probe.scores(image).values, expected, atol=1e-6)


@pytest.mark.parametrize("tuning", [PLAIN, FOLDED], ids=["plain", "folded"])
def test_a_batch_answers_as_one_by_one(tuning: Tuning):
    network, images = _network(), _images(4)
    probe, classes = KerasProbe(network, tuning=tuning), (3, None, 0, 3)
    together = probe.gradients_of(images, classes, layer="add")
    for image, index, found in zip(images, classes, together, strict=True):
        alone = probe.activations_and_gradients(image, layer="add", class_index=index)
        assert found.target.index == alone.target.index
        assert relative_error(found.activations, alone.activations) < 1e-5
        assert relative_error(found.gradients, alone.gradients) < 1e-4


def _padded(size: int | None, around: Any, **settings: Any) -> keras.Model:
    keras.utils.set_random_seed(4)
    inputs = keras.Input((size, size, 3))
    maps = layers.ZeroPadding2D(around, name="pad")(inputs)
    maps = layers.Conv2D(4, padding="valid", name="conv", **settings)(maps)
    maps = layers.ReLU(name="last")(_normalised(maps, "conv"))
    network = keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(maps)))
    _settle(network)
    return network


@pytest.mark.parametrize(
    ("size", "around", "settings", "is_folded"),
    [
        (SIDE, ((0, 1), (0, 1)), {"kernel_size": 3, "strides": 2}, True),
        (SIDE, ((1, 2), (1, 2)), {"kernel_size": 5, "strides": 2}, True),
        (SIDE, 1, {"kernel_size": 3}, True),
        (SIDE, 2, {"kernel_size": 3, "dilation_rate": 2}, True),
        (SIDE, 1, {"kernel_size": 3, "strides": 2}, False),
        (SIDE + 1, ((0, 1), (0, 1)), {"kernel_size": 3, "strides": 2}, False),
        (None, ((0, 1), (0, 1)), {"kernel_size": 3, "strides": 2}, False),
    ],
)
def test_zeros_are_left_to_the_convolution_where_they_are_the_same(
    size: int | None,
    around: Any,
    settings: dict[str, Any],
    is_folded: bool,  # noqa: FBT001
):
    network = _padded(size, around, **settings)
    wiring = wire(network)
    found = Folding(wiring).apply(find_subgraph(wiring.inputs, wiring.outputs), max_bytes=2**20)
    assert bool(found.paddings) == is_folded
    image = np.random.default_rng(1).random((size or SIDE, size or SIDE, 3), np.float32)
    for layer in ("last", "pad", "conv"):
        answer = KerasProbe(network, tuning=FOLDED).activations_and_gradients(image, layer=layer, class_index=1)
        activations, gradients, _ = _explain(network, layer, image, 1)
        assert relative_error(answer.activations, activations) < 1e-5
        assert relative_error(answer.gradients, gradients) < 1e-4


def _hourglass() -> keras.Model:
    """A skip connection around the middle: what lies beyond the middle needs two tensors."""
    keras.utils.set_random_seed(2)
    inputs = keras.Input((SIDE, SIDE, 3))
    early = layers.Conv2D(4, 3, padding="same", activation="relu", name="early")(inputs)
    middle = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="middle")(early)
    late = layers.Concatenate(name="late")([layers.UpSampling2D()(middle), early])
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(late)))


def test_cut_goes_through_every_connection_around_the_layer():
    network, image = _hourglass(), _images(1)[0]
    wiring = wire(network)
    assert [value.call.site.path for value in find_cut(wiring, wiring.by_path["middle"])] == ["middle", "early"]
    answer = KerasProbe(network).activations_and_gradients(image, layer="middle", class_index=2)
    activations, gradients, _ = _explain(network, "middle", image, 2)
    assert relative_error(answer.activations, activations) < 1e-5
    assert relative_error(answer.gradients, gradients) < 1e-4


def test_a_picture_is_computed_once_when_other_classes_and_scores_are_asked_for():
    counter = Counter()
    network, (image, other) = _network(counter), _images(2)
    plain = KerasProbe(network, tuning=PLAIN)
    probe = KerasProbe(network, tuning=Tuning(activation_cache=ActivationCache(2**24)))
    expected = [plain.activations_and_gradients(image, class_index=index) for index in range(3)]
    counter.pictures = 0
    probe.scores(image)
    found = [probe.activations_and_gradients(image, class_index=index) for index in range(3)]
    assert counter.pictures == 1
    for one, reference in zip(found, expected, strict=True):
        assert one.target.index == reference.target.index
        assert relative_error(one.gradients, reference.gradients) < 1e-4
    # In a batch with one that is new, only that one.
    probe.gradients_of([image, other], [0, 0])
    assert counter.pictures == 2
    probe.activations_and_gradients(image, layer="add")
    assert counter.pictures == 3


def test_activations_are_computed_once_when_a_layer_is_asked_for_again():
    counter = Counter()
    probe = KerasProbe(_network(counter), tuning=Tuning(activation_cache=ActivationCache(2**24)))
    image = _images(1)[0]
    first = probe.activations(image, ["add", "last"])
    again: Sequence[Any] = [probe.activations(image, [layer])[0] for layer in ("last", "add")]
    assert counter.pictures == 1
    assert np.array_equal(first[0].values, again[1].values)
    assert np.array_equal(first[1].values, again[0].values)


def test_pictures_of_one_probe_are_not_another_probes():
    one, other = _network(), _network()
    kernel = other.get_layer("conv").kernel
    kernel.assign(-kernel)
    activation_cache, image = ActivationCache(2**24), _images(1)[0]
    for network in (one, other):
        expected = network(image[None], training=False)[0].numpy()
        probe = KerasProbe(network, tuning=Tuning(activation_cache=activation_cache))
        assert relative_error(probe.scores(image).values, expected) < 1e-5
