"""CSV files of puzzles: what is read, and each mistake with its file and line."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trm.errors import InputError
from trm.tasks.sudoku.csv_source import read_csv
from trm.tasks.sudoku.generate import GeneratedPuzzles

Lines = Callable[..., list[str]]
WriteCsv = Callable[..., Path]


@pytest.mark.parametrize("size", [4, 6, 9])
def test_a_good_file_is_read(
    size: int, csv_lines: Lines, write_csv: WriteCsv, puzzles: Callable[[int], GeneratedPuzzles]
) -> None:
    table = read_csv(write_csv(csv_lines(size, slice(0, 4))))
    assert (table.inputs == puzzles(size).boards[:4] + 1).all()
    assert (table.labels == puzzles(size).solutions[:4] + 1).all()
    assert table.info["rating"].tolist() == [0, 1, 2, 3]
    assert table.info["source"].tolist() == [b"list0", b"list1", b"list0", b"list1"]
    assert (table.inputs.dtype, table.info["rating"].dtype) == (np.uint8, np.int32)
    assert len(table) == 4


def test_columns_may_come_in_any_order_and_blanks_be_zeros(
    csv_lines: Lines, write_csv: WriteCsv
) -> None:
    plain = csv_lines(4)
    turned = [",".join(reversed([*line.replace(".", "0").split(","), "x"])) for line in plain]
    one, other = read_csv(write_csv(plain)), read_csv(write_csv(turned, "turned.csv"))
    assert (one.inputs == other.inputs).all()
    assert (one.info["rating"] == other.info["rating"]).all()


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n\n"])
def test_blank_lines_and_windows_line_ends_do_no_harm(
    csv_lines: Lines, write_csv: WriteCsv, end: str
) -> None:
    assert len(read_csv(write_csv(("\r\n\r\n".join(csv_lines(4)) + end).encode()))) == 4


def test_a_mark_of_byte_order_does_no_harm(csv_lines: Lines, write_csv: WriteCsv) -> None:
    assert len(read_csv(write_csv("\n".join(csv_lines(4)).encode("utf-8-sig")))) == 4


def test_a_source_may_be_named_in_any_script(csv_lines: Lines, write_csv: WriteCsv) -> None:
    lines = [line.replace("list0", "数独").replace("list1", "") for line in csv_lines(4)]
    sources = [source.decode() for source in read_csv(write_csv(lines)).info["source"].tolist()]
    assert sources == ["数独", "", "数独", ""]


def test_rows_are_taken_by_number_or_mask(csv_lines: Lines, write_csv: WriteCsv) -> None:
    table = read_csv(write_csv(csv_lines(4)))
    assert table.take(np.array([2, 0])).info["rating"].tolist() == [2, 0]
    assert table.take(table.info["rating"] > 1).info["rating"].tolist() == [2, 3]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    message = r"/train.csv: no such file\. Name a folder with train.csv and test.csv\.$"
    with pytest.raises(InputError, match=message):
        read_csv(tmp_path / "train.csv")


@pytest.mark.parametrize("content", [b"", b"source,puzzle,rating\n", b"a;b\n", b"\n\n"])
def test_a_missing_column_is_named(write_csv: WriteCsv, content: bytes) -> None:
    missing = "answer" if b"puzzle" in content else "question"
    message = (
        rf"/puzzles.csv, line 1: column '{missing}' is missing\. The header must name a question "
        r"\(question, puzzle, quizzes\) and an answer \(answer, solution, solutions\)\.$"
    )
    with pytest.raises(InputError, match=message):
        read_csv(write_csv(content))


@pytest.mark.parametrize(
    "header", ["id,puzzle,solution,clues", "x,quizzes,solutions,y", '"", Question ,ANSWER,z']
)
def test_the_usual_other_headers_are_read(
    csv_lines: Lines, write_csv: WriteCsv, header: str
) -> None:
    table = read_csv(write_csv([header, *csv_lines(4)[1:]]))
    expected = read_csv(write_csv(csv_lines(4)))
    assert (table.inputs == expected.inputs).all()
    assert (table.labels == expected.labels).all()
    assert table.info["source"].tolist() == [b"unknown"] * 4
    assert table.info["rating"].tolist() == [0] * 4


def test_two_columns_for_one_thing_are_refused(csv_lines: Lines, write_csv: WriteCsv) -> None:
    lines = ["puzzle,question,answer,rating", *csv_lines(4)[1:]]
    with pytest.raises(InputError, match=r"line 1: 'puzzle' and 'question' both name the question"):
        read_csv(write_csv(lines))


def test_a_rating_may_be_fractional(csv_lines: Lines, write_csv: WriteCsv) -> None:
    ratings = [3.25, 0.0, 7.0, 1.0]
    lines = csv_lines(4)
    rated = [line.rsplit(",", 1)[0] + f",{r}" for line, r in zip(lines[1:], ratings, strict=True)]
    assert read_csv(write_csv([lines[0], *rated])).info["rating"].tolist() == ratings
    whole = read_csv(write_csv([lines[0], *rated[1:]])).info["rating"]
    assert (whole.dtype, whole.tolist()) == (np.int32, [0, 7, 1])


def test_a_file_without_puzzles_is_named(csv_lines: Lines, write_csv: WriteCsv) -> None:
    with pytest.raises(InputError, match=r"/puzzles.csv has no puzzle\. Give a file with some\.$"):
        read_csv(write_csv(csv_lines(4)[:1]))


def changed(lines: list[str], line: int, **cells: str) -> list[str]:
    """The lines with some cells of one line, counted from 1, replaced."""
    header, row = lines[0].split(","), lines[line - 1].split(",")
    new = ",".join(cells.get(name, cell) for name, cell in zip(header, row, strict=True))
    return [*lines[: line - 1], new, *lines[line:]]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"question": "1..."}, r"question has 4 characters, not 16\. Correct the line\.$"),
        ({"question": ""}, r"question has 0 characters, not 16\. Correct the line\.$"),
        ({"answer": "1" * 17}, r"answer has 17 characters, not 16\. Correct the line\.$"),
        (
            {"question": "x" * 16},
            r"question has 'x' in row 1, column 1, not one of '\.01234'\. Correct the line\.$",
        ),
        (
            {"question": "5" + "." * 15},
            r"question has '5' in row 1, column 1, not one of '\.01234'\. Correct the line\.$",
        ),
        (
            {"answer": "0" * 16},
            r"answer has '0' in row 1, column 1, not one of '1234'\. Correct the line\.$",
        ),
        ({"answer": "1" * 16}, r"the answer does not solve the question\. Correct the line\.$"),
        ({"rating": "hard"}, r"rating 'hard' is not a number of 0 or more, such as 12 or 0\.5\."),
        ({"rating": "-1"}, "rating '-1' is not a number"),
        ({"rating": "1e5"}, "rating '1e5' is not a number"),
        ({"rating": "nan"}, "rating 'nan' is not a number"),
        ({"rating": "٣"}, "rating '٣' is not a number"),
        ({"rating": ""}, "rating '' is not a number"),
        ({"rating": "9" * 12}, r"rating '9{12}' is too large\. Correct the line\.$"),
        ({"rating": "9" * 5000}, r"rating '9{98} is too large\. Correct the line\.$"),
        ({"source": "é" * 200}, r"source has 400 bytes, more than 255\. Correct the line\.$"),
    ],
)
def test_a_mistake_is_told_with_its_line(
    csv_lines: Lines, write_csv: WriteCsv, cells: dict[str, str], message: str
) -> None:
    path = write_csv(changed(csv_lines(4), 3, **cells))
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}, line 3: {message}"):
        read_csv(path)


def test_an_answer_has_to_keep_the_clues(csv_lines: Lines, write_csv: WriteCsv) -> None:
    lines = csv_lines(4)
    swapped = lines[3].split(",")[2].translate(str.maketrans("1234", "2143"))
    with pytest.raises(
        InputError, match=r"line 4: the answer does not solve the question\. Correct"
    ):
        read_csv(write_csv(changed(lines, 4, answer=swapped)))


def test_a_line_that_ends_early_is_told(csv_lines: Lines, write_csv: WriteCsv) -> None:
    lines = csv_lines(4)
    with pytest.raises(InputError, match=r"line 5: too few fields\. Correct the line\."):
        read_csv(write_csv([*lines[:4], lines[4].rsplit(",", 1)[0]]))


def test_a_board_of_no_known_size_is_told(csv_lines: Lines, write_csv: WriteCsv) -> None:
    lines = changed(csv_lines(4), 2, question="." * 25, answer="1" * 25)
    with pytest.raises(
        InputError, match=r"line 2: question has 25 characters, not 16\. Correct the line\.$"
    ):
        read_csv(write_csv(lines))
    message = r"line 2: question: no Sudoku board has 25 cells: use 16, 36 or 81"
    with pytest.raises(InputError, match=message):
        read_csv(write_csv(lines[:2]))


@pytest.mark.parametrize(("row", "column"), [(1, "question"), (1, "answer"), (4, "question")])
def test_the_board_that_differs_from_most_is_blamed(
    csv_lines: Lines, write_csv: WriteCsv, row: int, column: str
) -> None:
    lines = csv_lines(4)
    short = changed(lines, row + 1, **{column: "1" * 15})
    message = rf"line {row + 1}: {column} has 15 characters, not 16\. Correct the line\.$"
    with pytest.raises(InputError, match=message):
        read_csv(write_csv(short))
    other_size = [lines[0], csv_lines(6)[1], *lines[1:]]
    with pytest.raises(InputError, match=r"line 2: question has 36 characters, not 16\."):
        read_csv(write_csv(other_size))


def test_of_one_puzzle_the_board_of_an_impossible_size_is_blamed(
    csv_lines: Lines, write_csv: WriteCsv
) -> None:
    lines = changed(csv_lines(4)[:2], 2, question="1" * 15)
    with pytest.raises(InputError, match=r"line 2: question has 15 characters, not 16\."):
        read_csv(write_csv(lines))


def test_boxes_of_6x6_have_two_rows(csv_lines: Lines, write_csv: WriteCsv) -> None:
    lines = [line.split(",") for line in csv_lines(6)]
    for line in lines[1:]:
        line[1:3] = ("".join(board[i::6] for i in range(6)) for board in line[1:3])
    message = (
        r"line 2: the answer has boxes of 3 rows x 2 columns, but boxes of 6x6 have 2 rows x 3 "
        r"columns\. Exchange the rows and columns of all boards\.$"
    )
    with pytest.raises(InputError, match=message):
        read_csv(write_csv([",".join(line) for line in lines]))


def test_the_line_is_counted_past_blank_ones(csv_lines: Lines, write_csv: WriteCsv) -> None:
    lines = [*csv_lines(4)[:2], "", "", *changed(csv_lines(4), 3, rating="?")[2:]]
    with pytest.raises(InputError, match=r"line 5: rating '\?' is not a number"):
        read_csv(write_csv(lines))


@pytest.mark.parametrize("line", [1, 3, 50])
def test_text_that_is_not_utf_8_is_told_with_its_line(
    csv_lines: Lines, write_csv: WriteCsv, line: int
) -> None:
    lines = csv_lines(9, slice(0, 60))
    lines[line - 1] += "é"
    path = write_csv("\n".join(lines).encode("latin-1"))
    with pytest.raises(InputError, match=rf"/puzzles.csv, line {line}: not CSV text: .*\. Correct"):
        read_csv(path)


def test_a_cell_without_end_is_told(csv_lines: Lines, write_csv: WriteCsv) -> None:
    lines = changed(csv_lines(4), 3, source="x" * 140_000)
    with pytest.raises(InputError, match=r"line 3: not CSV text: field larger than field limit"):
        read_csv(write_csv(lines))


def test_a_line_without_end_is_told(csv_lines: Lines, write_csv: WriteCsv) -> None:
    lines = [*csv_lines(4)[:2], "x," * 600_000]
    with pytest.raises(InputError, match=r"line 3: .* the line has more than 1,048,576 bytes\."):
        read_csv(write_csv(lines))


def test_a_pipe_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "train.csv")
    with pytest.raises(InputError, match=r"cannot read .*/train.csv: it is not a regular file\."):
        read_csv(tmp_path / "train.csv")
