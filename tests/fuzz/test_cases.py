"""Inputs that once ended in a traceback, an escape sequence, a hang or silence: now in one line."""

from pathlib import Path

import pytest

from tests.fuzz.cases import expected_of, run_case

FOLDERS = [Path(__file__).parent / name for name in ("damaged", "found")]
CASES = [case for folder in FOLDERS if folder.is_dir() for case in sorted(folder.iterdir())]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_input_ends_in_one_line(case: Path, base: Path, tmp_path: Path) -> None:
    done = run_case(case, base, tmp_path / "work")
    assert done.problems == [], done
    codes, said = expected_of(case)
    assert done.code in codes, done
    assert said in done.err, done
