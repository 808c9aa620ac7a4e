"""What every composition root wires the same way: settings in; catalog, job store, artifacts and limits out."""

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from time import monotonic

from service.demo.digests import MODELS, require_built_in
from service.demo.glyph_dataset import draw_glyph_files
from service.demo.scene_dataset import draw_scenes
from service.engine.activation_cache import ActivationCache
from service.engine.batching import DynamicBatcher
from service.engine.chunks import JobLimits
from service.engine.images.archive import DatasetLimits
from service.engine.images.decoding import ImageLimits
from service.engine.model import Model
from service.engine.observer import Observer
from service.engine.ports.overrides import Overrides
from service.engine.ports.probe import Probe
from service.errors import WeightsUnavailableError
from service.jobs.artifacts import Artifacts, StorageLimits
from service.jobs.reconciler import Reconciler, Workforce
from service.jobs.store.port import JobStore, Rules
from service.jobs.store.sqlite import SqliteJobStore
from service.jobs.submission import JobRules
from service.jobs.worker.embedded import EmbeddedWorker
from service.keras.cell.cache import NetworkCache
from service.keras.cell.file_access import can_bound_files
from service.keras.cell.limits import CellLimits
from service.keras.cell.process import Cells
from service.keras.cell.reading import Reader
from service.keras.cell.system_calls import can_filter_calls
from service.keras.compute.tuning import Tuning
from service.keras.files.admission.limits import ModelFileLimits
from service.keras.log_filter import filtered_log
from service.models.catalog import Catalog
from service.models.datasets import Datasets
from service.models.load_journal import LoadJournal
from service.models.memory import configure_allocator, freeze_modules, measure_memory
from service.models.model_config import ModelConfig
from service.models.remote.cache import FileCache
from service.models.remote.locations import is_url
from service.models.remote.registry import name_models
from service.models.remote.watch import Watch
from service.models.residency import Residency
from service.models.sources.applications import Applications
from service.models.sources.batched import Batched
from service.models.sources.folder import Fetch, Folder, open_file
from service.models.sources.hub import HubPresets
from service.models.sources.mlflow_models import MlflowModels
from service.models.sources.remote_models import RemoteModels
from service.models.sources.remote_repository import RemoteRepository
from service.models.sources.repository import Found
from service.models.sources.source import Source
from service.models.sources.weights import WeightsStore
from service.settings import Settings
from service.trusted_packages import describe_package

logger = logging.getLogger(__name__)

READINESS_MODEL = "shapes"
BUILT_IN_MODELS = MODELS
_KERAS_HUB = "keras_hub"


def open_catalog(settings: Settings, *, threads: int = 0) -> Catalog:
    """Every model that the settings name. Imports no TensorFlow before one is loaded.

    `threads` is how many TensorFlow may use in this process, 0 as many as there are cores.
    """
    return Catalog(_sources(settings, _tuning(settings), threads), Residency(_model_bytes(settings)))


def _model_bytes(settings: Settings) -> int:
    """By default this process's share of half the memory: the service has one, and each process of jobs."""
    processes = 1 + (settings.worker.concurrency if settings.redis_url else 1)
    return settings.limits.model_bytes or measure_memory() // 2 // processes


def open_batcher(settings: Settings, observer: Observer) -> DynamicBatcher:
    """What computes for all models of a process that answers many at once."""
    limits = settings.limits
    return DynamicBatcher(max_batch=limits.batch_size, max_waiting=limits.waiting_requests, observer=observer)


def open_shared_catalog(settings: Settings, batcher: DynamicBatcher, observer: Observer) -> Catalog:
    """The same for such a process: questions are merged on the batcher, and pictures remembered."""
    limits = settings.limits
    activation_cache = ActivationCache(limits.activation_cache_bytes, observer)
    tuning = replace(_tuning(settings), activation_cache=activation_cache)
    sources = [Batched(source, batcher) for source in _sources(settings, tuning, threads=0)]
    return Catalog(sources, Residency(_model_bytes(settings)))


def open_model_file(file: Path, settings: Settings) -> Model:
    """One file from anywhere, as a folder's model. Raises ModelFailedError."""
    configure_allocator()
    tuning, limits, journal = _tuning(settings), model_file_limits(settings), _open_journal(settings, always=True)
    if settings.models_cells:
        return open_file(file, _CellLoader(_open_reader(settings, threads=0), tuning, limits, threads=0), journal)
    return open_file(file, _KerasLoader(tuning, limits, threads=0), journal)


def open_model_source(source: str, settings: Settings) -> Model:
    """One model at a URL or in MLflow, as a model.toml names it.

    Raises ModelFailedError or WeightsUnavailableError.
    """
    models = _open_models_elsewhere(settings, threads=0, always=True)
    with closing(models):
        found = Found("model", "1", models.cache.folder / "none", None, None, ())
        models.versions(found, source, ModelConfig())
        now = monotonic()
        models.look(now, now + settings.limits.fetch_seconds)
        for version in models.versions(found, source, ModelConfig()):
            if version.fetch is not None:
                version.fetch()
            return version.open()
    raise WeightsUnavailableError("what serves the model does not answer: ask again")


