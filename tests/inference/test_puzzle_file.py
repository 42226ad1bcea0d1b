"""Reading puzzles from text: formats, errors, and one line in memory at a time."""

import sys
from collections.abc import Iterator

import pytest

from trm.errors import InputError
from trm.inference.puzzle_file import PuzzleReader, PuzzleRecord


def records(text: str) -> list[PuzzleRecord]:
    return list(PuzzleReader(text.splitlines(keepends=True), "p"))


@pytest.mark.parametrize(
    ("text", "labelled"),
    [
        ("source,question,answer,rating\nx,12.,123,4\ny,.2.,321,5\n", True),
        ('question,"answer"\r\n12.,123\r\n.2.,321\r\n', True),
        ("solution, puzzle \n123,12.\n\n321,.2.", True),
        ('{"puzzle": "12.", "answer": "123"}\n\n{"solution": "321", "puzzle": ".2."}\n', True),
        ("puzzle\n12.\n.2.\n", False),
        ('{"puzzle": "12.", "rating": 3}\n{"puzzle": ".2."}', False),
        ("\n12.\n \n.2.", False),
    ],
    ids=[
        "published", "windows", "other names", "JSON", "one column", "JSON alone", "a puzzle a line"
    ],
)  # fmt: skip
def test_formats(text: str, labelled: bool) -> None:
    reader = PuzzleReader(iter(text.splitlines(keepends=True)), "p")
    assert reader.has_labels is labelled
    labels = ("123", "321") if labelled else ("", "")
    assert [(row.puzzle, row.label) for row in reader] == list(
        zip(("12.", ".2."), labels, strict=True)
    )


def test_a_record_has_its_line_number() -> None:
    assert [row.location for row in records("\nquestion\n12.\n\n.2.\n")] == [
        "p, line 3",
        "p, line 5",
    ]
    assert [row.location for row in records("\n12.\n\n.2.\n")] == ["p, line 2", "p, line 4"]
    lines = '{"puzzle": "12."}\n\n{"puzzle": ".2."}\n'
    assert [row.location for row in records(lines)] == ["p, line 1", "p, line 3"]


def test_spaces_of_a_puzzle_are_kept() -> None:
    assert [row.puzzle for row in records("S  G \r\n #SG \n")] == ["S  G ", " #SG "]
    assert records("question\nS  G \n")[0].puzzle == "S  G "


def test_a_puzzle_may_be_quoted_over_several_lines() -> None:
    found = records('puzzle,answer\n"{""a"":\n [1, 2]}",[[3]]\n"4",[[5]]\n')
    assert found == [
        PuzzleRecord("p, line 3", '{"a":\n [1, 2]}', "[[3]]"),
        PuzzleRecord("p, line 4", "4", "[[5]]"),
    ]


def test_an_answer_in_json_may_be_a_grid_or_unknown() -> None:
    found = records('{"puzzle": "a", "answer": [[1, 2]]}\n{"puzzle": "b", "answer": null}\n')
    assert [row.label for row in found] == ["[[1, 2]]", ""]


def test_json_without_a_text_puzzle_is_a_plain_puzzle() -> None:
    line = '{"puzzle": {"test": [{"input": [[1]]}]}}'
    assert records(line)[0].puzzle == line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"^p has no puzzle\. Give a puzzle a line, or CSV\.$"),
        (" \n\n", r"^p has no puzzle\."),
        ("question,answer\n1,2\n3\n", r"^p, line 3: 1 fields, but the header has 2\. Correct"),
        ("question,answer\n1,2,3\n", r"^p, line 2: 3 fields, but the header has 2\."),
        ('question\n"1\n2\n', r"^p, line 3: not CSV: unexpected end of data\. Correct the line\.$"),
        ('{"puzzle": "1"}\n2\n', r"^p, line 2: not a JSON object with a text 'puzzle'\. Correct"),
        ('{"puzzle": "1"}\n{"puzzle": 2}\n', r"^p, line 2: not a JSON object with"),
        ('{"puzzle": "1"}\n["puzzle"]\n', r"^p, line 2: not a JSON object with"),
    ],
)
def test_an_invalid_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        records(text)


@pytest.mark.parametrize(
    ("header", "count"),
    [("question,answer\n", 100_000), ('{"puzzle": "1"}\n', 20_000), ("", 20_000)],
    ids=["CSV", "JSON", "a puzzle a line"],
)
def test_no_more_than_a_line_is_held(header: str, count: int) -> None:
    taken = 0
    line = {"question,answer\n": "{0:081d},{0:081d}\n", "": "{:081d}\n"}.get(
        header, '{{"puzzle": "{:081d}"}}\n'
    )

    def lines() -> Iterator[str]:
        nonlocal taken
        if header:
            yield header
        for number in range(count):
            taken = number
            yield line.format(number)

    before = sys.getallocatedblocks()
    number = -(header[:1] == "{")  # that of JSON is a puzzle
    for row in PuzzleReader(lines(), "p"):
        assert taken <= max(number, 0)  # nothing is read ahead
        assert number < 0 or int(row.puzzle) == number
        number += 1
        if number == count:
            assert sys.getallocatedblocks() - before < 200
    assert number == count
