"""The kinds of arrays in this room; shapes stand in the names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.uint8]
Booleans = NDArray[np.bool_]
Pixels = NDArray[np.uint8] | NDArray[np.uint16]
