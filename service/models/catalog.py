"""The models at hand, loaded once each, looked up by name and version. A model that fails costs no other."""

import logging
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Final

from schemas.jobs import MAX_VERSIONS
from schemas.models import InputContract, ModelList, ModelState, ModelSummary
from service.engine.model import Model
from service.engine.nearest import find_nearest, shorten
from service.errors import (
    ConvscopeError,
    ModelFailedError,
    ModelNotFoundError,
    TooFewVersionsError,
    VersionNotFoundError,
    WeightsUnavailableError,
)
from service.models.residency import Residency
from service.models.sources.source import ModelVersion, Source

logger = logging.getLogger(__name__)

# Of a list of versions, which is text from outside and may name some of them twice.
_MAX_NAMED: Final = 1000
_MAX_NAMED_TEXT: Final = 20_000
RESIDENT_ON_DEMAND: Final = 3


@dataclass(frozen=True)
class Failure:
    """Why a model did not load. A value: an exception raised to every client would gather all their tracebacks.

    `passing` failures are not remembered: the next request tries again.
    """

    reason: str
    passing: bool = False


Load = Model | Failure


def unwrap(load: Load) -> Model:
    """The model, or ModelFailedError or WeightsUnavailableError with the reason."""
    if isinstance(load, Failure):
        raise (WeightsUnavailableError if load.passing else ModelFailedError)(load.reason)
    return load


class Catalog:
    """Looks at its sources anew at every question, so that models come and go while the service runs.

    Where two sources hold the same name, the earlier one's counts. Of the models that are loaded on demand, `resident`
    stay. Safe to use from several threads.
    """

    def __init__(self, sources: Sequence[Source], *, resident: int = RESIDENT_ON_DEMAND) -> None:
        self._sources = sources
        self._residency = Residency(resident)
        self._lock = Lock()
        # Two each, so that a model asked for need not wait for the one that the start-up is loading; and apart, as
        # what loads on demand may first have to be fetched, for minutes.
        self._loaders = {
            True: ThreadPoolExecutor(2, thread_name_prefix="loader"),
            False: ThreadPoolExecutor(2, thread_name_prefix="fetcher"),
        }
        self._closed = False
        # Those on demand in the order in which they were asked for last.
        self._loaded: dict[tuple[str, str], tuple[ModelVersion, Future[Load]]] = {}
        self._found: set[str] = set()

    def names(self) -> list[str]:
        """The names of all models, those of earlier sources first.

        What was loaded of a model that has gone is forgotten, and its memory freed.
        """
        names = list(dict.fromkeys(name for source in self._sources for name in source.names()))
        with self._lock:
            self._loaded = {key: load for key, load in self._loaded.items() if key[0] in names}
            self._found &= set(names)
        return names

    def is_known(self, name: str) -> bool:
        """Whether a model of that name was ever asked for and found; looks at no source."""
        with self._lock:
            return name in self._found

    def find(self, name: str, version: str | None = None) -> ModelVersion:
        """Find a version, the newest by default. Raises ModelNotFoundError or VersionNotFoundError."""
        known = self._versions_of(name)
        if not known:
            near = find_nearest(name, self.names(), cutoff=0.4)
            advice = f"; nearest: '{near[0]}'" if near else "; GET /v1/models lists the models"
            raise ModelNotFoundError(f"model '{shorten(name)}' is not served here{advice}")
        if version is None:
            return known[0]
        for model_version in known:
            if model_version.version == version:
                return model_version
        raise _unknown_version(name, version, [model_version.version for model_version in known])

    def versions(self, name: str, asked: object) -> tuple[str, ...]:
        """Versions to be compared: `all`, oldest first, or some in the order given, as text or a list.

        Raises TooFewVersionsError, ModelNotFoundError or VersionNotFoundError.
        """
        self.find(name)
        items = asked if isinstance(asked, list) else [asked]
        # A field of a form may come several times, each with several.
        text = ",".join(map(str, items[:_MAX_NAMED]))
        named = [part.strip() for part in text[:_MAX_NAMED_TEXT].split(",", _MAX_NAMED)]
        if len(items) > _MAX_NAMED or len(text) > _MAX_NAMED_TEXT or len(named) > _MAX_NAMED:
            raise TooFewVersionsError(f"at most {_MAX_NAMED} versions are named; 'all' stands for every one")
        known = [model_version.version for model_version in reversed(self._versions_of(name))]
        chosen = tuple(dict.fromkeys(known if named == ["all"] else filter(None, named)))
        if len(chosen) < 2:
            raise TooFewVersionsError(f"two versions of '{name}' or more are compared, such as 1,2,5, or all")
        for version in chosen:
            if version not in known:
                raise _unknown_version(name, version, known[::-1])
        if len(chosen) > MAX_VERSIONS:
            raise TooFewVersionsError(f"{len(chosen)} versions were named: 2 to {MAX_VERSIONS} are compared")
        return chosen

    def request(self, name: str, version: str | None = None) -> Future[Load]:
        """The model's load, begun now if it is not loaded; everyone who asks shares it. Must not be cancelled.

        Raises ModelNotFoundError or VersionNotFoundError, and ServerBusyError where too many are loaded on demand; see
        `unwrap` for the future's result.
        """
        model_version = self.find(name, version)
        key = (model_version.name, model_version.version)
        with self._lock:
            self._found.add(name)
            known = self._loaded.get(key)
            is_new = known is None or known[0] != model_version or _has_passed(known[1])
            if known is None or is_new:
                known = model_version, self._begin(model_version)
            if not model_version.at_start:
                # To the end: it is the one asked for last.
                self._loaded.pop(key, None)
            self._loaded[key] = known
        if is_new and not model_version.at_start:
            # Outside of the lock, as a load that has ended meanwhile calls at once.
            known[1].add_done_callback(self._make_room)
        return known[1]

    def find_load(self, name: str, version: str | None = None) -> Future[Load] | None:
        """The model's load if it has begun, without beginning it; raises as `find` does."""
        return self._future(self.find(name, version))

    def model(self, name: str, version: str | None = None) -> Model:
        """The model, waited for. Raises what `request` and `unwrap` raise."""
        return unwrap(self.request(name, version).result())

    def summary(self, name: str) -> ModelSummary:
        """The model's state and, once it is loaded, its contract. Raises ModelNotFoundError."""
        known = self._versions_of(name) or [self.find(name)]
        state, reason, model = _state(self._future(known[0]))
        return ModelSummary(
            name=name,
            versions=[model_version.version for model_version in known],
            state=state,
            reason=reason,
            task=model.network_info.task if model else None,
            input=input_contract(model) if model else None,
        )

    def summaries(self) -> ModelList:
        """Every model's summary; loads none."""
        details = [self.summary(name) for name in self.names()]
        return ModelList(models=[detail.name for detail in details], details=details)

    def load_all(self) -> list[Model]:
        """Load the newest version of every model that is not left to its first use; failures are kept and logged."""
        loaded: list[Model] = []
        for name in self.names():
            try:
                if self.find(name).at_start:
                    loaded.append(self.model(name))
            except (ConvscopeError, CancelledError):
                # Kept as the model's state, and logged, by the load itself; cancelled ones end with the service.
                continue
        return loaded

    def close(self) -> None:
        """Give up loads that have not begun, and begin no more."""
        with self._lock:
            self._closed = True
        for source in self._sources:
            source.close()
        for pool in self._loaders.values():
            pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self, model_version: ModelVersion) -> Future[Load]:
        if self._closed:
            raise ModelFailedError("the service is shutting down")
        if not model_version.at_start:
            loading = [load for other, load in self._loaded.values() if not (other.at_start or load.done())]
            self._residency.require_room(len(loading))
        return self._loaders[model_version.at_start].submit(self._load, model_version)

    def _load(self, model_version: ModelVersion) -> Load:
        load = _open(model_version)
        if not model_version.at_start and isinstance(load, Model):
            self._residency.note(load)
        return load

    def _make_room(self, _: Future[Load]) -> None:
        """Forget the models on demand that were not asked for longest, beyond those that may stay."""
        with self._lock:
            there = [
                key
                for key, (model_version, load) in self._loaded.items()
                if not model_version.at_start and _model(load)
            ]
            going = [self._loaded.pop(key) for key in there[: self._residency.surplus(len(there))]]
        for model_version, _load in going:
            logger.info("model %s makes room for one that was asked for later", model_version.name)

    def _versions_of(self, name: str) -> list[ModelVersion]:
        return next(filter(None, (source.versions(name) for source in self._sources)), [])

    def _future(self, model_version: ModelVersion) -> Future[Load] | None:
        with self._lock:
            known = self._loaded.get((model_version.name, model_version.version))
        return known[1] if known is not None and known[0] == model_version else None


