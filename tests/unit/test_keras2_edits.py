"""Edits of Keras 2's layers, their calls and their arithmetic, on small configurations. No Keras."""

import json
import zipfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from service.errors import ModelFailedError
from service.keras.files.admission.configuration import require_allowed
from service.keras.files.repair import activation_edits, layer_edits, model_edits
from service.keras.files.repair.calls import tensors_among_arguments
from service.keras.files.repair.edits import mend, mend_old_archive
from service.keras.files.repair.functions import functions_of_tensorflow
from service.keras.files.repair.readable import is_old, keras_version
from service.keras.files.repair.training_calls import require_inference

Entry = dict[str, Any]
SHAPE = [None, 8, 8, 3]


def _layer(class_name: str, name: str = "x", **arguments: Any) -> Entry:
    return {"class_name": class_name, "config": {"name": name, **arguments}}


def _called(entry: Entry, *nodes: Any) -> Entry:
    return {**entry, "name": entry["config"]["name"], "inbound_nodes": list(nodes)}


INPUT = _called(_layer("InputLayer", "in", batch_input_shape=SHAPE))


def _model(*layers: Entry) -> Entry:
    ends = {"input_layers": [["in", 0, 0]], "output_layers": [[layers[-1]["name"], 0, 0]]}
    return {"class_name": "Functional", "config": {"name": "m", "layers": [deepcopy(INPUT), *layers], **ends}}


def _tensor(*history: Any) -> Entry:
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": [], "dtype": "float32", "keras_history": [*history]},
    }


@pytest.mark.parametrize(
    ("layer", "mended"),
    [
        (_layer("SimpleRNN", time_major=False), _layer("SimpleRNN")),
        (_layer("ConvLSTM2D", time_major=False), _layer("ConvLSTM2D")),
        (_layer("MultiHeadAttention", query_shape=[None, 4], key_shape=None), _layer("MultiHeadAttention")),
        (_layer("SeparableConv1D", groups=1), _layer("SeparableConv1D")),
        (_layer("Conv3DTranspose", groups=1), _layer("Conv3DTranspose")),
    ],
)
def test_argument_is_dropped_when_it_says_nothing(layer: Entry, mended: Entry):
    assert layer_edits.obsolete_arguments(layer) == ["x"]
    assert layer == mended


def test_argument_stays_when_time_comes_first():
    layer = _layer("LSTM", time_major=True)
    assert layer_edits.obsolete_arguments(layer) == []
    assert layer == _layer("LSTM", time_major=True)


def test_initializer_of_tensorflow_becomes_the_one_of_keras():
    foreign = {"module": "tensorflow.python.ops.init_ops_v2", "class_name": "Constant", "config": {"value": 0}}
    layer = _layer("Dense", bias_initializer=foreign | {"registered_name": "Constant"}, kernel_initializer="zeros")
    assert layer_edits.initializers_of_tensorflow(layer) == ["x"]
    assert layer["config"]["bias_initializer"] == foreign | {"module": "keras.initializers", "registered_name": None}


@pytest.mark.parametrize(
    ("class_name", "plain", "module"),
    [
        ("Custom>CustomScaleLayer", "CustomScaleLayer", "inception_resnet_v2"),
        ("CustomScaleLayer", "CustomScaleLayer", "inception_resnet_v2"),
        ("LayerScale", "LayerScale", "convnext"),
    ],
)
def test_layer_of_an_application_gets_the_module_that_keras_3_has_it_in(class_name: str, plain: str, module: str):
    layer = _layer(class_name)
    assert layer_edits.application(layer) == ["x"]
    assert (layer["class_name"], layer["module"]) == (plain, f"keras.src.applications.{module}")


def test_layer_becomes_another_when_only_training_tells_them_apart():
    layers = [_layer("SyncBatchNormalization", axis=[3]), _layer("RandomHeight", factor=0.1, dtype="float32")]
    assert [layer_edits.old_class(layers[0]), layer_edits.random_sizes(layers[1])] == [["x"], ["x"]]
    assert layers == [_layer("BatchNormalization", axis=[3]), _layer("Identity", dtype="float32")]


def test_random_crop_becomes_what_it_computes_when_it_is_served():
    layer = _layer("RandomCrop", height=5, width=7, seed=3)
    assert layer_edits.random_crop(layer) == ["x"]
    assert layer == _layer("Resizing", height=5, width=7, crop_to_aspect_ratio=True)


