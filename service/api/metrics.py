"""What the service counts and measures, as Prometheus reads it from `/metrics`.

Labels are bounded: a model that the catalog holds (or `unknown`), a method, a status, a queue; never a job, a client
or a path. Counters are those of this process; what workers do is told by the job store alone.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemas.results import Timings
from schemas.tasks import QUEUES
from service.api.access.keys.watched import WatchedKeys
from service.api.requests.admission import Admission
from service.api.requests.executor import BoundedExecutor
from service.engine.batching import DynamicBatcher
from service.errors import ConvscopeError
from service.jobs.store.outbox import SETTLEMENTS, DeliveryCounts
from service.jobs.store.port import JobStore

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
UNKNOWN: Final = "unknown"
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES: Final = (1, 2, 4, 8, 16, 32)


class Metrics:
    """One application's own, in a registry of its own. Implements the engine's Observer; safe from any thread."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(namespace="convscope", registry=registry)

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"convscope_{name}", meaning, labels, registry=registry)

        def histogram(name: str, meaning: str, *labels: str, buckets: Sequence[float] = _SECONDS) -> Histogram:
            return Histogram(f"convscope_{name}", meaning, labels, registry=registry, buckets=buckets)

        self._requests = counter("requests", "Requests to methods answered.", "method", "model", "status")
        self._durations = histogram(
            "request_duration_seconds", "From a request's headers to the end of its answer.", "method", "model"
        )
        self._stages = histogram(
            "stage_duration_seconds", "Computed results: decode, queue, compute, render.", "stage", "method", "model"
        )
        self._lookups = counter("cache_lookups", "Look-ups in a cache, by what came of them.", "cache", "result")
        self._cache_bytes = Gauge("convscope_cache_bytes", "What a cache holds.", ["cache"], registry=registry)
        self._batch_sizes = histogram("batch_size", "Calls answered by one computation.", "model", buckets=_SIZES)
        self._batch_waits = histogram("batch_wait_seconds", "How long a call waited for its computation.", "model")
        self._batch_times = histogram("batch_compute_seconds", "What one computation took.", "model")
        self._submitted = counter(
            "jobs_submitted", "Jobs asked for; `earlier`: an equal one was there.", "method", "as"
        )

        self._refused = counter("requests_refused", "Requests refused before their work began, by what for.", "reason")

    def write(self) -> bytes:
        """All of them, as text. Blocks, for seconds where the job store is in trouble."""
        return generate_latest(self._registry)

    def watch(self, executor: BoundedExecutor, device: DynamicBatcher, store: JobStore) -> None:
        """Ask these whenever the metrics are read."""
        self._registry.register(_ExecutorCollector(executor, device))
        self._registry.register(_JobsCollector(store))

    def watch_keys(self, keys: WatchedKeys) -> None:
        """Tell how old the knowledge of the key file is: seconds, as long as the file is in order."""
        meaning = "How long ago the keys in force were known to be those of the key file."
        Gauge("convscope_keys_age_seconds", meaning, registry=self._registry).set_function(lambda: keys.age_seconds)

    def watch_admission(self, admission: Admission) -> None:
        """Likewise."""
        self._registry.register(_AdmissionCollector(admission))

    def request(self, method: str, model: str, status: int, seconds: float) -> None:
        self._requests.labels(method, model, str(status)).inc()
        self._durations.labels(method, model).observe(seconds)

    def refuse(self, reason: str) -> None:
        self._refused.labels(reason).inc()

    def result(self, method: str, model: str, timings: Timings) -> None:
        for stage in ("decode", "queue", "compute", "render"):
            self._stages.labels(stage, method, model).observe(getattr(timings, stage))

    def submission(self, method: str, *, created: bool) -> None:
        self._submitted.labels(method, "new" if created else "earlier").inc()

    def batch(self, model: str, size: int, waited_seconds: Sequence[float], compute_seconds: float) -> None:
        """See Observer."""
        self._batch_sizes.labels(model).observe(size)
        self._batch_times.labels(model).observe(compute_seconds)
        waits = self._batch_waits.labels(model)
        for seconds in waited_seconds:
            waits.observe(seconds)

    def cache(self, name: str, hit: bool) -> None:  # noqa: FBT001
        """See Observer."""
        self._lookups.labels(name, "hit" if hit else "miss").inc()

    def cache_bytes(self, name: str, bytes: int) -> None:  # noqa: A002
        """See Observer."""
        self._cache_bytes.labels(name).set(bytes)


@dataclass(frozen=True)
class _ExecutorCollector(Collector):
    executor: BoundedExecutor
    device: DynamicBatcher

    def collect(self) -> Iterator[GaugeMetricFamily]:
        executor = self.executor
        taken = GaugeMetricFamily(
            "convscope_executor_requests", "Requests being computed, or waiting.", labels=["state"]
        )
        taken.add_metric(["running"], executor.running)
        taken.add_metric(["waiting"], executor.waiting)
        yield taken
        yield GaugeMetricFamily("convscope_executor_slots", "Requests there is room for.", executor.slots)
        yield GaugeMetricFamily(
            "convscope_batch_waiting", "Calls that wait for their computation.", self.device.waiting
        )


@dataclass(frozen=True)
class _AdmissionCollector(Collector):
    admission: Admission

    def collect(self) -> Iterator[GaugeMetricFamily]:
        admission = self.admission
        yield GaugeMetricFamily("convscope_body_bytes", "Memory held for requests' bodies.", admission.taken_bytes)
        yield GaugeMetricFamily("convscope_bodies_awaited", "Bodies that have not come yet.", admission.reading)


@dataclass(frozen=True)
class _JobsCollector(Collector):
    """What the store tells, of all processes. One that does not answer costs no other metric."""

    store: JobStore

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        counts: dict[str, int] | None = None
        deliveries: DeliveryCounts | None = None
        with suppress(ConvscopeError):
            counts, deliveries = self.store.outstanding(), self.store.delivery_counts()
        yield GaugeMetricFamily(
            "convscope_job_store_up", "Whether the job records can be read.", int(counts is not None)
        )
        if counts is not None:
            chunks = GaugeMetricFamily("convscope_chunks_outstanding", "Chunks queued or running.", labels=["queue"])
            for queue in sorted({*QUEUES, *counts}):
                chunks.add_metric([queue], counts.get(queue, 0))
            yield chunks
        if deliveries is not None:
            yield GaugeMetricFamily("convscope_webhooks_pending", "Webhooks with an event to send.", deliveries.pending)
            attempts = CounterMetricFamily(
                "convscope_webhook_attempts", "Attempts to send an event, by what came of them.", labels=["outcome"]
            )
            for outcome in SETTLEMENTS:
                attempts.add_metric([outcome], deliveries.outcomes.get(outcome, 0))
            yield attempts


class RequestMeter:
    """ASGI middleware: counts every request to a method, however it ends, when its answer has gone out."""

    def __init__(self, app: ASGIApp, metrics: Metrics, knows: Callable[[str], bool]) -> None:
        self._app, self._metrics, self._knows = app, metrics, knows

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, status = perf_counter(), 500

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            method = scope.get("state", {}).get("method")
            if method is not None:
                name = scope["path_params"]["model"]
                model = name if self._knows(name) else UNKNOWN
                self._metrics.request(method, model, status, perf_counter() - begin)
