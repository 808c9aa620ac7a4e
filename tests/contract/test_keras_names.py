"""The committed list of names that model files may use, against the Keras that is installed."""

import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import keras
import pytest
from keras.src import layers as legacy_layers
from keras.src.api_export import REGISTERED_NAMES_TO_OBJS
from keras.src.saving.keras_saveable import KerasSaveable

from service.errors import ModelFailedError
from service.keras.files.admission.allowed_names import allowed_names
from service.keras.files.admission.configuration import FUNCTIONS_BESIDE_LAYERS, require_allowed
from tests.hostile_models import Config, function
from tests.keras_names import gone, read_list, undecided

# Made by hand: their arguments cannot be left out, or only in company.
ARGUMENTS: dict[str, Callable[[], Any]] = {
    "Bidirectional": lambda: keras.layers.Bidirectional(keras.layers.LSTM(2)),
    "TimeDistributed": lambda: keras.layers.TimeDistributed(keras.layers.Dense(2)),
    "SpectralNormalization": lambda: keras.layers.SpectralNormalization(keras.layers.Dense(2)),
    "RNN": lambda: keras.layers.RNN([keras.layers.GRUCell(2), keras.layers.LSTMCell(2)]),
    "StackedRNNCells": lambda: keras.layers.StackedRNNCells([keras.layers.GRUCell(2)]),
    "Pipeline": lambda: keras.layers.Pipeline([keras.layers.RandomFlip(), keras.layers.Rescaling(0.5)]),
    "Activation": lambda: keras.layers.Activation(keras.ops.silu),
    "Normalization": lambda: keras.layers.Normalization(mean=[1.0, 2.0], variance=[1.0, 4.0]),
    "InputLayer": lambda: keras.layers.InputLayer((8, 8, 3)),
}


def test_every_name_is_decided_when_keras_grows():
    assert list(undecided()) == [], "review: python -m tests.keras_names --write"
    assert list(gone()) == []


def test_no_name_is_both_when_it_is_decided():
    listed = read_list()
    for kind, modules in listed["refused"].items():
        for module, names in modules.items():
            assert not names & listed["allowed"].get(kind, {}).get(module, set())


def test_functions_beside_layers_are_all_known_when_the_hdf5_reader_looks_for_them():
    functions = {name for name, item in vars(legacy_layers).items() if callable(item) and not isinstance(item, type)}
    assert functions == FUNCTIONS_BESIDE_LAYERS


def _make(name: str) -> Any:
    if name in ARGUMENTS:
        return ARGUMENTS[name]()
    kind = getattr(keras.layers, name)
    for values in ((), (2,), (0.5,), (0.5, 0.5), (2, 2), ((2, 2),), (2, 2, 2), ([1.0, 2.0],), ("ab,bc->ac", 2)):
        try:
            return kind(*values)
        except (TypeError, ValueError):
            continue
    raise AssertionError(f"make a {name} by hand")


@pytest.mark.parametrize("name", sorted(read_list()["allowed"]["layers"]["keras.layers"]))
def test_layer_passes_when_keras_writes_it_with_its_defaults(name: str):
    entry = keras.saving.serialize_keras_object(_make(name))
    require_allowed({"module": "keras", "class_name": "Sequential", "config": {"layers": [entry]}}, is_archive=True)


@pytest.mark.parametrize(
    "function_name", ["MobileNetV3Small", "ConvNeXtTiny", "EfficientNetV2B0", "NASNetMobile", "DenseNet121"]
)
def test_application_passes_when_it_is_saved(function_name: str):
    network = getattr(keras.applications, function_name)(weights=None)
    require_allowed(keras.saving.serialize_keras_object(network), is_archive=True)


def _network(**parts: Any) -> Config:
    """A network of one layer, whose entry has these parts."""
    entry = {"module": "keras.layers", "class_name": "Dense", "config": {"name": "it"}} | parts
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "all", "layers": [entry]}}


def _argument(name: str) -> Callable[[Any], Config]:
    return lambda entry: _network(config={"name": "it", name: entry})