def test_random_crop_is_refused_when_it_had_another_rule():
    model = _model(_called(_layer("RandomCrop", height=5, width=7), [["in", 0, 0, {}]]))
    with pytest.raises(ModelFailedError, match=r"'x' is a RandomCrop as it was before Keras 2\.7"):
        mend(model, (2, 6))
    assert [repair.split()[0] for repair in mend(model, (2, 7))] == ["RandomCrop"]


@pytest.mark.parametrize(
    ("layer", "member"),
    [
        (_layer("TimeDistributed", layer=_layer("Dense", "held")), "layer"),
        (_layer("Bidirectional", backward_layer=_layer("LSTM", "held")), "backward_layer"),
        (_layer("RNN", cell=_layer("LSTMCell", "held")), "cell"),
        (_layer("Conv2D", activation=_layer("LeakyReLU", "held")), "activation"),
    ],
)
def test_held_layer_gets_its_module_when_it_has_none(layer: Entry, member: str):
    assert layer_edits.held_layers(layer) == ["held"]
    held = layer["config"][member]
    assert (held["module"], held["registered_name"]) == ("keras.layers", None)
    assert layer_edits.held_layers(layer) == []


def test_held_models_get_the_module_of_models():
    layer = _layer("TimeDistributed", layer={"class_name": "Model", "config": {"name": "inner"}})
    layer_edits.held_layers(layer)
    assert layer["config"]["layer"]["module"] == "keras.src.models.functional"
    assert layer["config"]["layer"]["class_name"] == "Functional"


@pytest.mark.parametrize(
    "held", [{"class_name": "function", "module": "os", "config": "system"}, {**_layer("Own"), "module": "own.layers"}]
)
def test_held_code_stays_what_it_is(held: Entry):
    layer = _layer("Conv2D", activation=deepcopy(held))
    assert layer_edits.held_layers(layer) == []
    assert layer["config"]["activation"] == held


def test_text_is_marked_when_keras_would_take_it_for_a_function():
    layer = _layer("Attention", score_mode="dot")
    assert layer_edits.names_of_functions(layer) == ["x"]
    assert layer["module"] == "keras.layers"
    assert layer_edits.names_of_functions(_layer("Dense", name="dot")) == []


def test_hard_sigmoid_gets_a_rescaling_when_it_is_a_layer():
    model = _model(_called(_layer("Activation", activation="hard_sigmoid"), [["in", 0, 0, {}]], [["x", 0, 0, {}]]))
    assert activation_edits.hard_sigmoid_layers(model) == ["x"]
    _, scaling, layer = model["config"]["layers"]
    assert scaling["config"] == {"name": "x_scaled", "scale": 1.2, "offset": 0.0}
    assert scaling["inbound_nodes"] == [[["in", 0, 0, {}]], [["x", 0, 0, {}]]]
    assert layer["inbound_nodes"] == [[["x_scaled", 0, 0, {}]], [["x_scaled", 1, 0, {}]]]


def test_rescaling_has_a_name_of_its_own_when_the_first_is_taken():
    layers = [_layer("Activation", activation="hard_sigmoid", dtype="float16"), _layer("ReLU", "x_scaled")]
    model: Entry = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    assert activation_edits.hard_sigmoid_layers(model) == ["x"]
    names = [layer["config"]["name"] for layer in model["config"]["layers"]]
    assert names == ["x_scaled_", "x", "x_scaled"]
    assert model["config"]["layers"][0]["config"]["dtype"] == "float16"


def test_wrapper_is_taken_away_when_it_holds_hard_sigmoid():
    layer = _layer("TimeDistributed", "outer", layer=_layer("Activation", "inner", activation="hard_sigmoid"))
    assert activation_edits.hard_sigmoid_over_time(layer) == ["outer"]
    assert layer == _layer("Activation", "outer", activation="hard_sigmoid")


def test_call_is_rewritten_when_a_tensor_is_among_its_arguments():
    layer = _called(
        _layer("MultiHeadAttention"), [["in", 0, 0, {"value": ["in", 0, 0], "return_attention_scores": False}]]
    )
    model = _model(layer)
    assert tensors_among_arguments(model) == ["x"]
    assert layer["inbound_nodes"] == [
        {"args": [_tensor("in", 0, 0)], "kwargs": {"value": _tensor("in", 0, 0), "return_attention_scores": False}}
    ]


def test_call_stays_when_its_arguments_are_plain():
    layer = _called(_layer("Dropout"), [["in", 0, 0, {"training": False}]])
    before = deepcopy(layer)
    assert tensors_among_arguments(_model(layer)) == []
    assert layer == before


