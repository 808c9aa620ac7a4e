"""A network taken apart and put together again answers as before, to the last bit; and what is no parcel is refused."""

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from service.engine.ports.overrides import NO_OVERRIDES, Overrides
from service.errors import ModelFailedError
from service.keras.cell.building import build_probe, put_together, take_apart
from service.keras.cell.entry import read_network
from service.keras.cell.limits import CellLimits
from service.keras.cell.parcel import (
    BrokenParcelError,
    CellRequest,
    Contents,
    is_whole,
    read_parcel,
    seal,
    write_parcel,
)
from service.keras.cell.reading import Parcel
from service.keras.compute.tuning import UNTUNED
from service.keras.files.admission.limits import MODEL_FILE_LIMITS
from service.keras.files.loading import load_probe, open_files
from service.keras.graph.replay import graph_of, infer, replay
from tests.families import FAMILIES, build_nested
from tests.integration.test_keras2_files import KNOWN, REFUSED, _extract
from tests.networks.heads import build

pytestmark = pytest.mark.filterwarnings("ignore:Argument `alpha` is deprecated:UserWarning")


@pytest.fixture
def pack(tmp_path: Path) -> Iterator[Callable[..., Parcel]]:
    """Write a parcel and read it again."""
    with (tmp_path / "parcel").open("w+b") as stream:

        def write(contents: Contents, arrays: Any) -> Parcel:
            write_parcel(stream, contents, arrays)
            seal(stream)
            assert is_whole(stream)
            read = read_parcel(stream, MODEL_FILE_LIMITS)
            assert isinstance(read, Contents)
            return Parcel(read, stream)

        yield write


def _arrays(network: keras.Model) -> Iterator[bytes]:
    for weight in network.weights:
        yield np.asarray(weight.value).tobytes()


def _rebuild(network: keras.Model, pack: Callable[..., Parcel]) -> keras.Model:
    parcel = pack(take_apart(network), _arrays(network))
    return put_together(parcel.contents, parcel.stream, "model.keras", MODEL_FILE_LIMITS)


def _answers(network: keras.Model, side: int = 64) -> list[Any]:
    rng, inputs = np.random.default_rng(3), graph_of(network).inputs
    shapes = [[1, *(size or side for size in value.shape[1:])] for value in inputs]
    images = [rng.random(shape, np.float32).astype(value.dtype) for shape, value in zip(shapes, inputs, strict=True)]
    tensors = [keras.ops.convert_to_tensor(image) for image in images]
    answers = replay(network, tensors, lambda _, node, args, kwargs: infer(node, args, kwargs))
    return [np.asarray(keras.ops.cast(answer, "float32")) for answer in keras.tree.flatten(answers)]


def _require_equal(one: keras.Model, other: keras.Model) -> None:
    for first, second in zip(_answers(one), _answers(other), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", [name for name in KNOWN if name not in REFUSED])
def test_answers_are_the_same_when_an_old_file_came_as_a_parcel(tmp_path: Path, pack: Callable[..., Parcel], name: str):
    opened = open_files(_extract(name, tmp_path), NO_OVERRIDES, MODEL_FILE_LIMITS)
    _require_equal(opened.network, _rebuild(opened.network, pack))


@pytest.mark.parametrize("family", [family for family in FAMILIES if family.name in ("MobileNetV2", "ConvNeXtTiny")])
def test_answers_are_the_same_when_a_nested_application_came_as_a_parcel(family: Any, pack: Callable[..., Parcel]):
    network = build_nested(family)
    network.build((None, family.size, family.size, 3))
    _require_equal(network, _rebuild(network, pack))


@pytest.mark.parametrize("seed", range(12))
def test_answers_are_the_same_when_a_random_network_came_as_a_parcel(pack: Callable[..., Parcel], seed: int):
    network = build(seed).network
    _require_equal(network, _rebuild(network, pack))


@pytest.mark.parametrize("dtype", ["mixed_float16", "bfloat16", "float64"])
def test_weights_keep_their_type_when_it_is_not_single_precision(pack: Callable[..., Parcel], dtype: str):
    network = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3, dtype=dtype), layers.Flatten(), layers.Dense(2, dtype=dtype)]
    )
    again = _rebuild(network, pack)
    assert [weight.dtype for weight in again.weights] == [weight.dtype for weight in network.weights]
    _require_equal(network, again)


def test_weights_are_quantized_still_when_they_came_as_a_parcel(pack: Callable[..., Parcel]):
    network = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(2)])
    network.layers[-1].quantize("int8")
    again = _rebuild(network, pack)
    assert "int8" in [weight.dtype for weight in again.weights]
    _require_equal(network, again)