_LAYERS = ("models", "layers", "operations")
# Places, each the kinds that belong there and a configuration with an entry in it.
PLACES: dict[str, tuple[tuple[str, ...], Callable[[Any], Config]]] = {
    "layer": (_LAYERS, _argument("layers")),
    "wrapped": (_LAYERS, _argument("layer")),
    "cell": (_LAYERS, _argument("cell")),
    "activation": (("activation layers", "activations"), _argument("activation")),
    "recurrent activation": (("activation layers", "activations"), _argument("recurrent_activation")),
    "initializer": (("initializers",), _argument("kernel_initializer")),
    "regularizer": (("regularizers",), _argument("activity_regularizer")),
    "constraint": (("constraints",), _argument("bias_constraint")),
    "policy": (("policies",), _argument("dtype")),
    "policies": (("policies",), _argument("policy_map")),
    "quantizer": (("quantizers",), _argument("quantization_config")),
    "seed": (("seeds",), _argument("seed")),
    "plain": ((), _argument("filters")),
    "deep": ((), lambda entry: _argument("filters")([{"a": [entry]}])),
    "tuple": ((), lambda entry: _argument("strides")({"class_name": "__tuple__", "items": [entry]})),
    "build settings": ((), lambda entry: _network(build_config={"input_shape": entry})),
    "argument": ((), lambda entry: _network(inbound_nodes=[{"args": [entry], "kwargs": {}}])),
    "keyword": ((), lambda entry: _network(inbound_nodes=[{"args": [], "kwargs": {"mask": [entry]}}])),
    "training settings": ((), lambda entry: _network(compile_config={"optimizer": entry})),
    "training settings of HDF5": ((), lambda entry: _network() | {"compile_config": {"loss": [entry]}}),
    "other": ((), lambda entry: _network(extra=entry)),
}


def _resolvable() -> Iterator[tuple[str, str]]:
    """Every (module, name) that Keras would make something of, exported or not."""
    for path in REGISTERED_NAMES_TO_OBJS:
        module, _, name = path.rpartition(".")
        yield module, name
    for module_name, module in sorted(sys.modules.items()):
        if module_name.startswith("keras.src"):
            for name, item in vars(module).items():
                if isinstance(item, type) and issubclass(item, KerasSaveable):
                    yield module_name, name


def _forms(module: str, name: str) -> Iterator[Any]:
    yield {"module": module, "class_name": name, "config": {}, "registered_name": None}
    yield function(module, name)
    yield function("builtins", name)
    yield {"module": "keras.layers", "class_name": "Dense", "config": {}, "registered_name": f"{module}>{name}"}
    yield {"class_name": f"{module.removeprefix('keras.')}.{name}", "module": "keras", "config": {}}


def test_no_configuration_reaches_keras_when_it_names_what_is_not_listed_there():
    names = sorted(set(_resolvable()))
    assert len(names) > 1500
    tried = 0
    # Each place with every name, in one of the forms in turn.
    for (place, (kinds, make)), (number, (module, name)) in itertools.product(PLACES.items(), enumerate(names)):
        form = (number + len(place)) % 5
        if not _belongs(kinds, module, name, form):
            with pytest.raises(ModelFailedError):
                require_allowed(make(list(_forms(module, name))[form]), is_archive=False)
            tried += 1
    assert tried >= 5000


@pytest.mark.parametrize("place", [place for place in PLACES if place != "training settings"])
def test_configuration_passes_when_nothing_stands_in_the_place(place: str):
    require_allowed(PLACES[place][1](None) | {"compile_config": None}, is_archive=False)


def _belongs(kinds: tuple[str, ...], module: str, name: str, form: int) -> bool:
    listed = read_list()["allowed"]
    if form == 0:
        if "activation layers" in kinds and module == "keras.layers":
            return ("keras.layers", name) in allowed_names().objects["activation"]
        return any(name in listed.get(kind, {}).get(module, ()) for kind in kinds)
    return "activations" in kinds and ("builtins" if form == 2 else module, name) in allowed_names().functions
