"""Each edit of an old configuration, on the smallest one that needs it; and none on one that needs nothing."""

import json
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import h5py
import pytest

from service.errors import ModelFailedError
from service.keras.files.repair import layer_edits, model_edits
from service.keras.files.repair.edits import mend
from service.keras.files.repair.keras1 import modernise
from service.keras.files.repair.readable import keras_version, readable

Entry = dict[str, Any]
SHAPE = [None, 8, 8, 3]


def _layer(class_name: str, name: str = "x", **arguments: Any) -> Entry:
    return {"class_name": class_name, "config": {"name": name, **arguments}}


def _node(entry: Entry, *inbound: list[Any]) -> Entry:
    return {**entry, "name": entry["config"]["name"], "inbound_nodes": [list(inbound)] if inbound else []}


def _functional(name: str, *layers: Entry, output: list[Any]) -> Entry:
    ends = {"input_layers": [[layers[0]["name"], 0, 0]], "output_layers": [output]}
    return {"class_name": "Model", "config": {"name": name, "layers": list(layers), **ends}}


def _sequential(*layers: Entry, name: str = "s") -> Entry:
    return {"class_name": "Sequential", "config": {"name": name, "layers": list(layers)}}


INPUT = _node(_layer("InputLayer", "in", batch_input_shape=SHAPE))


def test_sequential_gets_a_name_when_it_is_a_list():
    entry: Entry = {"class_name": "Sequential", "config": [_layer("Dense")]}
    assert model_edits.sequential_as_list(entry) == ["sequential"]
    assert entry["config"] == {"name": "sequential", "layers": [_layer("Dense")]}


@pytest.mark.parametrize(
    ("layer", "mended"),
    [
        (_layer("DepthwiseConv2D", groups=1, strides=2), _layer("DepthwiseConv2D", strides=2)),
        (_layer("Conv2DTranspose", groups=1), _layer("Conv2DTranspose")),
        (_layer("SeparableConv2D", groups=1, kernel_initializer={"class_name": "Zeros"}), _layer("SeparableConv2D")),
        (_layer("SpatialDropout2D", noise_shape=None, trainable=True), _layer("SpatialDropout2D")),
        (_layer("RandomFlip", rng_type="stateful"), _layer("RandomFlip")),
    ],
)
def test_argument_is_dropped_when_keras_no_longer_takes_it(layer: Entry, mended: Entry):
    assert layer_edits.obsolete_arguments(layer) == ["x"]
    assert layer == mended


@pytest.mark.parametrize("layer", [_layer("DepthwiseConv2D", groups=2), _layer("Conv2D", groups=1)])
def test_argument_stays_when_it_says_something(layer: Entry):
    before = deepcopy(layer)
    assert layer_edits.obsolete_arguments(layer) == []
    assert layer == before


def test_class_is_renamed_when_keras_has_another_name_for_it():
    layers = [_layer("BatchNormalizationV1"), _layer("ThresholdedReLU", theta=0.5)]
    assert [layer_edits.old_class(layer) for layer in layers] == [["x"], ["x"]]
    assert layers == [_layer("BatchNormalization"), _layer("ReLU", threshold=0.5)]


def test_number_is_read_when_it_is_written_as_a_numpy_array():
    layer = _layer("ReLU", max_value={"type": "ndarray", "value": 6.0})
    assert layer_edits.numpy_scalars(layer) == ["x"]
    assert layer == _layer("ReLU", max_value=6.0)


def test_policy_becomes_its_name_when_precision_is_mixed():
    layer = _layer("Dense", dtype={"class_name": "Policy", "config": {"name": "mixed_float16"}})
    assert layer_edits.precision_policy(layer) == ["x"]
    assert layer == _layer("Dense", dtype="mixed_float16")


def test_dtype_is_dropped_when_an_initializer_has_one():
    layer = _layer("Dense", kernel_initializer={"class_name": "Zeros", "config": {"dtype": "float32"}})
    assert layer_edits.typed_initializers(layer) == ["x"]
    assert layer["config"]["kernel_initializer"]["config"] == {}


@pytest.mark.parametrize(("axis", "marked"), [(3, []), ([3], []), ([1, 2], ["x"]), (None, ["x"])])
def test_layer_is_marked_when_keras_would_ignore_its_axes(axis: Any, marked: list[str]):
    layer = _layer("LayerNormalization", axis=axis)
    assert layer_edits.several_axes(layer) == marked
    assert layer.get("module") == ("keras.layers" if marked else None)


