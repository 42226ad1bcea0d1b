"""A puzzle to solve."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trm.errors import InputError

Tokens = NDArray[np.integer[Any]]
Difficulty = Literal["easy", "medium", "hard"]


@dataclass(frozen=True)
class Puzzle:
    """A puzzle to solve.

    Attributes:
        tokens: (seq_len,).
        name: the name of its identifier in the dataset; empty for identifier 0.
        solution: (seq_len,), None if it is unknown or was not read.
    """

    tokens: Tokens
    name: str = ""
    solution: Tokens | None = None

    def __repr__(self) -> str:
        return f"<Puzzle {self.name}".rstrip() + f" of {len(self.tokens)} cells>"


def single_puzzle(puzzles: Sequence[Puzzle]) -> Puzzle:
    """The only puzzle of a sequence.

    Raises:
        InputError: if there are several.
    """
    if len(puzzles) != 1:
        raise InputError(f"{len(puzzles)} puzzles were given. Give one at a time.")
    return puzzles[0]
