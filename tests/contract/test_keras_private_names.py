"""The private names of Keras that `service/keras/graph/replay.py` and its neighbours rely on.

A failure here means that Keras has moved its furniture: mend that file, nothing else.
"""

import re
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers, ops

# What is private begins with an underscore, but for what is a tuple's own, or one's own; or lies in `keras.src`.
_PRIVATE = re.compile(r"(?<!self)(?<!cls)\._(?!replace\b|fields\b)[a-z]\w*|^from keras\.src\b", re.MULTILINE)
_ROOM = Path(__file__).parents[2] / "service" / "keras"


def test_private_names_stand_in_four_files_alone():
    texts = {path.name: path.read_text(encoding="utf-8") for path in _ROOM.rglob("*.py")}
    found = {name: set(_PRIVATE.findall(text)) for name, text in texts.items()}
    # `passes` has a pass within a pass.
    assert {name: names for name, names in found.items() if names and name != "passes.py"} == {
        "replay.py": {"from keras.src", "._functional", "._nodes_by_depth", "._keras_history"},
        "loading.py": {"._functional"},
        "keras_settings.py": {"from keras.src"},
        # TensorFlow's.
        "custom_gradients.py": {"._registry"},
    }


@pytest.fixture(scope="module")
def network() -> keras.Model:
    inner = keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(2, 3, name="maps"), layers.Dropout(0.1)], name="in")
    inputs = keras.Input((4, 4, 3))
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(ops.mean(inner(inputs), axis=(1, 2))))


def _nodes(function: Any) -> list[Any]:
    return [
        node for depth in sorted(function._nodes_by_depth, reverse=True) for node in function._nodes_by_depth[depth]
    ]


def test_nodes_are_ranked_from_input_to_output_when_depth_falls(network: keras.Model):
    names = [node.operation.name for node in _nodes(network)]
    assert names[1] == "in"
    assert [type(node.operation).__name__ for node in _nodes(network)] == ["InputLayer", "Sequential", "Mean", "Dense"]


def test_input_nodes_are_marked_when_a_graph_is_walked(network: keras.Model):
    assert [node.is_input for node in _nodes(network)] == [True, False, False, False]


def test_node_arguments_are_filled_in_when_tensors_are_looked_up_by_identity(network: keras.Model):
    mean = _nodes(network)[2]
    (symbol,) = mean.input_tensors
    args, kwargs = mean.arguments.fill_in({id(symbol): "live"})
    assert args == ("live",)
    assert isinstance(kwargs, dict)


def test_node_outputs_are_the_next_node_s_inputs_when_layers_follow_each_other(network: keras.Model):
    _, inner, mean, dense = _nodes(network)
    assert inner.outputs[0] is mean.input_tensors[0]
    assert mean.outputs[0] is dense.input_tensors[0]
    assert dense.outputs[0] is network.outputs[0]


def test_input_layer_is_known_when_a_symbol_tells_its_history(network: keras.Model):
    operation = network.inputs[0]._keras_history.operation
    assert operation is _nodes(network)[0].operation


def test_sequential_holds_a_functional_when_it_is_built(network: keras.Model):
    function = network.get_layer("in")._functional
    assert [node.operation.name for node in _nodes(function)][1] == "maps"
    assert len(function.inputs) == len(function.outputs) == 1


def test_sequential_holds_none_when_it_is_not_built():
    assert keras.Sequential([layers.Conv2D(2, 3)])._functional is None


def test_subclassed_models_have_no_nodes_when_they_are_called():
    class Subclassed(keras.Model):
        def call(self, inputs: Any) -> Any:
            return inputs

    model = Subclassed()
    model(ops.ones((1, 2)))
    assert not hasattr(model, "_nodes_by_depth")


@pytest.mark.parametrize(
    ("layer", "expected"),
    [(layers.Dropout(0.1), True), (layers.BatchNormalization(), True), (layers.Conv2D(2, 3), False)],
    ids=lambda value: type(value).__name__,
)
def test_layers_tell_whether_they_take_training_when_asked(layer: layers.Layer, expected: bool):  # noqa: FBT001
    assert layer._call_has_training_arg is expected


def test_own_models_are_known_by_their_module_when_they_are_keras_s(network: keras.Model):
    assert type(network).__module__.startswith("keras.")
    assert type(network.get_layer("in")).__module__.startswith("keras.")


def test_logits_can_be_recomputed_when_an_activation_is_fused():
    convolution, dense = layers.Conv2D(2, 3), layers.Dense(2)
    convolution.build((None, 4, 4, 3))
    dense.build((None, 3))
    for layer in (convolution, dense):
        assert layer.quantization_mode is None
        assert layer.use_bias is True
        assert layer.compute_dtype == "float32"
        assert layer.activation is keras.activations.linear
    assert tuple(convolution.convolution_op(ops.ones((1, 4, 4, 3)), convolution.kernel).shape) == (1, 2, 2, 2)


@pytest.mark.parametrize("name", ["Softmax", "Sigmoid", "MaxPool", "AveragePool"])
def test_operations_keep_their_class_names_when_they_are_no_layers(name: str):
    inputs = keras.Input((4, 4, 3))
    made = {
        "Softmax": ops.softmax,
        "Sigmoid": ops.sigmoid,
        "MaxPool": lambda values: ops.max_pool(values, 2),
        "AveragePool": lambda values: ops.average_pool(values, 2),
    }
    assert type(made[name](inputs)._keras_history.operation).__name__ == name
