"""ARC puzzles and grids as JSON, and grids in their colours."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from trm.data import PAD, Split
from trm.errors import InputError
from trm.tasks.arc.grids import MAX_SIDE, decode, encode, parse_grid
from trm.tasks.arc.identifier_names import FIRST_COLOR, VOCAB_SIZE
from trm.tasks.base import Board, Puzzle

Tokens = NDArray[np.integer[Any]]

#: The colours 0 to 9, as in the ARC testing interface.
COLORS = (
    "#000000", "#0074d9", "#ff4136", "#2ecc40", "#ffdc00",
    "#aaaaaa", "#f012be", "#ff851b", "#7fdbff", "#870c25",
)  # fmt: skip
#: The colours on which white is easier to read than black.
_DARK = (0, 1, 2, 6, 9)
#: A cell without a colour.
_NO_COLOR, _NO_SYMBOL = "#ffffff", "·"

_FORM = '{"ID": {"test": [{"input": [[0, 1], [2, 3]]}]}}'


def parse_puzzles(text: str, name: str = "") -> list[Puzzle]:
    """The test inputs of ARC tasks, each named by its task.

    Args:
        text: JSON in Kaggle's form, tasks by ID (once, or one object a line), or one task, an
            object with ``test``. Demonstrations may be missing; they are not looked at.
        name: the ID of such a single task.

    Raises:
        InputError: if it is none of these, or a grid is none.
    """
    found = [
        puzzle
        for tasks in _objects(text)
        for task_id, task in _by_id(tasks, name).items()
        for puzzle in _test_inputs(task_id, task)
    ]
    if not found:
        raise InputError(f"no task was given. Give {_FORM}.")
    return found


def parse_answer(text: str) -> Tokens:
    """The tokens (900,) of a grid as JSON.

    Raises:
        InputError: if it is none.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the answer is no JSON: {error}. Give [[0, 1], [2, 3]].") from error
    return encode(parse_grid(found, "the answer"))


def format_puzzle(puzzle: Puzzle) -> str:
    """A puzzle on one line that :func:`parse_puzzles` reads."""
    return f'{{{json.dumps(puzzle.name)}: {{"test": [{{"input": {format_grid(puzzle.tokens)}}}]}}}}'


def format_grid(tokens: Tokens) -> str:
    """The grid that tokens (900,) stand for, as JSON on one line; ``[]`` where it is empty."""
    return json.dumps(cropped(tokens).tolist(), separators=(",", ":"))


def pairs_json(split: Split, group: int) -> list[dict[str, list[list[int]]]]:
    """The examples of a group, as its original puzzle has them, as ARC's JSON files have them."""
    (begin,), (count,) = split.example_range(np.asarray(split.puzzle_offsets[group : group + 1]))
    return [
        {"input": decode(split.inputs[row]).tolist(), "output": decode(split.labels[row]).tolist()}
        for row in range(begin, begin + count)
    ]


def cropped(tokens: Tokens) -> NDArray[np.uint8]:
    """The grid (rows, columns) of colours that tokens (900,) stand for.

    It is the largest rectangle of colours at the top left, as an answer is read when it is judged,
    behind the empty rows and columns of a translated grid.
    """
    from trm.tasks.arc.augmentation import corner  # compiled

    cells: NDArray[np.uint8] = np.ascontiguousarray(tokens, np.uint8)
    board = cells.reshape(MAX_SIDE, MAX_SIDE)
    used = board != PAD
    down, right = int(used.any(axis=1).argmax()), int(used.any(axis=0).argmax())
    height, width = corner(cells, down, right)
    grid: NDArray[np.uint8] = board[down : down + height, right : right + width] - FIRST_COLOR
    return grid


def render_grid(tokens: Tokens) -> Text:
    """A grid in its colours, each cell its digit and a space; see :func:`_shown`."""
    text = Text()
    grid = _shown(tokens)
    for number, row in enumerate(grid.tolist()):
        for color in row:
            if color < 0:
                text.append(f"{_NO_SYMBOL} ", style="dim")
            else:
                digit = "#ffffff" if color in _DARK else "#000000"
                text.append(f"{color} ", style=f"{digit} on {COLORS[color]}")
        text.append("\n" if number < len(grid) - 1 else "")
    return text


def board_of(tokens: Tokens) -> Board:
    """A grid as a picture; see :func:`_shown`."""
    grid = _shown(tokens)
    palette = [list(bytes.fromhex(color[1:])) for color in (*COLORS, _NO_COLOR)]
    colors = np.array(palette, np.uint8)[grid]
    if (grid >= 0).all():
        return Board(colors)
    return Board(colors, tuple(_NO_SYMBOL if cell < 0 else "" for cell in grid.reshape(-1)))


def _shown(tokens: Tokens) -> NDArray[np.int64]:
    """What to look at of tokens (900,): colours (rows, columns), -1 where there is none.

    It is the grid they stand for. What a model writes behind the end markers is no part of it, as
    nothing there is trained. Where the grid is empty it is all that has a colour, or else one cell.
    """
    grid = cropped(tokens).astype(np.int64)
    if grid.size:
        return grid
    board = tokens.reshape(MAX_SIDE, MAX_SIDE).astype(np.int64)
    colored = (board >= FIRST_COLOR) & (board < VOCAB_SIZE)
    rows, columns = (np.flatnonzero(colored.any(axis=axis)) for axis in (1, 0))
    found = np.where(colored, board - FIRST_COLOR, -1)
    if not len(rows):
        return found[:1, :1]
    return found[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _objects(text: str) -> Iterator[Mapping[str, Any]]:
    """The JSON objects in a text: one that is all of it, or one a line."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(lines) > 1 and _is_object(lines[0][1]):
        parts = [(f"line {number}: ", line) for number, line in lines]
    else:
        parts = [("", text)] if lines else []
    for where, part in parts:
        try:
            found = json.loads(part)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}no JSON: {error}. Give {_FORM}.") from error
        if not isinstance(found, dict):
            raise InputError(f"{where}no JSON object. Give {_FORM}, or ARC's JSON file of a task.")
        yield found


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _by_id(tasks: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Tasks by ID, of which ``name`` is that of a task that stands alone."""
    if not isinstance(tasks.get("test"), list):
        return tasks
    if not name:
        raise InputError(
            "the task has no ID, and the model knows tasks by their IDs. Put it in a file ID.json, "
            f"or give {_FORM}."
        )
    return {name: tasks}


def _test_inputs(task_id: str, task: object) -> Iterator[Puzzle]:
    pairs = task.get("test") if isinstance(task, dict) else None
    if not isinstance(pairs, list) or not pairs:
        raise InputError(f"task {task_id!r} has no list 'test' of test inputs. Give {_FORM}.")
    for number, pair in enumerate(pairs, 1):
        where = f"task {task_id!r}, test {number}"
        if not isinstance(pair, dict) or "input" not in pair:
            raise InputError(f"{where} is no object with an 'input'. Give {_FORM}.")
        yield Puzzle(encode(parse_grid(pair["input"], f"{where}, input")), task_id)