def test_module_names_are_dropped_when_a_nested_model_has_them():
    wrapper = _layer("TimeDistributed", layer={"module": "keras.layers", **_layer("Dense")})
    model = _sequential({"module": "keras.layers", "registered_name": None, **_layer("Dense")}, wrapper)
    assert model_edits.module_names(model) == ["x"]
    assert model["config"]["layers"][0] == _layer("Dense")
    assert wrapper["config"]["layer"]["module"] == "keras.layers", "wrappers read it by Keras 3's rules"


def test_input_layer_is_inserted_when_the_first_layer_has_the_shape():
    model = _sequential(_layer("Conv2D", "conv", batch_input_shape=SHAPE, dtype="float32"), _layer("Flatten"))
    assert model_edits.input_shape_on_layer(model) == ["conv"]
    assert model == _sequential(
        _layer("InputLayer", "conv_input", batch_shape=SHAPE, dtype="float32"),
        _layer("Conv2D", "conv", dtype="float32"),
        _layer("Flatten"),
    )


def test_shape_is_dropped_when_there_is_an_input_layer_already():
    model = _sequential(INPUT, _layer("Conv2D", "conv", batch_input_shape=SHAPE))
    assert model_edits.input_shape_on_layer(model) == ["conv"]
    assert model == _sequential(INPUT, _layer("Conv2D", "conv"))


@pytest.mark.parametrize(
    "first",
    [
        _functional("vgg", INPUT, _node(_layer("Conv2D", "c"), ["in", 0, 0]), output=["c", 0, 0]),
        _sequential(_layer("Conv2D", batch_input_shape=SHAPE), name="vgg"),
        _sequential(_sequential(INPUT, _layer("Conv2D")), name="vgg"),
    ],
    ids=["functional", "sequential", "nested"],
)
def test_input_layer_is_inserted_when_a_nested_model_has_the_shape(first: Entry):
    model = _sequential(first, _layer("Dense"))
    assert model_edits.input_shape_on_layer(model) == ["vgg"]
    assert model["config"]["layers"][0] == _layer("InputLayer", "vgg_input", batch_shape=SHAPE)


def test_nothing_is_inserted_when_no_shape_is_known():
    two_inputs = _functional("two", INPUT, _node(_layer("InputLayer", "other")), output=["in", 0, 0])
    for first in (_layer("Conv2D"), two_inputs):
        assert model_edits.input_shape_on_layer(_sequential(first)) == []


def test_end_is_taken_out_of_its_list_when_the_model_is_nested():
    inner = _functional("inner", INPUT, output=["in", 0, 0])
    outer = _sequential(inner)
    assert model_edits.ends_of_nested_models(outer) == ["inner"]
    assert inner["config"]["input_layers"] == inner["config"]["output_layers"] == ["in", 0, 0]
    assert model_edits.ends_of_nested_models(inner) == [], "of the outermost model they stay"


def test_ends_stay_a_list_when_there_are_several():
    inner = _functional("inner", INPUT, output=["in", 0, 0])
    inner["config"]["output_layers"] = [["in", 0, 0], ["in", 0, 0]]
    model_edits.ends_of_nested_models(_sequential(inner))
    assert inner["config"]["output_layers"] == [["in", 0, 0], ["in", 0, 0]]


@pytest.mark.parametrize(("kind", "end"), [("Sequential", 0), ("Model", 1)])
def test_calls_are_counted_from_zero_when_a_nested_model_is_called(kind: str, end: int):
    inner = _node({**_functional("inner", INPUT, output=["in", 0, 0]), "class_name": kind}, ["in", 0, 0, {}])
    add = _node(_layer("Add", "add"), ["inner", 1, 0, {}], ["inner", 2, 0, {}])
    outer = _functional("outer", INPUT, inner, add, output=["inner", 1, 0])
    assert model_edits.calls_of_nested_models(outer) == ["inner"]
    assert add["inbound_nodes"] == [[["inner", 0, 0, {}], ["inner", 1, 0, {}]]]
    assert outer["config"]["output_layers"] == [["inner", end, 0]], "Keras 3 counts back itself for Functional models"
    assert model_edits.calls_of_nested_models(outer) == []


def test_slashes_are_replaced_wherever_the_name_stands():
    layer = _node(_layer("Conv2D", "conv1/conv"), ["in", 0, 0, {}])
    relu = _node(_layer("ReLU", "relu"), ["conv1/conv", 0, 0, {}])
    model = _functional("net", INPUT, layer, relu, output=["conv1/conv", 0, 0])
    assert model_edits.slashes_in_names(model) == ["conv1/conv"]
    assert "conv1/conv" not in json.dumps(model)
    assert relu["inbound_nodes"] == [[["conv1_conv", 0, 0, {}]]]


def test_slashes_stay_when_two_layers_would_get_one_name():
    model = _sequential(INPUT, _layer("Conv2D", "a/b"), _layer("Conv2D", "a_b"))
    assert model_edits.slashes_in_names(model) == []


