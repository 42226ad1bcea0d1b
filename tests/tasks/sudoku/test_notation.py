"""Boards as text: what is read, what is refused and why, and how boards look."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.style import Style
from rich.text import Text

from trm.errors import InputError
from trm.tasks.registry import get_task
from trm.tasks.sudoku.geometry import Geometry
from trm.tasks.sudoku.notation import (
    board_of,
    format_board,
    parse_board,
    parse_boards,
    render_board,
    vocabulary,
)

PUZZLE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"


def tokens(text: str) -> np.ndarray:
    return parse_board(text, Geometry.from_num_cells(len(text)))


def placed(size: int, **digits: int) -> str:
    """A blank board with digits in the cells named like r1c2."""
    board = ["."] * (size * size)
    for cell, digit in digits.items():
        row, column = int(cell[1]), int(cell[3])
        board[(row - 1) * size + column - 1] = str(digit)
    return "".join(board)


def test_tokens_are_those_of_the_published_data() -> None:
    assert vocabulary(Geometry.of(4)) == ("<pad>", ".", "1", "2", "3", "4")
    assert tokens("1..4" + "." * 12)[:4].tolist() == [2, 1, 1, 5]
    assert tokens(PUZZLE).dtype == np.uint8


def test_a_zero_is_a_blank_too() -> None:
    assert (tokens(PUZZLE.replace(".", "0")) == tokens(PUZZLE)).all()


@given(size=st.sampled_from([4, 6, 9]), data=st.data())
@settings(deadline=None, derandomize=True, max_examples=40)
def test_what_is_formatted_is_parsed_back(size: int, data: st.DataObject) -> None:
    cell = data.draw(st.integers(0, size * size - 1))
    other = data.draw(st.integers(0, size * size - 1))
    board = np.ones(size * size, np.uint8)
    board[cell] = data.draw(st.integers(2, size + 1))
    board[other] = (board[cell] - 1) % size + 2  # another digit, so there is no clash
    text = format_board(board)
    assert len(text) == size * size
    assert (tokens(text) == board).all()


def test_padding_is_shown_as_a_space() -> None:
    assert format_board(np.array([0, 1, 2, 10])) == " .19"


@pytest.mark.parametrize("length", [80, 82, 16, 0])
def test_a_wrong_length_says_the_right_one(length: int) -> None:
    message = rf"^the puzzle has {length} characters, not 81\. Give 9 rows of 9, '\.' for a blank"
    with pytest.raises(InputError, match=message):
        parse_board("." * length, Geometry.of(9))


@pytest.mark.parametrize(("size", "character"), [(9, "x"), (9, "٣"), (4, "5"), (6, "7"), (9, " ")])
def test_a_wrong_character_says_where_it_is(size: int, character: str) -> None:
    board = "." * (size + 1) + character + "." * (size * size - size - 2)
    message = (
        rf"^the puzzle has '{character}' in row 2, column 2\. Use the digits 1 to {size}, and "
        r"'\.' or 0 for a blank\.$"
    )
    with pytest.raises(InputError, match=message):
        parse_board(board, Geometry.of(size))


@pytest.mark.parametrize(
    ("board", "where"),
    [
        (placed(9, r3c1=7, r3c9=7), "7 twice in row 3"),
        (placed(9, r1c5=2, r9c5=2), "2 twice in column 5"),
        (placed(9, r7c7=9, r8c8=9), "9 twice in box 9"),
        (placed(6, r1c1=4, r2c3=4), "4 twice in box 1 of 2 rows x 3 columns"),
    ],
)
def test_a_digit_that_stands_twice_is_named(board: str, where: str) -> None:
    with pytest.raises(InputError, match=rf"^the puzzle has the digit {where}\. Correct it\.$"):
        tokens(board)


def test_several_puzzles_stand_on_lines_of_their_own() -> None:
    boards = parse_boards(f"\n  {PUZZLE} \r\n\n{'.' * 81}\n", {"size": 9})
    assert [format_board(board) for board in boards] == [PUZZLE, "." * 81]


def test_of_several_puzzles_the_wrong_one_is_named_by_its_line() -> None:
    with pytest.raises(InputError, match=r"^line 4: the puzzle has 80 characters, not 81\."):
        parse_boards(f"{PUZZLE}\n\n{PUZZLE}\n{PUZZLE[1:]}\n", {"size": 9})


def test_a_single_wrong_puzzle_needs_no_line() -> None:
    with pytest.raises(InputError, match=r"^the puzzle has 80 characters, not 81\."):
        parse_boards(f"\n{PUZZLE[1:]}\n", {"size": 9})


def test_boards_of_another_size_are_named() -> None:
    drawn = "\n".join(PUZZLE[start : start + 9] for start in range(0, 81, 9))
    for text in (PUZZLE, drawn, f"{PUZZLE}\n{PUZZLE}"):
        with pytest.raises(InputError, match=r"^this is a 9x9 board, but the model is for 6x6 b"):
            parse_boards(text, {"size": 6})
    with pytest.raises(InputError, match=r"^the puzzle has 81 characters, not 36\."):
        parse_boards(f"x{PUZZLE[1:]}", {"size": 6})


DRAWN = """\
 5 3 . | . 7 . | . . .
 6 . . | 1 9 5 | . . .
 . 9 8 | . . . | . 6 .
