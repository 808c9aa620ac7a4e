"""Concurrent questions answered together: a Probe that merges calls which are in flight at the same time.

Whatever waits when the device gets free is computed next, so that nothing is delayed on an idle machine: a call that
finds the device free computes at once, on its own thread. Methods stay written for one image.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock
from time import perf_counter
from typing import Any, Final, Protocol

from service.engine.allowance import current
from service.engine.arrays import Array
from service.engine.observer import UNOBSERVED, Observer
from service.engine.ports.answers import (
    ChannelStatistics,
    Kernel,
    LayerActivations,
    LayerGradients,
    LayerOnCanvas,
    ReceptiveField,
    Scores,
    UnitActivations,
)
from service.engine.ports.ascent import Ascended, Ascent
from service.engine.ports.network_info import LayerInfo, NetworkInfo
from service.engine.ports.probe import BatchProbe
from service.errors import ClientGoneError, ServerBusyError

_TURN: Final = object()

Compute = Callable[[Sequence[Any]], Sequence[Any]]


class Merger(Protocol):
    """Answers what several threads ask, several at once."""

    def compute(self, model: str, key: Hashable, item: Any, compute: Compute) -> Any:
        """The item's answer; `compute` answers several items with equal keys. Raises what it raises for this item."""
        ...


@dataclass(eq=False)
class Call:
    """One question that waits. `key` names those that it may be merged with, `outcome` is _TURN for one that leads.

    `is_abandoned` tells whether nobody waits for its answer any more.
    """

    model: str
    key: Hashable
    item: Any
    compute: Compute
    since: float = field(default_factory=perf_counter)
    done: Event = field(default_factory=Event)
    outcome: Any = None
    error: BaseException | None = None
    is_abandoned: Callable[[], bool] = field(default_factory=lambda: current().is_abandoned)