def test_names_are_translated_when_keras_1_wrote_them():
    layer = _layer(
        "Convolution2D",
        nb_filter=4,
        nb_row=3,
        nb_col=5,
        border_mode="same",
        subsample=[2, 2],
        dim_ordering="tf",
        init="uniform",
        bias=True,
        activation="elu",
        input_dtype="float32",
    )
    assert modernise(layer) == ["x"]
    assert layer == _layer(
        "Conv2D",
        filters=4,
        kernel_size=[3, 5],
        padding="same",
        strides=[2, 2],
        data_format="channels_last",
        use_bias=True,
        activation="elu",
        dtype="float32",
    )


def test_other_names_are_translated_when_keras_1_wrote_them():
    layers = [
        _layer("Dense", output_dim=2, input_dim=5, init="normal"),
        _layer("Dropout", p=0.5),
        _layer("BatchNormalization", mode=0, momentum=0.9),
        _layer("Merge", mode="sum"),
    ]
    assert [modernise(layer) for layer in layers] == [["x"], ["x"], ["x"], []]
    assert layers[1:] == [
        _layer("Dropout", rate=0.5),
        _layer("BatchNormalization", momentum=0.9),
        _layer("Merge", mode="sum"),
    ]


def test_repairs_name_three_layers_and_count_the_rest():
    model = _sequential(INPUT, *(_layer("DepthwiseConv2D", f"d{index}", groups=1) for index in range(5)))
    assert mend(model, (2, 4)) == ("arguments that Keras 3 no longer takes were dropped: 'd0', 'd1', 'd2' and 2 more",)


def test_edits_reach_layers_when_they_lie_deep_in_lists_and_wrappers():
    wrapper = _layer("TimeDistributed", layer=_layer("Conv2DTranspose", groups=1))
    model = {"class_name": "Sequential", "config": [{"class_name": "Sequential", "config": [wrapper]}]}
    assert len(mend(model, (2, 4))) == 3
    assert "groups" not in json.dumps(model)


@pytest.mark.parametrize(
    "config",
    [
        _sequential(INPUT, _layer("Conv2D", groups=1), _layer("BatchNormalization", axis=[3])),
        _functional("net", INPUT, _node(_layer("Dense"), ["in", 0, 0, {}]), output=["x", 0, 0]),
        {"class_name": "Sequential"},
        {"class_name": 3, "config": "text"},
        {},
    ],
)
def test_nothing_changes_when_nothing_has_to(config: Entry):
    before = deepcopy(config)
    assert mend(config, (2, 4)) == ()
    assert config == before


def _hdf5(path: Path, config: Any, version: str | bytes = b"2.2.4") -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = version
    return path


def test_file_itself_is_read_when_it_needs_nothing(tmp_path: Path):
    path = _hdf5(tmp_path / "m.h5", _sequential(INPUT))
    with readable(path, "hdf5") as (file, repairs):
        assert (file, repairs) == (path, ())


def test_copy_is_mended_and_removed_when_the_file_is_old(tmp_path: Path):
    path = _hdf5(tmp_path / "m.keras", _sequential(_layer("Conv2D", batch_input_shape=SHAPE)))
    before = path.read_bytes()
    with readable(path, "hdf5") as (copy, repairs):
        assert copy.suffix == ".h5"
        assert [repair.split()[0] for repair in repairs] == ["read", "the"]
        with h5py.File(copy) as file:
            assert "InputLayer" in file.attrs["model_config"]
    assert not copy.parent.exists()
    assert path.read_bytes() == before


def test_copy_is_removed_when_reading_it_fails(tmp_path: Path):
    path = _hdf5(tmp_path / "m.keras", _sequential(INPUT))
    with pytest.raises(RuntimeError), readable(path, "hdf5") as (copy, _):
        raise RuntimeError
    assert not copy.parent.exists()


def test_nothing_is_edited_when_keras_3_wrote_the_file(tmp_path: Path):
    path = _hdf5(tmp_path / "m.h5", _sequential(_layer("Conv2D", batch_input_shape=SHAPE)), "3.4.1")
    with readable(path, "hdf5") as (file, repairs):
        assert (file, repairs, keras_version(file)) == (path, (), "3.4.1")


@pytest.mark.parametrize(
    "config", [[1], "text", {"class_name": "Sequential", "config": {"layers": [{"config": {"batch_input_shape": 3}}]}}]
)
def test_strange_configuration_raises_nothing_but_a_failed_model(tmp_path: Path, config: Any):
    path = _hdf5(tmp_path / "m.h5", config)
    with suppress(ModelFailedError), readable(path, "hdf5"):
        pass
