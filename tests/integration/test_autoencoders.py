"""Where autoencoders hold their latent, on networks of every kind; and the real ones of Keras 2."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from PIL import Image

from service.composition.models import BUILT_IN_MODELS
from service.demo.glyph_dataset import draw_glyph_files
from service.engine.chunks import JobLimits, run_all
from service.engine.images.archive import Dataset, DatasetLimits, open_dataset, pack_dataset
from service.engine.images.decoding import ImageLimits
from service.engine.methods import METHODS
from service.engine.model import Model
from service.engine.ports.overrides import Overrides
from service.engine.running.request import Request
from service.errors import MethodUnavailableError, ModelFailedError
from service.keras.compute.probe import KerasProbe
from service.keras.files.loading import load_probe
from service.models.catalog import Catalog
from service.models.sources.folder import Folder

SIZE = (8, 8, 1)
Build = Callable[[], keras.Model]


def _dense() -> keras.Model:
    x = inputs = keras.Input(SIZE)
    x = layers.Dense(5, name="wide")(layers.Flatten()(x))
    x = layers.Dense(3, name="latent")(x)
    x = layers.ReLU(name="active")(x)
    return keras.Model(inputs, layers.Reshape(SIZE)(layers.Dense(64)(x)))


def _convolutional() -> keras.Model:
    """Its latent has more numbers than the picture."""
    x = inputs = keras.Input(SIZE)
    x = layers.Conv2D(32, 3, padding="same", name="first")(x)
    x = layers.MaxPooling2D(name="pool")(x)
    x = layers.Conv2DTranspose(32, 3, strides=2, padding="same")(x)
    return keras.Model(inputs, layers.Conv2D(1, 3, padding="same")(x))


def _nested() -> keras.Model:
    encoder = keras.Sequential([keras.Input(SIZE), layers.Flatten(), layers.Dense(4, name="latent")], name="encoder")
    decoder = keras.Sequential([keras.Input((4,)), layers.Dense(64), layers.Reshape(SIZE)], name="decoder")
    inputs = keras.Input(SIZE)
    return keras.Model(inputs, decoder(encoder(inputs)))


def _two_outputs() -> keras.Model:
    x = inputs = keras.Input(SIZE)
    latent = layers.Dense(2, name="latent")(layers.Flatten()(x))
    return keras.Model(inputs, [latent, layers.Reshape(SIZE)(layers.Dense(64)(latent))])


@pytest.mark.parametrize(
    ("build", "layer", "shape", "wired"),
    [
        (_dense, "active", (3,), ("wide",)),
        (_convolutional, "pool", (4, 4, 32), ("first",)),
        (_nested, "encoder/latent", (4,), ("encoder/latent",)),
        (_two_outputs, "latent", (2,), ("latent",)),
    ],
)
def test_latent_is_the_narrowest_layer_when_nothing_is_stated(
    build: Build, layer: str, shape: tuple[int, ...], wired: tuple[str, ...]
):
    network = build()
    probe = KerasProbe(network)
    assert probe.network_info.latent is not None
    assert (probe.network_info.latent.layer, probe.network_info.latent.shape, probe.network_info.latent.wired) == (
        layer,
        shape,
        wired,
    )
    images = np.random.default_rng(0).random((21, *SIZE), np.float32)
    latents = probe.encode(images)
    assert latents.shape == (21, int(np.prod(shape)))
    outputs = network(images)
    decoded = outputs[-1] if isinstance(outputs, list) else outputs
    np.testing.assert_allclose(probe.decode(latents), decoded, atol=1e-5)


def test_layer_is_the_latent_when_it_is_stated():
    probe = KerasProbe(_dense(), overrides=Overrides(latent_layer="wide"))
    assert probe.network_info.latent is not None
    assert (probe.network_info.latent.layer, probe.network_info.latent.units) == ("wide", 5)
    with pytest.raises(ModelFailedError, match="latent_layer: layer 'cod' is not"):
        KerasProbe(_dense(), overrides=Overrides(latent_layer="cod"))


def _skipping() -> keras.Model:
    inputs = keras.Input(SIZE)
    wide = layers.Conv2D(4, 3, padding="same")(inputs)
    deep = layers.UpSampling2D()(layers.Conv2D(4, 3, strides=2, padding="same", name="deep")(wide))
    return keras.Model(inputs, layers.Conv2D(1, 3, padding="same")(layers.Concatenate()([wide, deep])))


def _overcomplete() -> keras.Model:
    inputs = keras.Input(SIZE)
    wide = layers.Dense(100)(layers.Flatten()(inputs))
    return keras.Model(inputs, layers.Reshape(SIZE)(layers.Dense(64)(wide)))


def _classifier() -> keras.Model:
    inputs = keras.Input(SIZE)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(layers.Flatten()(inputs)))


def _open_size() -> keras.Model:
    inputs = keras.Input((None, None, 1))
    return keras.Model(inputs, layers.Conv2DTranspose(1, 2, strides=2)(layers.Conv2D(2, 2, strides=2)(inputs)))


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (_skipping, "some are skipped"),
        (_overcomplete, "latent_layer"),
        (_classifier, "decodes no picture"),
        (_open_size, "no fixed height and width"),
    ],
)
def test_reason_is_told_when_a_network_is_no_autoencoder(build: Build, reason: str):
    probe = KerasProbe(build())
    said = METHODS["autoencoder-reconstruction"].refuse(probe.network_info)
    assert said is not None
    assert reason in said
    with pytest.raises(MethodUnavailableError, match="no autoencoder"):
        probe.encode(np.zeros((1, *SIZE), np.float32))


def test_stated_layer_is_refused_when_it_does_not_hold_all():
    network_info = KerasProbe(_skipping(), overrides=Overrides(latent_layer="deep")).network_info
    assert network_info.latent is None
    assert "more than layer 'deep' holds" in (network_info.no_latent or "")


def _save_pair(folder: Path, *, units: int = 2, card: str = 'decoder = "painter"') -> Catalog:
    """A variational encoder of two outputs, and a decoder that takes `units` numbers."""
    x = inputs = keras.Input(SIZE)
    x = layers.Flatten()(x)
    mean, deviation = layers.Dense(2, name="mean")(x), layers.Dense(2, name="deviation")(x)
    latent = keras.Input((units,))
    decoded = layers.Reshape(SIZE)(layers.Dense(64)(latent))
    networks = {"coder": keras.Model(inputs, [mean, deviation]), "painter": keras.Model(latent, decoded, name="mean")}
    for name, network in networks.items():
        (folder / name / "1").mkdir(parents=True)
        network.save(folder / name / "1" / "model.keras")
    (folder / "coder" / "model.toml").write_text(card)
    return Catalog([Folder(folder, load_probe)])


def test_two_files_are_one_autoencoder_when_the_encoder_names_its_decoder(tmp_path: Path):
    catalog = _save_pair(tmp_path)
    model = catalog.model("coder")
    assert (model.latent_layer, model.network_info.task) == ("mean", "autoencoder")
    encoder, decoder = (keras.saving.load_model(tmp_path / name / "1" / "model.keras") for name in ("coder", "painter"))
    images = np.random.default_rng(0).random((3, *SIZE), np.float32)
    latents = model.probe.encode(images)
    np.testing.assert_allclose(latents, encoder(images)[0], atol=1e-5)
    np.testing.assert_allclose(model.probe.decode(latents), decoder(latents), atol=1e-5)
    # Another decoder is another model.
    model_version, digest = catalog.find("coder"), model.digest
    network = keras.saving.load_model(tmp_path / "painter" / "1" / "model.keras")
    network.set_weights([0 * weight for weight in network.get_weights()])
    network.save(tmp_path / "painter" / "1" / "model.keras")
    catalog.refresh()
    assert catalog.find("coder") != model_version
    assert catalog.model("coder").digest != digest
    assert not catalog.model("coder").probe.decode(latents).any()
    catalog.close()


def test_output_is_the_latent_when_its_layer_is_stated(tmp_path: Path):
    catalog = _save_pair(tmp_path, card='decoder = "painter"\nlatent_layer = "deviation"')
    assert catalog.model("coder").latent_layer == "deviation"
    catalog.close()


@pytest.mark.parametrize(
    ("units", "card", "reason"),
    [
        (3, 'decoder = "painter"', r"it takes \(3,\), but the encoder gives \(2,\)"),
        (2, 'decoder = "brush"', "no other model 'brush'"),
        (2, 'decoder = "coder"', "no other model 'coder'"),
        (2, 'decoder = "painter"\nlatent_layer = "flatten"', "no output of the encoder; its outputs: mean, deviation"),
    ],
)
def test_encoder_is_refused_when_its_decoder_does_not_fit(tmp_path: Path, units: int, card: str, reason: str):
    catalog = _save_pair(tmp_path, units=units, card=card)
    with pytest.raises(ModelFailedError, match=reason):
        catalog.model("coder")
    catalog.close()


def test_unit_gradients_are_those_of_a_plain_tape():
    network = _convolutional()
    images = np.random.default_rng(0).normal(size=(5, *SIZE)).astype(np.float32)
    units = [3, 40, 511]
    found = KerasProbe(network).unit_gradients(images, "pool", units)
    half = keras.Model(network.input, network.get_layer("pool").output)
    for unit, gradient in zip(units, found, strict=True):
        with tf.GradientTape() as tape:
            watched = tf.constant(images)
            tape.watch(watched)
            answer = tf.reshape(half(watched), (5, -1))[:, unit]
        expected = tape.gradient(answer, watched).numpy().mean(axis=0)
        np.testing.assert_allclose(gradient, expected, atol=1e-6)
        assert expected.any()


GLYPH_METHODS = {
    "autoencoder-coefficients": ["coefficients", "coefficients-normalised", "decoder"],
    "autoencoder-latents": ["latents", "manifold"],
    "autoencoder-traversal": ["traversal"],
}


@pytest.mark.parametrize("name", GLYPH_METHODS)
def test_built_in_dataset_is_understood_by_the_built_in_model(glyphs: Model, glyph_dataset: Dataset, name: str):
    method = METHODS[name]
    request = Request(method, method.params(), None, images=glyph_dataset)
    result = run_all(glyphs, request, ImageLimits(2**20, 10**6), JobLimits(), lambda _: None)
    assert [image.name for image in result.images] == GLYPH_METHODS[name]
    assert result.values["images"] == 300
    if name == "autoencoder-latents":
        # Measured: 0.47.
        assert result.values["silhouette"]["value"] > 0.4
        latents = np.array([item["latent"] for item in result.values["items"]])
        picture = glyphs.preprocessing.apply(read_gray(glyph_dataset.read(7, 2**20)))
        (alone,) = glyphs.probe.activations(picture, ["latent"])
        np.testing.assert_allclose(latents[7], alone.values, rtol=1e-4)
    if name == "autoencoder-coefficients":
        (kernel,) = glyphs.probe.kernels("hidden")
        assert result.values["kind"] == "weights"
        assert result.values["norm"] == pytest.approx(np.linalg.norm(kernel.values[0, 0], axis=0), rel=1e-4)


@pytest.fixture(scope="module")
def glyphs() -> Iterator[Model]:
    catalog = Catalog([Folder(BUILT_IN_MODELS, load_probe)])
    yield catalog.model("glyphs")
    catalog.close()


@pytest.fixture(scope="module")
def glyph_dataset() -> Dataset:
    packed = io.BytesIO()
    pack_dataset(draw_glyph_files(), packed)
    return open_dataset(packed, DatasetLimits())


def read_gray(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)).convert("L"))[..., None]


@pytest.mark.parametrize(
    ("name", "layer", "units"),
    [("autoencoder__qusai.h5", "max_pooling2d_1", 1568), ("autoencoder__dfwteinos.h5", "max_pooling2d_1", 3136)],
)
def test_real_autoencoder_is_understood(test_data: Path, name: str, layer: str, units: int):
    latent = load_probe(test_data / "models" / "legacy" / name).network_info.latent
    assert latent is not None
    assert (latent.layer, latent.units, latent.wired) == (layer, units, ("conv2d",))


def test_real_encoder_is_joined_with_its_decoder(test_data: Path):
    folder = test_data / "models" / "legacy"
    encoder, decoder = (folder / f"vae_{half}_mnist_keras2.2.2.h5" for half in ("encoder", "decoder"))
    network_info = load_probe(encoder, Overrides(decoder=decoder)).network_info
    assert network_info.latent is not None
    assert (network_info.latent.layer, network_info.latent.shape, network_info.task) == ("dense_2", (2,), "autoencoder")
    assert "name the decoder" in (load_probe(encoder).network_info.no_latent or "")
