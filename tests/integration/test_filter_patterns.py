"""Gradient ascent on real networks, against the tutorials' loop written out eagerly, one image at a time."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from schemas.results import Result
from service.engine.arrays import Array
from service.engine.chunks import JobLimits, combine, compute, plan
from service.engine.images.decoding import ImageLimits
from service.engine.images.preprocessing import Preprocessing
from service.engine.methods import METHODS
from service.engine.model import Model
from service.engine.ports.ascent import Ascended, Ascent, Canvas, FilterMeans, Schedule
from service.engine.running.reduction import Finished
from service.engine.running.request import Request
from service.errors import (
    ComputationFailedError,
    FilterOutOfRangeError,
    LayerNotFoundError,
    LayerWithoutFilterError,
    MethodUnavailableError,
    SizeUnsuitableError,
)
from service.keras.compute.ascent import gradient_ascent as loops
from service.keras.compute.ascent import one_filter
from service.keras.compute.probe import KerasProbe
from service.keras.files.loading import load_probe
from service.models.preprocessing import PRESETS
from tests.oracle import relative_error, snapshot

IMAGES = ImageLimits(2**20, 10**6)
SIDE = 24
# Of the tutorials' loop, which is slow: forty for each network once; with other presets enough to leave the noise.
STEPS = {"none": 40, "unit": 15, "tf": 15}
layers = keras.layers


def _plain(last: str | None) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Conv2D(6, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(5, 3, activation=last, name="target"),
        ]
    )


def _normalised(last: str | None) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Conv2D(5, 3, strides=2, use_bias=False),
            layers.BatchNormalization(),
            layers.Activation(last or "linear", name="target"),
        ]
    )


def _nested(last: str | None) -> keras.Model:
    inner = keras.Sequential(
        [keras.Input((SIDE, SIDE, 3)), layers.Conv2D(4, 3, activation="relu"), layers.Conv2D(4, 3)], name="inner"
    )
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), inner, layers.Conv2D(5, 3, activation=last, name="target")])


def _depthwise(last: str | None) -> keras.Model:
    return keras.Sequential(
        [keras.Input((SIDE, SIDE, 3)), layers.Conv2D(5, 3), layers.DepthwiseConv2D(3, activation=last, name="target")]
    )


def _separable(last: str | None) -> keras.Model:
    return keras.Sequential(
        [keras.Input((SIDE, SIDE, 3)), layers.SeparableConv2D(5, 3, activation=last, name="target")]
    )


def _transposed(last: str | None) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Conv2D(4, 3, strides=2),
            layers.Conv2DTranspose(5, 3, strides=2, activation=last, name="target"),
        ]
    )


def _dense(last: str | None) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Conv2D(4, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(5, activation=last, name="target"),
        ]
    )


def _gray(last: str | None) -> keras.Model:
    return keras.Sequential([keras.Input((SIDE, SIDE, 1)), layers.Conv2D(5, 3, activation=last, name="target")])


def _wide(last: str | None, **options: Any) -> keras.Model:
    """A layer with filters enough to compute the wanted ones alone."""
    options = {"kernel_size": 3, "padding": "same"} | options
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(40, activation=last, name="target", **options),
        ]
    )


def _strided(last: str | None) -> keras.Model:
    return _wide(last, kernel_size=(4, 3), strides=(2, 1))


def _dilated(last: str | None) -> keras.Model:
    return _wide(last, padding="valid", dilation_rate=(1, 3))


Build = Callable[[str | None], keras.Model]
WHOLE: tuple[Build, ...] = (_plain, _normalised, _nested, _depthwise, _separable, _transposed, _gray)
NARROW: tuple[Build, ...] = (_dense, _wide, _strided, _dilated)
BUILDS = (*WHOLE, *NARROW)


def _twins(build: Build, *, dead: int | None = None) -> tuple[keras.Model, keras.Model]:
    """A network whose target ends in a ReLU, and the same without it; filter `dead` never passes it at the start."""
    keras.utils.set_random_seed(11)
    network = build("relu")
    random = np.random.default_rng(5)
    for layer in network._flatten_layers(include_self=False):
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    if dead is not None:
        target = network.get_layer("target")
        *kernels, bias = target.get_weights()
        bias[dead] = -1e4
        target.set_weights([*kernels, bias])
    linear = build(None)
    linear.set_weights(network.get_weights())
    return network, linear


def _start(filters: tuple[int, ...], channels: int, seed: int = 0, side: int = SIDE) -> Array:
    noise = [np.random.default_rng([seed, number]).uniform(0, 20, (side, side, channels)) + 128 for number in filters]
    return np.asarray(noise, np.float32)


def _tutorial(linear: keras.Model, start: Array, number: int, steps: int, mode: Preprocessing) -> Array:
    """The tutorials' loop: one canvas (h, w, c), eagerly, the network called as Keras calls it."""
    scale, offset = (np.asarray(values[: start.shape[-1]], np.float32) for values in (mode.scale, mode.offset))
    canvas = start.copy()
    for _ in range(steps):
        with tf.GradientTape(persistent=True) as tape:
            pixels = tf.constant(canvas[None])
            tape.watch(pixels)
            seen = pixels * scale + offset
            before = linear(seen[..., ::-1] if mode.channel_order == "bgr" else seen, training=False)[..., number]
            answer, without = tf.reduce_mean(tf.nn.relu(before)), tf.reduce_mean(before)
        objective = answer if np.any(before.numpy() > 0) else without
        gradient = tape.gradient(objective, pixels).numpy()[0]
        # All presets but `torch` scale the channels alike: the network's units are one factor away.
        gradient = gradient / scale[0]
        canvas = canvas + gradient / (np.sqrt(np.mean(np.square(gradient))) + np.float32(1e-5))
    return canvas


