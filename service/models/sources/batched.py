"""A source whose models answer concurrent questions together, on one batcher that they share."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from service.engine.batching import BatchingProbe, DynamicBatcher
from service.engine.model import Model
from service.engine.ports.probe import BatchProbe
from service.models.sources.source import ModelVersion, Source


@dataclass(frozen=True)
class Batched:
    """Another source's models; see Source."""

    source: Source
    batcher: DynamicBatcher
    # By name the other source's versions, and what was made of them.
    _made: dict[str, tuple[Sequence[ModelVersion], Sequence[ModelVersion]]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def names(self) -> list[str]:
        """See Source."""
        names = self.source.names()
        for name in self._made.keys() - set(names):
            del self._made[name]
        return names

    def versions(self, name: str) -> Sequence[ModelVersion]:
        """See Source."""
        versions = self.source.versions(name)
        made = self._made.get(name)
        if made is None or made[0] is not versions:
            made = self._made[name] = versions, tuple(map(self._batch, versions))
        return made[1]

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
