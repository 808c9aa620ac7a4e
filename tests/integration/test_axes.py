"""Which axes are the picture's: maps that lie otherwise in the network come out upright, or are refused."""

import tomllib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from service.engine.activation_cache import ActivationCache
from service.engine.arrays import Array
from service.engine.images.preprocessing import Preprocessing
from service.engine.kinds.requirements import refuse_without_spatial_layer
from service.engine.methods.features.filter_patterns import FilterPatternsParams, cut
from service.engine.methods.layers.layer_health import LayerHealthParams, _find_layers
from service.engine.methods.units import UnitChoice
from service.engine.model import Model
from service.engine.ports.ascent import Ascent, Canvas, FilterMeans, Schedule
from service.errors import ComputationFailedError, FilterOutOfRangeError, LayerNotDrawableError, LayerNotSpatialError
from service.keras.compute.compiling import computing
from service.keras.compute.probe import KerasProbe
from service.keras.compute.tuning import Tuning
from service.keras.files.admission import allowed_names
from service.keras.graph.axes import rules
from service.keras.graph.axes.axes import find_order, name_of
from service.keras.graph.replay import Wiring, wire
from service.models.doctor import examine as find
from tests.oracle import relative_error, weigh

L: Any = keras.layers
NAMES = Path(allowed_names.__file__).parent / "names.toml"
SIZE = (32, 48)


@pytest.fixture(autouse=True)
def seed() -> None:
    keras.utils.set_random_seed(3)


def _image(*shape: int) -> Array:
    return np.random.default_rng(1).random(shape or (*SIZE, 3), np.float32)


def _names(wiring: Wiring, path: str) -> str:
    return "".join(name_of(one) for one in wiring.by_path[path].outputs[0].axes)


def _default_layer(probe: KerasProbe) -> tuple[str | None, str, str]:
    model = Model("any", "1", "0" * 64, probe, Preprocessing("none", (1.0,), (0.0,)))
    (finding,) = (finding for finding in find(model) if finding.subject == "default_layer")
    return finding.value, finding.sure, finding.because


# --- a network that turns to channels_first behind a Permute ---------------------------------------------------------


def _first_inside() -> keras.Model:
    inputs = keras.Input((*SIZE, 3))
    x = L.Permute((3, 1, 2), name="turn")(inputs)
    x = L.Conv2D(8, 3, activation="relu", data_format="channels_first", name="c1")(x)
    x = L.Conv2D(6, 3, activation="relu", data_format="channels_first", name="c2")(x)
    x = L.GlobalAveragePooling2D(data_format="channels_first")(x)
    return keras.Model(inputs, L.Dense(4, activation="softmax", name="scores")(x))


def _by_hand(network: keras.Model, image: Array) -> tuple[Any, Any]:
    """What c1 and c2 answer, channels last."""
    maps: list[Any] = [tf.constant(image[None])]
    for name in ("c1", "c2"):
        layer = network.get_layer(name)
        maps.append(tf.nn.relu(tf.nn.conv2d(maps[-1], layer.kernel, 1, "VALID") + layer.bias))
    return maps[1].numpy(), maps[2].numpy()


def test_maps_are_upright_when_a_network_has_channels_first_inside():
    network, image = _first_inside(), _image()
    first, second = _by_hand(network, image)
    probe = KerasProbe(network)
    answer = probe.activations_and_gradients(image, class_index=2)
    kernel = network.get_layer("scores").kernel.numpy()
    assert answer.layer == "c2"
    assert relative_error(answer.activations, second[0]) < 1e-5
    assert relative_error(answer.gradients, np.broadcast_to(kernel[:, 2] / (28 * 44), (28, 44, 6))) < 1e-5
    turned, found = probe.activations(image, ["turn", "c1"])
    assert np.array_equal(turned.values, image)
    assert relative_error(found.values, first[0]) < 1e-5
    assert [facts.output_shape for facts in probe.network_info.layers[1:4]] == [
        (None, *SIZE, 3),
        (None, 30, 46, 8),
        (None, 28, 44, 6),
    ]


