"""The models at hand, by name and version: what there is, what is loaded, and which version is served by default.

A model that fails costs no other. All questions are answered from memory: sources are looked at by `refresh` alone, and
by a thread of its own once the catalog is started.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import RLock
from typing import Final

from service.engine.model import Model
from service.engine.nearest import find_nearest, shorten
from service.errors import ConvscopeError, ModelFailedError, ModelNotFoundError
from service.models.chosen_versions import choose_versions, unknown_version
from service.models.facts import keep_facts
from service.models.load import Failure, Load, fail, unwrap
from service.models.residency import Pin, Residency, Resident
from service.models.snapshot import PATIENCE_SECONDS, Snapshot, SnapshotKeeper
from service.models.sources.source import ModelVersion, Source

logger = logging.getLogger(__name__)

Warm = Callable[[Model], None]

# How often a file lies in memory while it is loaded, beside the weights that stay: as Keras reads it, and its arrays.
_LOADING_COPIES: Final = 3
# After which a version that could not be fetched is tried again, although nobody asks for it.
_RETRY_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Lease:
    """A load that somebody waits for, or has: as long as it is held, the model stays in memory."""

    load: Future[Load]
    pin: Pin

    def model(self) -> Model:
        """The model, waited for; it holds the lease's pin. Raises what `unwrap` raises."""
        return replace(unwrap(self.load.result()), pin=self.pin)


def _stay_cold(_: Model) -> None:
    """Where the first request may take longer."""


