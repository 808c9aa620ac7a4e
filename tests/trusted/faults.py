"""A layer that does harm to the process that it is built, called or made in."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any, Final

import keras
import numpy as np

_BOMB_BYTES: Final = 100 * 10**9


def _sleep_on() -> None:
    while True:
        time.sleep(1)


_FAULTS: Final[dict[str, Callable[[], object]]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "raise": lambda: signal.raise_signal(signal.SIGSEGV),
    "fill": lambda: np.full(_BOMB_BYTES, 1, np.uint8),
    "endless": _sleep_on,
}


@keras.saving.register_keras_serializable("ours")
class Faulty(keras.layers.Layer):
    """`fault` happens in `place`: "build" or "call"."""

    def __init__(self, fault: str | None = None, place: str = "call", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fault = fault
        self.place = place

    def build(self, input_shape: Any) -> None:
        self._do("build")

    def call(self, inputs: Any) -> Any:
        self._do("call")
        return inputs

    def _do(self, place: str) -> None:
        if self.fault is not None and place == self.place:
            _FAULTS[self.fault]()

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"fault": self.fault, "place": self.place}
