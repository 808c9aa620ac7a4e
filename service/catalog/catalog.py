"""The models at hand, loaded once each, looked up by name and version. A model that fails costs no other."""

import hashlib
import logging
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from threading import Lock
from typing import Protocol

from schemas.models import InputContract, ModelState, ModelSummary, Task
from service.catalog.card import Card, read_card
from service.catalog.labels import read_labels
from service.catalog.repository import Found, find_models, find_versions
from service.engine.model import Model
from service.engine.probe import Probe
from service.errors import ConvscopeError, ModelFailedError, ModelNotFoundError, VersionNotFoundError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """Why a model did not load. A value: an exception raised to every client would gather all their tracebacks."""

    reason: str


Load = Model | Failure


def unwrap(load: Load) -> Model:
    """The model, or ModelFailedError with the reason."""
    if isinstance(load, Failure):
        raise ModelFailedError(load.reason)
    return load


class Loader(Protocol):
    """Turns a model file into a probe that has run once; raises ModelFailedError."""

    def __call__(
        self, path: Path, *, task: Task | None, default_layer: str | None, input_size: tuple[int, int] | None
    ) -> Probe: ...


class Catalog:
    """Looks at the folders anew at every question, so that models come and go while the service runs.

    Where two folders hold the same name, the earlier folder's counts. Safe to use from several threads.
    """

    def __init__(self, folders: list[Path], loader: Loader) -> None:
        self._folders = folders
        self._loader = loader
        self._lock = Lock()
        # Two, so that a model asked for need not wait for the one that the start-up is loading.
        self._loaders = ThreadPoolExecutor(2, thread_name_prefix="loader")
        self._closed = False
        self._loaded: dict[tuple[str, str], tuple[Found, Future[Load]]] = {}

    def names(self) -> list[str]:
        """The names of all models, those of earlier folders first."""
        return list(dict.fromkeys(name for folder in self._folders for name in find_models(folder)))

    def find(self, name: str, version: str | None = None) -> Found:
        """Find a version on disk, the newest by default. Raises ModelNotFoundError or VersionNotFoundError."""
        versions = self._versions(name)
        if not versions:
            near = get_close_matches(name, self.names(), n=1, cutoff=0.4)
            advice = f"; nearest: '{near[0]}'" if near else "; GET /v1/models lists the models"
            raise ModelNotFoundError(f"model '{name}' is not served here{advice}")
        if version is None:
            return versions[0]
        for found in versions:
            if found.version == version:
                return found
        known = ", ".join(found.version for found in versions)
        raise VersionNotFoundError(f"'{name}' has no version '{version}'; versions: {known}")

    def request(self, name: str, version: str | None = None) -> Future[Load]:
        """The model's load, begun now if it is not loaded; everyone who asks shares it. Must not be cancelled.

        Raises ModelNotFoundError or VersionNotFoundError; see `unwrap` for the future's result.
        """
        found = self.find(name, version)
        key = (found.name, found.version)
        with self._lock:
            known = self._loaded.get(key)
            if known is None or known[0] != found:
                if self._closed:
                    raise ModelFailedError("the service is shutting down")
                known = self._loaded[key] = (found, self._loaders.submit(self._load, found))
            return known[1]

    def model(self, name: str, version: str | None = None) -> Model:
        """The model, waited for. Raises what `request` and `unwrap` raise."""
        return unwrap(self.request(name, version).result())

    def summary(self, name: str) -> ModelSummary:
        """The model's state and, once it is loaded, its contract. Raises ModelNotFoundError."""
        versions = self._versions(name) or [self.find(name)]
        state, reason, model = _state(self._future(versions[0]))
        return ModelSummary(
            name=name,
            versions=[found.version for found in versions],
            state=state,
            reason=reason,
            task=model.anatomy.task if model else None,
            input=input_contract(model) if model else None,
        )

    def load_all(self) -> None:
        """Load the newest version of every model, one after another; failures are kept and logged."""
        for name in self.names():
            try:
                self.model(name)
            except (ConvscopeError, CancelledError):
                # Kept as the model's state, and logged, by the load itself; cancelled ones end with the service.
                continue

    def close(self) -> None:
        """Give up loads that have not begun, and begin no more."""
        with self._lock:
            self._closed = True
        self._loaders.shutdown(wait=False, cancel_futures=True)

    def _versions(self, name: str) -> list[Found]:
        return next(filter(None, (find_versions(folder, name) for folder in self._folders)), [])

    def _future(self, found: Found) -> Future[Load] | None:
        with self._lock:
            known = self._loaded.get((found.name, found.version))
        return known[1] if known is not None and known[0] == found else None

    def _load(self, found: Found) -> Load:
        try:
            model = self._open(found)
        except ConvscopeError as error:
            logger.warning("model %s version %s failed: %s", found.name, found.version, error.detail)
            return Failure(error.detail)
        except Exception as error:
            logger.exception("model %s version %s failed", found.name, found.version)
            return Failure(f"loading failed unexpectedly ({type(error).__name__})")
        logger.info("model %s version %s loaded", found.name, found.version)
        return model

    def _open(self, found: Found) -> Model:
        if found.file is None:
            raise ModelFailedError(found.problem or "no model file")
        card = read_card(found.folder)
        digest = _digest(found.file, card)
        labels = read_labels(card.labels, found.folder)
        probe = self._loader(found.file, task=card.task, default_layer=card.default_layer, input_size=card.input_size)
        classes = probe.anatomy.classes
        if labels is not None and classes is not None and len(labels) != classes:
            raise ModelFailedError(f"model.toml gives {len(labels)} labels, but the network has {classes} classes")
        preprocessing = card.to_preprocessing()
        shape = probe.anatomy.input_shape
        if shape is not None and shape[2] == 1 and not preprocessing.fits_gray:
            raise ModelFailedError(f"preprocessing '{preprocessing.name}' is for RGB, but the network takes gray")
        return Model(
            found.name,
            found.version,
            digest,
            probe,
            preprocessing,
            labels,
            card.input_size,
            frozenset(card.model_fields_set),
        )


def input_contract(model: Model) -> InputContract | None:
    """What a picture becomes before the network sees it; None where no picture goes in."""
    shape = model.anatomy.input_shape
    if shape is None:
        return None
    height, width, channels = shape
    open_height, open_width = model.input_size or (None, None)
    return InputContract(
        height=height or open_height,
        width=width or open_width,
        channels=channels,
        preprocessing=model.preprocessing.name,
    )


def _digest(file: Path, card: Card) -> str:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if card.sha256 is not None and card.sha256.lower() != digest:
        raise ModelFailedError(f"the file's SHA-256 is {digest}, not the one in model.toml")
    return digest


def _state(future: Future[Load] | None) -> tuple[ModelState, str | None, Model | None]:
    if future is None or not future.done():
        return "available", None, None
    load = future.result()
    return ("failed", load.reason, None) if isinstance(load, Failure) else ("ready", None, load)
