"""How a probe computes, whatever it is asked: no answer depends on it beyond rounding. Imports no TensorFlow."""

from dataclasses import dataclass
from typing import Final

from service.engine.reuse import ActivationCache


@dataclass(frozen=True)
class Tuning:
    """`max_traces` compiled graphs are kept per model.

    `fold` lets batch normalisation be computed by the convolution before it; `reuse` keeps what was computed of a
    picture.
    """

    max_traces: int = 64
    fold: bool = True
    reuse: ActivationCache | None = None


UNTUNED: Final = Tuning()
