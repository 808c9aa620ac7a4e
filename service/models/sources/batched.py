"""A source whose models answer concurrent questions together, on one batcher that they share."""

from dataclasses import dataclass, replace

from service.engine.batching import BatchingProbe, DynamicBatcher
from service.engine.model import Model
from service.engine.ports.probe import BatchProbe
from service.models.sources.source import ModelVersion, Source


@dataclass(frozen=True)
class Batched:
    """Another source's models; see Source."""

    source: Source
    batcher: DynamicBatcher

    def names(self) -> list[str]:
        """See Source."""
        return self.source.names()

    def versions(self, name: str) -> list[ModelVersion]:
        """See Source."""
        return [self._batch(model_version) for model_version in self.source.versions(name)]

    def look(self, since: float, until: float) -> bool:
        """See Source."""
        return self.source.look(since, until)

    def close(self) -> None:
        """See Source."""
        self.source.close()

    def _batch(self, model_version: ModelVersion) -> ModelVersion:
        def open_batched() -> Model:
            model = model_version.open()
            if not isinstance(model.probe, BatchProbe):
                return model
            return replace(model, probe=BatchingProbe(model.probe, self.batcher, model.name))

        return replace(model_version, open=open_batched)