def _ascend(
    network: keras.Model | KerasProbe,
    filters: tuple[int, ...],
    start: Array,
    mode: Preprocessing | None,
    steps: int = 40,
) -> Ascended:
    probe = network if isinstance(network, KerasProbe) else KerasProbe(network)
    return probe.ascend(
        Ascent(FilterMeans("target", filters), Canvas(start, mode), Schedule(steps, 1.0)), lambda _: None
    )


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.__name__[1:])
@pytest.mark.parametrize("mode", ["none", "unit", "tf"])
def test_canvas_is_the_tutorials_when_the_ascent_is_compiled(build: Build, mode: str):
    network, linear = _twins(build)
    preset = PRESETS[mode]  # type: ignore[index]
    start = _start((0, 3, 4), network.input_shape[-1])
    ascended = _ascend(network, (0, 3, 4), start, preset, STEPS[mode])
    assert ascended.narrow == (build in NARROW)
    for image, number in enumerate((0, 3, 4)):
        expected = _tutorial(linear, start[image], number, STEPS[mode], preset)
        assert relative_error(ascended.canvas[image], expected) < 1e-4
        assert np.abs(expected - start[image]).max() > 5


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("kernel_size", "strides", "dilation_rate"),
    [(1, 1, 1), (1, 2, 1), (3, 1, 1), (3, 2, 1), (4, 3, 1), ((2, 5), (3, 1), 1), (3, 1, 2), ((3, 2), 1, (3, 4))],
)
def test_wanted_filters_are_the_layers_own_when_computed_alone(
    padding: str, kernel_size: Any, strides: Any, dilation_rate: Any
):
    layer = layers.Conv2D(
        150, kernel_size, strides, padding, dilation_rate=dilation_rate, bias_initializer="normal", dtype="float64"
    )
    random, filters = np.random.default_rng(0), tf.constant([148, 0, 0])
    images = tf.constant(random.normal(size=(3, 13, 12, 5)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(images)
        expected = tf.gather(layer(images), filters, axis=3, batch_dims=1)
        found = one_filter.compute(layer, images, one_filter.pick(layer, filters))[..., 0]
        weights = tf.constant(random.normal(size=found.shape))
        objectives = [tf.reduce_sum(weights * maps) for maps in (found, expected)]
    assert one_filter.is_worthwhile(keras.layers.Conv2D.from_config(layer.get_config()))
    assert np.abs(found - expected).max() < 1e-13
    gradients = [tape.gradient(objective, images) for objective in objectives]
    assert np.abs(gradients[0] - gradients[1]).max() < 1e-13


@pytest.mark.parametrize(
    "options",
    [
        {"filters": 8},
        {"activation": "softmax"},
        {"activation": keras.layers.PReLU()},
        {"groups": 2},
        {"strides": 3},
        {"data_format": "channels_first"},
        {"dtype": "mixed_bfloat16"},
    ],
    ids=str,
)
def test_layer_is_computed_whole_when_its_filters_are_few_or_depend_on_each_other(options: dict[str, Any]):
    assert one_filter.is_worthwhile(layers.Conv2D(filters=64, kernel_size=3))
    assert not one_filter.is_worthwhile(layers.Conv2D(**{"filters": 64, "kernel_size": 3} | options))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_wanted_filters_drift_from_the_layers_own_when_rounding_alone_differs(test_data: Path, dtype: str):
    """That the two ways are one computation: in float64 they stay together, in float32 they start together."""
    probe_network = keras.saving.load_model(test_data / "models" / "vgg16_blocks1_2_imagenet.keras", compile=False)
    network = _with_dtype(probe_network, dtype)
    target = network.get_layer("block2_conv2")
    before = keras.Model(network.inputs, target.input)
    canvases = [tf.constant(_start((7,), 3, side=64), dtype)] * 2
    drifts = []
    for _ in range(10):
        steps = []
        for canvas, narrow in zip(canvases, (True, False), strict=True):
            with tf.GradientTape() as tape:
                tape.watch(canvas)
                maps = before(canvas - tf.constant([103.939, 116.779, 123.68], dtype))
                if narrow:
                    maps = tf.nn.relu(one_filter.compute(target, maps, one_filter.pick(target, tf.constant([7]))))
                else:
                    maps = target(maps)[..., 7:8]
                objective = tf.reduce_mean(maps)
            gradient = tape.gradient(objective, canvas)
            steps.append(canvas + gradient / (tf.sqrt(tf.reduce_mean(tf.square(gradient))) + 1e-5))
        canvases = steps
        drifts.append(relative_error(canvases[0].numpy(), canvases[1].numpy()))
    assert drifts[0] < (1e-5 if dtype == "float32" else 1e-13)
    assert drifts[-1] < (1e-1 if dtype == "float32" else 1e-10)


def _with_dtype(network: keras.Model, dtype: str) -> keras.Model:
    config = network.get_config()
    # The input as well, which would round to its own.
    changed = [layer | {"config": layer["config"] | {"dtype": dtype}} for layer in config["layers"]]
    twin = type(network).from_config(config | {"layers": changed})
    twin.set_weights(network.get_weights())
    return twin


class _Crowded(keras.layers.Layer):
    """Runs out of memory, as TensorFlow says it, where more images than `most` come together."""

    def __init__(self, most: int) -> None:
        super().__init__(name="crowded")
        self.most = most

    def call(self, images: Any) -> Any:
        def allocate(count: int) -> int:
            if count > self.most:
                raise MemoryError
            return count

        with tf.control_dependencies([tf.numpy_function(allocate, [tf.shape(images)[0]], tf.int32)]):
            return tf.identity(images)


def _crowded(most: int) -> keras.Model:
    network, _ = _twins(_plain)
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), _Crowded(most), *network.layers])


