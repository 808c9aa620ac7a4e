"""Gradient ascent: the first step by central differences, the rest by what must follow from it."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from service.engine.arrays import Array
from service.engine.images.preprocessing import Preprocessing
from service.engine.ports.ascent import Ascent, Canvas, FilterMeans, Schedule
from tests.contract.probe.ascents import climb, start_for
from tests.contract.probe.comparing import assert_close, assert_same, precise, slope
from tests.contract.probe.subjects import Subject, Values

BGR = Preprocessing("bgr", (0.01, -0.02, 0.03), (-1.0, 0.5, 0.25), "bgr")


class StoppedError(Exception):
    """What someone raises who waits no longer."""


def _objective(subject: Subject, number: int, layer: str, canvas: Values) -> Values:
    """(n,): what a filter answers to (n, h, w, c), meant over space."""
    answers = subject.classifier.oracle.outputs(canvas)[layer]
    return np.asarray(answers[..., number].reshape(len(canvas), -1).mean(axis=1))


def assert_step(step: Array, gradient: Values, step_size: float) -> None:
    """Along the gradient, and of the length that `Schedule` says."""
    size = np.sqrt(np.square(gradient).mean())
    length = np.sqrt(np.square(precise(step)).mean())
    np.testing.assert_allclose(step / length, gradient / size, rtol=1e-2, atol=1e-3)
    assert 0.98 * step_size * size / (size + 1e-5) <= length <= 1.001 * step_size


@pytest.mark.parametrize("name", ["layer", "flat"])
def test_step_is_along_the_gradient_over_its_root_mean_square(subject: Subject, name: str):
    layer = getattr(subject, name)
    start = start_for(subject, 0, 1)
    climbed = climb(subject, 0, 1, layer=layer, steps=1)
    assert climbed.canvas.dtype == np.float32
    for number in (0, 1):
        gradient = slope(partial(_objective, subject, number, layer), precise(start[number]))
        assert_step(climbed.canvas[number] - start[number], gradient, 0.05)


def test_preprocessing_is_differentiated_through(subject: Subject):
    start = start_for(subject, 1) * np.float32(40) + np.float32(128)
    climbed = climb(subject, 1, start=start, prepared=BGR, steps=1, step_size=2.0)

    def enter(canvas: Values) -> Values:
        return (canvas * BGR.scale + BGR.offset)[..., ::-1]

    gradient = slope(lambda canvas: _objective(subject, 1, subject.layer, enter(canvas)), precise(start[0]))
    # Of the canvas's units there are some fifty to one of the network's.
    assert_step(climbed.canvas[0] - start[0], gradient * 50, 2.0)
    assert_close(climbed.activations, _objective(subject, 1, subject.layer, enter(precise(climbed.canvas))))


def test_activations_are_the_objective_at_the_last_canvas(subject: Subject):
    climbed = climb(subject, 1, 0)
    canvas = precise(climbed.canvas)
    expected = [
        _objective(subject, number, subject.layer, canvas[row : row + 1])[0] for row, number in enumerate((1, 0))
    ]
    assert_close(climbed.activations, np.asarray(expected))


@pytest.mark.parametrize("name", ["layer", "flat"])
def test_more_steps_excite_more(subject: Subject, name: str):
    layer = getattr(subject, name)
    found = [climb(subject, 0, 1, layer=layer, steps=steps).activations for steps in (0, 2, 10, 40)]
    for before, after in pairwise(found):
        assert (after > before).all()


def test_images_do_not_influence_each_other(subject: Subject):
    together = climb(subject, 1, subject.dead, 0, 1, keep_every=3)
    for row, number in enumerate((1, subject.dead, 0, 1)):
        alone = climb(subject, number, keep_every=3)
        np.testing.assert_allclose(together.canvas[row], alone.canvas[0], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(together.frames[:, row], alone.frames[:, 0], rtol=1e-3, atol=1e-4)
        assert together.activations[row] == pytest.approx(alone.activations[0], rel=1e-3, abs=1e-5)
        assert together.moved[row] == alone.moved[0]
    assert 1 <= together.batch <= 4


@pytest.mark.parametrize(("steps", "every", "count"), [(6, 3, 3), (7, 3, 4), (2, 5, 2), (5, 1, 6), (4, 0, 0)])
def test_frames_are_the_start_every_so_many_steps_and_the_last(subject: Subject, steps: int, every: int, count: int):
    start = start_for(subject, 0, 1)
    climbed = climb(subject, 0, 1, steps=steps, keep_every=every)
    assert climbed.frames.shape == (count, *start.shape)
    assert climbed.frames.dtype == np.float32
    if not every:
        return
    np.testing.assert_array_equal(climbed.frames[0], start)
    np.testing.assert_array_equal(climbed.frames[-1], climbed.canvas)
    for number, frame in enumerate(climbed.frames[1:-1], 1):
        stopped = climb(subject, 0, 1, steps=number * every).canvas
        np.testing.assert_allclose(frame, stopped, rtol=1e-4, atol=1e-4)


def test_canvas_stays_where_there_is_no_gradient(subject: Subject):
    start = start_for(subject, 0, subject.dead)
    climbed = climb(subject, 0, subject.dead)
    assert climbed.moved.dtype == np.bool_
    assert climbed.moved.tolist() == [True, False]
    np.testing.assert_array_equal(climbed.canvas[1], start[1])
    assert np.abs(climbed.canvas[0] - start[0]).max() > 0.01


def test_filter_is_woken_when_its_activation_lets_nothing_through(subject: Subject):
    if subject.asleep is None:
        pytest.skip("its layers have no activations")
    start = start_for(subject, subject.asleep)
    climbed = climb(subject, subject.asleep, steps=3)
    assert climbed.moved.tolist() == [True]
    assert np.abs(climbed.canvas - start).max() > 0.05
    assert_close(climbed.activations, _objective(subject, subject.asleep, subject.layer, precise(climbed.canvas)))


def test_start_is_left_as_it_is(subject: Subject):
    start = start_for(subject, 0)
    before = start.copy()
    climb(subject, 0, start=start, keep_every=1)
    np.testing.assert_array_equal(start, before)


def test_report_grows_and_ends_at_one(subject: Subject):
    told: list[float] = []
    ascent = Ascent(FilterMeans(subject.layer, (0, 1)), Canvas(start_for(subject, 0, 1), None), Schedule(30, 0.05))
    subject.classifier.probe.ascend(ascent, told.append)
    assert told == sorted(told)
    assert 0 < told[0] <= told[-1] == 1


def test_error_of_the_report_passes_through(subject: Subject):
    def stop(_: float) -> None:
        raise StoppedError

    ascent = Ascent(FilterMeans(subject.layer, (0,)), Canvas(start_for(subject, 0), None), Schedule(5, 0.05))
    with pytest.raises(StoppedError):
        subject.classifier.probe.ascend(ascent, stop)
    # The next ascent knows nothing of it.
    assert_same(climb(subject, 0), climb(subject, 0))
