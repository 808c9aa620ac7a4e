"""What arrays hold: numbers of networks, and pixels of pictures."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Pixels = NDArray[np.uint8]
