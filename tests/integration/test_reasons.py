"""What is said of networks that are not what most are: each sentence has to be true of its network."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from service.engine.kinds.requirements import refuse_without_classes, refuse_without_image, refuse_without_latent
from service.engine.model import Model
from service.engine.ports.probe import BatchProbe
from service.errors import ComputationFailedError, ModelFailedError
from service.keras.files.loading import load_probe
from service.models.doctor import examine
from service.models.sources.folder import open_file

Open = Callable[[keras.Model], Model]


@pytest.fixture
def open_network(tmp_path: Path) -> Open:
    def save(network: keras.Model) -> Model:
        file = tmp_path / "model.keras"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            network.save(file)
        return open_file(file, load_probe)

    return save


def _maps(inputs: Any) -> Any:
    return layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)


def _pool(maps: Any) -> Any:
    return layers.GlobalAveragePooling2D()(maps)


def test_outputs_are_counted_when_there_are_two(open_network: Open):
    inputs = keras.Input((8, 12, 3))
    pooled = _pool(_maps(inputs))
    model = open_network(keras.Model(inputs, [layers.Dense(3)(pooled), layers.Dense(2)(pooled)]))
    assert refuse_without_image(model.network_info) is None
    assert (
        refuse_without_classes(model.network_info) == "this network has 2 outputs ((3), (2)), not one vector of scores"
    )


def test_inputs_are_counted_when_there_are_two(open_network: Open):
    picture, numbers = keras.Input((8, 12, 3)), keras.Input((5,))
    both = layers.Concatenate()([_pool(_maps(picture)), numbers])
    model = open_network(keras.Model([picture, numbers], layers.Dense(3)(both)))
    reason = "2 inputs go into this network ((8, 12, 3), (5)), not one picture alone"
    assert refuse_without_image(model.network_info) == reason
    assert next(examine(model)).because == reason


@pytest.mark.parametrize("shape", [(7,), (8, 12, 5), (4, 8, 12, 3)])
def test_shape_is_told_when_no_picture_goes_in(open_network: Open, shape: tuple[int, ...]):
    inputs = keras.Input(shape)
    model = open_network(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(inputs))))
    shown = ", ".join(map(str, shape))
    assert str(refuse_without_image(model.network_info)).endswith(
        f"its input is ({shown}), not (height, width, 1 or 3 channels)"
    )


def test_network_is_no_autoencoder_when_its_output_is_made_past_the_narrowest_layer(open_network: Open):
    inputs = keras.Input((16, 16, 3))
    first = _maps(inputs)
    inner = layers.UpSampling2D()(_maps(layers.MaxPooling2D()(first)))
    outputs = layers.Conv2D(3, 1, activation="sigmoid")(layers.Concatenate()([first, inner]))
    model = open_network(keras.Model(inputs, outputs))
    assert model.network_info.task == "features"
    assert "skipped on the way" in str(refuse_without_latent(model.network_info))
    (task,) = (finding for finding in examine(model) if finding.subject == "task")
    assert "skipped on the way" in task.because


@pytest.mark.filterwarnings("ignore:You are using a softmax")
def test_task_is_a_guess_when_a_softmax_has_one_unit(open_network: Open):
    inputs = keras.Input((8, 8, 3))
    model = open_network(keras.Model(inputs, layers.Dense(1, activation="softmax")(_pool(_maps(inputs)))))
    (task,) = (finding for finding in examine(model) if finding.subject == "task")
    assert (task.value, task.sure) == ("classification", "guess")
    assert "1 whatever goes in" in task.because


def test_picture_is_answered_when_the_batch_is_fixed(open_network: Open):
    network = keras.Sequential(
        [
            keras.Input((8, 12, 3), batch_size=4),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    image = np.random.default_rng(1).random((8, 12, 3)).astype(np.float32)
    expected = network(np.stack([image] * 4))[0]
    probe = open_network(network).probe
    np.testing.assert_allclose(probe.scores(image).values, expected, atol=1e-5)
    assert probe.activations_and_gradients(image).activations.shape == (6, 10, 4)


def test_pictures_go_one_by_one_when_the_network_takes_one_alone(open_network: Open):
    inputs = keras.Input((8, 12, 3), batch_size=1)
    flat = keras.ops.reshape(_maps(inputs), (1, -1))
    network = keras.Model(inputs, layers.Dense(3)(flat))
    images = np.random.default_rng(1).random((3, 8, 12, 3)).astype(np.float32)
    expected = [network(image[None])[0] for image in images]
    probe = open_network(network).probe
    assert isinstance(probe, BatchProbe)
    found = probe.gradients_of([*images], [0, 1, 2])
    np.testing.assert_allclose([each.scores.values for each in found], expected, atol=1e-5)


def test_the_number_of_pictures_is_named_when_the_network_fails_on_one(open_network: Open):
    inputs = keras.Input((8, 12, 3), batch_size=4)
    with pytest.raises(ModelFailedError, match="takes 4 pictures at once and fails on one: leave the batch size open"):
        open_network(keras.Model(inputs, layers.Dense(3)(keras.ops.reshape(_maps(inputs), (4, -1)))))


def test_layer_is_named_when_it_remembers_the_picture_before(open_network: Open):
    inputs = keras.Input((8, 12, 3), batch_size=1)
    rows = layers.Reshape((8, 36))(inputs)
    with pytest.raises(ModelFailedError, match=r"layer 'memory' is stateful, .*: set stateful=False"):
        open_network(keras.Model(inputs, layers.Dense(3)(layers.LSTM(4, stateful=True, name="memory")(rows))))


def test_size_is_not_blamed_when_something_else_fails(open_network: Open):
    inputs = keras.Input((None, None, 3))
    pooled = layers.AveragePooling2D(8)(_maps(inputs))
    model = open_network(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.Resizing(4, 4)(pooled)))))
    with pytest.raises(ComputationFailedError, match=r"fails on a picture of 4 x 4 \(\w+: .+\)"):
        model.probe.scores(np.ones((4, 4, 3), np.float32))
