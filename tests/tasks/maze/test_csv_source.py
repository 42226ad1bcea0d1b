"""CSV files of mazes: what is read, and each mistake with its file and line."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trm.errors import InputError
from trm.tasks.maze.csv_source import read_csv
from trm.tasks.maze.geometry import VOCABULARY
from trm.tasks.maze.solver import solve

Lines = Callable[..., list[str]]
WriteCsv = Callable[..., Path]
HEADER = "source,question,answer,rating"


@pytest.mark.parametrize("size", [5, 8])
def test_a_good_file_is_read(
    size: int, csv_lines: Lines, write_csv: WriteCsv, mazes: Callable[[int], np.ndarray]
) -> None:
    table = read_csv(write_csv(csv_lines(size, slice(0, 4))))
    assert (table.inputs == mazes(size)[:4]).all()
    assert (table.labels == solve(mazes(size)[:4])).all()
    assert table.sources.tolist() == [b"list0", b"list1", b"list0", b"list1"]
    assert (table.inputs.dtype, table.labels.dtype, len(table)) == (np.uint8, np.uint8, 4)


def test_the_published_mazes_survive_as_csv(
    published: dict[str, tuple[np.ndarray, np.ndarray]], write_csv: WriteCsv
) -> None:
    inputs, labels = (tokens[:50] for tokens in published["train"])
    symbols = np.array([" ", "#", " ", "S", "G", "o"])
    lines = [
        f"maze,{''.join(symbols[maze])},{''.join(symbols[label])},"
        for maze, label in zip(inputs, labels, strict=True)
    ]
    table = read_csv(write_csv([HEADER, *lines]))
    assert (table.inputs == inputs).all()
    assert (table.labels == labels).all()


def test_open_cells_at_the_ends_are_kept(write_csv: WriteCsv) -> None:
    lines = [HEADER, "x,  S  G   ,  S  G   ,", 'y,  S# G   ,"  S# G   ",']
    table = read_csv(write_csv(lines))
    assert table.inputs.tolist() == [[2, 2, 3, 2, 2, 4, 2, 2, 2], [2, 2, 3, 1, 2, 4, 2, 2, 2]]
    assert (table.labels == table.inputs).all()


def test_columns_may_come_in_any_order(csv_lines: Lines, write_csv: WriteCsv) -> None:
    plain = csv_lines(5)
    turned = [",".join(reversed([*line.split(","), "more"])) for line in plain]
    one, other = read_csv(write_csv(plain)), read_csv(write_csv(turned, "turned.csv"))
    assert (one.inputs == other.inputs).all()
    assert (one.sources == other.sources).all()


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n\n"])
def test_empty_lines_and_windows_line_ends_do_no_harm(
    csv_lines: Lines, write_csv: WriteCsv, end: str
) -> None:
    assert len(read_csv(write_csv(("\r\n\r\n".join(csv_lines(5)) + end).encode()))) == 4


def test_a_mark_of_byte_order_does_no_harm(csv_lines: Lines, write_csv: WriteCsv) -> None:
    assert len(read_csv(write_csv("\n".join(csv_lines(5)).encode("utf-8-sig")))) == 4


def test_a_source_may_be_named_in_any_script(csv_lines: Lines, write_csv: WriteCsv) -> None:
    lines = [line.replace("list0", "迷路").replace("list1", "") for line in csv_lines(5)]
    sources = [source.decode() for source in read_csv(write_csv(lines)).sources.tolist()]
    assert sources == ["迷路", "", "迷路", ""]


def test_rows_are_taken_by_number_or_mask(csv_lines: Lines, write_csv: WriteCsv) -> None:
    table = read_csv(write_csv(csv_lines(5)))
    assert (table.take(np.array([2, 0])).inputs == table.inputs[[2, 0]]).all()
    assert len(table.take(table.sources == b"list1")) == 2


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    message = r"/train.csv: no such file\. Name a folder with train.csv and test.csv\.$"
    with pytest.raises(InputError, match=message):
        read_csv(tmp_path / "train.csv")


@pytest.mark.parametrize("content", [b"", b"source,question,answer\n", b"a;b\n", b"\n\n"])
def test_a_missing_column_is_named(write_csv: WriteCsv, content: bytes) -> None:
    missing = "rating" if b"question" in content else "source"
    message = (
        rf"/mazes.csv, line 1: column '{missing}' is missing\. "
        r"The header must name source, question, answer, rating\.$"
    )
    with pytest.raises(InputError, match=message):
        read_csv(write_csv(content))


def test_a_file_without_mazes_is_named(write_csv: WriteCsv) -> None:
    with pytest.raises(InputError, match=r"/mazes.csv has no puzzle\. Give a file with some\.$"):
        read_csv(write_csv([HEADER]))


def mended(**cells: str) -> str:
    """A good line, with some cells replaced."""
    good = {"source": "x", "question": "S   #   G", "answer": "S  o# ooG", "rating": "3"}
    return ",".join((good | cells).values())


def test_the_line_that_is_spoiled_below_is_good(write_csv: WriteCsv) -> None:
    table = read_csv(write_csv([HEADER, mended(), mended(rating="")]))
    assert table.labels.tolist() == [[3, 2, 2, 5, 1, 2, 5, 5, 4]] * 2


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"question": "S  G"}, r"question has 4 characters, not 9\. Mend the line\.$"),
        ({"question": ""}, r"question has 0 characters, not 9\. Mend the line\.$"),
        ({"answer": "S  o# ooG "}, r"answer has 10 characters, not 9\. Mend the line\.$"),
        (
            {"question": "S   # x G"},
            r"question has 'x' in row 3, column 1, not one of '# SG'\. Mend the line\.$",
        ),
        ({"question": "S  o#   G"}, r"question has 'o' in row 2, column 1, not one of '# SG'\."),
        ({"question": "S  .#   G"}, r"question has '\.' in row 2, column 1, not one of '# SG'\."),
        ({"answer": "S  o# o?G"}, r"answer has '\?' in row 3, column 2, not one of '# SGo'\."),
        ({"question": "    #   G"}, r"question has 0 S, not 1\. Mend the line\.$"),
        ({"question": "S   #    "}, r"question has 0 G, not 1\. Mend the line\.$"),
        ({"question": "S   # G G"}, r"question has 2 G, not 1\. Mend the line\.$"),
        ({"question": "SS  #   G"}, r"question has 2 S, not 1\. Mend the line\.$"),
        ({"question": "S  ###  G"}, r"the question has no path from S to G\. Mend the line\.$"),
        ({"answer": "S   #   G"}, r"the answer does not solve the question\. Mend the line\.$"),
        ({"answer": "S  ##oooG"}, r"the answer does not solve the question\. Mend the line\.$"),
        ({"answer": "So o# ooG"}, r"the answer does not solve the question\. Mend the line\.$"),
        ({"rating": "3,4"}, r"too many fields\. Mend the line\.$"),
    ],
)
def test_a_mistake_is_told_with_its_line(
    write_csv: WriteCsv, cells: dict[str, str], message: str
) -> None:
    path = write_csv([HEADER, mended(), mended(**cells), mended()])
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}, line 3: {message}"):
        read_csv(path)


def test_a_line_that_ends_early_is_told(write_csv: WriteCsv) -> None:
    lines = [HEADER, mended(), mended().rsplit(",", 1)[0]]
    with pytest.raises(InputError, match=r"line 3: too few fields\. Mend the line\."):
        read_csv(write_csv(lines))


@pytest.mark.parametrize("cells", [0, 1, 8])
def test_a_maze_that_is_no_square_is_told(write_csv: WriteCsv, cells: int) -> None:
    line = mended(question="SG" + " " * (cells - 2) if cells > 1 else "S"[:cells])
    message = rf"line 2: question: {cells} cells make no square\. Give a maze of size x size"
    with pytest.raises(InputError, match=message):
        read_csv(write_csv([HEADER, line]))


def test_the_line_is_counted_past_empty_ones(write_csv: WriteCsv) -> None:
    lines = [HEADER, mended(), "", "", mended(question="    #   G")]
    with pytest.raises(InputError, match=r"line 5: question has 0 S"):
        read_csv(write_csv(lines))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("S       G", "Soo  o  G"),  # a shortest path, but not the rule's
        ("S G #    ", "S Go#oooo"),  # not a shortest path
    ],
)
def test_a_path_that_is_not_the_rules_is_taken_as_it_is(
    write_csv: WriteCsv, question: str, answer: str
) -> None:
    table = read_csv(write_csv([HEADER, mended(question=question, answer=answer)]))
    assert [VOCABULARY[token] for token in table.labels[0]] == list(answer)
    assert (solve(table.inputs) != table.labels).any()


@pytest.mark.parametrize("line", [1, 3, 50])
def test_text_that_is_not_utf_8_is_told_with_its_line(write_csv: WriteCsv, line: int) -> None:
    lines = [HEADER, *[mended()] * 60]
    lines[line - 1] += "é"
    path = write_csv("\n".join(lines).encode("latin-1"))
    with pytest.raises(InputError, match=rf"/mazes.csv, line {line}: not CSV text: .*\. Mend"):
        read_csv(path)


def test_a_quotation_without_end_is_told(write_csv: WriteCsv) -> None:
    lines = [HEADER, mended(), mended(source='"x'), mended()]
    with pytest.raises(InputError, match=r"not CSV text: unexpected end of data\. Mend the file"):
        read_csv(write_csv(lines))
