"""The catalog of all models that the settings name, and single ones for `convscope doctor`."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import monotonic

from service.composition.limits import model_bytes, model_file_limits, tuning_of
from service.composition.loaders import (
    ApplicationLoader,
    BuiltInLoader,
    CellLoader,
    KerasLoader,
    open_journal,
    open_reader,
)
from service.demo.digests import MODELS
from service.demo.glyph_dataset import draw_glyph_files
from service.demo.scene_dataset import draw_scenes
from service.engine.activation_cache import ActivationCache
from service.engine.batching import DynamicBatcher
from service.engine.images.archive import DatasetLimits
from service.engine.model import Model
from service.engine.observer import Observer
from service.errors import WeightsUnavailableError
from service.keras.compute.tuning import Tuning
from service.models.catalog import Catalog
from service.models.datasets import Datasets
from service.models.memory import configure_allocator
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

READINESS_MODEL = "shapes"
BUILT_IN_MODELS = MODELS
_KERAS_HUB = "keras_hub"


def open_catalog(settings: Settings, *, threads: int = 0) -> Catalog:
    """Every model that the settings name. Imports no TensorFlow before one is loaded.

    `threads` is how many TensorFlow may use in this process, 0 as many as there are cores.
    """
    return Catalog(_sources(settings, tuning_of(settings), threads), Residency(model_bytes(settings)))


def open_batcher(settings: Settings, observer: Observer) -> DynamicBatcher:
    """What computes for all models of a process that answers many at once."""
    limits = settings.limits
    return DynamicBatcher(max_batch=limits.batch_size, max_waiting=limits.waiting_requests, observer=observer)


def open_shared_catalog(settings: Settings, batcher: DynamicBatcher, observer: Observer) -> Catalog:
    """The same for such a process: questions are merged on the batcher, and pictures remembered."""
    limits = settings.limits
    activation_cache = ActivationCache(limits.activation_cache_bytes, observer)
    tuning = replace(tuning_of(settings), activation_cache=activation_cache)
    sources = [Batched(source, batcher) for source in _sources(settings, tuning, threads=0)]
    return Catalog(sources, Residency(model_bytes(settings)))


def open_model_file(file: Path, settings: Settings) -> Model:
    """One file from anywhere, as a folder's model. Raises ModelFailedError."""
    configure_allocator()
    tuning, limits, journal = tuning_of(settings), model_file_limits(settings), open_journal(settings, always=True)
    if settings.models_cells:
        return open_file(file, CellLoader(open_reader(settings, threads=0), tuning, limits, threads=0), journal)
    return open_file(file, KerasLoader(tuning, limits, threads=0), journal)


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


def open_datasets(settings: Settings) -> Datasets:
    """The datasets that have names."""
    limits = settings.limits
    taken = DatasetLimits(limits.dataset_images, limits.dataset_bytes, limits.dataset_unpacked_bytes)
    return Datasets(settings.data_folder / "datasets", taken, {"shapes": draw_scenes, "glyphs": draw_glyph_files})


def _sources(settings: Settings, tuning: Tuning, threads: int) -> list[Source]:
    """Where models come from; a model of an earlier source hides one of the same name in a later one."""
    configure_allocator()
    limits = model_file_limits(settings)
    direct = KerasLoader(tuning, limits, threads)
    folders = [Path(place) for place in settings.models if not is_url(place)]
    store = WeightsStore(settings.applications_origin, folders[0] if folders else None)
    return [
        Folder(BUILT_IN_MODELS, BuiltInLoader(direct)),
        *_own_models(settings, threads),
        Applications(ApplicationLoader(tuning, threads), store, weights=settings.applications_weights),
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
    tuning, limits, journal = tuning_of(settings), model_file_limits(settings), open_journal(settings, always=always)
    watch = Watch(settings.fetched_folder / "seen", settings.models_poll_seconds)
    cache = FileCache(settings.fetched_folder, settings.limits.fetched_bytes, settings.limits.fetch_seconds)
    if not settings.models_cells:
        return RemoteModels(watch, cache, KerasLoader(tuning, limits, threads), journal)
    reader = open_reader(settings, threads)
    return RemoteModels(watch, cache, CellLoader(reader, tuning, limits, threads), journal, reader.cells.close)


def _open_hub(settings: Settings) -> Fetch | None:
    """None where the classes that presets are made of are not trusted anyway."""
    if _KERAS_HUB not in settings.trusted_packages:
        return None
    return HubPresets(settings.data_folder / "presets", settings.limits.model_weight_bytes).get
