"""Reading puzzles from text: formats, problems, and one line in memory at a time."""

import io
import sys
from collections.abc import Iterator

import pytest

from trm.errors import InputError
from trm.inference.puzzle_file import MAX_LINE, PuzzleReader, PuzzleRecord, without_comments
from trm.reading import bounded_lines
from trm.tasks.registry import get_task


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
        ("quizzes,solutions\n12.,123\n.2.,321", True),
        ("12.:1:123\n.2.:1:321\n", True),
        ("12.:1\n.2.:0:\n", False),
        ("12.:2:123\n.2.:2:321\n", None),
    ],
    ids=[
        "published", "windows", "other names", "JSON", "one column", "JSON alone",
        "a puzzle a line", "Kaggle", "counted", "counted alone", "several solutions",
    ],
)  # fmt: skip
def test_formats(text: str, labelled: bool | None) -> None:
    reader = PuzzleReader(iter(text.splitlines(keepends=True)), "p")
    assert reader.has_labels is (labelled is not False)
    labels = ("123", "321") if labelled else ("", "")
    assert [(row.puzzle, row.label) for row in reader] == list(
        zip(("12.", ".2."), labels, strict=True)
    )


@pytest.mark.parametrize(
    ("text", "puzzles"),
    [
        ("puzzle\n1 . | 3 .\n3 4 | 1 2\n2 1 | 4 3\n4 . | 2 1\n", [(5, "1.3.341221434.21")]),
        ("puzzle\n1.3.341221434.21\n\n1.3.341221434.2.\n",
         [(2, "1.3.341221434.21"), (4, "1.3.341221434.2.")]),
        ("puzzle\n", []),
    ],
    ids=["a title", "a header", "nothing else"],
)  # fmt: skip
def test_the_word_puzzle_may_be_the_title_of_a_drawn_board(
    text: str, puzzles: list[tuple[int, str]]
) -> None:
    task = get_task("sudoku")
    reader = PuzzleReader(
        text.splitlines(keepends=True), "p", divide=lambda lines: task.divide(lines, {"size": 4})
    )
    cells = str.maketrans("", "", " |\n")
    assert [(found.line, found.puzzle.translate(cells)) for found in reader] == puzzles


def test_a_record_has_its_line_number() -> None:
    assert [row.line for row in records("\nquestion\n12.\n\n.2.\n")] == [3, 5]
    assert [row.line for row in records("\n12.\n\n.2.\n")] == [2, 4]
    assert [row.line for row in records('{"puzzle": "12."}\n\n{"puzzle": ".2."}\n')] == [1, 3]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('# mine\n12.\n  # two, "more\n.2.\n#', [2, 4]),
        ('#mine\nquestion,answer\n# a, "b\n12.,123\n\n#\n.2.,321\n', [4, 7]),
        ('# mine\n{"puzzle": "12."}\n#\n{"puzzle": ".2."}\n', [2, 4]),
    ],
    ids=["a puzzle a line", "CSV", "JSON"],
)
def test_comments_are_left_out_and_lines_keep_their_numbers(text: str, lines: list[int]) -> None:
    found = list(PuzzleReader(text.splitlines(keepends=True), "p", comments=True))
    assert [(row.line, row.puzzle, row.problem) for row in found] == [
        (lines[0], "12.", ""), (lines[1], ".2.", "")
    ]  # fmt: skip
    kept = text.splitlines()
    assert [
        number for number, line in enumerate(without_comments(text).splitlines(), 1) if line
    ] == [number for number, line in enumerate(kept, 1) if line.strip()[:1] not in ("#", "")]


def test_a_field_of_several_lines_may_have_one_that_looks_like_a_comment() -> None:
    text = 'puzzle\n"1\n# 2"\n'
    (row,) = PuzzleReader(text.splitlines(keepends=True), "p", comments=True)
    assert row.puzzle == "1\n# 2"