def test_batch_is_halved_when_memory_does_not_suffice():
    filters = (0, 1, 2, 3, 4)
    ascent = Ascent(
        FilterMeans("target", filters), Canvas(_start(filters, 3), PRESETS["unit"]), Schedule(10, 1.0, keep_every=5)
    )
    reported: list[float] = []
    together = KerasProbe(_crowded(5)).ascend(ascent, lambda _: None)
    halved = KerasProbe(_crowded(2)).ascend(ascent, reported.append)
    assert (together.batch, halved.batch) == (5, 2)
    assert halved.moved.all()
    for name in ("canvas", "activations", "frames"):
        assert relative_error(getattr(halved, name), getattr(together, name)) < 1e-4
    assert (halved.frames.shape, reported[-1]) == ((3, 5, SIDE, SIDE, 3), 1.0)
    assert reported == sorted(reported)


def test_computation_fails_when_memory_does_not_suffice_for_one_canvas():
    with pytest.raises(ComputationFailedError, match="smaller 'size'"):
        _ascend(_crowded(0), (0, 1), _start((0, 1), 3), None, steps=2)


def test_canvas_is_rgb_when_the_network_takes_bgr():
    network, linear = _twins(_plain)
    start = _start((1,), 3)
    ascended = _ascend(network, (1,), start, PRESETS["caffe"])
    assert relative_error(ascended.canvas[0], _tutorial(linear, start[0], 1, 40, PRESETS["caffe"])) < 1e-4