def test_layers_are_shared_still_when_they_are_called_twice(pack: Callable[..., Parcel]):
    tower = keras.Sequential([keras.Input((6,)), layers.Dense(4, name="inner")], name="tower")
    shared = layers.Dense(4, name="shared")
    inputs = keras.Input((6,))
    twice = layers.Rescaling(2.0)(inputs)
    network = keras.Model(inputs, layers.Concatenate()([tower(inputs), tower(twice), shared(inputs), shared(twice)]))
    again = _rebuild(network, pack)
    assert len(again.weights) == 4
    _require_equal(network, again)


def test_network_is_one_when_an_encoder_and_its_decoder_came_as_a_parcel(tmp_path: Path, pack: Callable[..., Parcel]):
    encoder = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3, name="narrow")], name="one")
    decoder = keras.Sequential([keras.Input((3,)), layers.Dense(64), layers.Reshape((8, 8, 1))], name="one")
    encoder.save(tmp_path / "encoder.keras")
    decoder.save(tmp_path / "decoder.keras")
    overrides = Overrides(decoder=tmp_path / "decoder.keras")
    request = CellRequest(
        files=(),
        parent=0,
        output=0,
        overrides=overrides,
        model_limits=MODEL_FILE_LIMITS,
        cell_limits=CellLimits(),
        threads=0,
    )
    parcel = pack(*read_network(tmp_path / "encoder.keras", overrides, request))
    probe = build_probe(parcel, overrides, "encoder.keras", tuning=UNTUNED, limits=MODEL_FILE_LIMITS)
    direct = load_probe(tmp_path / "encoder.keras", overrides)
    assert probe.network_info == direct.network_info
    assert probe.network_info.latent is not None
    images = np.random.default_rng(0).random((2, 8, 8, 1), np.float32)
    np.testing.assert_array_equal(probe.encode(images), direct.encode(images))


def _small() -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3, name="scores")], name="small")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('"class_name": "Dense"', '"class_name": "Lambda"', "is a Lambda"),
        ('"module": "keras.layers", "class_name": "Dense"', '"module": "os", "class_name": "system"', "'system'"),
        ('"units": 3', '"units": 3000000', "weights"),
        ('"name": "scores"', f'"name": "{"x" * 300}"', "300 characters"),
    ],
)
def test_configuration_is_refused_when_a_cell_gives_what_no_file_may(
    pack: Callable[..., Parcel], before: str, after: str, words: str
):
    network = _small()
    contents = take_apart(network)
    assert before in contents.config
    parcel = pack(contents.model_copy(update={"config": contents.config.replace(before, after)}), _arrays(network))
    with pytest.raises(ModelFailedError, match=words):
        put_together(parcel.contents, parcel.stream, "model.keras", MODEL_FILE_LIMITS)


@pytest.mark.parametrize("before_after", [('"units": 3', '"units": 4'), ('"name": "scores"', '"name": "other"')])
def test_parcel_is_refused_when_its_weights_are_not_its_configurations(
    pack: Callable[..., Parcel], before_after: tuple[str, str]
):
    network = _small()
    contents = take_apart(network)
    parcel = pack(contents.model_copy(update={"config": contents.config.replace(*before_after)}), _arrays(network))
    with pytest.raises(BrokenParcelError, match="other weights"):
        put_together(parcel.contents, parcel.stream, "model.keras", MODEL_FILE_LIMITS)


@pytest.mark.parametrize("length", [0, 10, 39, 41, 200, -1])
def test_parcel_is_refused_when_it_is_cut(tmp_path: Path, length: int):
    network = _small()
    with (tmp_path / "parcel").open("w+b") as stream:
        write_parcel(stream, take_apart(network), _arrays(network))
        stream.truncate(length if length >= 0 else stream.seek(0, io.SEEK_END) + length)
        with pytest.raises(BrokenParcelError):
            read_parcel(stream, MODEL_FILE_LIMITS)


@pytest.mark.parametrize("place", [40, 60, 2000, -1])
def test_parcel_is_not_whole_when_a_byte_is_another(tmp_path: Path, place: int):
    network = _small()
    with (tmp_path / "parcel").open("w+b") as stream:
        write_parcel(stream, take_apart(network), _arrays(network))
        seal(stream)
        assert is_whole(stream)
        stream.seek(place, io.SEEK_SET if place >= 0 else io.SEEK_END)
        value = stream.read(1)
        stream.seek(place, io.SEEK_SET if place >= 0 else io.SEEK_END)
        stream.write(bytes([value[0] ^ 1]))
        assert not is_whole(stream)


def test_every_file_of_the_evidence_is_tried():
    with zipfile.ZipFile(Path(__file__).parents[1] / "legacy" / "evidence.zip") as evidence:
        files = [name for name in evidence.namelist() if name.endswith((".h5", ".keras"))]
    assert sorted(files) == sorted(KNOWN)