def model_file_limits(settings: Settings) -> ModelFileLimits:
    limits = settings.limits
    return ModelFileLimits(
        config_bytes=limits.model_config_bytes,
        config_entries=limits.model_config_entries,
        layers=limits.model_layers,
        build_calls=limits.model_build_calls,
        name_length=limits.model_name_length,
        expansion=limits.model_expansion,
        weight_bytes=limits.model_weight_bytes,
        input_numbers=limits.model_input_numbers,
        operations=limits.model_operations,
        tensor_bytes=limits.model_tensor_bytes,
        trusted_packages=settings.trusted_packages,
    )


def cell_limits(settings: Settings) -> CellLimits:
    limits = settings.limits
    return CellLimits(limits.cell_memory_bytes, limits.cell_processor_seconds, limits.cell_seconds)


def cell_bounds(settings: Settings) -> dict[str, str]:
    """What the system lets the process that reads a model file give up; "unused" where the service reads them."""
    if not settings.models_cells:
        return {"cell_network": "unused", "cell_files": "unused"}
    return {
        "cell_network": "closed" if can_filter_calls() else "open",
        "cell_files": "bounded" if can_bound_files() else "open",
    }


def image_limits(settings: Settings) -> ImageLimits:
    return ImageLimits(settings.limits.max_image_bytes, settings.limits.max_image_pixels)


def open_datasets(settings: Settings) -> Datasets:
    """The datasets that have names."""
    limits = settings.limits
    taken = DatasetLimits(limits.dataset_images, limits.dataset_bytes, limits.dataset_unpacked_bytes)
    return Datasets(settings.data_folder / "datasets", taken, {"shapes": draw_scenes, "glyphs": draw_glyph_files})


def job_limits(settings: Settings) -> JobLimits:
    limits = settings.limits
    return JobLimits(limits.job_items, limits.job_steps, limits.job_size, limits.ascent_bytes)


def job_rules(settings: Settings) -> JobRules:
    return JobRules(image_limits(settings), job_limits(settings), settings.gpu_models)


def open_store(settings: Settings) -> JobStore:
    """The job records: in Redis where there is one, else in a file. What cannot be reached yet is no error here."""
    jobs = settings.jobs
    rules = Rules(
        lease_seconds=jobs.lease_seconds,
        result_seconds=jobs.result_seconds,
        max_attempts=jobs.max_attempts,
        idempotency_keys=settings.limits.idempotency_keys,
    )
    if settings.redis_url:
        # Not at the top: without Redis nothing of it is imported.
        from service.jobs.store.redis import RedisJobStore

        return RedisJobStore(settings.redis_url, rules)
    return SqliteJobStore(settings.data_folder / "jobs.sqlite", rules)


def open_artifacts(settings: Settings) -> Artifacts:
    """Where the pictures of jobs lie. What cannot be reached yet is no error here."""
    limits = settings.limits
    return Artifacts(settings.artifacts_url, StorageLimits(limits.input_bytes, limits.result_bytes))


def open_workforce(settings: Settings, store: JobStore) -> Workforce:
    """Who computes the jobs: workers behind Redis, or one process beside this one."""
    if settings.redis_url:
        # Not at the top: without Redis nothing of Celery is imported.
        from service.jobs.worker.celery_notifier import CeleryNotifier, make_celery

        return CeleryNotifier(make_celery(settings.redis_url), settings.redis_url)
    return EmbeddedWorker(store, settings.model_dump_json(), grace_seconds=settings.worker.grace_seconds)


def open_reconciler(settings: Settings, store: JobStore, artifacts: Artifacts, workforce: Workforce) -> Reconciler:
    jobs = settings.jobs
    return Reconciler(store, artifacts, workforce, workforce, jobs.sweep_seconds, jobs.cancel_seconds)


def make_data_folder(settings: Settings) -> None:
    """Make it for its owner alone: it holds what clients sent. A failure stops nothing but jobs."""
    try:
        settings.data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        logger.error("no jobs without the data folder (CONVSCOPE_DATA): %s", error)


