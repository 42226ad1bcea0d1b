"""ARC puzzles and grids as JSON, and grids in their colours."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from trm.data import PAD, Split
from trm.errors import InputError
from trm.reading import parse_json
from trm.tasks.arc.grids import FIRST_COLOR, MAX_SIDE, VOCAB_SIZE, decode, encode, parse_grid
from trm.tasks.base import Board, Puzzle

Tokens = NDArray[np.integer[Any]]

#: The colours 0 to 9, as in the ARC testing interface.
COLORS = (
    "#000000", "#0074d9", "#ff4136", "#2ecc40", "#ffdc00",
    "#aaaaaa", "#f012be", "#ff851b", "#7fdbff", "#870c25",
)  # fmt: skip
#: The dark colours, which need white digits.
_DARK = (0, 1, 2, 6, 9)
#: A cell without a colour.
_NO_COLOR, _NO_SYMBOL = "#ffffff", "·"
#: What follows a cell that has just changed, in a terminal.
_CHANGED = "•"
#: What the marks of :func:`render_grid` mean.
LEGEND = {f"{_CHANGED} just changed": "bold"}

_FORM = '{"ID": {"test": [{"input": [[0, 1], [2, 3]]}]}}'


def parse_puzzles(text: str, name: str = "") -> list[Puzzle]:
    """The test inputs of ARC tasks, each with the ID of its task as its name.

    Args:
        text: JSON in Kaggle's format, tasks by ID (one object, or one per line), or a single task,
            an object with ``test``. Demonstrations are ignored and may be missing, and so may the
            outputs of test inputs.
        name: the ID of a single task.

    Raises:
        InputError: if the text has another format, or a grid is invalid.
    """
    puzzles = [
        puzzle
        for tasks in _json_objects(text)
        for task_id, task in _tasks_by_id(tasks, name).items()
        for puzzle in _test_inputs(task_id, task)
    ]
    if not puzzles:
        raise InputError(f"no task was given. Give {_FORM}.")
    return puzzles


def puzzles_json(tasks: object) -> str:
    """Tasks as JSON, from a dictionary that looks like it.

    Raises:
        InputError: for anything else. A grid alone does not say which task it is of.
    """
    if not isinstance(tasks, Mapping):
        raise InputError(
            f"a grid alone does not say of which task it is. Give a dictionary or JSON: {_FORM}."
        )
    try:
        return json.dumps(tasks)
    except (TypeError, ValueError) as error:
        raise InputError(f"the dictionary is no JSON: {error}. Give {_FORM}.") from error


def parse_answer(text: str) -> Tokens:
    """The tokens (900,) of a grid in JSON.

    Raises:
        InputError: if the text is not a grid.
    """
    try:
        grid = parse_json(text)
    except ValueError as error:
        raise InputError(f"the answer is no grid: {error}. Give [[0, 1], [2, 3]].") from error
    return encode(parse_grid(grid, "the answer"))


def format_puzzle(puzzle: Puzzle) -> str:
    """A puzzle on one line that :func:`parse_puzzles` reads."""
    return f'{{{json.dumps(puzzle.name)}: {{"test": [{{"input": {format_grid(puzzle.tokens)}}}]}}}}'


def format_grid(tokens: Tokens) -> str:
    """The grid in tokens (900,), as JSON on one line; ``[]`` if it is empty."""
    return json.dumps(cropped(tokens).tolist(), separators=(",", ":"))


def pairs_json(split: Split, group: int) -> list[dict[str, list[list[int]]]]:
    """The unaugmented examples of a group, in the format of ARC's JSON files."""
    (begin,), (count,) = split.example_range(np.asarray(split.puzzle_offsets[group : group + 1]))
    return [
        {"input": decode(split.inputs[row]).tolist(), "output": decode(split.labels[row]).tolist()}
        for row in range(begin, begin + count)
    ]


def cropped(tokens: Tokens) -> NDArray[np.uint8]:
    """The grid (rows, columns) of colours in tokens (900,).

    It is the largest rectangle of colours at the first row and the first column that are not empty.
    Answers are evaluated in the same way.
    """
    board = np.asarray(tokens, np.uint8).reshape(MAX_SIDE, MAX_SIDE)
    grid: NDArray[np.uint8] = board[_grid_area(tokens)] - FIRST_COLOR
    return grid


