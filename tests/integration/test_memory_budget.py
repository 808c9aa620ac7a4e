"""No pass takes more pictures than there is memory for, and no answer depends on how many that are."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from service.engine.arrays import Array
from service.keras.compute.probe import KerasProbe
from service.keras.compute.tuning import UNTUNED, Tuning
from tests.oracle import relative_error

SIDE, CHANNELS = 16, 8
# Of one picture, by the rule: input and output of the widest layer in float32.
PICTURE_BYTES = SIDE * SIDE * CHANNELS * 2 * 4
PICTURES = 7


class Parties(layers.Layer):
    """Passes its input on and notes how many pictures come at once."""

    def __init__(self) -> None:
        super().__init__(name="parties")
        self.sizes: list[int] = []

    def call(self, inputs: Any) -> Any:
        def note(number: int) -> int:
            self.sizes.append(int(number))
            return number

        with tf.control_dependencies([tf.numpy_function(note, [tf.shape(inputs)[0]], tf.int32)]):
            return tf.identity(inputs)


def _network(parties: Parties, side: int | None = SIDE) -> keras.Model:
    keras.utils.set_random_seed(5)
    inputs = keras.Input((side, side, 3))
    maps = layers.Conv2D(CHANNELS, 3, padding="same", activation="relu", name="wide")(parties(inputs))
    maps = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="last")(maps)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(maps)))


def _autoencoder(parties: Parties) -> keras.Model:
    keras.utils.set_random_seed(6)
    inputs = keras.Input((SIDE, SIDE, 1))
    maps = layers.Conv2D(CHANNELS, 3, padding="same", activation="relu")(parties(inputs))
    code = layers.Dense(4, name="code")(layers.Flatten()(layers.MaxPooling2D(4)(maps)))
    maps = layers.Reshape((SIDE, SIDE, 1))(layers.Dense(SIDE * SIDE)(code))
    return keras.Model(inputs, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(maps))


def _images(channels: int = 3, side: int = SIDE) -> Array:
    return np.random.default_rng(7).random((PICTURES, side, side, channels), np.float32)


def _arrays(answer: Any) -> Iterator[Array]:
    """Every array of an answer, in order."""
    if isinstance(answer, np.ndarray):
        yield answer
    elif isinstance(answer, list | tuple):
        for item in answer:
            yield from _arrays(item)
    elif hasattr(answer, "__dict__"):
        yield from _arrays(list(vars(answer).values()))


def _survey(probe: KerasProbe) -> Any:
    signs = np.random.default_rng(8).choice([-1.0, 1.0], (PICTURES, 4, 64)).astype(np.float32)
    return probe.channel_statistics(_images(), ["wide", "last"], signs)


QUESTIONS: dict[str, tuple[Callable[[Parties], keras.Model], Callable[[KerasProbe], Any]]] = {
    "scores": (_network, lambda probe: probe.scores_of(list(_images()))),
    "gradients": (_network, lambda probe: probe.gradients_of(list(_images()), [0, 1, 2, None, 0, 1, 2], layer="wide")),
    "channel_statistics": (_network, _survey),
    "unit_activations": (_network, lambda probe: probe.unit_activations(_images(), "wide")),
    "latents": (_autoencoder, lambda probe: probe.encode(_images(1))),
    "unit gradients": (_autoencoder, lambda probe: probe.unit_gradients(_images(1), "code", [0, 3])),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(("budget", "sizes"), [(3.5, [3, 3, 1]), (0.5, [1] * PICTURES)])
def test_answer_is_the_same_when_fewer_pictures_go_together(question: str, budget: float, sizes: list[int]):
    build, ask = QUESTIONS[question]
    expected = list(_arrays(ask(KerasProbe(build(Parties()), tuning=UNTUNED))))
    parties = Parties()
    probe = KerasProbe(build(parties), tuning=Tuning(pass_bytes=int(budget * PICTURE_BYTES)))
    found = list(_arrays(ask(probe)))
    assert parties.sizes == sizes
    assert expected
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert relative_error(one, other) < 1e-5


def test_all_pictures_go_together_when_there_is_room():
    parties = Parties()
    KerasProbe(_network(parties)).scores_of(list(_images()))
    assert parties.sizes == [PICTURES]


def test_pictures_go_one_by_one_when_a_layer_computes_with_several():
    def build(parties: Parties) -> keras.Model:
        network = _network(parties)
        scores = network.output
        return keras.Model(network.input, scores - keras.ops.mean(scores, axis=0, keepdims=True) * 0.5)

    alone = KerasProbe(build(Parties()))
    expected = [alone.scores(image).values for image in _images()]
    parties = Parties()
    found = KerasProbe(build(parties)).scores_of(list(_images()))
    assert parties.sizes == [1] * PICTURES
    np.testing.assert_allclose([scores.values for scores in found], expected, atol=1e-6)


def test_codes_are_decoded_in_parts_when_there_is_no_room():
    latents = np.random.default_rng(9).normal(size=(PICTURES, 4)).astype(np.float32)
    together = KerasProbe(_autoencoder(Parties())).decode(latents)
    probe = KerasProbe(_autoencoder(Parties()), tuning=Tuning(pass_bytes=2 * PICTURE_BYTES))
    assert relative_error(probe.decode(latents), together) < 1e-5


@pytest.mark.parametrize(("side", "sizes"), [(SIDE, [4, 3]), (2 * SIDE, [1] * PICTURES), (SIDE // 2, [PICTURES])])
@pytest.mark.parametrize("seen", [SIDE // 2, 2 * SIDE])
def test_larger_pictures_go_with_fewer_when_the_network_leaves_its_size_open(side: int, sizes: list[int], seen: int):
    parties = Parties()
    probe = KerasProbe(_network(parties, None), tuning=Tuning(pass_bytes=4 * PICTURE_BYTES))
    probe.scores_of(list(_images(side=seen)))
    parties.sizes.clear()
    probe.scores_of(list(_images(side=side)))
    assert parties.sizes == sizes


def test_pictures_go_together_when_an_open_network_is_for_one_size_alone():
    parties = Parties()
    inputs = keras.Input((None, None, 3))
    maps = layers.Conv2D(CHANNELS, 3, padding="same", name="wide")(parties(inputs))
    latents = layers.Reshape((SIDE * SIDE * CHANNELS,))(maps)
    probe = KerasProbe(
        keras.Model(inputs, layers.Dense(3, activation="softmax")(latents)), tuning=Tuning(pass_bytes=4 * PICTURE_BYTES)
    )
    probe.scores_of(list(_images()))
    assert parties.sizes == [4, 3]
