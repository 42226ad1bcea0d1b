"""Guesses: puzzles with one more cell filled in, which are easier if the guess is right."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trm.inference.solution import SolutionStep
from trm.tasks.base import Tokens


def guess_cells(
    puzzle: Tokens, step: SolutionStep, values: Sequence[int], count: int
) -> NDArray[np.int32]:
    """Copies of a puzzle (count, seq_len), each with another guess in an open cell.

    The guesses are the two most likely values of the cells of which the model is least certain. If
    there are fewer than ``count``, they are repeated.

    Args:
        puzzle: (seq_len,), of which at least one cell is open.
        step: the last one of an answer that is not valid.
        values: the tokens that a cell may have.
        count: how many guesses to make.
    """
    assert step.confidence is not None
    assert step.second is not None
    is_open = ~np.isin(puzzle, values)
    order = np.argsort(np.where(is_open, step.confidence, np.inf), kind="stable")
    cells = order[: is_open.sum()].repeat(2)
    guesses = np.stack([step.board, step.second], axis=1)[order[: is_open.sum()]].ravel()
    known = np.isin(guesses, values)
    cells, guesses = np.resize(cells[known], count), np.resize(guesses[known], count)
    copies = np.repeat(puzzle[None].astype(np.int32), count, axis=0)
    copies[np.arange(count), cells] = guesses
    return copies
