"""How a model solves a puzzle, step by step in a terminal."""

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import trm
from trm.inference.effort import Attempt
from trm.inference.solution import Solution, SolutionStep
from trm.show import solution as shown
from trm.show.solution import show_solution, solution_summary
from trm.show.text import Terminal
from trm.tasks.base import Puzzle
from trm.tasks.registry import get_task

PUZZLE = "123434122143.321"


def console(terminal: bool, width: int = 80, height: int = 24) -> Terminal:
    system = "truecolor" if terminal else None
    return Terminal(file=io.StringIO(), force_terminal=terminal, width=width, height=height,
                    color_system=system)  # type: ignore[arg-type]  # fmt: skip


def text(view: Terminal) -> str:
    assert isinstance(view.file, io.StringIO)
    return view.file.getvalue()


def last_screen(view: Terminal) -> list[str]:
    """The lines after the live board was wiped."""
    rest = text(view).rpartition("\x1b[2K")[2]
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", rest).splitlines()


def maze_steps(size: int) -> tuple[Puzzle, list[SolutionStep]]:
    """An open maze whose path grows by a cell in the first two of three steps."""
    board = np.full(size * size, 2, np.uint8)
    board[[0, 3]] = 3, 4
    one, two = board.copy(), board.copy()
    one[1], two[1:3] = 5, 5
    halts = ((one, 0.1), (two, 0.5), (two, 0.9))
    return Puzzle(board), [SolutionStep(n, b, halt) for n, (b, halt) in enumerate(halts, 1)]


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(shown, "time", clock)
    return clock


def test_what_is_no_terminal_gets_each_step_that_changes_the_board(
    trained_run: Path, clock: Clock
) -> None:
    model = trm.load(trained_run, device="cpu")
    puzzle = model.parse(PUZZLE)[0]
    view = console(False)
    steps = model.solve_steps(puzzle)
    solution = show_solution(view, model.task, puzzle, [Attempt(steps, 8)], delay=0.3)
    assert solution.answer == "1234341221434321"
    assert "step 1: 1 cell changed" in text(view)
    changed = sum(a != b for a, b in zip(solution.boards, solution.boards[1:], strict=False))
    assert text(view).count("changed") == 1 + changed
    assert solution_summary(solution).startswith("answer 1234341221434321: valid; the model ")
    assert clock.now == 0


def test_a_terminal_has_one_board_that_stays(clock: Clock) -> None:
    puzzle, steps = maze_steps(6)
    view = console(True)
    show_solution(view, get_task("maze"), puzzle, [Attempt(steps, 8)], delay=0.3)
    assert "step 0 of 8" in text(view)
    assert "step 2 of 8" in text(view)
    assert "1 cell changed " in text(view)
    assert [line.rstrip() for line in last_screen(view)] == [
        "answer",
        "S • • G",
        *[""] * 5,
        f"step 3 of 8  halt {'█' * 18}░░ 0.90",
        "S start  G goal  path  just changed  wrong",
    ]
    assert clock.now == pytest.approx(0.9)  # the puzzle, and two steps that change it


def test_of_many_puzzles_only_the_answers_are_shown(clock: Clock) -> None:
    puzzle, steps = maze_steps(6)
    view = console(True)
    show_solution(view, get_task("maze"), puzzle, [Attempt(steps, 3)], delay=None,
                        position="2 of 9")  # fmt: skip
    assert last_screen(view)[0] == "answer to puzzle 2 of 9"
    assert "step 1" not in text(view)
    assert "step 3 of 3" in text(view)
    assert clock.now == 0


@pytest.mark.parametrize(
    ("halts", "words"),
    [
        ((0.1, 0.5, 0.9), "considered it correct from step 3 on"),
        ((0.1, 0.9, 0.9), "considered it correct from step 2 on"),
        ((0.1, 0.9, 0.4), "did not consider it correct"),
        ((0.9, 0.1, 0.9), "considered it correct from step 3 on, but another board at step 1"),
        ((0.9, 0.9, 0.1), "did not consider it correct, but another board at step 1"),
    ],
)
def test_the_confidence_is_that_of_the_answer(halts: tuple[float, ...], words: str) -> None:
    """The first of the three boards is another one."""
    puzzle, steps = maze_steps(6)
    judged = (replace(step, halt_probability=p) for step, p in zip(steps, halts, strict=True))
    assert Solution(get_task("maze"), puzzle, tuple(judged)).confidence == words


@pytest.mark.parametrize(
    ("size", "rows", "note"), [(30, 15, ""), (64, 32, ""), (99, 50, "the board is wider than")]
)
def test_a_large_board_is_drawn_small(size: int, rows: int, note: str) -> None:
    """Two rows fit a line. While it changes, what is too high is cut."""
    puzzle, steps = maze_steps(size)
    view = console(True)
    show_solution(view, get_task("maze"), puzzle, [Attempt(steps, 3)])
    board = [line for line in last_screen(view) if "▀" in line]
    assert [len(line) for line in board] == [min(size, 80)] * rows
    assert any(line.startswith(note) for line in last_screen(view)[rows + 1 :])
    assert (f"... {rows - 19} more lines" in text(view)) == (rows > 20)
    moves_up = [found.count("1A") for found in re.findall(r"(?:\x1b\[1A\x1b\[2K)+", text(view))]
    assert max(moves_up) < 24  # the lines of a frame that the next one replaces


def test_a_board_of_digits_is_cut_but_never_drawn_small() -> None:
    sudoku = get_task("sudoku")
    (puzzle,) = sudoku.parse("1" + "." * 80, {"size": 9})
    view = console(True, height=8)
    step = SolutionStep(1, puzzle.tokens, 0.5)
    show_solution(view, sudoku, puzzle, [Attempt([step], 1)])
    assert "... 8 more lines" in text(view)
    assert "▀" not in text(view)
    assert sum("." in line for line in last_screen(view)) == 10  # all rows, and the probability


def test_files_have_whole_rows() -> None:
    puzzle, steps = maze_steps(64)
    view = console(False)
    show_solution(view, get_task("maze"), puzzle, [Attempt(steps, 3)])
    assert len(text(view).splitlines()) == 1 + 64 + 2 * 65