def test_names_and_calls_are_followed_when_they_are_arguments():
    body = _called(_layer("Sequential", "a/b", layers=[]), [["in", 0, 0, {}]])
    add = _called(_layer("Add"), [["a/b", 1, 0, {"y": ["a/b", 1, 0]}]])
    model = _model(body, add)
    assert model_edits.calls_of_nested_models(model) == ["a/b"]
    assert model_edits.slashes_in_names(model) == ["a/b"]
    assert add["inbound_nodes"] == [[["a_b", 0, 0, {"y": ["a_b", 0, 0]}]]]


@pytest.mark.parametrize(
    ("class_name", "node"),
    [
        ("BatchNormalization", [["in", 0, 0, {"training": True}]]),
        ("BatchNormalization", {"args": [], "kwargs": {"training": True}}),
        ("Sequential", [["in", 0, 0, {"training": True}]]),
    ],
)
def test_network_is_refused_when_it_normalises_by_what_it_is_shown(class_name: str, node: Any):
    layer = _layer(class_name, "norm", layers=[_layer("BatchNormalization")])
    with pytest.raises(ModelFailedError, match="layer 'norm' is called with training=True"):
        require_inference(_model(_called(layer, node)))


@pytest.mark.parametrize(
    ("class_name", "training"), [("BatchNormalization", False), ("BatchNormalization", None), ("Dropout", True)]
)
def test_network_passes_when_training_changes_nothing_that_is_served(class_name: str, *, training: bool | None):
    nodes = ([["in", 0, 0, {"training": training}]], {"args": [], "kwargs": {"training": training}}, None, [3])
    require_inference(_model(_called(_layer(class_name), *nodes)))


def _function(name: str, *node: Any, class_name: str = "TFOpLambda") -> Entry:
    return _called(_layer(class_name, "x", function=name), [*node])


def _mended(layer: Entry) -> Entry | None:
    """The layer as an operation, which has to be one that may be loaded."""
    model = _model(layer)
    if not functions_of_tensorflow(model):
        return None
    require_allowed(model, is_archive=False)
    return layer


@pytest.mark.parametrize(
    ("layer", "operation", "config", "args"),
    [
        (
            _function("math.truediv", "in", 0, 0, {"y": 2.0, "name": None}),
            "numpy.TrueDivide",
            {},
            [_tensor("in", 0, 0), 2.0],
        ),
        (
            _function("math.subtract", "_CONSTANT_VALUE", -1, 1.0, {"y": ["in", 0, 0]}),
            "numpy.Subtract",
            {},
            [1.0, _tensor("in", 0, 0)],
        ),
        (
            _function("nn.bias_add", "in", 0, 0, {"bias": [1.0, 2.0], "data_format": "NHWC"}),
            "numpy.Add",
            {},
            [_tensor("in", 0, 0), {"class_name": "__numpy__", "config": {"value": [1.0, 2.0], "dtype": "float32"}}],
        ),
        (
            _function("math.reduce_mean", "in", 0, 0, {"axis": [1, 2], "keepdims": True}),
            "numpy.Mean",
            {"axis": [1, 2], "keepdims": True},
            [_tensor("in", 0, 0)],
        ),
        (
            _function("concat", ["in", 0, 0, {"axis": -1}], ["in", 0, 0, {"axis": -1}]),
            "numpy.Concatenate",
            {"axis": -1},
            [[_tensor("in", 0, 0), _tensor("in", 0, 0)]],
        ),
        (_function("nn.gelu", "in", 0, 0, {}), "nn.Gelu", {"approximate": False}, [_tensor("in", 0, 0)]),
        (
            _function("math.l2_normalize", "in", 0, 0, {"axis": -1}),
            "nn.Normalize",
            {"axis": -1, "epsilon": 1e-6},
            [_tensor("in", 0, 0)],
        ),
        (
            _function(
                "__operators__.getitem",
                *(
                    "in",
                    0,
                    0,
                    {"slice_spec": [{"class_name": "__ellipsis__"}, {"start": None, "stop": None, "step": -1}]},
                ),
                class_name="SlicingOpLambda",
            ),
            "numpy.Flip",
            {"axis": -1},
            [_tensor("in", 0, 0)],
        ),
        (
            _function(
                "__operators__.getitem",
                *("in", 0, 0, {"slice_spec": [{"start": 1, "stop": 3, "step": None}, 2]}),
                class_name="SlicingOpLambda",
            ),
            "numpy.GetItem",
            {},
            [
                _tensor("in", 0, 0),
                [{"class_name": "__slice__", "config": {"start": 1, "stop": 3, "step": None}}, 2],
            ],
        ),
    ],
)
def test_function_becomes_an_operation_when_it_is_known(layer: Entry, operation: str, config: Entry, args: list[Any]):
    mended = _mended(layer)
    assert mended is not None
    assert f"{mended['module']}.{mended['class_name']}" == f"keras.src.ops.{operation}"
    assert mended["config"] == {"name": "x", **config}
    assert mended["inbound_nodes"] == [{"args": args, "kwargs": {}}]