class DynamicBatcher:
    """What computes one batch at a time, for all models: they take turns, and in each the oldest call leads.

    At most `max_waiting` calls wait; the next raises ServerBusyError.
    """

    def __init__(self, *, max_batch: int, max_waiting: int, observer: Observer = UNOBSERVED) -> None:
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._observer = observer
        self._lock = Lock()
        self._busy = False
        self._waiting = 0
        # One queue per model; a model that was served goes to the end.
        self._queues: OrderedDict[str, deque[Call]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return self._waiting

    def compute(self, model: str, key: Hashable, item: Any, compute: Compute) -> Any:
        """The item's answer; `compute` answers several items with equal keys. Raises what it raises for this item."""
        call = Call(model, key, item, compute)
        with self._lock:
            if self._busy and self._waiting >= self._max_waiting:
                raise ServerBusyError(f"{self._waiting} questions wait for the device: try again in a moment")
            self._queues.setdefault(model, deque()).append(call)
            self._waiting += 1
            leads = not self._busy
            self._busy = True
        if not leads:
            call.done.wait()
            leads = call.outcome is _TURN
        if leads:
            self._lead(call)
        if call.error is not None:
            raise call.error
        return call.outcome

    def _lead(self, call: Call) -> None:
        """Compute the batch that `call` is the oldest of, then leave the device to the next."""
        with self._lock:
            batch = self._gather(call)
        try:
            if batch:
                self._answer(batch)
        finally:
            with self._lock:
                following = next(iter(self._queues.values()), None)
                self._busy = following is not None
            for other in batch:
                other.done.set()
            if following is not None:
                following[0].outcome = _TURN
                following[0].done.set()

    def _gather(self, call: Call) -> list[Call]:
        """Take the batch out of the model's queue, and send the model to the end of the line."""
        queue = self._queues.pop(call.model)
        before = len(queue)
        wanted = [other for other in queue if not self._drop(other)]
        batch = [other for other in wanted if other.key == call.key][: self._max_batch]
        left = deque(other for other in wanted if other not in batch)
        if left:
            self._queues[call.model] = left
        self._waiting -= before - len(left)
        return batch

    def _drop(self, call: Call) -> bool:
        """Whether nobody waits for it; it hears that."""
        if not call.is_abandoned():
            return False
        call.error = ClientGoneError("nobody waits for this any more")
        call.done.set()
        return True

    def _answer(self, batch: list[Call]) -> None:
        started = perf_counter()
        answer_together(batch)
        waits = [started - call.since for call in batch]
        self._observer.batch(batch[0].model, len(batch), waits, perf_counter() - started)


def answer_together(batch: Sequence[Call]) -> None:
    """Give calls with equal keys their outcomes, or their errors."""
    try:
        answers = batch[0].compute([call.item for call in batch])
    except BaseException as error:  # noqa: BLE001 - whoever asked must hear of it
        if len(batch) > 1:
            # Whose fault it was is found by asking one by one.
            for call in batch:
                answer_together([call])
            return
        batch[0].error = error
    else:
        for call, answer in zip(batch, answers, strict=True):
            call.outcome = answer


class BatchingProbe:
    """See Probe: scores and gradients of one model, merged with what else is asked of it at the same time."""

    def __init__(self, inner: BatchProbe, merger: Merger, model: str) -> None:
        self._inner = inner
        self._merger = merger
        self._model = model

    @property
    def network_info(self) -> NetworkInfo:
        """See Probe."""
        return self._inner.network_info

    def scores(self, image: Array) -> Scores:
        """See Probe."""
        scores: Scores = self._merger.compute(self._model, (self._inner, image.shape), image, self._inner.scores_of)
        return scores

    def activations_and_gradients(
        self, image: Array, *, layer: str | None = None, class_index: int | None = None
    ) -> LayerGradients:
        """See Probe."""
        # Before it is merged: what can be known to be wrong costs the others no second run.
        self._inner.require_target(layer=layer, class_index=class_index)

        def compute(items: Sequence[tuple[Array, int | None]]) -> list[LayerGradients]:
            images, classes = zip(*items, strict=True)
            return self._inner.gradients_of(images, classes, layer=layer)

        key = (self._inner, layer or self.network_info.default_layer, image.shape)
        found: LayerGradients = self._merger.compute(self._model, key, (image, class_index), compute)
        return found

    @property
    def held_bytes(self) -> int:
        """See Probe."""
        return self._inner.held_bytes

    def activations(self, image: Array, layers: Sequence[str]) -> list[LayerActivations]:
        """See Probe."""
        return self._inner.activations(image, layers)

    def channel_statistics(self, images: Array, layers: Sequence[str], signs: Array) -> list[ChannelStatistics]:
        """See Probe."""
        return self._inner.channel_statistics(images, layers, signs)

    def unit_activations(self, images: Array, layer: str) -> UnitActivations:
        """See Probe."""
        return self._inner.unit_activations(images, layer)

    def receptive_field(self, layer: str, size: tuple[int, int]) -> ReceptiveField | None:
        """See Probe."""
        return self._inner.receptive_field(layer, size)

    def encode(self, images: Array) -> Array:
        """See Probe."""
        return self._inner.encode(images)

    def decode(self, latents: Array) -> Array:
        """See Probe."""
        return self._inner.decode(latents)

    def unit_gradients(self, images: Array, layer: str, units: Sequence[int]) -> Array:
        """See Probe."""
        return self._inner.unit_gradients(images, layer, units)

    def layer(self, reference: str) -> LayerInfo:
        """See Probe."""
        return self._inner.layer(reference)

    def kernels(self, layer: str) -> list[Kernel]:
        """See Probe."""
        return self._inner.kernels(layer)

    def require_target(self, *, layer: str | None, class_index: int | None) -> None:
        """See Probe."""
        self._inner.require_target(layer=layer, class_index=class_index)

    def layer_on_canvas(self, layer: str, size: tuple[int, int]) -> LayerOnCanvas:
        """See Probe."""
        return self._inner.layer_on_canvas(layer, size)

    def ascend(self, ascent: Ascent, report: Callable[[float], None]) -> Ascended:
        """See Probe."""
        return self._inner.ascend(ascent, report)