def test_canvas_is_the_networks_input_when_nothing_is_preprocessed():
    network, linear = _twins(_plain)
    start = _start((1,), 3)
    ascended = _ascend(network, (1,), start, None)
    assert relative_error(ascended.canvas[0], _tutorial(linear, start[0], 1, 40, PRESETS["none"])) < 1e-4


@pytest.mark.parametrize(
    "build", [_plain, _depthwise, _transposed, _gray, *NARROW], ids=lambda build: build.__name__[1:]
)
def test_objective_lies_before_the_activation_when_it_lets_nothing_through(build: Build):
    network, linear = _twins(build, dead=2)
    start = _start((2, 3), network.input_shape[-1])
    ascended = _ascend(network, (2, 3), start, PRESETS["none"])
    assert ascended.moved.tolist() == [True, True]
    assert ascended.activations[0] == 0
    for image, number in enumerate((2, 3)):
        assert (
            relative_error(ascended.canvas[image], _tutorial(linear, start[image], number, 40, PRESETS["none"])) < 1e-4
        )


def test_dead_branch_is_climbed_when_the_layer_joins_and_pools_activations():
    keras.utils.set_random_seed(3)
    inputs = keras.Input((SIDE, SIDE, 3))
    branches = [layers.Conv2D(2, 3, activation="relu", bias_initializer=keras.initializers.Constant(bias))(inputs)
                for bias in (0.0, -1e4)]  # fmt: skip
    network = keras.Model(inputs, layers.MaxPooling2D(name="target")(layers.Concatenate()(branches)))
    start = _start((0, 2, 3), 3)
    ascended = _ascend(network, (0, 2, 3), start, PRESETS["none"])
    assert ascended.moved.all()
    first, second = (np.asarray(layer.get_weights()[0]) for layer in network.layers if layer.weights)
    for image, kernel in ((1, second[..., 0]), (2, second[..., 1])):
        # Maxima of a linear map grow along its kernel: the canvas's own answer must have risen.
        before, after = (_answer(canvas[image], kernel) for canvas in (start, ascended.canvas))
        assert after > before + 1
    assert first.shape == second.shape


def _answer(canvas: Array, kernel: Array) -> float:
    return float(tf.nn.conv2d(canvas[None], kernel[..., None], 1, "VALID").numpy().mean())


def test_activation_is_what_the_network_answers_when_the_canvas_is_sent_through_it():
    network, _ = _twins(_plain)
    ascended = _ascend(network, (0, 1), _start((0, 1), 3), PRESETS["unit"])
    answers = network(ascended.canvas / 255).numpy().mean(axis=(1, 2))
    assert ascended.activations == pytest.approx([answers[0, 0], answers[1, 1]], rel=1e-4)


