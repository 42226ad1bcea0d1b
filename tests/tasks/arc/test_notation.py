"""ARC as JSON: what is read, what is refused and why, and how grids look."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trm.errors import InputError
from trm.tasks.arc.grids import decode, encode
from trm.tasks.arc.notation import (
    COLORS,
    board_of,
    format_grid,
    format_puzzle,
    parse_puzzles,
    render_grid,
)
from trm.tasks.base import Puzzle

GRID = [[0, 1], [2, 3], [4, 5]]
PAIR = {"input": [[1]], "output": [[2]]}


def kaggle(**inputs: list[Any]) -> str:
    """Tasks in Kaggle's form, each with these test inputs."""
    return json.dumps({n: {"test": [{"input": grid} for grid in g]} for n, g in inputs.items()})


def summed_up(puzzles: list[Puzzle]) -> list[tuple[str, list[list[int]]]]:
    return [(puzzle.name, decode(puzzle.tokens).tolist()) for puzzle in puzzles]


def moved(grid: np.ndarray, down: int, right: int) -> np.ndarray:
    """The tokens of a grid somewhere else than at the top left, its end markers with it."""
    board = np.zeros((30, 30), np.uint8)
    board[down:, right:] = encode(grid).reshape(30, 30)[: 30 - down, : 30 - right]
    return board.reshape(900)


def test_kaggles_form_may_hold_several_tasks_and_test_inputs() -> None:
    text = kaggle(**{"007bbfb7": [GRID, [[9]]], "00d62c1b": [[[7, 7]]]})
    expected = [("007bbfb7", GRID), ("007bbfb7", [[9]]), ("00d62c1b", [[7, 7]])]
    assert summed_up(parse_puzzles(text)) == expected
    assert summed_up(parse_puzzles(json.dumps(json.loads(text), indent=2), "file")) == expected
    assert parse_puzzles(text)[0].tokens.dtype == np.uint8


def test_a_task_of_its_own_is_named_by_its_file() -> None:
    text = json.dumps({"train": [PAIR], "test": [{"input": GRID, "output": [[0]]}]}, indent=1)
    assert summed_up(parse_puzzles(text, "007bbfb7")) == [("007bbfb7", GRID)]


def test_a_task_without_a_name_is_refused() -> None:
    message = (
        r"^the task has no ID, but the model needs it\. Put the task in a file ID\.json, or give "
        r'\{"ID": \{"test": \[\{"input": \[\[0, 1\], \[2, 3\]\]\}\]\}\}\.$'
    )
    with pytest.raises(InputError, match=message):
        parse_puzzles(json.dumps({"train": [PAIR], "test": [PAIR]}))


def test_objects_may_stand_on_lines_of_their_own() -> None:
    text = f"\n{kaggle(a=[GRID])}\n\n  {kaggle(b=[[[1]], [[2]]])}\r\n{kaggle(a=[[[3]]])}\n"
    assert summed_up(parse_puzzles(text)) == [
        ("a", GRID), ("b", [[1]]), ("b", [[2]]), ("a", [[3]])
    ]  # fmt: skip


@given(
    shape=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    seed=st.integers(0, 2**32 - 1),
    name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
)
@settings(deadline=None, derandomize=True, max_examples=50)
def test_what_is_formatted_is_parsed_back(shape: tuple[int, int], seed: int, name: str) -> None:
    grid = np.random.default_rng(seed).integers(0, 10, shape).astype(np.uint8)
    puzzle = Puzzle(encode(grid), name)
    line = format_puzzle(puzzle)
    assert len(line.splitlines()) == 1
    assert summed_up(parse_puzzles(f"{line}\n{line}")) == [(name, grid.tolist())] * 2
    assert json.loads(format_grid(puzzle.tokens)) == grid.tolist()


@pytest.mark.parametrize("corner", [(0, 0), (3, 0), (0, 5), (27, 28)])
def test_a_grid_is_formatted_wherever_it_is(corner: tuple[int, int]) -> None:
    assert format_grid(moved(np.array(GRID, np.uint8), *corner)) == "[[0,1],[2,3],[4,5]]"