def input_contract(model: Model) -> InputContract | None:
    """What a picture becomes before the network sees it; None where no picture goes in."""
    shape = model.network_info.input_shape
    if shape is None:
        return None
    height, width, channels = shape
    open_height, open_width = model.input_size or (None, None)
    return InputContract(
        height=height or open_height,
        width=width or open_width,
        channels=channels,
        preprocessing=model.preprocessing.name,
        fit=model.fit,
    )


def _open(model_version: ModelVersion) -> Load:
    try:
        model = model_version.open()
    except ConvscopeError as error:
        logger.warning("model %s version %s failed: %s", model_version.name, model_version.version, error.detail)
        return Failure(error.detail, passing=isinstance(error, WeightsUnavailableError))
    except Exception as error:
        logger.exception("model %s version %s failed", model_version.name, model_version.version)
        return Failure(f"loading failed unexpectedly ({type(error).__name__})")
    logger.info("model %s version %s loaded", model_version.name, model_version.version)
    return model


def _unknown_version(name: str, version: str, known: Sequence[str]) -> VersionNotFoundError:
    return VersionNotFoundError(f"'{name}' has no version '{shorten(version)}'; versions: {', '.join(known)}")


def _has_passed(future: Future[Load]) -> bool:
    if not future.done() or future.cancelled():
        return False
    load = future.result()
    return isinstance(load, Failure) and load.passing


def _model(future: Future[Load]) -> Model | None:
    if not future.done() or future.cancelled():
        return None
    load = future.result()
    return load if isinstance(load, Model) else None


def _state(future: Future[Load] | None) -> tuple[ModelState, str | None, Model | None]:
    if future is None or not future.done():
        return "available", None, None
    load = future.result()
    return ("failed", load.reason, None) if isinstance(load, Failure) else ("ready", None, load)