def render_grid(tokens: Tokens, before: Tokens | None = None) -> Text:
    """A grid in its colours; see :func:`_visible_grid`.

    Each cell is its digit and a space, or a dot if the cell differs from ``before``.
    """
    text = Text()
    grid, changed = _visible_grid(tokens, before)
    for number, row in enumerate(grid.tolist()):
        for color, is_changed in zip(row, changed[number].tolist(), strict=True):
            mark = _CHANGED if is_changed else " "
            if color < 0:
                text.append(f"{_NO_SYMBOL}{mark}", style="dim")
            else:
                digit = "#ffffff" if color in _DARK else "#000000"
                text.append(f"{color}{mark}", style=f"{digit} on {COLORS[color]}")
        text.append("\n" if number < len(grid) - 1 else "")
    return text


def board_of(tokens: Tokens, before: Tokens | None = None) -> Board:
    """A grid as a picture; see :func:`_visible_grid`."""
    grid, changed = _visible_grid(tokens, before)
    palette = [list(bytes.fromhex(color[1:])) for color in (*COLORS, _NO_COLOR)]
    colors = np.array(palette, np.uint8)[grid]
    symbols = tuple(_NO_SYMBOL if cell < 0 else "" for cell in grid.reshape(-1))
    return Board(colors, symbols if (grid < 0).any() else (), changed=changed)


def _visible_grid(
    tokens: Tokens, before: Tokens | None
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The part of tokens (900,) to show.

    This is the grid. Tokens after the end markers are left out, because they are not trained. If
    the grid is empty, it is the area of all colours, or a single cell.

    Returns:
        The colours (rows, columns), -1 for a cell without a colour, and which cells differ from
        the tokens ``before``.
    """
    area = _grid_area(tokens)
    board = tokens.reshape(MAX_SIDE, MAX_SIDE).astype(np.int64)
    colored = (board >= FIRST_COLOR) & (board < VOCAB_SIZE)
    if not board[area].size:
        rows, columns = (np.flatnonzero(colored.any(axis=axis)) for axis in (1, 0))
        area = (slice(0, 1), slice(0, 1))
        if len(rows):
            area = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    changed = tokens != (tokens if before is None else before)
    colors = np.where(colored, board - FIRST_COLOR, -1)
    return colors[area], changed.reshape(MAX_SIDE, MAX_SIDE)[area]


def _grid_area(tokens: Tokens) -> tuple[slice, slice]:
    """The rows and columns of the grid in tokens (900,); see :func:`cropped`."""
    from trm.tasks.arc.augmentation import grid_size_at  # compiled

    cells: NDArray[np.uint8] = np.ascontiguousarray(tokens, np.uint8)
    used = cells.reshape(MAX_SIDE, MAX_SIDE) != PAD
    down, right = int(used.any(axis=1).argmax()), int(used.any(axis=0).argmax())
    height, width = grid_size_at(cells, down, right)
    return slice(down, down + height), slice(right, right + width)


def _json_objects(text: str) -> Iterator[Mapping[str, Any]]:
    """The JSON objects in a text: a single object, or one per line."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(lines) > 1 and _is_object(lines[0][1]):
        parts = [(f"line {number}: ", line) for number, line in lines]
    else:
        parts = [("", text)] if lines else []
    for where, part in parts:
        try:
            value = parse_json(part)
        except ValueError as error:
            raise InputError(f"{where}{error}. Give {_FORM}.") from error
        if not isinstance(value, dict):
            raise InputError(
                f"{where}not a JSON object. Give {_FORM}, or ARC's JSON file of a task."
            )
        yield value


def _is_object(text: str) -> bool:
    try:
        return isinstance(parse_json(text), dict)
    except ValueError:
        return False


def _tasks_by_id(tasks: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The tasks by ID; ``name`` is the ID of a single task."""
    if not isinstance(tasks.get("test"), list):
        return tasks
    if not name:
        raise InputError(
            "the task has no ID, but the model needs it. Put the task in a file ID.json, or give "
            f"{_FORM}."
        )
    return {name: tasks}


def _test_inputs(task_id: str, task: object) -> Iterator[Puzzle]:
    pairs = task.get("test") if isinstance(task, dict) else None
    if not isinstance(pairs, list) or not pairs:
        raise InputError(f"task {task_id!r:.99} has no list 'test' of test inputs. Give {_FORM}.")
    for number, pair in enumerate(pairs, 1):
        where = f"task {task_id!r:.99}, test {number}"
        if not isinstance(pair, dict) or "input" not in pair:
            raise InputError(f"{where} is not an object with an 'input'. Give {_FORM}.")
        given, answer = parse_grid(pair["input"], f"{where}, input"), pair.get("output")
        solution = None if answer is None else encode(parse_grid(answer, f"{where}, output"))
        yield Puzzle(encode(given), task_id, solution)
