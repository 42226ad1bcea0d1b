"""New puzzles of a chosen difficulty."""

import numpy as np
import pytest

from trm.data import DatasetMeta
from trm.errors import InputError
from trm.tasks.base import Difficulty
from trm.tasks.registry import get_task
from trm.tasks.square_boards import SquareBoardTask, board_meta

ID = "007bbfb7"


def meta_of(task: str, size: int) -> DatasetMeta:
    found = get_task(task)
    assert isinstance(found, SquareBoardTask)
    return board_meta(task, found.options("mini"), found.vocabulary(size), size)


def drawn(task: str, size: int, difficulty: Difficulty, seed: int) -> str:
    rng = np.random.default_rng(seed)
    found = get_task(task).draw_puzzle(meta_of(task, size), (), difficulty, rng)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("task", "size"), [("sudoku", 4), ("sudoku", 6), ("sudoku", 9), ("maze", 6), ("maze", 10)]
)
@pytest.mark.parametrize("difficulty", ["easy", "medium", "hard"])
def test_boards(task: str, size: int, difficulty: Difficulty) -> None:
    text = drawn(task, size, difficulty, 1)
    assert len(get_task(task).parse(text, {"size": size})) == 1
    assert text == drawn(task, size, difficulty, 1)
    assert text != drawn(task, size, difficulty, 2)


def test_an_easy_sudoku_has_more_clues() -> None:
    def clues(difficulty: Difficulty) -> int:
        return sum(character != "." for seed in range(8)
                   for character in drawn("sudoku", 9, difficulty, seed))  # fmt: skip

    assert clues("easy") > clues("medium")


def test_a_maze_that_is_too_large_is_not_drawn() -> None:
    rng = np.random.default_rng(0)
    assert get_task("maze").draw_puzzle(meta_of("maze", 65), (), "easy", rng) is None


def test_arc_draws_a_task_that_the_model_knows() -> None:
    arc = get_task("arc1")
    meta = arc.published_data_meta(12, 900)
    assert meta
    text = arc.draw_puzzle(meta, ("<blank>", ID), "hard", np.random.default_rng(0))
    assert text is not None
    (puzzle,) = arc.parse(text, {})
    assert (puzzle.name, puzzle.solution) == (ID, None)
    assert '"train": [{"input": [[' in text
    assert arc.draw_puzzle(meta, ("<blank>",), "hard", np.random.default_rng(0)) is None


def test_a_size_that_no_sudoku_has() -> None:
    meta = meta_of("maze", 7)
    with pytest.raises(InputError, match="not supported"):
        get_task("sudoku").draw_puzzle(meta, (), "easy", np.random.default_rng(0))