-------+-------+-------
 8 . . | . 6 . | . . 3
 4 . . | 8 . 3 | . . 1
 7 . . | . 2 . | . . 6
-------+-------+-------
 . 6 . | . . . | 2 8 .
 . . . | 4 1 9 | . . 5
 . . . | . 8 . | . 7 9"""
SPLIT = DRAWN.splitlines()


def drawn_with(*rows: str) -> str:
    """The board with other rows, by the place in ``SPLIT``."""
    changed = [row.partition("=") for row in rows]
    return "\n".join({int(place): row for place, _, row in changed}.get(number, line)
                     for number, line in enumerate(SPLIT))  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        DRAWN,
        DRAWN.replace("-------+-------+-------\n", "\n"),
        DRAWN.replace("-------+-------+-------\n", "").replace(" ", "").replace("|", ""),
        DRAWN.replace(".", "_").replace("-", "=").replace("+", "="),
        "\n".join(f"| {line[1:]} |" for line in ["-" * 23, *SPLIT, "-" * 23]).replace(".", "0"),
        "╔═══╗\n" + DRAWN.replace("|", "║").replace("-", "═").replace("+", "╬").replace(".", "*"),
        f"{PUZZLE[:27]} {PUZZLE[27:54]} {PUZZLE[54:]}",
        f"train 0: {PUZZLE}\n" + "\n".join(f"{line:23}    {line}" for line in SPLIT),
        str(np.array([*PUZZLE.replace(".", "0")], np.uint8).reshape(9, 9)),
        str(np.array([*PUZZLE.replace(".", "0")], np.uint8).reshape(9, 9).tolist()),
    ],
    ids=[
        "ours",
        "blank lines",
        "plain rows",
        "_ and =",
        "framed",
        "boxes",
        "a line",
        "two boards",
        "an array",
        "lists",
    ],
)
def test_a_board_is_read_as_it_is_drawn(text: str) -> None:
    (board,) = parse_boards(f"\n{text}\n\n", {"size": 9})
    assert format_board(board) == PUZZLE
    ((line, divided),) = get_task("sudoku").divide(enumerate(text.splitlines(), 1), {"size": 9})
    assert line <= len(text.splitlines())
    (again,) = parse_boards(divided, {"size": 9})
    assert (again == board).all()


@given(size=st.sampled_from([4, 6, 9]), seed=st.integers(0, 99))
@settings(deadline=None, derandomize=True, max_examples=20)
def test_boards_that_are_shown_can_be_pasted(size: int, seed: int) -> None:
    """Alone, several with blank lines between them, and between puzzles on a line."""
    tokens_of = np.random.default_rng(seed).integers(1, size + 2, (2, size * size))
    shown = [render_board(board).plain for board in tokens_of]
    lines = [format_board(board) for board in tokens_of]
    for text in (*shown, "\n\n".join(shown), "\n".join([lines[0], shown[1], lines[1]])):
        found = parse_boards(text, {"size": size}, check=False)
        assert {format_board(board) for board in found} <= set(lines)
        assert len(found) == 1 + text.count("\n\n") + 2 * (lines[0] in text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n".join(SPLIT[:-1]), "the board has 8 rows, not 9. Give 9 rows of 9, '.' for a blank, "),
        (SPLIT[0], "the board has 1 row, not 9. Give"),
        (drawn_with("5= 4 . . | 8 . 3 | . ."), "row 5 of the board has 8 cells, not 9. Give"),
        (drawn_with("5= 4 . x | 8 . 3 | . . 1"), "the puzzle has 'x' in row 5, column 3. Use"),
        (drawn_with("5= 4 . 4 | 8 . 3 | . . 1"), "the puzzle has the digit 4 twice in row 5. Corr"),
        (f"{PUZZLE}\n\n{DRAWN[:-2]}", "line 3: row 9 of the board has 8 cells, not 9. Give"),
        (f"{DRAWN}\n\n{SPLIT[0]}\n{SPLIT[1]}\n\n{DRAWN}", "line 13: the board has 2 rows, not 9."),
        (f"{SPLIT[0]}\n{PUZZLE}", "line 1: the board has 1 row, not 9. Give"),
        (f"my puzzle\n{PUZZLE}", "line 1: the puzzle has 9 characters, not 81. Give"),
        (f"puzzle\n{DRAWN}\nstep 1: 9 cells changed, halt 0.1\n{DRAWN}", "line 13: this line bel"),
        (f"{DRAWN}\nanswer {PUZZLE}: valid", "line 12: this line belongs to an answer of trm sol"),
        ("7", "the puzzle has 1 character, not 81. Give"),
    ],
)
def test_a_board_that_is_drawn_wrong_says_where(text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        parse_boards(text, {"size": 9})


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_no_puzzle_is_an_error(text: str) -> None:
    with pytest.raises(InputError, match=r"^no puzzle was given\. Give 16 characters on a line\.$"):
        parse_boards(text, {"size": 4})


def style_of(text: Text, row: int, column: int, geometry: Geometry) -> Style:
    """The style of the digit in a row and column, counted from 0."""
    line = row + row // geometry.box_rows
    start = sum(len(part) + 1 for part in text.plain.split("\n")[:line])
    offset = start + 2 * column + 1 + 2 * (column // geometry.box_cols)
    (style,) = [span.style for span in text.spans if span.start <= offset < span.end]
    return Style.parse(str(style))


def test_boxes_are_ruled() -> None:
    assert render_board(tokens("12.." + "." * 12)).plain.split("\n") == [
        " 1 2 | . .",
        " . . | . .",
        "-----+-----",
        " . . | . .",
        " . . | . .",
    ]
    oblong = render_board(tokens("." * 36)).plain.split("\n")
    assert [line for line in oblong if "+" in line] == ["-------+-------"] * 2
    assert len(oblong) == 8


def test_clues_are_bold_and_answers_are_not() -> None:
    geometry, given = Geometry.of(4), tokens(placed(4, r1c1=1))
    text = render_board(tokens(placed(4, r1c1=1, r3c4=2)), given)
    assert style_of(text, 0, 0, geometry) == Style.parse("bold default")
    assert style_of(text, 2, 3, geometry) == Style.parse("cyan")
    assert style_of(text, 1, 1, geometry) == Style.parse("dim")


def test_clashes_are_red() -> None:
    geometry, given = Geometry.of(4), tokens(placed(4, r1c1=1))
    answer = given.copy()
    answer[[3, 15]] = given[0]  # in the clue's row, and in the other's column
    text = render_board(answer, given)
    assert style_of(text, 0, 0, geometry) == Style.parse("bold red")
    assert style_of(text, 0, 3, geometry) == Style.parse("red")
    answer[3] = 1
    assert style_of(render_board(answer, given), 3, 3, geometry) == Style.parse("cyan")


def test_a_puzzle_alone_is_all_clues() -> None:
    text = render_board(tokens(placed(4, r1c1=1)))
    assert style_of(text, 0, 0, Geometry.of(4)).bold


WHITE, GREY, ORANGE = [255, 255, 255], [224, 224, 224], [245, 165, 115]


def test_a_picture_has_the_digits_and_no_blanks() -> None:
    puzzle = tokens(PUZZLE)
    puzzle[80] = 0  # padding
    picture = board_of(puzzle)
    assert picture.colors.shape == (9, 9, 3)
    assert picture.colors.dtype == np.uint8
    assert (picture.colors == WHITE).all()
    assert "".join(symbol or "." for symbol in picture.symbols) == PUZZLE[:80] + "."


def test_a_picture_tells_clues_from_answers() -> None:
    puzzle, answer = tokens(placed(6, r1c1=1)), tokens(placed(6, r1c1=1, r3c4=2))
    colors = board_of(answer, puzzle).colors
    assert colors[0, 0].tolist() == GREY
    colors[0, 0] = WHITE
    assert (colors == WHITE).all()


def test_a_picture_shows_clashes() -> None:
    puzzle = tokens(placed(4, r1c1=1, r4c4=3))
    answer = puzzle.copy()
    answer[[3, 15]] = puzzle[0]  # in the clue's row, and over the other clue
    for clues in (None, puzzle):
        colors = board_of(answer, clues).colors
        assert (colors[[0, 0, 3], [0, 3, 3]] == ORANGE).all()
    answer[3] = 1  # a blank
    assert board_of(answer).colors[3, 3].tolist() == WHITE
    colors = board_of(answer, puzzle).colors
    assert [colors[0, 0].tolist(), colors[3, 3].tolist()] == [GREY, ORANGE]


def test_the_task_draws_its_boards() -> None:
    puzzle = tokens(placed(4, r1c1=1))
    picture = get_task("sudoku").board(puzzle, given=puzzle)
    assert picture is not None
    assert picture.colors[0, 0].tolist() == GREY
    assert picture.symbols[0] == "1"
