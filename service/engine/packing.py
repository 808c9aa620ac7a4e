"""Arrays as text, as the parts of a job are kept: JSON holds no bytes."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack(values: NDArray[Any]) -> dict[str, Any]:
    """An array of numbers as `shape`, `type` (little-endian) and base64."""
    ordered = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    text = base64.b64encode(ordered.tobytes()).decode("ascii")
    return {"shape": list(values.shape), "type": ordered.dtype.str, "base64": text}


def unpack(packed: dict[str, Any]) -> NDArray[Any]:
    """What `pack` packed; not to be written to."""
    return np.frombuffer(base64.b64decode(packed["base64"]), packed["type"]).reshape(packed["shape"])
