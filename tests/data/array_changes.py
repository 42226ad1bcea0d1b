"""Changes of one array of a dataset, which make it a damaged one."""

from collections.abc import Callable
from typing import Any

import numpy as np

Change = Callable[[np.ndarray], np.ndarray]


def with_row(row: int, value: Any) -> Change:
    """Change a row of an array."""

    def change(array: np.ndarray) -> np.ndarray:
        array[row] = value
        return array

    return change
