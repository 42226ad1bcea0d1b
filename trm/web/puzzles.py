"""Puzzles of the page: typed or pasted ones are read, and new ones are drawn."""

from typing import Any, get_args

import numpy as np

from trm.errors import InputError
from trm.inference.model import Model
from trm.inference.solve_file import read_puzzles
from trm.reading import parse_json
from trm.tasks.base import Puzzle
from trm.tasks.puzzle import Difficulty

_DIFFICULTIES = get_args(Difficulty)


def read_puzzle(model: Model, text: str) -> dict[str, Any]:
    """The first puzzle in a text, in any format that ``trm solve`` reads, or a name that it has.

    Raises:
        InputError: if it cannot be read.
    """
    text = _named(model, text.strip()) or text
    puzzles = (
        model.parse(text, check=False) if _is_board(model, text) else read_puzzles(model, text)
    )
    return puzzle_json(model, puzzles[0]) | _demonstrations(text, puzzles[0].name)


def draw_puzzle(model: Model, difficulty: str, seed: int) -> dict[str, Any]:
    """A new puzzle.

    Raises:
        InputError: if the difficulty is unknown, or the task draws no such puzzle.
    """
    if difficulty not in _DIFFICULTIES:
        raise InputError(f"difficulty {difficulty!r:.40}: give {', '.join(_DIFFICULTIES)}.")
    names = [] if model.names is None else [name.decode() for name in model.names]
    rng = np.random.default_rng(abs(seed))
    level = _DIFFICULTIES[_DIFFICULTIES.index(difficulty)]
    text = model.task.draw_puzzle(model.checkpoint.data, names, level, rng)
    if text is None:
        raise InputError(f"task {model.task.name} draws no puzzles of this size. Paste one.")
    return read_puzzle(model, text)


def puzzle_json(model: Model, puzzle: Puzzle) -> dict[str, Any]:
    """What the page has to know of a puzzle."""
    return {
        "name": puzzle.name,
        "tokens": puzzle.tokens.tolist(),
        "grid": model.task.format(puzzle.tokens),
        "text": model.task.format_puzzle(puzzle),
    }


def _named(model: Model, name: str) -> str | None:
    """The puzzle with a name that the model was trained on, such as the ID of an ARC task."""
    if model.names is None or name.encode(errors="replace") not in model.names:
        return None
    data, rng = model.checkpoint.data, np.random.default_rng(0)
    return model.task.draw_puzzle(data, [name], "medium", rng)


def _is_board(model: Model, text: str) -> bool:
    """Whether a text is a single puzzle alone, whose clashes the page can show."""
    try:
        return len(model.parse(text, check=False)) == 1
    except InputError:
        return False


def _demonstrations(text: str, name: str) -> dict[str, Any]:
    """The demonstrations of an ARC task, if the text has them; they are only shown."""
    try:
        tasks = parse_json(text)
        pairs = tasks[name]["train"]
        return {"demonstrations": [[pair["input"], pair["output"]] for pair in pairs[:10]]}
    except (ValueError, KeyError, TypeError, IndexError):
        return {}
