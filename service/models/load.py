"""What a load came to, as a value: an exception raised to every client would gather all their tracebacks."""

from dataclasses import dataclass

from service.engine.model import Model
from service.errors import ConvscopeError, ModelFailedError, ServerBusyError, WeightsUnavailableError

# Of these the next request tries again.
_PASSING: tuple[type[ConvscopeError], ...] = (WeightsUnavailableError, ServerBusyError)


@dataclass(frozen=True)
class Failure:
    """Why a model did not load, and as which error that is told."""

    reason: str
    error: type[ConvscopeError] = ModelFailedError

    @property
    def passing(self) -> bool:
        """Whether it is not remembered."""
        return self.error in _PASSING


Load = Model | Failure


def unwrap(load: Load) -> Model:
    """The model, or ModelFailedError, WeightsUnavailableError or ServerBusyError with the reason."""
    if isinstance(load, Failure):
        raise load.error(load.reason)
    return load


def fail(error: ConvscopeError) -> Failure:
    """What is remembered of an error."""
    return Failure(error.detail, type(error) if isinstance(error, _PASSING) else ModelFailedError)
