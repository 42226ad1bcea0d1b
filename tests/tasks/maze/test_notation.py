"""Mazes as text: what is read, what is refused and why, and how mazes look."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.style import Style

from trm.errors import InputError
from trm.tasks.maze.notation import find_mazes, format_maze, maze_board, parse_mazes, render_maze
from trm.tasks.maze.solver import solve

Drawn = Callable[[str], np.ndarray]
BLOCK = "S..\n##.\nG.."
LINE = "S..##.G.."
FORM = r"Give 3 lines of 3 characters, or 9 characters on one line, '\.' for an open cell\.$"


def read(text: str, size: int = 3) -> list[str]:
    return [format_maze(maze) for maze in parse_mazes(text, size)]


@pytest.mark.parametrize("text", [BLOCK, LINE, BLOCK.replace(".", " "), LINE.replace(".", " ")])
def test_a_maze_is_a_line_or_a_block(text: str) -> None:
    assert read(text) == read(text + "\n") == read("\n \n" + text + "\r\n\r\n") == [LINE]
    assert parse_mazes(text, 3)[0].dtype == np.uint8


def test_several_mazes_in_any_form(drawn: Drawn) -> None:
    other = "G.#\n..#\n.S."
    text = f"{LINE}\n{LINE}\n\n{other}\n\n\n{BLOCK}\n{LINE}\n"
    assert read(text) == [LINE, LINE, other.replace("\n", ""), LINE, LINE]
    assert (parse_mazes(text, 3)[0] == drawn("S../##./G..")).all()
    found = list(find_mazes(enumerate(text.splitlines(), 1), 3))
    assert [(maze.line, maze.last_line) for maze in found] == [
        (1, 1), (2, 2), (4, 6), (9, 11), (12, 12)
    ]  # fmt: skip
    assert [read("\n".join(maze.rows)) for maze in found] == [[maze] for maze in read(text)]


def test_rows_whose_spaces_were_cut_off_are_filled_up() -> None:
    assert read("S\n##\nG") == [LINE]
    assert read("S #\n \nG\n") == ["S.#...G.."]
    assert read("S #\n \nG\n \nG\n \nS") == ["S.#...G..", "G.....S.."]
    assert read("   \nS\nG\n\n   \n \nSG") == ["...S..G..", "......SG."]


@given(data=st.data(), size=st.sampled_from([5, 9]), form=st.sampled_from(["line", "block"]))
@settings(deadline=None, derandomize=True, max_examples=40)
def test_what_is_formatted_is_parsed_back(
    mazes: Callable[[int], np.ndarray], data: st.DataObject, size: int, form: str
) -> None:
    maze = mazes(size)[data.draw(st.integers(0, 39))]
    text = format_maze(maze)
    if form == "block":
        rows = [text[start : start + size] for start in range(0, len(text), size)]
        spaces = data.draw(st.booleans())
        if spaces:
            rows = [row.replace(".", " ") for row in rows]
            rows = [row.rstrip() if row.strip() else row for row in rows]
        text = "\n".join(rows)
    (found,) = parse_mazes(text, size)
    assert found.tolist() == maze.tolist()


def test_an_answer_is_formatted_with_its_path() -> None:
    assert format_maze(np.array([0, 1, 2, 3, 4, 5])) == "?#.SGo"


@pytest.mark.parametrize("text", ["", "\n \n", "    "])
def test_no_maze_is_an_error(text: str) -> None:
    with pytest.raises(InputError, match=rf"^no maze was given\. {FORM}"):
        parse_mazes(text, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("S..\nG..", rf"^line 1: the maze has 2 rows, not 3\. {FORM}"),
        (f"{BLOCK}\n\nS.G", rf"^line 5: the maze has 1 row, not 3\. {FORM}"),
        (f"{BLOCK}\n...", rf"^line 1: the maze has 4 rows, not 3\. {FORM}"),
        ("S..\n\n##.\nG..", rf"^line 1: the maze has 1 row, not 3\. {FORM}"),
        (LINE + ".", rf"^line 1 has 10 characters, neither a row of 3 nor a maze of 9\. {FORM}"),
        (f"{LINE}\n{LINE[1:]}", r"^line 2 has 8 characters, neither a row of 3 nor a maze of 9"),
        ("S..\n##.\nG...", r"^line 3 has 4 characters, neither a row of 3 nor a maze of 9"),
    ],
)
def test_a_wrong_shape_says_the_right_one(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_mazes(text, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("S..##.Gx.", r"^line 1, column 8: 'x' is not a cell\. Use # for a wall, '\.' or a space"),
        ("S..\n#x.\nG..", r"^line 2, column 2: 'x' is not a cell\."),
        (
            "S..\n##.\nGoo",
            r"^line 3, column 2: 'o' marks a path, but a puzzle has no path yet\. Write",
        ),
        (f"{BLOCK}\n\nS..\n##.\n..S", r"^line 7, column 3: a second S\. Remove one of them\.$"),
        ("SGG......", r"^line 1, column 3: a second G\. Remove one of them\.$"),
        ("\n...\n##.\nG..", r"^line 2: the maze has no S\. Add one\.$"),
        (f"{LINE}\nS........", r"^line 2: the maze has no G\. Add one\.$"),
        ("S..\n###\nG..", r"^line 1: the maze has no path from S to G\. Remove some walls\.$"),
        (f"{LINE}\nS##.##..G", r"^line 2: the maze has no path from S to G\."),
    ],
)
def test_a_mistake_says_where_it_is(text: str, message: str) -> None:
    text = text.replace("S##.##..G", "S#.##...G")
    with pytest.raises(InputError, match=message):
        parse_mazes(text, 3)


def styles(tokens: np.ndarray, given: np.ndarray | None = None) -> list[list[tuple[str, Style]]]:
    """What is drawn for each cell, by row."""
    text = render_maze(tokens, given).wide
    size = round(len(tokens) ** 0.5)
    found = []
    for row in range(size):
        found.append([])
        for column in range(size):
            start = row * (2 * size + 1) + 2 * column
            spans = [s.style for s in text.spans if s.start <= start < s.end]
            style = Style.parse(str(spans[0])) if spans else Style()
            found[-1].append((text.plain[start : start + 2], style))
    return found


def test_a_cell_is_two_characters_wide(drawn: Drawn) -> None:
    assert str(render_maze(drawn("So./#o./?oG".replace("?", "#")))).split("\n") == [
        "S •   ",
        "██•   ",
        "██• G ",
    ]
    assert str(render_maze(np.zeros(4, np.uint8))) == "? ? \n? ? "


def test_a_path_in_the_given_maze_is_not_red(drawn: Drawn) -> None:
    maze = drawn("S../##./G..")
    label = solve(maze[None])[0]
    assert styles(label, maze) == styles(label)
    assert len({str(style) for row in styles(label) for _, style in row}) == 4
    assert styles(maze, maze) == styles(maze)


def test_cells_that_the_answer_changed_are_red(drawn: Drawn) -> None:
    maze, answer = drawn("S../##./G.."), drawn("o.#/.oS/GG.")
    found = styles(answer, maze)
    red = [["red" in str(style) for _, style in row] for row in found]
    assert red == [[True, False, True], [True, True, True], [False, True, False]]
    assert found[0][2][1] == Style.parse("red")
    assert found[1][0] == ("  ", Style.parse("on red"))


def test_a_picture_has_a_colour_for_each_kind_of_cell(drawn: Drawn) -> None:
    label = drawn("Soo/##o/Goo")
    board = maze_board(label)
    assert (board.colors.shape, board.colors.dtype) == ((3, 3, 3), np.uint8)
    assert len(np.unique(board.colors.reshape(-1, 3), axis=0)) == 4
    assert board.symbols == ("S", "", "", "", "", "", "G", "", "")


def test_a_picture_marks_what_the_answer_changed(drawn: Drawn) -> None:
    maze, answer = drawn("S../##./G.."), drawn("Soo/#oo/Goo")
    plain, marked = maze_board(answer), maze_board(answer, maze)
    changed = (plain.colors != marked.colors).any(axis=-1)
    assert changed.tolist() == [[False] * 3, [False, True, False], [False] * 3]
    assert marked.colors[1, 1].tolist() == [211, 47, 47]
