"""Which configurations Keras may see: names of the list, each in its own place. No Keras is imported."""

from typing import Any

import pytest

from service.errors import ModelFailedError
from service.keras.files.admission.configuration import NameRefusedError, require_allowed


def _nested(entry: dict[str, Any], depth: int) -> dict[str, Any]:
    for _ in range(depth):
        entry = {"module": "keras", "class_name": "Sequential", "config": {"layers": [entry]}}
    return entry


def _model(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "model", "layers": [*layers]}}


def _layer(class_name: str = "Dense", **config: Any) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": class_name, "config": {"name": "it", **config}}


def _function(module: str, name: Any, registered_name: Any = None) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": registered_name}


HONEST = {
    "texts": _layer(activation="relu", kernel_initializer="glorot_uniform", kernel_regularizer="l2", dtype="float32"),
    "objects": _layer(
        kernel_initializer={
            "module": "keras.initializers",
            "class_name": "Zeros",
            "config": {},
            "registered_name": None,
        },
        dtype={"module": "keras", "class_name": "DTypePolicy", "config": {"name": "mixed_float16"}},
    ),
    "function": _layer("Activation", activation=_function("builtins", "relu", "relu")),
    "function of ops": _layer("Activation", activation=_function("keras.ops", "sigmoid", "sigmoid")),
    "layer as activation": _layer("Conv2D", activation=_layer("LeakyReLU", negative_slope=0.1)),
    "wrapper": _layer("TimeDistributed", layer=_layer()),
    "nested": _nested(_layer(), 50),
    "operation": {"module": "keras.src.ops.nn", "class_name": "Relu", "config": {}, "registered_name": "Relu"},
    "quantized": _layer(dtype="int8_from_mixed_bfloat16"),
    "tuple": _layer(axis={"class_name": "__tuple__", "items": [1, 2]}),
    "shape": _layer(shape={"class_name": "TensorShape", "items": [None, 3]}),
    "array": _layer("Rescaling", scale={"class_name": "__numpy__", "config": {"value": [1.0], "dtype": "float32"}}),
    "name of a function": _layer() | {"config": {"name": "concatenate"}},
    "seed": _layer(
        kernel_initializer={
            "module": "keras.initializers",
            "class_name": "HeNormal",
            "config": {"seed": {"module": "keras.random", "class_name": "SeedGenerator", "config": {"seed": 1}}},
        }
    ),
}
HOSTILE = {
    "other module": ({"module": "os", "class_name": "system", "config": {}}, "'system'.*module 'os'"),
    "Keras's other modules": ({"module": "keras.utils", "class_name": "get_file", "config": {}}, "'get_file'"),
    "path in the name": ({"module": "keras", "class_name": "layers.Lambda", "config": {}}, r"'layers\.Lambda'"),
    "module is no text": ({"module": ["keras.layers"], "class_name": "Dense", "config": {}}, "'Dense'"),
    "name is no text": ({"module": "keras.layers", "class_name": {"a": 1}, "config": {}}, "no name of a class"),
    "registered": (_layer() | {"registered_name": "Custom>Dense"}, "'Custom>Dense'.*registered"),
    "layer as function": (_layer(activation=_function("keras.layers", "TFSMLayer")), r"\(activation\): 'TFSMLayer'"),
    "other registered function": (_layer(activation=_function("builtins", "relu", "get_file")), "'get_file'"),
    "layer as text": (_layer(activation="TFSMLayer"), "'TFSMLayer' is no activation"),
    "activation as initializer": (_layer(kernel_initializer="relu"), "'relu' is no initializer"),
    "initializer as layer": ({"module": "keras.initializers", "class_name": "Zeros", "config": {}}, "'Zeros'"),
    "layer as initializer": (_layer(kernel_initializer=_layer()), r"\(kernel_initializer\): 'Dense'"),
    "function as layer": (_function("keras.activations", "relu"), "a function where none belongs"),
    "dtype": (_layer(dtype="object"), "'object' is no policy"),
    "dtype of values": (
        _layer(x={"class_name": "__numpy__", "config": {"value": [], "dtype": "S9999999"}}),
        "S9999999",
    ),
    "build settings": (_layer() | {"build_config": {"input_shape": _layer()}}, r"\(build_config\.input_shape\)"),
    "compiled within": (_layer() | {"compile_config": {"optimizer": "adam"}}, "compiled"),
    "argument of a call": (
        _layer() | {"inbound_nodes": [{"args": [], "kwargs": {"mask": _function("keras.config", "set_floatx")}}]},
        r"\(inbound_nodes\.kwargs\.mask\): 'set_floatx'",
    ),
    "plain argument": (_layer(units=_layer()), "plain values belong"),
    "type": (_layer(x={"class_name": "TypeSpec", "type_spec": "tf.TensorSpec", "serialized": []}), "'TypeSpec'"),
    "tensor": (_layer(x={"class_name": "CompositeTensor", "spec": {}, "tensors": []}), "'CompositeTensor'"),
    "symbol": (_layer(x={"class_name": "__keras_tensor__", "config": {}}), "'__keras_tensor__'"),
    "passive": (_layer(x={"class_name": "Dense", "config": {}, "__passive_serialization__": True}), "'Dense'"),
    "function beside layers": (
        {"class_name": "Dense", "config": {"name": "it", "units": "deserialize"}},
        r"\(units\): 'deserialize'",
    ),
    "function as class": ({"class_name": "deserialize", "config": {"config": {}}}, "'deserialize' is no layer"),
    "operation without module": ({"class_name": "Relu", "config": {}}, "'Relu' is no layer"),
}


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("is_archive", [True, False])
def test_configuration_passes_when_keras_writes_such(name: str, *, is_archive: bool):
    require_allowed(_model(HONEST[name]), is_archive=is_archive)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("depth", [0, 40])
def test_name_and_place_are_told_when_a_configuration_is_refused(name: str, depth: int):
    entry, words = HOSTILE[name]
    with pytest.raises(NameRefusedError, match=words):
        require_allowed(_model(_nested(entry, depth)), is_archive=False)


@pytest.mark.parametrize("class_name", ["Lambda", "TFOpLambda", "SlicingOpLambda", "TFSMLayer", "__lambda__"])
@pytest.mark.parametrize("entry", [{}, {"module": "keras.layers"}], ids=["without module", "with module"])
def test_lambda_is_named_when_it_hides_deep_inside(class_name: str, entry: dict[str, Any]):
    entry = entry | {"class_name": class_name, "config": {"name": "trick"}}
    with pytest.raises(ModelFailedError, match=r"layer 'trick' is a Lambda"):
        require_allowed(_model(_nested(entry, 50)), is_archive=True)


def test_own_training_settings_are_not_looked_at_when_keras_leaves_them_out():
    config = _model() | {"compile_config": {"loss": _function("mine", "loss")}}
    require_allowed(config, is_archive=True)
    with pytest.raises(NameRefusedError, match="compiled"):
        require_allowed(config, is_archive=False)


@pytest.mark.parametrize("config", [None, [], "Dense", {"config": {}}, 3])
def test_reason_is_told_when_there_is_no_model(config: object):
    with pytest.raises(ModelFailedError, match="describes no model"):
        require_allowed(config, is_archive=True)


def test_reason_is_short_when_a_name_is_long():
    with pytest.raises(NameRefusedError) as refused:
        require_allowed(_model(_layer("x" * 10**6)), is_archive=True)
    assert len(refused.value.detail) < 500
