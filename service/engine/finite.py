"""One check for all numbers on their way out: NaN and infinity are an error, and never drawn, kept or sent."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from service.errors import NotFiniteError

_SENTENCE: Final = "the network holds or answers NaN or infinity: check its weights and its preprocessing"


def require_finite(arrays: Iterable[NDArray[Any]]) -> None:
    """Raises NotFiniteError."""
    if not all(np.isfinite(array).all() for array in arrays):
        raise NotFiniteError(_SENTENCE)


@contextmanager
def finite_values() -> Iterator[None]:
    """For code that puts numbers into `values`, which take none that is NaN or infinite. Raises NotFiniteError."""
    try:
        # A mean of infinities warns before it is found to be none.
        with np.errstate(invalid="ignore", over="ignore"):
            yield
    except ValidationError as error:
        if any(item["type"] == "finite_number" for item in error.errors(include_url=False, include_input=False)):
            raise NotFiniteError(_SENTENCE) from error
        raise
