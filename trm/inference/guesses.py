"""Guesses: puzzles with more cells filled in, which are easier if the guesses are right."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trm.inference.search import Search
from trm.inference.solution import SolutionStep
from trm.tasks.base import Tokens

#: The guesses that one copy of a puzzle leads to, if there are enough.
_GUESSES_OF_A_COPY = 16


@dataclass(frozen=True)
class GuessedPuzzle:
    """A puzzle, with guesses or without, and how the model answered it.

    Attributes:
        tokens: (seq_len,), with the guesses filled in.
        step: the last one of the answer, which was not valid.
    """

    tokens: Tokens
    step: SolutionStep


class GuessSearch:
    """Solves copies of puzzles, each with one more cell filled in by a guess, in rounds.

    If no copy has a valid answer, the next round starts from the copies with the highest mean
    confidence.

    Args:
        puzzles: with their first answers.
        values: the tokens that a cell may have.
        guesses: copies of each puzzle in a round, at most.
        rounds: how often to guess, at most.
        start: solves the puzzles of these numbers from these copies (batch, seq_len), one for each
            guess.
    """

    def __init__(
        self,
        puzzles: Sequence[GuessedPuzzle],
        values: Sequence[int],
        guesses: int,
        rounds: int,
        start: Callable[[Sequence[int], Sequence[NDArray[np.int32]]], Search],
    ) -> None:
        self._leaders = {number: [puzzle] for number, puzzle in enumerate(puzzles)}
        self._values, self._guesses, self._rounds = values, guesses, rounds
        self._start = start

    def steps(self) -> Iterator[dict[int, SolutionStep]]:
        """See :meth:`Search.steps`. Step numbers continue from one round to the next."""
        before = 0
        for _ in range(self._rounds):
            numbers = list(self._leaders)
            copies = [self._copies(self._leaders[number]) for number in numbers]
            width = max(map(len, copies))  # puzzles with fewer guesses repeat theirs
            padded = [np.resize(own, (width, own.shape[1])) for own in copies]
            search = self._start(numbers, list(np.stack(padded, axis=1)))
            taken = 0
            for found in search.steps():
                taken += 1
                yield {
                    numbers[place]: replace(
                        step, step=before + step.step, num_rollouts=len(copies[place])
                    )
                    for place, step in found.items()
                }
            before += taken
            count = max(1, self._guesses // _GUESSES_OF_A_COPY)
            self._leaders = {
                numbers[place]: _leaders(copies[place], answers, count)
                for place, answers in search.open_answers().items()
            }
            if not self._leaders:
                return

    def _copies(self, leaders: Sequence[GuessedPuzzle]) -> NDArray[np.int32]:
        """The copies (copies, seq_len) of a puzzle that a round solves, no two alike."""
        each = -(-self._guesses // len(leaders))
        copies = np.concatenate([guess_cells(leader, self._values, each) for leader in leaders])
        _, first = np.unique(copies, axis=0, return_index=True)
        return copies[np.sort(first)][: self._guesses]


def guess_cells(puzzle: GuessedPuzzle, values: Sequence[int], count: int) -> NDArray[np.int32]:
    """Copies of a puzzle (count, seq_len), each with another guess in an open cell.

    The guesses are the two most likely values of the cells of which the model is least certain.
    There are fewer copies if there are fewer such guesses. Without an open cell, the only copy is
    the puzzle itself.

    Args:
        puzzle: the puzzle.
        values: the tokens that a cell may have.
        count: how many guesses to make.
    """
    step, tokens = puzzle.step, puzzle.tokens.astype(np.int32)
    assert step.confidence is not None
    assert step.second is not None
    is_open = ~np.isin(tokens, values)
    order = np.argsort(np.where(is_open, step.confidence, np.inf), kind="stable")
    cells = order[: is_open.sum()]
    guesses = np.stack([step.board[cells], step.second[cells]], axis=1).ravel()
    cells, known = cells.repeat(2), np.isin(guesses, values)
    cells, guesses = cells[known][:count], guesses[known][:count]
    copies = np.repeat(tokens[None], max(1, len(cells)), axis=0)
    copies[np.arange(len(cells)), cells] = guesses
    return copies


def _leaders(
    copies: NDArray[np.int32], answers: Sequence[SolutionStep], count: int
) -> list[GuessedPuzzle]:
    """The copies with the highest mean confidence. Answers to repeated ones are left out."""
    certain = [float(np.mean(answer.confidence)) for answer in answers]  # type: ignore[arg-type]
    best = sorted(range(len(copies)), key=lambda place: -certain[place])[:count]
    return [GuessedPuzzle(copies[place], answers[place]) for place in best]
