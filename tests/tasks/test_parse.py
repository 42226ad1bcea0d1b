"""What all tasks do with text: a check that can be left out, and answers read back."""

from typing import Any

import numpy as np
import pytest

from trm.errors import InputError
from trm.tasks.registry import get_task

SUDOKU, MAZE = {"size": 4}, {"size": 3}


@pytest.mark.parametrize(
    ("name", "properties", "text", "message"),
    [
        ("sudoku", SUDOKU, "11" + "." * 14, "digit 1 twice in row 1"),
        ("maze", MAZE, "S..##.Goo", "'o' marks a path"),
        ("maze", MAZE, "S..##SG..", "a second S"),
        ("maze", MAZE, "S..##....", "the maze has no G"),
        ("maze", MAZE, "S..###G..", "no path from S to G"),
    ],
)
def test_rules_are_checked_unless_not_wanted(
    name: str, properties: dict[str, Any], text: str, message: str
) -> None:
    task = get_task(name)
    with pytest.raises(InputError, match=message):
        task.parse(text, properties)
    (puzzle,) = task.parse(text, properties, check=False)
    assert task.format(puzzle.tokens) == text


@pytest.mark.parametrize(
    ("name", "properties", "text", "message"),
    [
        ("sudoku", SUDOKU, "1" * 15, "has 15 characters, not 16"),
        ("sudoku", SUDOKU, "5" * 16, "'5' in row 1, column 1"),
        ("maze", MAZE, "SS", "the maze has 1 row, not 3"),
        ("maze", MAZE, "SSS......x", "line 1 has 10 characters"),
        ("maze", MAZE, "S.x......", "line 1, column 3: 'x' is not a cell"),
        ("arc1", {}, "[]", "not a JSON object"),
    ],
)
def test_what_cannot_be_read_is_refused_all_the_same(
    name: str, properties: dict[str, Any], text: str, message: str
) -> None:
    for check in (True, False):
        with pytest.raises(InputError, match=message):
            get_task(name).parse(text, properties, check=check)


@pytest.mark.parametrize(
    ("name", "properties", "text", "written"),
    [
        ("sudoku", SUDOKU, "1234341221434321", "1234341221434321"),
        ("maze", MAZE, "Soo##oGoo", "Soo##oGoo"),
        ("maze", MAZE, "S  ## G  ", "S..##.G.."),
        ("arc1", {}, " [[0, 1],\n [2, 3]]", "[[0,1],[2,3]]"),
    ],
)
def test_an_answer_is_read_as_it_is_written(
    name: str, properties: dict[str, Any], text: str, written: str
) -> None:
    task = get_task(name)
    tokens = task.parse_answer(text, properties)
    assert task.format(tokens) == written
    assert np.array_equal(task.parse_answer(written, properties), tokens)


@pytest.mark.parametrize(
    ("name", "properties", "text", "message"),
    [
        ("sudoku", SUDOKU, "1", "has 1 character, not 16"),
        ("sudoku", SUDOKU, "1" * 16, "digit 1 twice"),
        ("sudoku", SUDOKU, "\n".join(["." * 16] * 2), "2 puzzles were given"),
        ("maze", MAZE, "Soo", "the maze has 1 row"),
        ("arc2", {}, "[[0, 1], [2]]", "^the answer"),
        (
            "arc2",
            {},
            "[[0, 1]",
            r"^the answer is no grid: it is not JSON: .*\. Give \[\[0, 1\], \[2, 3\]\]\.$",
        ),
    ],
)
def test_an_answer_that_cannot_be_read(
    name: str, properties: dict[str, Any], text: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        get_task(name).parse_answer(text, properties)