def _tuning(settings: Settings) -> Tuning:
    limits = settings.limits
    # Of one model, so that others find room beside it. A quarter of the kernels may be in one graph, eight times.
    max_held_bytes = _model_bytes(settings) // 2
    return Tuning(
        limits.traces_per_model,
        min(limits.kernel_bytes, max_held_bytes // 2),
        max_held_bytes=max_held_bytes,
        fold=settings.folding,
        pass_bytes=limits.pass_bytes,
    )


def _sources(settings: Settings, tuning: Tuning, threads: int) -> list[Source]:
    """Where models come from; a model of an earlier source hides one of the same name in a later one."""
    configure_allocator()
    limits = model_file_limits(settings)
    direct = _KerasLoader(tuning, limits, threads)
    folders = [Path(place) for place in settings.models if not is_url(place)]
    store = WeightsStore(settings.applications_origin, folders[0] if folders else None)
    return [
        Folder(BUILT_IN_MODELS, _BuiltInLoader(direct)),
        *_own_models(settings, threads),
        Applications(_ApplicationLoader(tuning, threads), store, weights=settings.applications_weights),
    ]


def _own_models(settings: Settings, threads: int) -> Iterator[Source]:
    if not settings.models and not settings.mlflow_models:
        return
    elsewhere = _open_models_elsewhere(settings, threads)
    for place in settings.models:
        if is_url(place):
            yield RemoteRepository(place, elsewhere)
        else:
            yield Folder(Path(place), elsewhere.loader, elsewhere.journal, elsewhere, _open_hub(settings))
    if settings.mlflow_models:
        yield MlflowModels(name_models(settings.mlflow_models), elsewhere)


def _open_models_elsewhere(settings: Settings, threads: int, *, always: bool = False) -> RemoteModels:
    """What fetches and loads models whose file lies elsewhere; with `always` also those refused before."""
    tuning, limits, journal = _tuning(settings), model_file_limits(settings), _open_journal(settings, always=always)
    watch = Watch(settings.fetched_folder / "seen", settings.models_poll_seconds)
    cache = FileCache(settings.fetched_folder, settings.limits.fetched_bytes, settings.limits.fetch_seconds)
    if not settings.models_cells:
        return RemoteModels(watch, cache, _KerasLoader(tuning, limits, threads), journal)
    reader = _open_reader(settings, threads)
    return RemoteModels(watch, cache, _CellLoader(reader, tuning, limits, threads), journal, reader.cells.close)


def _open_hub(settings: Settings) -> Fetch | None:
    """None where the classes that presets are made of are not trusted anyway."""
    if _KERAS_HUB not in settings.trusted_packages:
        return None
    return HubPresets(settings.data_folder / "presets", settings.limits.model_weight_bytes).get


def _open_journal(settings: Settings, *, always: bool = False) -> LoadJournal:
    context = f"{_versions(settings)}, {model_file_limits(settings)}, {cell_limits(settings)}"
    return LoadJournal(settings.data_folder / "loads", context, always=always)


def _open_reader(settings: Settings, threads: int) -> Reader:
    cache = NetworkCache(settings.networks_folder, settings.limits.network_cache_bytes)
    return Reader(Cells(cell_limits(settings)), cache, versions=_versions(settings), threads=threads)


def _versions(settings: Settings) -> str:
    """Of all that decides what becomes of a file."""
    ours = (f"{name} {version(name)}" for name in ("convscope", "keras", "tensorflow"))
    return ", ".join((*ours, *map(describe_package, settings.trusted_packages)))


class _CellLoader:
    """The catalog's Loader for files that nobody trusts: they are read in a process of their own."""

    def __init__(self, reader: Reader, tuning: Tuning, limits: ModelFileLimits, threads: int) -> None:
        self.reader = reader
        self._tuning = tuning
        self._limits = limits
        self._threads = threads

    def __call__(self, path: Path, overrides: Overrides) -> Probe:
        parcel = self.reader.read(path, overrides, self._limits)
        with closing(parcel.stream):
            with filtered_log():
                from service.keras.cell.building import build_probe
                from service.keras.files.loading import configure_devices

            configure_devices(self._threads)
            freeze_modules()
            return build_probe(parcel, overrides, path.name, tuning=self._tuning, limits=self._limits)


class _BuiltInLoader:
    """The catalog's Loader for files that came with the program, and no others: they need no such process."""

    def __init__(self, direct: "_KerasLoader") -> None:
        self._direct = direct

    def __call__(self, path: Path, overrides: Overrides) -> Probe:
        for file in filter(None, (path, overrides.decoder)):
            require_built_in(file)
        return self._direct(path, overrides)


class _KerasLoader:
    """The catalog's Loader within this process; importing Keras waits until one is loaded, as it takes seconds."""

    def __init__(self, tuning: Tuning, limits: ModelFileLimits, threads: int) -> None:
        self._tuning = tuning
        self._limits = limits
        self._threads = threads

    def __call__(self, path: Path, overrides: Overrides) -> Probe:
        with filtered_log():
            from service.keras.files.loading import configure_devices, load_probe

        configure_devices(self._threads)
        freeze_modules()
        return load_probe(path, overrides, tuning=self._tuning, limits=self._limits)


class _ApplicationLoader:
    """The catalog's ApplicationLoader over Keras, imported as late."""

    def __init__(self, tuning: Tuning, threads: int) -> None:
        self._tuning = tuning
        self._threads = threads

    def __call__(self, function: str, *, weights: Path | None, side: int | None) -> Probe:
        with filtered_log():
            from service.keras.files.applications import load_application
            from service.keras.files.loading import configure_devices

        configure_devices(self._threads)
        freeze_modules()
        return load_application(function, weights=weights, side=side, tuning=self._tuning)
