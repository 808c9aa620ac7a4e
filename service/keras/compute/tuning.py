"""How a probe computes, whatever it is asked: no answer depends on it beyond rounding. Imports no TensorFlow."""

from dataclasses import dataclass
from typing import Final

from service.engine.activation_cache import ActivationCache


@dataclass(frozen=True)
class Tuning:
    """`max_traces` compiled graphs are kept per model, as far as the kernels in them take no more than `max_bytes`.

    All that they take in memory is no more than `max_held_bytes`. `fold` lets kernels be constants of the graph, with
    the batch normalisation after them folded in. What was computed of a picture is kept in the `activation_cache`. No
    pass takes more pictures than `pass_bytes` has room for, by the widest layer.
    """

    max_traces: int = 64
    max_bytes: int = 2**29
    max_held_bytes: int | None = None
    fold: bool = True
    activation_cache: ActivationCache | None = None
    pass_bytes: int = 2**29


UNTUNED: Final = Tuning()