@pytest.mark.parametrize(
    "layer",
    [
        _function("io.read_file", "in", 0, 0, {}),
        _function("random.normal", "in", 0, 0, {}),
        _function("nn.silu", "in", 0, 0, {"beta": 1.5}),
        _function("nn.bias_add", "in", 0, 0, {"bias": [1.0], "data_format": "NCHW"}),
        _function("linalg.matmul", "in", 0, 0, {"b": ["in", 0, 0], "transpose_b": True}),
        _function("image.resize", "in", 0, 0, {"size": [3, 4], "method": "gaussian"}),
        _function("image.resize", "in", 0, 0, {"size": [3, 4], "preserve_aspect_ratio": True}),
        _function("reshape", "in", 0, 0, {"shape": ["in", 0, 0]}),
        _function("math.multiply", "in", 0, 0, {}),
        _function("math.l2_normalize", "in", 0, 0, {}),
        _function("pad", "in", 0, 0, {"paddings": [[1, 1]], "constant_values": 1}),
        _function("einsum", "_CONSTANT_VALUE", -1, "bhwc->bc", {}),
        _function("math.add", ["in", 0, 0, {"y": 1.0}], ["in", 0, 0, {"y": 1.0}]),
        _function("__operators__.getitem", "in", 0, 0, {"slice_spec": [["in", 0, 0]]}, class_name="SlicingOpLambda"),
        _function("math.sqrt"),
    ],
)
def test_function_stays_code_when_anything_of_it_is_unknown(layer: Entry):
    before = deepcopy(layer)
    assert _mended(layer) is None
    assert layer == before
    with pytest.raises(ModelFailedError, match="calls TensorFlow's"):
        require_allowed(_model(layer), is_archive=False)


def _archive(path: Path, metadata: str | None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(_model(_called(_layer("Dense"), [["in", 0, 0, {}]]))))
        if metadata is not None:
            archive.writestr("metadata.json", metadata)
    return path


@pytest.mark.parametrize(
    ("metadata", "version", "old"),
    [
        ('{"keras_version": "2.15.0"}', "2.15.0", True),
        ('{"keras_version": "3.4.1"}', "3.4.1", False),
        (None, "3", False),
        ("[", "3", False),
        ("[]", "3", False),
        ('{"keras_version": 2}', "3", False),
        (json.dumps({"keras_version": "2.15.0", "x": "x" * 2**17}), "3", False),
    ],
)
def test_version_of_an_archive_is_that_of_its_metadata(
    tmp_path: Path, metadata: str | None, version: str, *, old: bool
):
    path = _archive(tmp_path / "m.keras", metadata)
    assert (keras_version(path), is_old(path)) == (version, old)


@pytest.mark.parametrize(
    "module", ["keras.engine.functional", "keras.src.engine.functional", "tf_keras.src.engine.functional"]
)
def test_archive_gets_the_module_of_keras_3_whichever_keras_2_wrote_it(module: str):
    model = _model(_called(_layer("Dense"), [["in", 0, 0, {}]])) | {"module": module, "registered_name": "Functional"}
    assert model_edits.module_of_model(model) == ["m"]
    require_allowed(model, is_archive=True)
    own = {"class_name": "Functional", "module": "own.functional"}
    assert model_edits.module_of_model(own) == []


def test_archive_of_keras_2_says_where_its_weights_lie_when_its_layers_get_other_names():
    model = _model(_called(_layer("SyncBatchNormalization"), [["in", 0, 0, {}]]))
    model |= {"module": "keras.src.engine.functional", "registered_name": "Functional"}
    repairs = mend_old_archive(model, (2, 15))
    assert [repair.partition(":")[0] for repair in repairs][
        -1
    ] == "the model was given the module that Keras 3 has it in"
    assert (model["module"], model["registered_name"]) == ("keras.src.models.functional", None)
    layer = model["config"]["layers"][-1]
    assert (layer["class_name"], layer["class_in_keras_2"]) == ("BatchNormalization", "SyncBatchNormalization")
    require_allowed(model, is_archive=True)
