"""The picture that Keras 2 and this service are shown. Imports NumPy alone."""

from typing import Any

import numpy as np


def picture(height: int, width: int, channels: int) -> Any:
    """Waves from 0 to 255, rounded to what is the same everywhere; hardly two numbers are, which maxima would tell."""
    y, x, channel = np.indices((height, width, channels))
    waves = np.sin(0.37 * y + 1.1 * channel) * np.cos(0.23 * x - 0.7 * channel)
    return (np.rint(127.5 * 64 * (1 + waves)) / 64).astype(np.float32)
