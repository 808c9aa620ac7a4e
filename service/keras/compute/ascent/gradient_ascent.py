"""Gradient ascent on the input: one compiled loop whose objective, canvas and schedule come as values."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from service.engine.arrays import Array
from service.engine.images.preprocessing import Preprocessing
from service.engine.ports.ascent import Ascended, Canvas, Schedule
from service.errors import ComputationFailedError
from service.keras.compute.ascent.one_filter import Picked
from service.keras.compute.ascent.truncation import Truncated, Truncation
from service.keras.compute.compiling import ConcreteFunction, compile_graph, count_operations
from service.keras.compute.gradients import differentiate
from service.keras.compute.traces import Built

logger = logging.getLogger(__name__)

# As in the tutorials, keeps a vanishing gradient from being blown up. It counts in the network's units: against the
# gradient with respect to 0…255 it would shorten the steps of a network of x/255 to a tenth, and leave it noise.
EPSILON = 1e-5
# So that whoever waits hears of the work, and can stop it, several times a second.
CALL_SECONDS = 0.25
_MAX_GROWTH = 8


@dataclass(frozen=True)
class Loop:
    """`climb(canvas, filters, step_size, steps)` gives (canvas, moved), `measure(canvas, filters)` the objective.

    `narrow` where the last layer computes of each image the wanted filter alone.
    """

    climb: ConcreteFunction
    measure: ConcreteFunction
    narrow: bool


@dataclass(frozen=True)
class Wanted:
    """Of image i filter `filters[i]`; with `picked`, the layer answers with nothing else."""

    filters: tf.Tensor
    picked: Picked | None


def compile_loop(part: Truncation, shape: tuple[int, ...], preprocessing: Preprocessing | None) -> Loop:
    """Compile for canvases of (h, w, c)."""
    epsilon = EPSILON * _scale(preprocessing)

    def step(canvas: tf.Tensor, wanted: Wanted, step_size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        gradient = _gradient(part.compute(_enter(canvas, preprocessing), wanted.picked), wanted, canvas)
        size = tf.sqrt(tf.reduce_mean(tf.square(gradient), axis=(1, 2, 3), keepdims=True))
        return canvas + step_size * (gradient / (size + epsilon)), _any_per_image(gradient)

    def climb(
        canvas: tf.Tensor, filters: tf.Tensor, step_size: tf.Tensor, steps: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        # Here and not in the loop, which would pick them anew in every step.
        wanted = Wanted(filters, part.pick(filters))

        def body(done: tf.Tensor, canvas: tf.Tensor, moved: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            canvas, moves = step(canvas, wanted, step_size)
            return done + 1, canvas, moved | moves

        still = tf.zeros_like(filters, tf.bool)
        _, canvas, moved = tf.while_loop(lambda done, *_: done < steps, body, (0, canvas, still))
        return canvas, moved

    def measure(canvas: tf.Tensor, filters: tf.Tensor) -> tf.Tensor:
        wanted = Wanted(filters, part.pick(filters))
        return _means(part.compute(_enter(canvas, preprocessing), wanted.picked).output, wanted)

    canvases, filters = tf.TensorSpec([None, *shape], tf.float32), tf.TensorSpec([None], tf.int32)
    one, count = tf.TensorSpec([], tf.float32), tf.TensorSpec([], tf.int32)
    return Loop(
        compile_graph(climb, canvases, filters, one, count),
        compile_graph(measure, canvases, filters),
        part.narrow,
    )


def built_loop(loop: Loop, kernel_bytes: int) -> Built[Loop]:
    """A loop with what it holds; its kernels are constants of both graphs."""
    # What lies within a loop is not to be had publicly: as measured, the steps of `measure` three times for a gradient,
    # and what goes round.
    inside = 3 * count_operations(loop.measure) + 400
    return Built(loop, 2 * kernel_bytes, count_operations(loop.climb) + count_operations(loop.measure) + inside)


def climb(
    loop: Loop, filters: tuple[int, ...], canvas: Canvas, schedule: Schedule, *, report: Callable[[float], None]
) -> Ascended:
    """Run a loop in calls of CALL_SECONDS, `report` in between. Raises ComputationFailedError.

    Where memory does not suffice for all images together, half as many are taken, and so on.
    """
    count, batch = len(filters), len(filters)
    parts: list[_Part] = []
    done, furthest = 0, 0.0
    while done < count:
        images = slice(done, min(done + batch, count))
        size = images.stop - done

        def report_share(fraction: float, before: int = done, size: int = size) -> None:
            nonlocal furthest
            # What is begun anew has been reported.
            furthest = max(furthest, (before + fraction * size) / count)
            report(furthest)

        try:
            parts.append(_climb(loop, filters[images], canvas.start[images], schedule, report_share))
        except tf.errors.ResourceExhaustedError as error:
            if size == 1:
                raise _failed(error) from error
            batch = -(-size // 2)
            logger.warning("memory does not suffice for %d canvases at once: on with %d", size, batch)
        except tf.errors.OpError as error:
            raise _failed(error) from error
        else:
            done = images.stop
    return Ascended(
        canvas=np.concatenate([part.canvas for part in parts]),
        activations=np.concatenate([part.activations for part in parts]),
        moved=np.concatenate([part.moved for part in parts]),
        frames=np.concatenate([part.frames for part in parts], axis=1),
        batch=max(len(part.moved) for part in parts),
        narrow=loop.narrow,
        device="GPU" if tf.config.list_logical_devices("GPU") else "CPU",
        threads=tf.config.threading.get_intra_op_parallelism_threads() or len(os.sched_getaffinity(0)),
    )


@dataclass(frozen=True)
class _Part:
    """What came of the images that were computed together; see Ascended."""

    canvas: Array
    activations: Array
    moved: NDArray[np.bool_]
    frames: Array


def _failed(error: tf.errors.OpError) -> ComputationFailedError:
    return ComputationFailedError(f"the network failed on the canvas ({type(error).__name__}): try a smaller 'size'")


def _climb(
    loop: Loop, filters: tuple[int, ...], start: Array, schedule: Schedule, report: Callable[[float], None]
) -> _Part:
    chosen, step_size = tf.constant(filters, tf.int32), tf.constant(schedule.step_size, tf.float32)
    canvas, moved = tf.constant(start), np.zeros(len(filters), np.bool_)
    frames = [start] if schedule.keep_every else []
    done, wanted = 0, 1
    while done < schedule.steps:
        steps = min(wanted, _until_stop(done, schedule))
        started = perf_counter()
        canvas, moves = loop.climb(canvas, chosen, step_size, tf.constant(steps, tf.int32))
        moved |= moves.numpy()
        done += steps
        wanted = _steps_per_call(steps, perf_counter() - started)
        if schedule.keep_every and _is_stop(done, schedule):
            frames.append(canvas.numpy())
        report(done / schedule.steps)
    return _Part(
        canvas=canvas.numpy(),
        activations=loop.measure(canvas, chosen).numpy(),
        moved=moved,
        frames=np.stack(frames) if frames else np.zeros((0, *start.shape), np.float32),
    )


def _steps_per_call(steps: int, seconds: float) -> int:
    return max(1, min(_MAX_GROWTH * steps, int(CALL_SECONDS * steps / max(seconds, 1e-6))))


def _until_stop(done: int, schedule: Schedule) -> int:
    left = schedule.steps - done
    every = schedule.keep_every
    return min(left, every - done % every) if every else left


def _is_stop(done: int, schedule: Schedule) -> bool:
    return done % schedule.keep_every == 0 or done == schedule.steps


def _scale(preprocessing: Preprocessing | None) -> float:
    """How many of the network's units one unit of the canvas is, the channels' root mean square."""
    return 1.0 if preprocessing is None else float(np.sqrt(np.mean(np.square(preprocessing.scale))))


def _enter(canvas: tf.Tensor, preprocessing: Preprocessing | None) -> tf.Tensor:
    """From a canvas in 0…255 RGB to the network's units; differentiable."""
    if preprocessing is None:
        return canvas
    channels = canvas.shape[-1]
    scale, offset = (np.asarray(row[:channels], np.float32) for row in (preprocessing.scale, preprocessing.offset))
    values = canvas * scale + offset
    return values[..., ::-1] if preprocessing.channel_order == "bgr" else values


def _means(output: tf.Tensor, wanted: Wanted) -> tf.Tensor:
    """Of image i the mean over space of its own filter: (n,) float32."""
    output = tf.cast(output, tf.float32)
    if wanted.picked is not None:
        return tf.reduce_mean(output, axis=list(range(1, output.shape.rank)))
    means = tf.reduce_mean(output, axis=list(range(1, output.shape.rank - 1))) if output.shape.rank > 2 else output
    return tf.gather(means, wanted.filters, batch_dims=1)


def _gradient(found: Truncated, wanted: Wanted, canvas: tf.Tensor) -> tf.Tensor:
    """Of each image's own objective with respect to its canvas, (n, h, w, c).

    Where an activation lets nothing through for an image, its objective is what lies before the activation.
    """
    means = _means(found.output, wanted)
    slopes = [differentiate(means, source, stopped=found.sources) for source in found.sources]
    passes = tf.reduce_any([_any_per_image(slope) for slope in slopes], axis=0)
    objective = tf.where(passes, means, _means(found.unactivated, wanted))
    return differentiate(objective, canvas)


def _any_per_image(tensor: tf.Tensor) -> tf.Tensor:
    return tf.reduce_any(tensor != 0, axis=list(range(1, tensor.shape.rank)))