def test_units_are_the_channels_when_they_come_first():
    network, image = _first_inside(), _image()
    _, second = _by_hand(network, image)
    probe = KerasProbe(network)
    found = probe.unit_activations(image[None], "c2")
    assert (found.shape, found.mean.shape) == ((28, 44), (1, 6))
    assert relative_error(found.greatest, second.max(axis=(1, 2))) < 1e-5
    assert found.place[0].tolist() == second.reshape(-1, 6).argmax(axis=0).tolist()
    (channel_statistics,) = probe.channel_statistics(image[None], ["c1"], np.ones((1, 2, 4), np.float32))
    assert (channel_statistics.positions, channel_statistics.mean.shape) == (30 * 46, (1, 8))
    assert UnitChoice(default=16, most=64).find(probe, "c2", None) == ("c2", [0, 1, 2, 3, 4, 5])


def test_filters_are_the_channels_when_they_come_first():
    network, image = _first_inside(), _image()
    probe = KerasProbe(network)
    with pytest.raises(FilterOutOfRangeError):
        cut(probe, FilterPatternsParams(layer="c2", filters="30"))
    assert probe.layer_on_canvas("c2", SIZE).output_shape == (28, 44, 6)
    ascent = Ascent(FilterMeans("c2", (5, 1)), Canvas(np.stack([image, image]), None), Schedule(1, 0.0))
    means = _by_hand(network, image)[1][0].mean(axis=(0, 1))
    assert probe.ascend(ascent, lambda _: None).activations == pytest.approx(means[[5, 1]], rel=1e-4)


@pytest.mark.parametrize("kind", [L.Conv2D, L.Conv2DTranspose, L.DepthwiseConv2D, L.SeparableConv2D])
def test_a_bias_is_each_channels_own_when_there_are_as_many_columns(kind: Any):
    options = {"depth_multiplier": 2} if kind is L.DepthwiseConv2D else {"filters": 6}
    inputs = keras.Input((3, 5, 6))
    layer = kind(kernel_size=3, padding="same", data_format="channels_first", activation="tanh", name="maps", **options)
    x = layer(L.Permute((1, 2, 3))(inputs))
    assert x.shape[1:] == (6, 5, 6)
    picture = keras.Input((5, 6, 3))
    network = keras.Model(picture, keras.Model(inputs, x)(L.Permute((3, 1, 2))(picture)))
    layer.bias.assign(np.arange(6) / 3)
    twin = kind.from_config({**layer.get_config(), "data_format": "channels_last"})
    twin.build((None, 5, 6, 3))
    twin.set_weights(layer.get_weights())
    image = _image(5, 6, 3)
    probe = KerasProbe(network)
    (found,) = probe.activations(image, ["maps"])
    assert relative_error(found.values, twin(image[None])[0].numpy()) < 1e-5


# --- maps that lie on their side -------------------------------------------------------------------------------------


def _reader() -> keras.Model:
    """As networks that read text: columns become steps."""
    inputs = keras.Input((32, 64, 1))
    x = L.Conv2D(6, 3, activation="relu", padding="same", name="maps")(L.Rescaling(1 / 255)(inputs))
    x = L.Permute((2, 1, 3), name="turn")(L.MaxPooling2D((4, 2), name="pool")(x))
    return keras.Model(inputs, L.Dense(4, activation="softmax", name="scores")(L.LSTM(5)(L.Reshape((32, 48))(x))))


@pytest.mark.parametrize("layer", ["maps", "pool", "turn"])
def test_heat_maps_are_upright_when_columns_become_steps(layer: str):
    network, image = _reader(), _image(32, 64, 1)
    probe = KerasProbe(network)
    answer = probe.activations_and_gradients(image, layer=layer, class_index=1)
    twin = keras.Model(network.input, [network.get_layer(layer).output, network.get_layer("scores").input])
    scores = network.get_layer("scores")
    with tf.GradientTape() as tape:
        picture = tf.constant(image[None])
        tape.watch(picture)
        maps, features = twin(picture, training=False)
        target = (features @ scores.kernel + scores.bias)[0, 1]
    expected = weigh(maps[0].numpy(), tape.gradient(target, maps)[0].numpy())
    expected = expected.T if layer == "turn" else expected
    assert answer.activations.shape[:2] == ((32, 64) if layer == "maps" else (8, 32))
    assert relative_error(weigh(answer.activations, answer.gradients), expected) < 1e-4


def test_default_layer_is_not_the_permute_when_columns_become_steps():
    value, sure, because = _default_layer(KerasProbe(_reader()))
    assert (value, sure) == ("maps", "likely")
    assert "'lstm" in because


