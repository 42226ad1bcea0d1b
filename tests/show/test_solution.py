"""How a model solves a puzzle, step by step in a terminal."""

import io
from pathlib import Path

import pytest

import trm
from trm.show.solution import show_solution_steps, solution_summary
from trm.show.text import Terminal


def console(terminal: bool, width: int = 150) -> Terminal:
    return Terminal(file=io.StringIO(), force_terminal=terminal, width=width, color_system=None)


def text(view: Terminal) -> str:
    assert isinstance(view.file, io.StringIO)
    return view.file.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_board_is_shown_where_it_changes(trained_run: Path, terminal: bool) -> None:
    model = trm.load(trained_run, device="cpu")
    puzzle = model.parse("123434122143.321")[0]
    view = console(terminal)
    solution = show_solution_steps(view, model.task, puzzle, model.solve_steps(puzzle))
    assert solution.answer == "1234341221434321"
    assert "step 1: 1 cell changed" in text(view)
    changed = sum(a != b for a, b in zip(solution.boards, solution.boards[1:], strict=False))
    if not terminal:  # a terminal also draws the steps in between, and wipes them
        assert text(view).count("changed") == 1 + changed
    assert solution_summary(solution).startswith("answer 1234341221434321: valid; the model would")
