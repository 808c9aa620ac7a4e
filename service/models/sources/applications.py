"""`keras.applications` as a source of models, each loaded when it is first asked for."""

import hashlib
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Literal, Protocol

from service.engine.model import Model
from service.engine.ports.probe import Probe
from service.errors import ModelFailedError
from service.models.labels import imagenet_labels
from service.models.preprocessing import PRESETS
from service.models.sources.application_table import APPLICATIONS, Application
from service.models.sources.source import ModelVersion
from service.models.sources.weights import WeightsStore, damaged

WeightsChoice = Literal["imagenet", "none"]


class ApplicationLoader(Protocol):
    """Builds a network and runs it once; with `weights` only if that file is in Keras's cache, else at random.

    Raises ModelFailedError.
    """

    def __call__(self, function: str, *, weights: Path | None, side: int | None) -> Probe: ...


class Applications:
    """Every classifier of `keras.applications`, with ImageNet's weights and labels, or with random weights."""

    def __init__(self, loader: ApplicationLoader, store: WeightsStore, *, weights: WeightsChoice) -> None:
        self._loader = loader
        self._store = store
        self._weights = weights

    def names(self) -> list[str]:
        """See Source."""
        return list(APPLICATIONS)

    def versions(self, name: str) -> list[ModelVersion]:
        """See Source; there is one version of each."""
        application = APPLICATIONS.get(name)
        if application is None:
            return []
        return [ModelVersion(name, "1", stamp=application, at_start=False, open=partial(self._open, application))]

    def look(self, since: float, until: float) -> bool:  # noqa: ARG002 - as of other sources
        """See Source; the list is the program's own."""
        return False

    def close(self) -> None:
        """See Source."""
        self._store.close()

    def _open(self, application: Application) -> Model:
        file = self._store.get(application.weights) if self._weights == "imagenet" else None
        try:
            probe = self._loader(application.function, weights=file, side=application.side)
        except ModelFailedError as error:
            if file is None:
                raise
            raise damaged(application.weights) from error
        return Model(
            name=application.name,
            version="1",
            digest=_digest(application.name, file),
            probe=probe,
            preprocessing=PRESETS[application.preprocessing],
            labels=imagenet_labels(),
            stated=frozenset({"preprocessing"}),
        )


def _digest(name: str, file: Path | None) -> str:
    if file is None:
        return hashlib.sha256(f"{name}, random weights, keras {version('keras')}".encode()).hexdigest()
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
