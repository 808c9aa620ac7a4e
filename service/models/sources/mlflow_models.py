"""Models of MLflow that the settings name, without a folder of their own."""

from collections.abc import Mapping

from service.models.model_config import ModelConfig
from service.models.sources.remote_models import RemoteModels
from service.models.sources.repository import Found
from service.models.sources.source import ModelVersion


class MlflowModels:
    """`sources` are URIs of MLflow's, by the names that the models are served under."""

    def __init__(self, sources: Mapping[str, str], models: RemoteModels) -> None:
        self._sources = sources
        self._models = models

    def names(self) -> list[str]:
        """See Source."""
        return list(self._sources)

    def versions(self, name: str) -> list[ModelVersion]:
        """See Source."""
        source = self._sources.get(name)
        if source is None:
            return []
        # There is no folder with a model.toml.
        found = Found(name, "1", self._models.cache.folder / "none", None, None, ())
        return self._models.versions(found, source, ModelConfig())

    def look(self, since: float, until: float) -> bool:
        """See Source."""
        return self._models.look(since, until)

    def close(self) -> None:
        """See Source."""
        self._models.close()
