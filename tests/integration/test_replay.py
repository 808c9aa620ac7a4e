"""Tiny networks, one for each way of wiring a graph; most end in GAP and Dense, so that gradients are known by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from service.engine.arrays import Array
from service.engine.ports.overrides import Overrides
from service.errors import (
    ClassOutOfRangeError,
    LayerNotConnectedError,
    LayerNotFoundError,
    LayerNotSpatialError,
    ModelFailedError,
)
from service.keras.compute.probe import KerasProbe
from service.keras.files.loading import load_probe
from tests.families import CLASSES, enliven, evidence, examine
from tests.oracle import Oracle, correlation, dense, relative_error, snapshot, softmax

SIZE = 8
CELLS = SIZE * SIZE
IMAGE: Array = np.random.default_rng(3).uniform(-1, 1, (SIZE, SIZE, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def seed() -> None:
    keras.utils.set_random_seed(1)


def picture() -> Any:
    return keras.Input((SIZE, SIZE, 3), name="picture")


def conv(filters: int = 4, name: str = "maps", **options: Any) -> layers.Layer:
    return layers.Conv2D(filters, 3, padding="same", name=name, **options)


def head(maps: Any, units: int = 3, activation: str | None = "softmax", name: str = "scores") -> Any:
    return layers.Dense(units, activation=activation, name=name)(layers.GlobalAveragePooling2D()(maps))


def output_of(network: keras.Model, image: Array = IMAGE) -> Any:
    return ops.convert_to_numpy(network(image[None], training=False))[0]


def assert_gradients_are_the_head(probe: KerasProbe, kernel: Any, classes: int, cells: int = CELLS) -> None:
    """After GAP and Dense the gradient of logit t is column t of the kernel over the number of cells, everywhere."""
    for index in range(classes):
        answer = probe.activations_and_gradients(IMAGE, class_index=index)
        expected = np.broadcast_to(kernel[:, index] / cells, answer.gradients.shape)
        assert answer.target.index == index
        assert relative_error(answer.gradients, expected) < 1e-6


def logits_of(probe: KerasProbe, classes: int) -> Any:
    answers = [probe.activations_and_gradients(IMAGE, class_index=index) for index in range(classes)]
    return np.array([answer.target.value for answer in answers])


# --- where the logits are -------------------------------------------------------------------------------------------


def _separate_layer(values: Any) -> Any:
    return layers.Softmax(name="probabilities")(values)


def _separate_activation(values: Any) -> Any:
    return layers.Activation("softmax", name="probabilities")(values)


def _operation(values: Any) -> Any:
    return ops.softmax(values)


def _dropped_and_reshaped(values: Any) -> Any:
    return layers.Dropout(0.5)(layers.Reshape((3,))(layers.Softmax()(layers.Reshape((1, 1, 3))(values))))


@pytest.mark.parametrize("finish", [_separate_layer, _separate_activation, _operation, _dropped_and_reshaped])
def test_logits_are_differentiated_when_softmax_stands_apart(finish: Callable[[Any], Any]):
    inputs = picture()
    network = keras.Model(inputs, finish(head(conv(activation="relu")(inputs), activation=None)))
    probe = KerasProbe(network)
    assert (probe.network_info.task, probe.network_info.target_kind, probe.network_info.classes) == (
        "classification",
        "logit",
        3,
    )
    assert np.abs(probe.scores(IMAGE).values - output_of(network)).max() < 1e-6
    assert np.abs(softmax(logits_of(probe, 3)) - output_of(network)).max() < 1e-6
    assert_gradients_are_the_head(probe, network.get_layer("scores").get_weights()[0], 3)


def test_logits_are_differentiated_when_softmax_is_fused_into_a_convolution():
    inputs = picture()
    pooled = layers.GlobalAveragePooling2D(keepdims=True)(conv()(inputs))
    network = keras.Model(inputs, layers.Flatten()(layers.Conv2D(3, 1, activation="softmax", name="scores")(pooled)))
    probe = KerasProbe(network)
    assert (probe.network_info.target_kind, probe.network_info.default_layer) == ("logit", "maps")
    assert np.abs(softmax(logits_of(probe, 3)) - output_of(network)).max() < 1e-6
    assert_gradients_are_the_head(probe, network.get_layer("scores").get_weights()[0][0, 0], 3)


def test_logits_are_differentiated_when_the_softmax_is_saturated():
    inputs = picture()
    network = keras.Model(inputs, head(conv()(inputs)))
    kernel, bias = network.get_layer("scores").get_weights()
    network.get_layer("scores").set_weights([kernel, bias + np.array([200, 0, 0], np.float32)])
    probe = KerasProbe(network)
    assert probe.scores(IMAGE).values[0] == 1
    assert_gradients_are_the_head(probe, kernel, 3)


@pytest.mark.parametrize("activation", ["sigmoid", None], ids=["fused", "from logits"])
def test_sign_follows_the_class_when_one_sigmoid_stands_for_two(activation: str | None):
    inputs = picture()
    network = keras.Model(inputs, head(conv()(inputs), units=1, activation=activation))
    probe = KerasProbe(network, overrides=Overrides(task=None if activation else "binary"))
    kernel, bias = network.get_layer("scores").get_weights()
    pooled = np.asarray(probe.activations_and_gradients(IMAGE).activations).mean(axis=(0, 1))
    logit = float(pooled @ kernel[:, 0] + bias[0])
    one = 1 / (1 + np.exp(-logit))
    assert (probe.network_info.task, probe.network_info.classes) == ("binary", 2)
    assert probe.scores(IMAGE).values == pytest.approx([1 - one, one], abs=1e-6)
    for index, sign in ((0, -1), (1, 1)):
        answer = probe.activations_and_gradients(IMAGE, class_index=index)
        assert answer.target.value == pytest.approx(sign * logit, abs=1e-6)
        assert answer.target.score == pytest.approx((1 - one, one)[index], abs=1e-6)
        assert relative_error(answer.gradients, np.broadcast_to(sign * kernel[:, 0] / CELLS, (SIZE, SIZE, 4))) < 1e-6


def test_better_class_is_explained_when_one_sigmoid_stands_for_two():
    inputs = picture()
    network = keras.Model(inputs, head(conv()(inputs), units=1, activation="sigmoid"))
    kernel, _ = network.get_layer("scores").get_weights()
    for bias, best in ((-5, 0), (5, 1)):
        network.get_layer("scores").set_weights([kernel, np.array([bias], np.float32)])
        target = KerasProbe(network).activations_and_gradients(IMAGE).target
        assert target.index == best
        assert target.value > 0


def test_each_label_keeps_its_own_score_when_sigmoids_are_many():
    inputs = picture()
    network = keras.Model(inputs, head(conv()(inputs), units=3, activation="sigmoid"))
    probe = KerasProbe(network)
    assert (probe.network_info.task, probe.network_info.classes, probe.network_info.target_kind) == (
        "classification",
        3,
        "logit",
    )
    assert np.abs(probe.scores(IMAGE).values - output_of(network)).max() < 1e-6
    assert np.abs(1 / (1 + np.exp(-logits_of(probe, 3))) - output_of(network)).max() < 1e-6
    assert_gradients_are_the_head(probe, network.get_layer("scores").get_weights()[0], 3)


def test_value_itself_is_differentiated_when_the_output_is_a_regression():
    inputs = picture()
    network = keras.Model(inputs, head(conv()(inputs), units=2, activation=None))
    probe = KerasProbe(network)
    assert (probe.network_info.task, probe.network_info.classes, probe.network_info.target_kind) == (
        "regression",
        2,
        "value",
    )
    assert np.abs(probe.scores(IMAGE).values - output_of(network)).max() < 1e-6
    assert np.abs(logits_of(probe, 2) - output_of(network)).max() < 1e-6
    assert_gradients_are_the_head(probe, network.get_layer("scores").get_weights()[0], 2)


def test_softmax_is_added_when_a_classifier_gives_logits():
    inputs = picture()
    network = keras.Model(inputs, head(conv()(inputs), activation=None))
    probe = KerasProbe(network, overrides=Overrides(task="classification"))
    assert probe.network_info.target_kind == "logit"
    assert np.abs(logits_of(probe, 3) - output_of(network)).max() < 1e-6
    assert np.abs(probe.scores(IMAGE).values - softmax(output_of(network))).max() < 1e-6
    assert_gradients_are_the_head(probe, network.get_layer("scores").get_weights()[0], 3)


def test_log_probability_is_differentiated_when_logits_cannot_be_reached():
    inputs = picture()
    pooled = layers.GlobalAveragePooling2D()(conv()(inputs))
    scores = layers.EinsumDense("ab,bc->ac", 3, bias_axes="c", activation="softmax", name="scores")(pooled)
    network = keras.Model(inputs, scores)
    probe = KerasProbe(network, overrides=Overrides(task="classification"))
    assert probe.network_info.target_kind == "log_probability"
    assert np.abs(probe.scores(IMAGE).values - output_of(network)).max() < 1e-6
    assert np.abs(logits_of(probe, 3) - np.log(output_of(network))).max() < 1e-5
    kernel = network.get_layer("scores").get_weights()[0]
    centred = kernel - (kernel @ output_of(network))[:, None]
    assert_gradients_are_the_head(probe, centred, 3)


def _einsum(values: Any) -> Any:
    return layers.EinsumDense("ab,bc->ac", 3, activation="softmax")(values)


def _activation_is_a_layer(values: Any) -> Any:
    return layers.Dense(3, activation=layers.Softmax())(values)


def _cast_afterwards(values: Any) -> Any:
    return ops.cast(layers.Dense(3, activation="softmax", dtype="mixed_bfloat16")(values), "float32")


@pytest.mark.parametrize("finish", [_einsum, _activation_is_a_layer, _cast_afterwards])
def test_task_is_classification_when_the_softmax_is_out_of_reach(finish: Callable[[Any], Any]):
    inputs = picture()
    network = keras.Model(inputs, finish(layers.GlobalAveragePooling2D()(conv()(inputs))))
    network_info = KerasProbe(network).network_info
    assert network_info.task == "classification"
    assert network_info.target_kind in ("logit", "log_probability")


def test_scores_equal_the_network_when_a_classifier_averages_probabilities():
    inputs = picture()
    maps = conv()(inputs)
    network = keras.Model(inputs, layers.Average()([head(maps, name="one"), head(maps, name="two")]))
    probe = KerasProbe(network, overrides=Overrides(task="classification"))
    assert probe.network_info.target_kind == "log_probability"
    assert np.abs(probe.scores(IMAGE).values - output_of(network)).max() < 1e-6


def test_target_is_finite_when_the_activation_is_log_softmax():
    inputs = picture()
    network = keras.Model(inputs, head(conv()(inputs), activation="log_softmax"))
    probe = KerasProbe(network, overrides=Overrides(task="classification"))
    assert np.isfinite(logits_of(probe, 3)).all()


def test_class_is_refused_when_it_does_not_exist():
    inputs = picture()
    probe = KerasProbe(keras.Model(inputs, head(conv()(inputs))))
    with pytest.raises(ClassOutOfRangeError, match="0 to 2"):
        probe.activations_and_gradients(IMAGE, class_index=3)


# --- how the graph is wired -----------------------------------------------------------------------------------------


def test_last_call_is_explained_when_a_layer_is_called_twice():
    inputs = picture()
    shared = conv(3, "shared", activation="relu")
    network = keras.Model(inputs, head(shared(shared(inputs))))
    before = snapshot(network)
    probe = KerasProbe(network)
    answer = probe.activations_and_gradients(IMAGE, layer="shared")
    expected = ops.convert_to_numpy(shared(shared(IMAGE[None])))[0]
    assert probe.network_info.default_layer == "shared"
    assert [layer.path for layer in probe.network_info.layers].count("shared") == 1
    assert relative_error(answer.activations, expected) < 1e-6
    assert_gradients_are_the_head(probe, network.get_layer("scores").get_weights()[0], 3)
    assert snapshot(network) == before


def test_each_call_runs_when_a_whole_model_is_shared():
    inner_inputs = keras.Input((SIZE, SIZE, 3))
    inner = keras.Model(inner_inputs, conv(3, "inside", activation="tanh")(inner_inputs), name="inner")
    inputs = picture()
    network = keras.Model(inputs, head(layers.Add(name="sum")([inner(inner(inputs)), inner(inputs)])))
    probe = KerasProbe(network)
    assert np.abs(probe.scores(IMAGE).values - output_of(network)).max() < 1e-6
    answer = probe.activations_and_gradients(IMAGE)
    assert answer.layer == "sum"
    twice, once = inner(inner(IMAGE[None])), inner(IMAGE[None])
    assert relative_error(answer.activations, ops.convert_to_numpy(twice + once)[0]) < 1e-6


def test_operations_that_are_no_layers_are_replayed_when_mobilenet_v3_has_them():
    keras.utils.set_random_seed(1)
    network = enliven(
        keras.applications.MobileNetV3Small(input_shape=(96, 96, 3), weights=None, classes=CLASSES, dropout_rate=0)
    )
    pool = [layer for layer in network.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)][-1]
    maps = pool.input
    scores = next(layer for layer in reversed(network.layers) if layer.weights)
    kernel, bias = (array.reshape(-1, CLASSES) for array in scores.get_weights())
    image = np.random.default_rng(2).uniform(0, 255, (96, 96, 3)).astype(np.float32)

    def make_oracle() -> Oracle:
        trunk = keras.Model(network.inputs, [maps, scores.input])
        return Oracle(trunk, lambda features: ops.reshape(features, (1, -1)) @ kernel + bias)

    findings = examine(network, image, maps._keras_history.operation.name, make_oracle)
    assert findings.layer == findings.expected_layer
    assert findings.scores_error < 1e-5
    assert findings.softmax_error < 1e-6
    assert findings.gradients_error < 1e-4
    assert findings.correlation >= 0.999
    assert findings.unchanged


def test_layer_is_reached_when_it_lies_four_models_deep():
    inputs = keras.Input((SIZE, SIZE, 3))
    network: Any = keras.Model(inputs, conv(activation="relu")(inputs), name="level4")
    for level in (3, 2):
        network = keras.Sequential([keras.Input((SIZE, SIZE, 3)), network], name=f"level{level}")
    inputs = keras.Input((SIZE, SIZE, 3))
    network = keras.Model(inputs, network(inputs), name="level1")
    inputs = picture()
    network = keras.Model(inputs, head(network(inputs)))
    before = snapshot(network)
    probe = KerasProbe(network)
    answer = probe.activations_and_gradients(IMAGE)
    assert answer.layer == "level1/level2/level3/level4/maps"
    assert np.abs(probe.scores(IMAGE).values - output_of(network)).max() < 1e-6
    assert relative_error(answer.activations, output_of(network.get_layer("level1"))) < 1e-6
    assert_gradients_are_the_head(probe, network.get_layer("scores").get_weights()[0], 3)
    assert snapshot(network) == before


def test_maps_before_the_pool_are_default_when_it_keeps_its_axes():
    inputs = picture()
    pooled = layers.GlobalAveragePooling2D(keepdims=True)(layers.Dropout(0.5)(conv()(inputs)))
    excited = layers.Conv2D(4, 1, activation=None, use_bias=False, kernel_initializer="ones", name="excite")(pooled)
    network = keras.Model(inputs, layers.Dense(3, activation="softmax", name="scores")(layers.Reshape((4,))(excited)))
    probe = KerasProbe(network)
    kernel = np.ones((4, 4)) @ network.get_layer("scores").get_weights()[0]
    assert probe.network_info.default_layer == "maps"
    assert_gradients_are_the_head(probe, kernel, 3)


def test_maps_before_a_last_pooling_are_default_when_it_feeds_the_head():
    inputs = picture()
    network = keras.Model(inputs, head(layers.MaxPooling2D()(conv(activation="relu")(inputs))))
    assert KerasProbe(network).network_info.default_layer == "maps"


def test_nearest_layer_is_named_when_maps_are_one_by_one():
    inputs = picture()
    pooled = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(conv()(inputs))
    network = keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(pooled)))
    with pytest.raises(LayerNotSpatialError, match=r"'pool'.*'maps'"):
        KerasProbe(network).activations_and_gradients(IMAGE, layer="pool")


def test_nearest_layer_is_named_when_an_open_size_shrinks_to_one_by_one():
    inputs = keras.Input((None, None, 3))
    shrunk = layers.Conv2D(4, 3, strides=8, padding="same", name="shrunk")(conv()(inputs))
    probe = KerasProbe(keras.Model(inputs, head(shrunk)))
    with pytest.raises(LayerNotSpatialError, match=r"'shrunk'.*'maps'"):
        probe.activations_and_gradients(IMAGE, layer="shrunk")


def test_nearest_names_are_given_when_a_layer_is_misspelt():
    inputs = picture()
    with pytest.raises(LayerNotFoundError, match=r"'mapps'.*'maps'"):
        KerasProbe(keras.Model(inputs, head(conv()(inputs)))).activations_and_gradients(IMAGE, layer="mapps")


def test_layer_is_refused_when_the_scores_do_not_depend_on_it():
    inputs = picture()
    both = keras.Model(inputs, [conv(3, "seen")(inputs), conv(2, "unseen")(inputs)], name="both")
    outer_inputs = picture()
    seen, _ = both(outer_inputs)
    probe = KerasProbe(keras.Model(outer_inputs, head(seen)))
    with pytest.raises(LayerNotConnectedError, match="both/unseen"):
        probe.activations_and_gradients(IMAGE, layer="both/unseen")
    assert probe.activations_and_gradients(IMAGE, layer="both/seen").activations.shape == (SIZE, SIZE, 3)


def test_answers_are_those_of_inference_when_dropout_is_called_for_training():
    inputs = picture()
    maps = layers.Dropout(0.5, name="drop")(conv(activation="relu")(inputs), training=True)
    normal = layers.BatchNormalization(name="normal")(maps, training=True)
    network = enliven(keras.Model(inputs, head(normal)))
    probe = KerasProbe(network)
    first, second = probe.scores(IMAGE).values, probe.scores(IMAGE).values
    untouched = network.get_layer("normal")(network.get_layer("maps")(IMAGE[None]), training=False)
    pooled = ops.convert_to_numpy(untouched)[0].mean(axis=(0, 1))
    expected = softmax(dense(network.get_layer("scores"))(pooled[None]).numpy()[0])
    assert first.tobytes() == second.tobytes()
    assert np.abs(first - expected).max() < 1e-6


def test_answers_are_the_same_when_augmentation_is_part_of_the_network():
    inputs = picture()
    network = keras.Model(inputs, head(conv()(layers.GaussianNoise(1.0)(layers.RandomFlip()(inputs)))))
    probe = KerasProbe(network)
    assert np.abs(probe.scores(IMAGE).values - output_of(network)).max() < 1e-6
    once, again = (probe.activations_and_gradients(IMAGE) for _ in range(2))
    assert once.activations.tobytes() == again.activations.tobytes()


def test_logits_are_found_when_layers_are_called_by_keyword():
    inputs = picture()
    maps = conv()(inputs)
    pooled = layers.GlobalAveragePooling2D()(inputs=maps)
    network = keras.Model(inputs, layers.Dense(3, activation="softmax", name="scores")(inputs=pooled))
    probe = KerasProbe(network)
    assert np.abs(probe.scores(IMAGE).values - output_of(network)).max() < 1e-6


def test_first_tensor_is_explained_when_an_operation_gives_several():
    inputs = picture()
    left, right = ops.split(conv()(inputs), 2, axis=-1)
    network = keras.Model(inputs, head(layers.Concatenate(name="joined")([right, left])))
    probe = KerasProbe(network)
    assert np.abs(probe.scores(IMAGE).values - output_of(network)).max() < 1e-6
    split = next(layer.path for layer in probe.network_info.layers if layer.type == "Split")
    answer = probe.activations_and_gradients(IMAGE, layer=split, class_index=0)
    kernel = network.get_layer("scores").get_weights()[0]
    assert relative_error(answer.activations, output_of(network.get_layer("maps"))[..., :2]) < 1e-6
    assert relative_error(answer.gradients, np.broadcast_to(kernel[2:, 0] / CELLS, (SIZE, SIZE, 2))) < 1e-6


def test_gradient_reaches_every_layer_when_none_is_the_last():
    inputs = picture()
    hidden = conv(5, "first", activation="relu")(inputs)
    hidden = layers.BatchNormalization(name="normal")(hidden)
    network = enliven(keras.Model(inputs, head(conv(4, "second", activation="relu")(hidden))))
    probe = KerasProbe(network)

    def oracle(layer: str) -> Oracle:
        trunk = keras.Model(network.inputs, [network.get_layer(layer).output, network.get_layer("scores").input])
        return Oracle(trunk, dense(network.get_layer("scores")))

    for layer in ("first", "normal", "second"):
        answer = probe.activations_and_gradients(IMAGE, layer=layer, class_index=1)
        expected = oracle(layer).explain(IMAGE, 1)
        assert relative_error(answer.gradients, expected.gradients) < 1e-5
        assert correlation(evidence(answer), expected.evidence) >= 0.999


# --- files and number formats ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "bfloat16"])
def test_answers_are_float32_when_the_network_computes_in_half_precision(policy: str):
    inputs = keras.Input((SIZE, SIZE, 3), name="picture")
    maps = conv(activation="relu", dtype=policy)(inputs)
    pooled = layers.GlobalAveragePooling2D(dtype=policy)(maps)
    network = keras.Model(inputs, layers.Dense(3, activation="softmax", dtype=policy, name="scores")(pooled))
    probe = KerasProbe(network)
    answer = probe.activations_and_gradients(IMAGE)
    kernel = network.get_layer("scores").kernel.numpy().astype(np.float32)
    expected = np.broadcast_to(kernel[:, answer.target.index] / CELLS, answer.gradients.shape)
    arrays = (answer.scores.values, answer.gradients, answer.activations)
    assert [str(array.dtype) for array in arrays] == ["float32"] * 3
    assert np.abs(probe.scores(IMAGE).values - output_of(network).astype(np.float32)).max() < 2**-7
    assert relative_error(answer.gradients, expected) < 2**-6


def test_nested_models_are_replayed_when_the_policy_is_mixed():
    inner_inputs = keras.Input((SIZE, SIZE, 3))
    inner_maps = conv(activation="relu", dtype="mixed_bfloat16")(inner_inputs * 2.0)
    inner = keras.Model(inner_inputs, inner_maps, name="inner")
    inputs = picture()
    network = keras.Model(inputs, head(inner(layers.Rescaling(0.5, dtype="mixed_bfloat16")(inputs))))
    probe = KerasProbe(network)
    assert probe.activations_and_gradients(IMAGE).layer == "inner/maps"
    assert np.abs(probe.scores(IMAGE).values - output_of(network).astype(np.float32)).max() < 2**-7


def test_sequential_is_built_when_it_was_saved_without_a_call(tmp_path: Path):
    backbone = keras.Sequential([keras.Input((SIZE, SIZE, 3)), conv(activation="relu")], name="backbone")
    scores = layers.Dense(3, activation="softmax", name="scores")
    scores.build((None, 4))
    network = keras.Sequential([layers.Rescaling(0.5), backbone, layers.GlobalAveragePooling2D(), scores])
    with pytest.warns(UserWarning, match="not yet been built"):
        network.save(tmp_path / "unbuilt.keras")
    probe = load_probe(tmp_path / "unbuilt.keras")
    assert probe.network_info.input_shape == (SIZE, SIZE, 3)
    assert probe.network_info.default_layer == "backbone/maps"
    assert np.abs(probe.scores(IMAGE).values - output_of(network)).max() < 1e-6


def test_sequential_takes_the_given_size_when_no_layer_knows_its_own(tmp_path: Path):
    maps, scores = conv(activation="relu"), layers.Dense(3, activation="softmax", name="scores")
    maps.build((None, None, None, 3))
    scores.build((None, 4))
    network = keras.Sequential([maps, layers.GlobalAveragePooling2D(), scores])
    with pytest.warns(UserWarning, match="not yet been built"):
        network.save(tmp_path / "unbuilt.keras")
    probe = load_probe(tmp_path / "unbuilt.keras", Overrides(input_size=(SIZE, SIZE)))
    assert np.abs(probe.scores(IMAGE).values - output_of(network)).max() < 1e-6
    with pytest.raises(ModelFailedError, match="input_size"):
        load_probe(tmp_path / "unbuilt.keras")


def test_sequential_is_refused_when_its_file_lacks_the_weights_of_a_layer(tmp_path: Path):
    backbone = keras.Sequential([keras.Input((SIZE, SIZE, 3)), conv(activation="relu")], name="backbone")
    head = [layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")]
    network = keras.Sequential([layers.Rescaling(1 / 255), backbone, *head])
    with pytest.warns(UserWarning, match="not yet been built"):
        network.save(tmp_path / "unbuilt.keras")
    with pytest.raises(ModelFailedError, match="weights"):
        load_probe(tmp_path / "unbuilt.keras")


def test_subclassed_model_is_refused_with_a_reason_when_it_is_loaded(tmp_path: Path):
    network = _Subclassed()
    network(IMAGE[None])
    network.save(tmp_path / "subclassed.keras")
    with pytest.raises(ModelFailedError, match="_Subclassed"):
        load_probe(tmp_path / "subclassed.keras")


class _Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.scores = layers.Dense(3)

    def call(self, inputs: Any) -> Any:
        return self.scores(ops.mean(inputs, axis=(1, 2)))
