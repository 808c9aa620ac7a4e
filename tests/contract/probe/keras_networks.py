"""The Keras adapter: three small networks, and the same in NumPy."""

from collections.abc import Sequence

import keras
import numpy as np

from service.engine.activation_cache import ActivationCache
from service.engine.arrays import Array
from service.engine.batching import BatchingProbe, DynamicBatcher
from service.engine.ports.answers import LayerGradients, Scores
from service.engine.ports.probe import BatchProbe
from service.keras.compute.probe import KerasProbe
from service.keras.compute.tuning import Tuning
from tests.contract.probe.subjects import Network, Oracle, Step, Subject, Values, as_is, sigmoid, softmax

DEAD, ASLEEP = 3, 2


class MergingProbe(BatchingProbe):
    """As the service asks a network: what several threads ask at once is computed together."""

    def __init__(self, inner: BatchProbe) -> None:
        super().__init__(inner, DynamicBatcher(max_batch=4, max_waiting=100), "small")
        self._together = inner

    def scores_of(self, images: Sequence[Array]) -> list[Scores]:
        return self._together.scores_of(images)

    def gradients_of(
        self, images: Sequence[Array], classes: Sequence[int | None], *, layer: str | None = None
    ) -> list[LayerGradients]:
        return self._together.gradients_of(images, classes, layer=layer)


def plain() -> Subject:
    """Computed as the network stands."""
    return _subject(None)


def tuned() -> Subject:
    """Folded, merged, and with what was computed of a picture kept; one pass takes two pictures of the classifier."""
    return _subject(Tuning(activation_cache=ActivationCache(2**20), pass_bytes=6000))


def _subject(tuning: Tuning | None) -> Subject:
    return Subject(
        classifier=_classifier(3, tuning),
        binary=_classifier(1, tuning),
        autoencoder=_autoencoder(tuning),
        layer="trunk/first",
        flat="scores",
        unplaced="trunk/pad",
        shared_name="pool",
        kernels={
            "trunk/first": [(3, 2, 3, 4)],
            "head/second": [(3, 3, 1, 4), (1, 1, 4, 5)],
            "scores": [(1, 1, 5, 3)],
        },
        dead=DEAD,
        asleep=ASLEEP,
        unsuitable=("head/second", (1, 5)),
    )


def _classifier(units: int, tuning: Tuning | None) -> Network:
    layers = keras.layers
    trunk = keras.Sequential(
        [
            keras.Input((8, 10, 3)),
            layers.ZeroPadding2D(1, name="pad"),
            layers.Conv2D(4, (3, 2), strides=(1, 2), activation="tanh", name="first"),
            layers.AveragePooling2D(2, name="pool"),
        ],
        name="trunk",
    )
    head = keras.Sequential(
        [
            keras.Input(trunk.output_shape[1:]),
            layers.SeparableConv2D(5, 3, padding="same", activation="softplus", name="second"),
            layers.GlobalAveragePooling2D(name="pool"),
        ],
        name="head",
    )
    activation = "softmax" if units > 1 else "sigmoid"
    network = keras.Sequential(
        [keras.Input((8, 10, 3)), trunk, head, layers.Dense(units, activation=activation, name="scores")]
    )
    _randomise(network)
    _put_to_sleep(trunk.get_layer("first"))
    _balance(network, _oracle(network, units))
    return Network(_probe(network, tuning), _oracle(network, units), network.get_weights)


def _probe(network: keras.Model, tuning: Tuning | None) -> BatchProbe:
    if tuning is None:
        return KerasProbe(network, tuning=Tuning(fold=False))
    return MergingProbe(KerasProbe(network, tuning=tuning))


def _randomise(network: keras.Model) -> None:
    """Seeded weights that let all through; filter DEAD of the first layer looks at nothing."""
    random = np.random.default_rng(1)
    weights = [random.normal(size=weight.shape, scale=0.4).astype(np.float32) for weight in network.weights]
    weights[0][..., DEAD] = 0
    network.set_weights(weights)


def _put_to_sleep(layer: keras.layers.Conv2D) -> None:
    """So far out, a hyperbolic tangent is flat to the last digit."""
    kernel, bias = layer.get_weights()
    bias[ASLEEP] = -50
    layer.set_weights([kernel, bias])


def _balance(network: keras.Model, oracle: Oracle) -> None:
    """Let each class be the best of some pictures."""
    pictures = np.random.default_rng(2).normal(size=(20, 8, 10, 3))
    pooled = oracle.outputs(pictures)["head/pool"].mean(axis=0)
    kernel = 8 * network.layers[-1].get_weights()[0]
    network.layers[-1].set_weights([kernel, -pooled @ kernel])


def _oracle(network: keras.Model, units: int) -> Oracle:
    first, bias, depthwise, pointwise, bias2, dense, bias3 = (
        array.astype(np.float64) for array in network.get_weights()
    )
    second = np.einsum("hwi,if->hwif", depthwise[..., 0], pointwise[0, 0])
    steps: dict[str, Step] = {
        "trunk/pad": _pad,
        "trunk/first": lambda values: np.tanh(_convolve(values, first)[:, :, ::2] + bias),
        "trunk/pool": lambda values: values.reshape(-1, 4, 2, 3, 2, 4).mean(axis=(2, 4)),
        "head/second": lambda values: np.log1p(np.exp(_convolve(_pad(values), second) + bias2)),
        "head/pool": lambda values: values.mean(axis=(1, 2)),
        "scores": lambda values: values @ dense + bias3,
    }
    return Oracle(steps, softmax if units > 1 else sigmoid)


def _autoencoder(tuning: Tuning | None) -> Network:
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((4, 6, 3)),
            layers.Conv2D(4, 2, strides=2, activation="tanh", name="latent"),
            layers.Conv2DTranspose(3, 2, strides=2, name="decoded"),
        ]
    )
    _randomise(network)
    narrow, bias, wide, bias2 = (array.astype(np.float64) for array in network.get_weights())
    steps: dict[str, Step] = {
        "latent": lambda images: np.tanh(_convolve(images, narrow)[:, ::2, ::2] + bias),
        "decoded": lambda maps: np.einsum("nhwi,yxoi->nhywxo", maps, wide).reshape(-1, 4, 6, 3) + bias2,
    }
    return Network(_probe(network, tuning), Oracle(steps, as_is), network.get_weights)


def _pad(values: Values) -> Values:
    return np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)))


def _convolve(values: Values, kernel: Values) -> Values:
    """(n, h, w, i) with (kh, kw, i, f), without padding."""
    windows = np.lib.stride_tricks.sliding_window_view(values, kernel.shape[:2], axis=(1, 2))
    return np.asarray(np.einsum("nhwiyx,yxif->nhwf", windows, kernel))
