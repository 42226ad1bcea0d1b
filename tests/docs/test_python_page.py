"""The code in ``docs/how-to/use-from-python.md`` gives the outputs shown there."""

import doctest
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "use-from-python.md"


def test_the_page_runs(trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "runs" / "sudoku" / "demo"
    run.parent.mkdir(parents=True)
    run.symlink_to(trained_run, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    failures, attempts = doctest.testfile(
        str(PAGE), module_relative=False, encoding="utf-8", optionflags=doctest.ELLIPSIS
    )
    assert attempts > 10
    assert failures == 0
