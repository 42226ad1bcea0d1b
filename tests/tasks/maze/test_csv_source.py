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
    assert table.info["source"].tolist() == [b"list0", b"list1", b"list0", b"list1"]
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
        ({"question": "S  G"}, r"question has 4 characters, not 9\. Correct the line\.$"),
        ({"question": ""}, r"question has 0 characters, not 9\. Correct the line\.$"),
        ({"answer": "S  o# ooG "}, r"answer has 10 characters, not 9\. Correct the line\.$"),
        (
            {"question": "S   # x G"},
            r"question has 'x' in row 3, column 1, not one of '# SG\.'\. Correct the line\.$",
        ),
        ({"question": "S  o#   G"}, r"question has 'o' in row 2, column 1, not one of '# SG\.'\."),
        ({"answer": "S  o# o?G"}, r"answer has '\?' in row 3, column 2, not one of '# SGo\.'\."),
        ({"question": "    #   G"}, r"question has 0 S, not 1\. Correct the line\.$"),
        ({"question": "S   #    "}, r"question has 0 G, not 1\. Correct the line\.$"),
        ({"question": "S   # G G"}, r"question has 2 G, not 1\. Correct the line\.$"),
        ({"question": "SS  #   G"}, r"question has 2 S, not 1\. Correct the line\.$"),
        ({"question": "S  ###  G"}, r"the question has no path from S to G\. Correct the line\.$"),
        ({"answer": "S   #   G"}, r"the answer does not solve the question\. Correct the line\.$"),
        ({"answer": "S  ##oooG"}, r"the answer does not solve the question\. Correct the line\.$"),
        ({"answer": "So o# ooG"}, r"the answer does not solve the question\. Correct the line\.$"),
        ({"rating": "3,4"}, r"too many fields\. Correct the line\.$"),
    ],
)
def test_a_mistake_is_told_with_its_line(
    write_csv: WriteCsv, cells: dict[str, str], message: str
) -> None:
    path = write_csv([HEADER, mended(), mended(**cells), mended()])
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}, line 3: {message}"):
        read_csv(path)


def test_an_open_cell_may_be_a_dot(write_csv: WriteCsv) -> None:
    dots = mended(question="S...#...G", answer="S..o#.ooG")
    plain, dotted = (read_csv(write_csv([HEADER, line])) for line in (mended(), dots))
    assert (plain.inputs == dotted.inputs).all()
    assert (plain.labels == dotted.labels).all()


def test_a_huge_maze_is_refused(write_csv: WriteCsv) -> None:
    maze = "S" + "." * (300 * 300 - 2) + "G"
    with pytest.raises(InputError, match=r"question: 90,000 cells are more than 65,536\. Give"):
        read_csv(write_csv([HEADER, mended(question=maze, answer=maze)]))


@pytest.mark.parametrize("cells", [0, 1, 8])
def test_a_maze_that_is_no_square_is_told(write_csv: WriteCsv, cells: int) -> None:
    maze = "SG" + " " * (cells - 2) if cells > 1 else "S"[:cells]
    line = mended(question=maze, answer=maze)
    message = rf"line 2: question: {cells} cells do not form a square\. Give a maze of size x size"
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


def test_a_quotation_without_end_is_told(write_csv: WriteCsv) -> None:
    lines = [HEADER, mended(), mended(source='"x'), mended()]
    with pytest.raises(
        InputError, match=r"not CSV text: unexpected end of data\. Correct the file"
    ):
        read_csv(write_csv(lines))
