"""The axes of each task's boards, for grid positions."""

import numpy as np
import pytest

from trm.data import DatasetMeta
from trm.tasks.registry import get_task


def axes_of(task: str, size: int) -> list[np.ndarray]:
    meta = DatasetMeta(
        task=task, source="x", seed=0, vocabulary=("a", "b"), seq_len=size * size,
        properties={"size": size},
    )  # fmt: skip
    return [np.array(axis).reshape(size, size) for axis in get_task(task).cell_axes(meta)]


@pytest.mark.parametrize(("task", "size"), [("maze", 5), ("arc1", 30), ("arc2", 30)])
def test_a_board_has_rows_and_columns(task: str, size: int) -> None:
    rows, columns = axes_of(task, size)
    assert (rows == np.arange(size)[:, None]).all()
    assert (columns == np.arange(size)).all()


@pytest.mark.parametrize(("size", "height", "width"), [(4, 2, 2), (6, 2, 3), (9, 3, 3)])
def test_a_sudoku_has_boxes_too(size: int, height: int, width: int) -> None:
    rows, columns, boxes = axes_of("sudoku", size)
    assert (rows == np.arange(size)[:, None]).all()
    assert (columns == np.arange(size)).all()
    for box in range(size):
        cells = np.argwhere(boxes == box)
        assert len(cells) == size
        assert (np.ptp(cells, axis=0) == (height - 1, width - 1)).all()