def test_image_has_not_moved_when_a_dead_layer_lies_before_the_filter():
    network, _ = _twins(_plain)
    first = network.layers[0]
    first.set_weights([first.get_weights()[0], np.full(6, -1e5, np.float32)])
    start = _start((0, 1), 3)
    ascended = _ascend(network, (0, 1), start, PRESETS["none"])
    assert ascended.moved.tolist() == [False, False]
    assert np.array_equal(ascended.canvas, start)


@pytest.mark.parametrize("policy", ["float16", "mixed_float16", "mixed_bfloat16"])
def test_pattern_rises_when_the_network_computes_in_half_precision(policy: str):
    network, linear = _twins(_plain)
    half = keras.Sequential.from_config(
        network.get_config() | {"layers": [_with_policy(layer, policy) for layer in network.get_config()["layers"]]}
    )
    half.set_weights(network.get_weights())
    start = _start((0, 3), 3)
    ascended = _ascend(half, (0, 3), start, PRESETS["unit"])
    full = _ascend(network, (0, 3), start, PRESETS["unit"])
    assert ascended.canvas.dtype == np.float32
    for one, other in zip(ascended.canvas - start, full.canvas - start, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.8
    assert linear.count_params() == half.count_params()


def _with_policy(layer: dict[str, object], policy: str) -> dict[str, object]:
    config = layer["config"]
    assert isinstance(config, dict)
    named = layer["class_name"] != "InputLayer"
    return layer | {"config": config | ({"dtype": policy} if named else {})}


def test_canvas_is_the_same_when_batch_mates_or_steps_per_call_differ(monkeypatch: pytest.MonkeyPatch):
    network, _ = _twins(_plain)
    probe = KerasProbe(network)
    together = _ascend(probe, (0, 1, 2), _start((0, 1, 2), 3), PRESETS["unit"])
    for other in ((4, 1, 3), (1,), (1, 0), (4, 3, 2, 0, 1)):
        found = _ascend(probe, other, _start(other, 3), PRESETS["unit"])
        assert found.canvas[other.index(1)].tobytes() == together.canvas[1].tobytes()
    for seconds in (0.0, 100.0):
        monkeypatch.setattr(loops, "CALL_SECONDS", seconds)
        found = _ascend(probe, (0, 1, 2), _start((0, 1, 2), 3), PRESETS["unit"])
        assert found.canvas.tobytes() == together.canvas.tobytes()


def test_network_is_untouched_when_patterns_were_searched_for():
    network, _ = _twins(_nested)
    before = snapshot(network)
    _ascend(network, (0,), _start((0,), 3), PRESETS["unit"], steps=3)
    assert snapshot(network) == before


def test_shared_layer_is_taken_at_its_last_call_when_it_is_called_twice():
    keras.utils.set_random_seed(3)
    inputs = keras.Input((SIDE, SIDE, 3))
    shared = layers.Conv2D(3, 3, padding="same", name="target")
    network = keras.Model(inputs, layers.GlobalAveragePooling2D()(shared(layers.ReLU()(shared(inputs)))))
    linear = keras.Model(inputs, network.layers[-1].input)
    start = _start((1,), 3)
    ascended = _ascend(network, (1,), start, PRESETS["none"])
    canvas = start[0].copy()
    for _ in range(40):
        with tf.GradientTape() as tape:
            pixels = tf.constant(canvas[None])
            tape.watch(pixels)
            objective = tf.reduce_mean(linear(pixels)[..., 1])
        gradient = tape.gradient(objective, pixels).numpy()[0]
        canvas = canvas + gradient / (np.sqrt(np.mean(np.square(gradient))) + np.float32(1e-5))
    assert relative_error(ascended.canvas[0], canvas) < 1e-4


def test_layer_is_computed_alone_when_the_head_takes_another_size():
    network = keras.Sequential(
        [
            keras.Input((224, 224, 3)),
            layers.Conv2D(4, 3, strides=4, activation="relu", name="target"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    assert KerasProbe(network).layer_on_canvas("target", (150, 150)).output_shape == (37, 37, 4)
    ascended = _ascend(network, (0,), _start((0,), 3, side=150), PRESETS["unit"], steps=2)
    assert ascended.canvas.shape == (1, 150, 150, 3)


def test_start_every_kth_and_last_canvas_are_kept_when_frames_are_asked_for():
    network, _ = _twins(_plain)
    probe, start = KerasProbe(network), _start((0, 1), 3)
    ascent = Ascent(FilterMeans("target", (0, 1)), Canvas(start, None), Schedule(10, 1.0, keep_every=4))
    frames = probe.ascend(ascent, lambda _: None).frames
    expected = [start, *(_ascend(probe, (0, 1), start, None, steps).canvas for steps in (4, 8, 10))]
    assert frames.tobytes() == np.stack(expected).tobytes()


def test_work_stops_when_the_report_raises(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loops, "CALL_SECONDS", 0.0)
    network, _ = _twins(_plain)
    reported: list[float] = []

    def stop(fraction: float) -> None:
        reported.append(fraction)
        if fraction >= 0.2:
            raise InterruptedError

    ascent = Ascent(FilterMeans("target", (0,)), Canvas(_start((0,), 3), None), Schedule(10, 1.0))
    with pytest.raises(InterruptedError):
        KerasProbe(network).ascend(ascent, stop)
    assert reported == [0.1, 0.2]


def test_operations_are_counted_when_a_layer_is_looked_at():
    network, _ = _twins(_plain)
    found = KerasProbe(network).layer_on_canvas("target", (24, 24))
    assert found.output_shape == (9, 9, 5)
    products = 2 * (22 * 22 * 6 * 27 + 9 * 9 * 5 * 54)
    # Biases, ReLUs, the pooling and the cast come on top.
    assert products < found.operations < products * 1.2


@pytest.mark.parametrize(
    ("layer", "size", "error", "advice"),
    [
        ("conv9", 24, LayerNotFoundError, "nearest"),
        ("flat", 24, LayerWithoutFilterError, "'conv'"),
        ("picture", 24, LayerWithoutFilterError, "'conv'"),
        ("scaled", 24, LayerWithoutFilterError, "'conv'"),
        ("target", 32, SizeUnsuitableError, "a size that does is 24"),
        ("conv", 2, SizeUnsuitableError, "a size that does is 24"),
    ],
)
def test_layer_is_refused_when_it_or_the_size_does_not_do(layer: str, size: int, error: type[Exception], advice: str):
    network = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3), name="picture"),
            layers.Rescaling(1 / 255, name="scaled"),
            layers.Conv2D(4, 3, name="conv"),
            layers.Flatten(name="flat"),
            layers.Dense(3, name="target"),
        ]
    )
    with pytest.raises(error, match=advice):
        plan(_model(network), _request(layer=layer, size=size), IMAGES, JobLimits())