def test_a_layer_is_turned_back_when_it_lies_behind_a_transposed_picture():
    inputs = keras.Input((*SIZE, 3))
    x = L.Conv2D(4, (3, 5), activation="relu", name="late")(L.Permute((2, 1, 3))(inputs))
    network = keras.Model(inputs, L.Dense(4, activation="softmax")(L.GlobalAveragePooling2D()(x)))
    image = _image()
    probe = KerasProbe(network)
    expected = keras.Model(network.input, x)(image[None]).numpy()[0]
    assert probe.network_info.default_layer == "late"
    assert relative_error(probe.activations_and_gradients(image).activations, expected.transpose(1, 0, 2)) < 1e-5


def test_a_decoded_picture_is_upright_when_the_decoder_ends_on_its_side():
    inputs = keras.Input((8, 12, 1))
    code = L.Dense(5, name="code")(L.Flatten()(inputs))
    x = L.Reshape((2, 4, 6), name="first")(L.Dense(48)(code))
    x = L.Conv2DTranspose(1, 2, strides=2, data_format="channels_first", name="drawn")(x)
    network = keras.Model(inputs, L.Permute((3, 2, 1))(x))
    image = _image(8, 12, 1)
    probe = KerasProbe(network)
    assert probe.network_info.task == "autoencoder"
    decoded = probe.decode(probe.encode(image[None]))
    assert relative_error(decoded[0], network(image[None]).numpy()[0].transpose(1, 0, 2)) < 1e-5
    # Of units in a new shape the next layer says which are rows.
    assert probe.layer("first").output_shape == (None, 4, 6, 2)
    assert probe.layer("drawn").output_shape == (None, 8, 12, 1)


def test_weights_are_no_pictures_when_the_picture_is_flattened_in_another_order():
    def wired(**options: Any) -> tuple[str, ...]:
        inputs = keras.Input((6, 8, 3))
        x = L.Dense(4, name="code")(L.Flatten(**options)(inputs))
        latent = KerasProbe(keras.Model(inputs, L.Reshape((6, 8, 3))(L.Dense(144)(x)))).network_info.latent
        assert latent is not None
        return latent.wired

    assert wired() == ("code",)
    assert wired(data_format="channels_first") == ()


# --- axes that are folded, mixed, or nobody's ------------------------------------------------------------------------


