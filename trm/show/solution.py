"""How a model solves one puzzle: the board after each supervision step, and a summary."""

import time
from collections.abc import Iterable

import numpy as np
from rich.console import Group, RenderableType
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from trm.inference.effort import Attempt, choose_solution
from trm.inference.solution import Solution, SolutionStep, cells_changed
from trm.show.text import Terminal, printable
from trm.tasks.base import Board, Puzzle, Task, Tokens

#: A board with more characters is only drawn, not also written on one line.
MAX_LINE_LENGTH = 100
_BAR_WIDTH = 20
#: Changed cells in a board of half a line a row.
_CHANGED = np.array((240, 228, 66), np.uint8)


def show_solution(
    console: Terminal,
    task: Task,
    puzzle: Puzzle,
    attempts: Iterable[Attempt],
    *,
    delay: float | None = 0.0,
    position: str = "",
) -> Solution:
    """Draw the steps of a solution: of each try, until its answer is valid.

    A terminal with colours shows one board that changes, and then keeps the last one. Elsewhere,
    each step that changes the board is printed; of further tries, only a valid answer.

    Args:
        console: where to draw.
        task: the task of the puzzle.
        puzzle: the puzzle.
        attempts: at least one try.
        delay: how long a terminal shows a board that has changed, in seconds; None: it shows only
            the last board.
        position: which of several puzzles it is, such as ``2 of 3``.
    """
    title = " ".join(filter(None, ["puzzle", puzzle.name]))
    if position:
        title += f", {position}" if puzzle.name else f" {position}"
    is_live = console.is_terminal and bool(console.color_system) and not console.no_color
    tried: list[Solution] = []
    for attempt in attempts:
        again = f"{title}, effort {attempt.level}" if attempt.level else title
        view = _BoardView(console, task, puzzle, attempt.num_steps, again)
        if not is_live and not tried:
            seen = _print_changes(console, task, puzzle, attempt.steps, again)
        elif not is_live or delay is None or console.is_quiet:
            seen = tuple(attempt.steps)
        else:
            seen = view.show(attempt.steps, delay)
        tried.append(Solution(task, puzzle, seen, attempt.options, attempt.level))
        if tried[-1].valid is not False:
            break
    solution = choose_solution(tried)
    if is_live:
        console.print(view.drawn(solution.steps[-1], None, whole=True))
    elif solution.valid and len(tried) > 1:
        console.print(again, style="bold")
        _print_board(console, task.render(solution.steps[-1].board, given=puzzle.tokens))
    return solution


def _print_changes(
    console: Terminal, task: Task, puzzle: Puzzle, steps: Iterable[SolutionStep], title: str
) -> tuple[SolutionStep, ...]:
    """Print the puzzle, and the board after each step that changes it."""
    console.print(title, style="bold")
    _print_board(console, task.render(puzzle.tokens))
    seen = []
    before = puzzle.tokens
    for step in steps:
        num_changed = int((before != step.board).sum())
        if num_changed:
            changed = cells_changed(num_changed)
            title = f"step {step.step}: {changed}, halt {step.halt_probability:.3f}"
            console.print(title, style="bold")
            _print_board(console, task.render(step.board, given=puzzle.tokens))
        before = step.board
        seen.append(step)
    return tuple(seen)


def _print_board(console: Terminal, board: RenderableType) -> None:
    """Print a board. A terminal that is too narrow cuts its rows, a file has them whole."""
    console.print(board, no_wrap=True, soft_wrap=not console.is_terminal)


