"""CSV files of puzzles: what is read, and each mistake with its file and line."""

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


@pytest.mark.parametrize("content", [b"", b"source,question,answer\n", b"a;b\n", b"\n\n"])
def test_a_missing_column_is_named(write_csv: WriteCsv, content: bytes) -> None:
    missing = "rating" if b"question" in content else "source"
    message = (
        rf"/puzzles.csv, line 1: column '{missing}' is missing\. "
        r"The header must name source, question, answer, rating\.$"
    )
    with pytest.raises(InputError, match=message):
        read_csv(write_csv(content))


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
        ({"rating": "hard"}, r"rating 'hard' is not a whole number\. Correct the line\.$"),
        ({"rating": "-1"}, r"rating '-1' is not a whole number\. Correct the line\.$"),
        ({"rating": "1.5"}, r"rating '1.5' is not a whole number\. Correct the line\.$"),
        ({"rating": ""}, r"rating '' is not a whole number\. Correct the line\.$"),
        ({"rating": "9" * 12}, r"rating '9{12}' is too large\. Correct the line\.$"),
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
        InputError, match=r"line 2: question: no Sudoku board has 25 cells: use 16, 36 or 81"
    ):
        read_csv(write_csv(lines))


def test_the_line_is_counted_past_blank_ones(csv_lines: Lines, write_csv: WriteCsv) -> None:
    lines = [*csv_lines(4)[:2], "", "", *changed(csv_lines(4), 3, rating="?")[2:]]
    with pytest.raises(InputError, match=r"line 5: rating '\?' is not a whole number\."):
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