def test_side_is_advised_when_the_network_leaves_its_size_open():
    network = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(4, 41, name="target")])
    with pytest.raises(SizeUnsuitableError, match="a size that does is 64"):
        plan(_model(network), _request(size=8), IMAGES, JobLimits())


def test_filter_is_refused_when_the_layer_has_fewer():
    network, _ = _twins(_plain)
    with pytest.raises(FilterOutOfRangeError, match="0 to 4"):
        plan(_model(network), _request(layer="target", filters="3-5"), IMAGES, JobLimits())


def test_method_is_refused_when_no_picture_goes_in():
    network = keras.Sequential([keras.Input((7,)), layers.Dense(3)])
    with pytest.raises(MethodUnavailableError, match="no picture"):
        plan(_model(network), _request(), IMAGES, JobLimits())


def test_networks_own_size_is_taken_when_no_other_suits_the_layer():
    network, _ = _twins(_dense)
    result = _work(_model(network), _request(layer="target", steps=2))[-1]
    assert result.values["size"] == [SIDE, SIDE]


def test_dead_filter_is_listed_and_not_drawn_when_nothing_moves_it():
    network, _ = _twins(_plain)
    kernel, bias = network.get_layer("target").get_weights()
    kernel[..., 3] = 0
    network.get_layer("target").set_weights([kernel, bias])
    *parts, whole = _work(_model(network), _request(layer="target", size=SIDE))
    assert whole.values["no_gradient"] == [3]
    assert [image.name for part in parts for image in part.images] == ["filter-0", "filter-1", "filter-2", "filter-4"]
    with Image.open(io.BytesIO(whole.images[0].data)) as opened:
        grid = np.asarray(opened)
    cells = [grid[:, number * (SIDE + 5) : number * (SIDE + 5) + SIDE] for number in range(5)]
    assert [bool(cell.any()) for cell in cells] == [True, True, True, False, True]


