"""What is odd about the puzzles of a dataset is counted, in one line each, when it is built."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trm.errors import TrmWarning
from trm.tasks import solved_puzzles
from trm.tasks.sudoku.build import SudokuOptions, build

Lines = Callable[..., list[str]]
WriteCsv = Callable[..., Path]


def warned(source: Path, out: Path, **options: object) -> list[str]:
    """The warnings of building data from this source."""
    chosen = SudokuOptions.model_validate({"source": str(source), "num_aug": 0, **options})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        build(out, chosen, np.random.default_rng(0))
    assert all(warning.category is TrmWarning for warning in caught)
    return [str(warning.message) for warning in caught]


def test_test_puzzles_that_are_trained_on_are_counted(
    tmp_path: Path, csv_lines: Lines, write_csv: WriteCsv
) -> None:
    lines = csv_lines(4, slice(0, 9))
    copies = [line.translate(str.maketrans("1234", "2341")) for line in lines[1:3]]
    copies = [line.rsplit(",", 1)[0] + ",0" for line in copies]
    source = write_csv(lines[:6], "source/train.csv").parent
    write_csv([*lines, *copies], "source/test.csv")
    (message,) = warned(source, tmp_path / "data", num_train=5)
    assert message.startswith(
        "7 of 11 test puzzles are trained on with their answers: 5 are training puzzles, 2 symm"
    )
    write_csv([lines[0], *lines[6:]], "source/test.csv")
    assert warned(source, tmp_path / "apart", num_train=5) == []
    assert warned(write_csv([*lines, *copies]), tmp_path / "one", num_train=5) == []


def test_questions_with_several_answers_and_boards_with_several_solutions_are_counted(
    tmp_path: Path, csv_lines: Lines, write_csv: WriteCsv, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = csv_lines(4, slice(0, 9))
    lines += [
        "x,................,1234341221434321,0",
        "x,................,1234341243212143,0",
        "x,1...............,1234341243212143,0",
    ]
    file = write_csv(lines)
    said = warned(file, tmp_path / "data", num_train=4)
    assert said[0] == "1 question occurs with two answers or more. Keep one answer of each."
    assert said[1].endswith(
        " have more than one solution. Only the answer in the file counts as right."
    )
    monkeypatch.setattr(solved_puzzles, "MAX_SOLVED", 2)
    first, last = warned(write_csv([lines[0], *lines[9:], lines[1]]), tmp_path / "d", num_train=1)
    assert first.startswith("1 question occurs")
    assert re.match(r"(1 of 1 training puzzles and )?[12] of 2 test puzzles( that were c)?", last)