def test_an_answer_is_formatted_as_it_is_judged() -> None:
    tokens = np.zeros((30, 30), np.int32)
    tokens[0, :3], tokens[1, :2], tokens[20, 20] = 4, 5, 6
    assert format_grid(tokens.reshape(900)) == "[[2,2],[3,3]]"
    tokens[0, 0] = 1
    assert format_grid(tokens.reshape(900)) == "[]"
    assert format_grid(np.zeros(900, np.int32)) == "[]"


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ([[0] * 31], "has 1 rows and 31 columns, more than 30x30"),
        ([[1, 2], [3]], "is not rectangular: row 1 has 2 cells, row 2 has 1"),
        ([[1, 2], [3, 10]], "has 10 in row 2, column 2, not a colour 0 to 9"),
        ([["1"]], "has '1' in row 1, column 1, not a colour 0 to 9"),
        ([], "is an empty grid"),
        ([[]], "is an empty grid"),
        (None, "is not a grid (a list of rows)"),
    ],
)
def test_what_is_no_grid_is_refused(raw: Any, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_puzzles(kaggle(a=[GRID, raw]))
    assert str(caught.value).startswith(f"task 'a', test 2, input {problem}. Correct it")


FORM = '{"ID": {"test": [{"input": [[0, 1], [2, 3]]}]}}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"no task was given. Give {FORM}."),
        (" \n", f"no task was given. Give {FORM}."),
        ("{}", f"no task was given. Give {FORM}."),
        ("[[0, 1]]", f"not a JSON object. Give {FORM}, or ARC's JSON file of a task."),
        ('{"a": 5}', f"task 'a' has no list 'test' of test inputs. Give {FORM}."),
        ('{"a": {"test": []}}', f"task 'a' has no list 'test' of test inputs. Give {FORM}."),
        ('{"a": {"train": []}}', f"task 'a' has no list 'test' of test inputs. Give {FORM}."),
        (
            '{"a": {"test": [[[1]]]}}',
            f"task 'a', test 1 is not an object with an 'input'. Give {FORM}.",
        ),
        ('{"a": {"test": [{"output": 1}]}}', "task 'a', test 1 is not an object with an 'input'."),
        ("{'a': 1}", "it is not JSON: Expecting property name enclosed in double quotes: line 1"),
        (
            kaggle(a=[GRID]) + "\n{'a': 1}",
            "line 2: it is not JSON: Expecting property name enclosed",
        ),
        (kaggle(a=[GRID]) + "\n\n[5]", "line 3: not a JSON object. Give"),
        ("[" * 100_000, "it is nested too deeply. Give"),
    ],
)
def test_what_is_no_task_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_puzzles(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_grid_can_be_read_without_its_colours() -> None:
    text = render_grid(moved(np.array(GRID, np.uint8), 4, 9))
    assert text.plain == "0 1 \n2 3 \n4 5 "
    assert [str(span.style) for span in text.spans][:4] == [
        f"#ffffff on {COLORS[0]}",
        f"#ffffff on {COLORS[1]}",
        f"#ffffff on {COLORS[2]}",
        f"#000000 on {COLORS[3]}",
    ]


def test_what_stands_behind_the_end_markers_is_not_shown() -> None:
    tokens = encode(np.array(GRID, np.uint8))
    tokens[tokens == 0] = 5  # a model is never taught what to write there
    assert render_grid(tokens).plain == "0 1 \n2 3 \n4 5 "
    assert board_of(tokens).colors.shape == (3, 2, 3)


def test_of_an_empty_grid_all_that_has_a_colour_is_shown() -> None:
    tokens = encode(np.array(GRID, np.uint8))
    tokens[0], tokens[31] = 1, 0
    text = render_grid(tokens)
    assert text.plain == "· 1 \n2 · \n4 5 "
    assert [str(span.style) for span in text.spans].count("dim") == 2
    board = board_of(tokens)
    assert board.symbols == ("·", "", "", "·", "", "")
    assert board.colors[1, 1].tolist() == [255, 255, 255]


@pytest.mark.parametrize("token", [0, 1])
def test_nothing_is_a_dot(token: int) -> None:
    tokens = np.full(900, token, np.int32)
    assert render_grid(tokens).plain == "· "
    board = board_of(tokens)
    assert (board.colors.tolist(), board.symbols) == ([[[255, 255, 255]]], ("·",))


def test_a_picture_has_the_colours_alone() -> None:
    board = board_of(moved(np.arange(10, dtype=np.uint8)[None], 2, 3))
    assert (board.colors.shape, board.colors.dtype, board.symbols) == ((1, 10, 3), np.uint8, ())
    found = ["#" + bytes(color).hex() for color in board.colors[0].tolist()]
    assert found == list(COLORS)