def _windows(x: Any, *, rows: int, columns: int, channels: int) -> Any:
    """Attention within windows of four by four, and maps again."""
    x = ops.reshape(x, (-1, rows // 4, 4, columns // 4, 4, channels))
    x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 16, channels))
    x = L.MultiHeadAttention(2, 3, name="within")(x, x)
    x = ops.reshape(x, (-1, rows // 4, columns // 4, 4, 4, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, rows, columns, channels))


def _windowed() -> keras.Model:
    inputs = keras.Input((16, 24, 3))
    x = L.Conv2D(6, 2, strides=2, name="patches")(inputs)
    x = L.Add(name="maps")([x, _windows(x, rows=8, columns=12, channels=6)])
    return keras.Model(inputs, L.Dense(3, activation="softmax")(L.GlobalAveragePooling2D()(x)))


def test_maps_are_known_when_they_were_folded_into_windows_and_back():
    probe = KerasProbe(_windowed())
    assert _default_layer(probe)[:2] == ("maps", "certain")
    assert probe.activations(_image(16, 24, 3), ["maps"])[0].values.shape == (8, 12, 6)


def test_a_layer_is_refused_when_its_first_axis_counts_windows():
    probe = KerasProbe(_windowed())
    with pytest.raises(LayerNotDrawableError, match="'within' does not keep pictures apart"):
        probe.activations(_image(16, 24, 3), ["within"])
    with pytest.raises(LayerNotDrawableError):
        probe.unit_activations(_image(1, 16, 24, 3), "within")


def test_scores_are_each_pictures_own_when_windows_lie_beside_a_layer():
    inputs = keras.Input((16, 24, 3))
    side = x = L.Conv2D(6, 2, strides=2, name="patches")(inputs)
    for number in range(5):
        side = L.Conv2D(6, 3, padding="same", name=f"side{number}")(side)
    maps = L.Add()([side, _windows(x, rows=8, columns=12, channels=6)])
    network = keras.Model(inputs, L.Dense(3, activation="softmax")(L.GlobalAveragePooling2D()(maps)))
    probe = KerasProbe(network, tuning=Tuning(activation_cache=ActivationCache(2**24)))
    images = [_image(16, 24, 3), 1 - _image(16, 24, 3)]
    expected = [network(image[None]).numpy()[0] for image in images]
    for layer in ("patches", *(f"side{number}" for number in range(5))):
        # What is kept at a layer is one picture's, or nothing: the second time it is taken from there.
        for _ in range(2):
            found = probe.gradients_of(images, [0, 0], layer=layer)
            assert relative_error(np.stack([answer.scores.values for answer in found]), np.stack(expected)) < 1e-5


def test_layer_health_leaves_out_what_keeps_no_pictures_apart():
    inputs = keras.Input((8, 12, 3))
    x = L.Conv2D(4, 3, padding="same", name="maps")(inputs)
    y = ops.reshape(L.Dense(4, name="within")(ops.reshape(x, (-1, 6, 4))), (-1, 8, 12, 4))
    probe = KerasProbe(keras.Model(inputs, L.Dense(3, name="scores")(L.GlobalAveragePooling2D()(L.Add()([x, y])))))
    assert probe.layer("within").space == "unknown"
    paths = [layer.path for layer in _find_layers(probe, LayerHealthParams())]
    assert paths == ["maps", "scores"]


def test_attention_is_refused_when_its_table_has_four_axes():
    inputs = keras.Input((8, 12, 3))
    tokens = L.Reshape((96, 4))(L.Conv2D(4, 3, padding="same", name="maps")(inputs))
    heads = ops.transpose(L.Reshape((96, 2, 2))(tokens), (0, 2, 1, 3))
    scores = L.Softmax(name="table")(ops.matmul(heads, ops.transpose(heads, (0, 1, 3, 2))))
    mixed = L.Reshape((96, 4))(ops.transpose(ops.matmul(scores, heads), (0, 2, 1, 3)))
    network = keras.Model(inputs, L.Dense(3, activation="softmax")(L.GlobalAveragePooling1D()(mixed)))
    probe = KerasProbe(network)
    value, sure, because = _default_layer(probe)
    assert (value, sure) == ("maps", "likely")
    assert "tokens" in because
    with pytest.raises(LayerNotSpatialError, match="axes that are not height, width and channels"):
        probe.activations_and_gradients(_image(8, 12, 3), layer="table")
    with pytest.raises(LayerNotDrawableError, match="'table'"):
        probe.activations(_image(8, 12, 3), ["table"])


def test_a_heat_map_is_refused_when_rows_are_not_the_pictures():
    inputs = keras.Input((8, 12, 3))
    x = L.Conv2D(4, 3, padding="same", name="maps")(inputs)
    fresh = L.Conv2D(2, 3, name="fresh")(L.Reshape((5, 6, 2))(L.Dense(60)(L.Flatten()(x))))
    flipped = L.Conv2D(2, 3, name="flipped")(ops.flip(x, axis=1))
    both = [L.GlobalAveragePooling2D()(each) for each in (fresh, flipped)]
    probe = KerasProbe(keras.Model(inputs, L.Dense(3, activation="softmax")(L.Concatenate()(both))))
    image = _image(8, 12, 3)
    assert probe.network_info.default_layer == "maps"
    for layer, shape in (("fresh", (3, 4, 2)), ("flipped", (6, 10, 2))):
        with pytest.raises(
            LayerNotSpatialError, match=r"cannot be followed back to the picture's.*nearest with space: 'maps'"
        ):
            probe.activations_and_gradients(image, layer=layer)
        assert probe.activations(image, [layer])[0].values.shape == shape
    assert refuse_without_spatial_layer(probe.network_info) is None


def test_a_default_layer_is_uncertain_when_nothing_before_it_was_learned():
    def flat(x: Any) -> keras.Model:
        return keras.Model(inputs, L.Dense(3, activation="softmax")(L.Flatten()(x)))

    inputs = keras.Input((8, 12, 3))
    _, sure, because = _default_layer(KerasProbe(flat(L.Rescaling(1 / 255)(inputs))))
    assert (sure, because.split(":")[0]) == ("likely", "it is the picture itself, rescaled or moved")
    _, sure, because = _default_layer(KerasProbe(flat(ops.image.extract_patches(inputs, 4))))
    assert (sure, because.split(":")[0]) == ("likely", "it is a table of windows of the picture")
    _, sure, _ = _default_layer(KerasProbe(flat(L.Conv2D(2, 3)(inputs))))
    assert sure == "certain"


def test_a_default_layer_is_uncertain_when_the_network_cuts_borders_off():
    def sure(crop: keras.Layer) -> tuple[str, str]:
        inputs = keras.Input((40, 48, 3))
        x = L.Conv2D(4, 3, activation="relu", name="maps")(crop(inputs))
        return _default_layer(KerasProbe(keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling2D()(x)))))[1:]

    found, because = sure(L.Cropping2D(((18, 6), (0, 0))))
    assert found == "likely"
    assert "rows 18 to 33 and columns 0 to 47 of 40 x 48 alone" in because
    found, because = sure(L.CenterCrop(40, 20))
    assert found == "likely"
    assert "rows 0 to 39 and columns 14 to 33 of 40 x 48 alone" in because
    assert sure(L.Cropping2D(((1, 0), (0, 1))))[0] == "certain"