def test_bytes_are_the_same_when_the_seed_is_and_differ_when_it_does():
    network, _ = _twins(_plain)
    model = _model(network)
    one, again, other = (_work(model, _request(layer="target", filters="0", seed=seed))[0] for seed in (4, 4, 5))
    assert one.images == again.images
    assert one.images[0].data != other.images[0].data
    assert (one.provenance.seed, other.provenance.seed) == (4, 5)


def test_bgr_canvas_is_turned_for_drawing_when_nothing_is_preprocessed():
    network, _ = _twins(_plain)
    model = _model(network, PRESETS["caffe"])
    result = _work(model, _request(layer="target", filters="0", preprocess=False, size=SIDE))[0]
    canvas = _ascend(network, (0,), _start((0,), 3), None).canvas[0]
    drawn = np.asarray(Image.open(io.BytesIO(result.images[0].data)))
    expected = (canvas - canvas.mean()) / (canvas.std() + 1e-5) * 0.1 + 0.5
    assert np.abs(drawn[..., ::-1] / 255 - np.clip(expected, 0, 1)).max() < 1 / 255


def test_animation_shows_the_ascent_when_frames_are_asked_for():
    network, _ = _twins(_plain)
    result = _work(_model(network), _request(layer="target", filters="0", frames=10, size=SIDE))[0]
    assert [image.name for image in result.images] == ["filter-0", "filter-0-ascent"]
    with Image.open(io.BytesIO(result.images[1].data)) as animation:
        assert animation.n_frames == 5  # type: ignore[attr-defined]
        animation.seek(4)
        last = np.asarray(animation.convert("RGB"))
    assert np.array_equal(last, np.asarray(Image.open(io.BytesIO(result.images[0].data))))


def test_real_filters_show_structure_when_vgg16_is_asked(test_data: Path):
    probe = load_probe(test_data / "models" / "vgg16_blocks1_2_imagenet.keras")
    model = Model("vgg", "1", "0" * 64, probe, PRESETS["caffe"])
    *parts, whole = _work(model, _request(filters="0,7", size=64))
    assert whole.layer == "block2_conv2"
    for image in (image for part in parts for image in part.images):
        with Image.open(io.BytesIO(image.data)) as opened:
            gray = np.asarray(opened.convert("L"), np.float64)
        spectrum = np.sort(np.abs(np.fft.fft2(gray - gray.mean())).ravel() ** 2)
        # White noise has 6 % of its power in its strongest hundredth.
        assert spectrum[-41:].sum() / spectrum.sum() > 0.2
    assert min(item["activation"] for item in whole.values["filters"]) > 500


def _model(network: keras.Model, preprocessing: Preprocessing = PRESETS["unit"]) -> Model:
    return Model("small", "1", "0" * 64, KerasProbe(network), preprocessing)


def _request(**params: object) -> Request:
    method = METHODS["filter-patterns"]
    return Request(method, method.params.model_validate(params), None)


def _work(model: Model, request: Request) -> list[Result]:
    """Every chunk's result, and the whole last."""
    work = plan(model, request, IMAGES, JobLimits())
    parts = [compute(model, request, items, IMAGES, lambda _: None) for items in work.chunks]
    pictures = ((image.name, np.asarray(Image.open(io.BytesIO(image.data)))) for part in parts for image in part.images)
    return [*parts, combine(model, request, Finished(parts, pictures, lambda _: None), IMAGES)]