def test_spaces_of_a_puzzle_are_kept() -> None:
    assert [row.puzzle for row in records("S  G \r\n #SG \n")] == ["S  G ", " #SG "]
    assert records("question\nS  G \n")[0].puzzle == "S  G "


def test_a_puzzle_may_be_quoted_over_several_lines() -> None:
    found = records('puzzle,answer\n"{""a"":\n [1, 2]}",[[3]]\n"4",[[5]]\n')
    assert found == [
        PuzzleRecord(3, '{"a":\n [1, 2]}', "[[3]]"),
        PuzzleRecord(4, "4", "[[5]]"),
    ]


def test_an_answer_in_json_may_be_a_grid_or_unknown() -> None:
    found = records('{"puzzle": "a", "answer": [[1, 2]]}\n{"puzzle": "b", "answer": null}\n')
    assert [row.label for row in found] == ["[[1, 2]]", ""]


def test_json_without_a_text_puzzle_is_a_plain_puzzle() -> None:
    line = '{"puzzle": {"test": [{"input": [[1]]}]}}'
    assert records(line)[0].puzzle == line


@pytest.mark.parametrize("text", ["", " \n\n"])
def test_a_text_without_puzzles(text: str) -> None:
    with pytest.raises(InputError, match=r"^p has no puzzle\. Give a puzzle a line, or CSV\.$"):
        records(text)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("question,answer\n3\n12,.\n", 2, "1 fields, but the header has 2. Correct the line."),
        ("question,answer\n1,2,3\n12,.", 2, "3 fields, but the header has 2. Correct the line."),
        ('question\n"1"2\n12\n', 2, "not CSV: ',' expected after '\"'. Correct the line."),
        ('question\n12\n"1\n2\n', 4, "not CSV: unexpected end of data. Correct the line."),
        ('{"puzzle": "12"}\n2\n', 2, "not a JSON object with a text 'puzzle'. Correct the line."),
        ('{"puzzle": "12"}\n{"puzzle": 2}\n', 2, "not a JSON object with a text 'puzzle'."),
        ('{"puzzle": "12"}\n["puzzle"]\n', 2, "not a JSON object with a text 'puzzle'."),
        ('{"puzzle": "12"}\n' + "[" * 100_000, 2, "not a JSON object with a text 'puzzle'."),
        ('{"puzzle": "12"}\n{"puzzle": "\\ud800"}', 2, "not a JSON object with a text"),
        ("12:1:12\n12\n", 2, "not puzzle:count:solution, as the first line. Correct the line."),
        ("12\n" + "1" * 1_000_001, 2, "more than 1,000,000 characters. Shorten the line."),
        ('question\n12\n"' + "1\n" * 600_000, None, "not CSV: field larger than field limit"),
        ('question\n"' + '\n","' * 400_000, None, "a row of more than 1,000,000 characters."),
    ],
)
def test_an_invalid_line_has_a_problem(text: str, line: int | None, problem: str) -> None:
    found = records(text)
    bad = [row for row in found if row.problem]
    assert bad[0].problem.startswith(problem)
    if line is not None:
        assert [row.line for row in bad] == [line]
        assert [row.puzzle[:2] for row in found if not row.problem] == ["12"] * (len(found) - 1)


def test_bytes_that_are_not_text_are_a_problem_of_their_line() -> None:
    lines = ["\ufeff12.\n".encode(), b"caf\xe9\n", b"12.\n"]
    found = list(PuzzleReader(lines, "p"))
    assert [row.problem for row in found] == ["", "not UTF-8 text. Give a text file.", ""]
    assert [row.puzzle for row in found] == ["12.", "caf\\udce9", "12."]


def test_of_a_line_without_an_end_only_the_beginning_is_kept() -> None:
    file = io.BytesIO(b"12\n" + b"x" * 5_000_000 + b"\n34\n" + b"y" * 2_000_000)
    assert [len(line) for line in bounded_lines(file, MAX_LINE)] == [3, 1_000_001, 3, 1_000_001]


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