class _BoardView:
    """One board on a terminal, with the step, the halting probability and a legend below it."""

    def __init__(
        self, console: Terminal, task: Task, puzzle: Puzzle, num_steps: int, title: str
    ) -> None:
        self._console, self._task, self._puzzle = console, task, puzzle
        self._num_steps, self._title = num_steps, title
        picture = task.board(puzzle.tokens)
        #: Whether colours are enough to recognize a board: few cells have text, none is filled in.
        self._is_colored = (
            picture is not None
            and picture.filled_in is None
            and sum(map(bool, picture.symbols)) * 4 <= picture.colors[..., 0].size
        )

    def show(self, steps: Iterable[SolutionStep], delay: float) -> tuple[SolutionStep, ...]:
        """Show each step, then clear the screen again."""
        seen: list[SolutionStep] = []
        before = self._puzzle.tokens
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            live.update(self.drawn(None, None), refresh=True)
            shown_until = time.monotonic() + delay
            for step in steps:
                time.sleep(max(0.0, shown_until - time.monotonic()))
                live.update(self.drawn(step, before), refresh=True)
                if (before != step.board).any():
                    shown_until = time.monotonic() + delay
                before = step.board
                seen.append(step)
            time.sleep(max(0.0, shown_until - time.monotonic()))
        return tuple(seen)

    def drawn(
        self, step: SolutionStep | None, before: Tokens | None, *, whole: bool = False
    ) -> RenderableType:
        """The board after a step, None for the puzzle.

        Args:
            step: the step.
            before: the board before it, to highlight what has changed.
            whole: draw the answer: all rows, also those that do not fit the height of the terminal.
        """
        title = self._title
        if whole:
            title = "answer" if title == "puzzle" else f"answer to {title}"
        texts = [Text(printable(title), style="bold")]
        board = self._puzzle.tokens if step is None else step.board
        below = [self._status(step, before)]
        if self._task.legend:
            samples = (Text(name, style) for name, style in self._task.legend.items())
            below.append(Text("  ").join(samples))
        # The cursor stands on a line of its own.
        room = max(1, self._console.height - len(texts) - len(below) - 1)
        return Group(*texts, self._fitting(board, before, room, whole), *below)

    def _status(self, step: SolutionStep | None, before: Tokens | None) -> Text:
        """The number of the step, what it has changed, and the halting probability as a bar."""
        if step is None:
            return Text(f"step 0 of {self._num_steps}")
        changed = "" if before is None else cells_changed(int((before != step.board).sum()))
        filled = round(_BAR_WIDTH * step.halt_probability)
        return Text.assemble(
            (f"step {step.step} of {self._num_steps}  ", "bold"),
            f"{changed:16}  " if changed else "",
            "halt ",
            ("█" * filled, "blue"),
            ("░" * (_BAR_WIDTH - filled), "bright_black"),
            f" {step.halt_probability:.2f}",
            no_wrap=True,
        )

    def _fitting(
        self, board: Tokens, before: Tokens | None, room: int, whole: bool
    ) -> RenderableType:
        """A board that fits the terminal: drawn as always, or with two rows on a line, or cut."""
        available, given, note = self._console.width, self._puzzle.tokens, ""
        lines, width = self._lines(self._task.render(board, given=given, before=before))
        if width > available or len(lines) > room:
            picture = self._task.board(board, given=given, before=before)
            if picture is not None and self._is_colored:
                lines, width = self._lines(_half_lines(picture))
        if width > available:
            note = "the board is wider than the terminal; `trm solve --save board.png` draws it"
            lines = [Segment.adjust_line_length(line, available) for line in lines]
        if len(lines) > room and not whole:
            note = f"... {len(lines) - room + 1} more lines"
            lines = lines[: room - 1]
        return Group(_Lines(lines), *([Text(note, "dim")] if note else []))

    def _lines(self, drawn: RenderableType) -> tuple[list[list[Segment]], int]:
        """The lines of a board, and its width."""
        width = self._console.measure(drawn, options=self._console.options.update(width=9999))
        options = self._console.options.update(width=width.maximum)
        return self._console.render_lines(drawn, options, pad=False), width.maximum


class _Lines:
    """Lines that are drawn already."""

    def __init__(self, lines: list[list[Segment]]) -> None:
        self._lines = lines

    def __rich_console__(self, *_: object) -> Iterable[Segment]:
        for line in self._lines:
            yield from line
            yield Segment.line()


def _half_lines(board: Board) -> Text:
    """A board of colours, with two rows on each line."""
    colors = board.colors.copy()
    if board.changed is not None:
        colors[board.changed] = _CHANGED
    text = Text()
    for top in range(0, len(colors), 2):
        rows = [["#{:02x}{:02x}{:02x}".format(*cell) for cell in row.tolist()]
                for row in colors[top : top + 2]]  # fmt: skip
        for pair in zip(*rows, strict=True):
            text.append("▀", " on ".join(pair))
        text.append("\n" if top + 2 < len(colors) else "")
    return text


def solution_summary(solution: Solution) -> str:
    """One line: the answer, whether it is valid, and whether the model considered it correct."""
    answer = solution.answer if len(solution.answer) <= MAX_LINE_LENGTH else "as drawn"
    if solution.valid is False:
        text = f"no valid answer found{_effort_text(solution)}; the best board is {answer}"
    elif solution.valid is None:
        text = f"answer {answer}: no rule tells whether it is valid"
    else:
        text = f"answer {answer}: valid{_effort_text(solution)}"
    return f"{text}; the model {solution.confidence}"


def _effort_text(solution: Solution) -> str:
    """The level of effort, and with ``until_valid`` at which step it ended or how long it took."""
    effort = f" at effort {solution.effort}" if solution.effort else ""
    if not solution.options.until_valid:
        return effort
    last, guesses = solution.steps[-1], solution.options.guesses
    rollouts = guesses or solution.options.rollouts
    if solution.valid_step is not None:
        ways = "guesses" if guesses else "rollouts"
        several = f", in {last.num_valid} of {rollouts} {ways}" if rollouts > 1 else ""
        return f"{effort}, at step {last.step}{several}"
    steps = "1 step" if last.step == 1 else f"{last.step} steps"
    return f" in {steps} of {rollouts} rollout{'s' * (rollouts > 1)}"