def test_the_machine_is_blamed_when_tensorflow_cannot_compute_a_network():
    with (
        pytest.raises(ComputationFailedError, match=r"on this machine: The Conv2D op supports NHWC alone$"),
        computing(_image().shape),
    ):
        raise tf.errors.UnimplementedError(None, None, "The Conv2D op supports NHWC alone\n\t [[node]]")


# --- the table -------------------------------------------------------------------------------------------------------


def test_every_layer_and_operation_that_a_file_may_use_has_a_rule():
    allowed = tomllib.loads(NAMES.read_text(encoding="utf-8"))["allowed"]
    named = {name for kind in ("layers", "operations") for names in allowed[kind].values() for name in names}
    assert named - rules.RULES.keys() == {"InputLayer"}


def _cases(x: Any) -> dict[str, tuple[Any, str]]:
    """Tensors made of (n, h, w, c), and what their axes are; `*` is one place, or the same at every place."""
    columns = L.Reshape((8, 36))(x)
    return {
        "moved": (ops.moveaxis(x, 3, 1), "nchw"),
        "swapped": (ops.swapaxes(x, 1, 2), "nwhc"),
        "expanded": (ops.expand_dims(x, 1), "n*hwc"),
        "squeezed": (ops.squeeze(ops.expand_dims(x, 1), 1), "nhwc"),
        "means of channels": (ops.mean(x, axis=-1, keepdims=True), "nhw*"),
        "means of rows": (ops.max(x, axis=1), "nwc"),
        "a part of the channels": (x[..., :2], "nhwc"),
        "a part of the rows": (x[:, 2:], "n?wc"),
        "half of the channels": (ops.split(x, 3, axis=-1)[1], "nhwc"),
        "a row": (x[:, 3], "nwc"),
        "turned round": (ops.flip(x, axis=2), "nh?c"),
        "two by two": (ops.einsum("nhwc,nhwd->ncd", x, x), "ncc"),
        "beside a transposed one": (L.Concatenate()([ops.reshape(x, (-1, 12, 8, 3)), L.Permute((2, 1, 3))(x)]), "n??c"),
        "rows as steps": (columns, "nh?"),
        "read step by step": (L.LSTM(4, return_sequences=True)(columns), "nhc"),
        "read backwards": (L.LSTM(4, return_sequences=True, go_backwards=True)(columns), "n?c"),
        "both ways": (L.Bidirectional(L.LSTM(4, return_sequences=True))(columns), "nhc"),
        "a context for all": (L.RepeatVector(5)(L.GlobalAveragePooling2D()(x)), "n*c"),
        "a context as large as the maps": (
            L.UpSampling2D((8, 12))(L.GlobalAveragePooling2D(keepdims=True)(x)),
            "n**c",
        ),
        "row by row": (L.TimeDistributed(L.Conv1D(4, 3))(x), "nhwc"),
        "over rows and channels": (L.MaxPooling2D(2, data_format="channels_first")(x), "nhw?"),
        "shuffled into space": (ops.depth_to_space(L.Conv2D(8, 1)(x), 2), "nhwc"),
        "of no kind that is known": (ops.fft2((x, x))[0], "n???"),
    }


@pytest.mark.parametrize("case", list(_cases(keras.Input((8, 12, 3)))))
def test_axes_are_followed_when_a_tensor_is_moved(case: str):
    inputs = keras.Input((8, 12, 3))
    tensor, expected = _cases(inputs)[case]
    network = keras.Model(inputs, tensor)
    (value,) = wire(network).outputs
    assert "".join(name_of(one) for one in value.axes) == expected
    order = find_order(value.axes)
    assert (order is None) == ("?" in expected and len(expected) == 4)