class Catalog:
    """Where two sources hold the same name, the earlier one's counts. Safe to use from several threads."""

    def __init__(self, sources: Sequence[Source], residency: Residency | None = None) -> None:
        self.residency = residency or Residency()
        self._keeper = SnapshotKeeper(sources)
        self._warm: Warm = _stay_cold
        # Two each, so that a model asked for need not wait for the one that the start-up is loading; and apart, as
        # weights and models that lie elsewhere first have to be fetched, for minutes.
        self._loaders = {
            kind: ThreadPoolExecutor(2, thread_name_prefix=kind) for kind in ("loader", "weights", "fetcher")
        }
        self._lock = RLock()
        self._is_rolling = self._is_closed = False
        # By name, the version that is served where none is named, once it is loaded.
        self._served: dict[str, ModelVersion] = {}
        # What has been loaded because it was noticed: once, or it would come back as often as it has to go.
        self._noticed: set[ModelVersion] = set()
        # Of what has been loaded once: what it is, and what it took.
        self._facts: dict[ModelVersion, Model] = {}
        self._costs: dict[ModelVersion, int] = {}

    def start(self, seconds: float, warm: Warm = _stay_cold, *, load_noticed: bool = False) -> None:
        """Look at the sources every so many seconds, from now on.

        With `load_noticed` the newest version of each model is loaded when it is noticed, and warmed; until then the
        one before is served.
        """
        self._warm, self._is_rolling = warm, True
        self._keeper.start(seconds, self._load_noticed if load_noticed else self._forget_gone)

    def refresh(self) -> None:
        """Look at the sources now, for seconds where they lie elsewhere; what has gone of them is let go of."""
        self._forget_gone(self._keeper.refresh(PATIENCE_SECONDS))

    def has_noticed(self) -> bool:
        """Whether it has begun to load what is to be loaded by itself."""
        return bool(self._noticed)

    def names(self) -> list[str]:
        """The names of all models, those of earlier sources first."""
        return list(self._keeper.latest.models)

    def is_known(self, name: str) -> bool:
        return name in self._keeper.latest.models

    def list_versions(self, name: str) -> list[str]:
        """Newest first. Raises ModelNotFoundError."""
        self.find(name)
        return [each.version for each in self._keeper.latest.versions(name)]

    def versions(self, name: str, asked: object) -> tuple[str, ...]:
        """Versions to be compared: `all`, or some. Raises what `choose_versions` raises, or ModelNotFoundError."""
        return choose_versions(name, self.list_versions(name), asked)

    def find(self, name: str, version: str | None = None) -> ModelVersion:
        """Find a version, by default the one that is served. Raises ModelNotFoundError or VersionNotFoundError."""
        known = self._keeper.latest.versions(name)
        if not known:
            near = find_nearest(name, self.names(), cutoff=0.4)
            advice = f"; nearest: '{near[0]}'" if near else "; GET /v1/models lists the models"
            raise ModelNotFoundError(f"model '{shorten(name)}' is not served here{advice}")
        if version is None:
            return self._find_served(name, known[0])
        for model_version in known:
            if model_version.version == version:
                return model_version
        raise unknown_version(name, version, [each.version for each in known])

    def request(self, name: str, version: str | None = None) -> Lease:
        """The model's load, begun now if it is not loaded; everyone who asks shares it.

        Raises ModelNotFoundError or VersionNotFoundError; see `unwrap` for what the load comes to.
        """
        self.find(name, version)
        with self._lock:
            # Found anew: a roll-out in between would have it loaded once more, only to be let go of.
            model_version = self.find(name, version)
            resident = self.residency.find(model_version)
            if resident is None or (resident.failure and resident.failure.passing):
                resident = self._begin(model_version)
            return Lease(resident.load, self.residency.pin(resident))

    def find_resident(self, name: str, version: str | None = None) -> Resident | None:
        """What is loaded, or about to be; raises as `find` does."""
        return self.residency.find(self.find(name, version))

    def find_facts(self, name: str, version: str | None = None) -> Model | None:
        """What is known of a model that was loaded once: it can be described, and not be asked."""
        return self._facts.get(self.find(name, version))

    def model(self, name: str, version: str | None = None) -> Model:
        """The model, waited for. Raises what `request` and `unwrap` raise."""
        return self.request(name, version).model()

    def unload(self, name: str, version: str | None = None) -> None:
        """Let go of one version, or of all. Raises ModelNotFoundError or VersionNotFoundError."""
        wanted = self.find(name, version)
        with self._lock:
            for resident in self.residency.list(name):
                if version is None or resident.version == wanted:
                    self.residency.release(resident)
                    if self._served.get(name) == resident.version:
                        del self._served[name]

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
            self._is_closed = True
        self._keeper.close()
        for pool in self._loaders.values():
            pool.shutdown(wait=False, cancel_futures=True)
        for resident in self.residency.list():
            resident.load.cancel()

    def _find_served(self, name: str, newest: ModelVersion) -> ModelVersion:
        """The newest, or while that is not ready the one before; if that one fails, loaded again if need be."""
        with self._lock:
            served = self._served.get(name)
        if not self._is_rolling or served is None or served == newest:
            return newest
        resident, latest = self.residency.find(served), self.residency.find(newest)
        if resident is not None and resident.state == "ready":
            return served
        has_failed = latest is not None and latest.state == "failed"
        return served if has_failed and self._keeper.latest.holds(served) else newest

    def _begin(self, model_version: ModelVersion, warm: Warm = _stay_cold) -> Resident:
        if self._is_closed:
            raise ModelFailedError("the service is shutting down")
        resident = Resident(model_version, Future())
        self.residency.add(resident)
        kind = "fetcher" if model_version.fetch else "loader" if model_version.at_start else "weights"
        self._loaders[kind].submit(self._load, resident, warm)
        return resident

    def _load(self, resident: Resident, warm: Warm) -> None:
        if not resident.load.set_running_or_notify_cancel():
            return
        load = self._open(resident)
        if isinstance(load, Model):
            with self._lock:
                self._facts[resident.version] = keep_facts(load)
            _warm_up(load, warm)
            self._costs[resident.version] = resident.cost
        else:
            resident.reserved = 0
        resident.note_end()
        if isinstance(load, Model):
            # Before anybody hears that it is loaded: who then asks for the model is to get this version.
            self._serve(resident.version)
        resident.load.set_result(load)

    def _open(self, resident: Resident) -> Load:
        version = resident.version
        try:
            # Before there is room made for it: others stay until it is here.
            expected = version.fetch() if version.fetch else version.expected_bytes
            self.residency.admit(resident, self._costs.get(version, expected), expected * _LOADING_COPIES)
            model = version.open()
            self.residency.settle(resident, model)
        except ConvscopeError as error:
            logger.warning("model %s version %s failed: %s", version.name, version.version, error.detail)
            return fail(error)
        except Exception as error:
            logger.exception("model %s version %s failed", version.name, version.version)
            return Failure(f"loading failed unexpectedly ({type(error).__name__})")
        logger.info("model %s version %s loaded", version.name, version.version)
        return model

    def _serve(self, version: ModelVersion) -> None:
        """The newest version is ready: the one before has done its work."""
        known = self._keeper.latest.versions(version.name)
        with self._lock:
            if not known or known[0] != version:
                return
            self._served[version.name] = version
            kept = {version, *known[1 : 1 + version.keep_versions]}
            for resident in self.residency.list(version.name):
                if self._is_rolling and resident.version not in kept and resident.state == "ready":
                    self.residency.release(resident)

    def _load_noticed(self, snapshot: Snapshot) -> None:
        self._forget_gone(snapshot)
        with self._lock:
            for versions in snapshot.models.values():
                newest = versions[0]
                resident = self.residency.find(newest)
                if resident is not None and resident.state == "ready":
                    if self._served.get(newest.name) != newest:
                        # Loaded when it was not the newest, or for somebody who named it.
                        self._serve(newest)
                elif newest.at_start and not self._is_closed and self._is_due(newest, resident):
                    self._noticed.add(newest)
                    self._begin(newest, self._warm)

    def _is_due(self, newest: ModelVersion, resident: Resident | None) -> bool:
        """Whether it is to be loaded unasked: it is new, or what it was to be fetched from did not answer."""
        if resident is None:
            return newest not in self._noticed
        failed = newest.fetch is not None and resident.failure is not None and resident.failure.passing
        return failed and (datetime.now(UTC) - resident.since).total_seconds() > _RETRY_SECONDS

    def _forget_gone(self, snapshot: Snapshot) -> None:
        """Let go of what the sources have no more, but for what is served until its successor is ready."""
        with self._lock:
            # What is the newest once more, as an alias has moved back, is noticed once more.
            self._noticed &= {versions[0] for versions in snapshot.models.values()}
            self._facts = {version: facts for version, facts in self._facts.items() if snapshot.holds(version)}
            self._costs = {version: cost for version, cost in self._costs.items() if snapshot.holds(version)}
            self._served = {name: version for name, version in self._served.items() if name in snapshot.models}
            served = set(self._served.values()) if self._is_rolling else set()
            for resident in self.residency.list():
                if not snapshot.holds(resident.version) and resident.version not in served:
                    self.residency.release(resident)


def _warm_up(model: Model, warm: Warm) -> None:
    try:
        warm(model)
    except Exception as error:  # noqa: BLE001 - it fails again for whoever asks first, and tells why
        logger.info("model %s is not warmed up: %r", model.name, error)
