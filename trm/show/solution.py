"""How a model solves one puzzle: the board after each supervision step, and a summary."""

from collections.abc import Iterable

from rich.console import Group
from rich.live import Live
from rich.text import Text

from trm.inference.options import SolveOptions
from trm.inference.solution import Solution, SolutionStep
from trm.show.text import Terminal
from trm.tasks.base import Puzzle, Task

#: A board with more characters is only drawn, not also written on one line.
MAX_LINE_LENGTH = 100


def show_solution_steps(
    console: Terminal,
    task: Task,
    puzzle: Puzzle,
    steps: Iterable[SolutionStep],
    options: SolveOptions = SolveOptions(),  # noqa: B008
) -> Solution:
    """Draw the board after each step that changes it, live in a terminal.

    Returns:
        The solution.
    """
    console.print(f"puzzle {puzzle.name}".strip(), style="bold")
    console.print(task.render(puzzle.tokens))
    seen: list[SolutionStep] = []
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for step in steps:
            before = seen[-1].board if seen else puzzle.tokens
            seen.append(step)
            num_changed = int((before != step.board).sum())
            cells = "1 cell" if num_changed == 1 else f"{num_changed} cells"
            title = f"step {step.step}: {cells} changed, halt {step.halt_probability:.3f}"
            board = task.render(step.board, given=puzzle.tokens)
            shown = Group(Text(title, style="bold"), board)
            if console.is_terminal:
                live.update(shown, refresh=True)
            if num_changed:
                console.print(shown)
    return Solution(task, puzzle, tuple(seen), options)


def solution_summary(solution: Solution) -> str:
    """One line: the answer, whether it is valid, and when the model would have halted."""
    halts = solution.halt_step
    when = "would not have halted" if halts is None else f"would have halted at step {halts}"
    answer = solution.answer if len(solution.answer) <= MAX_LINE_LENGTH else "as drawn"
    return f"answer {answer}: {_validity_text(solution)}; the model {when}"


def _validity_text(solution: Solution) -> str:
    """Whether the answer is valid. With ``until_valid`` also at which step, or how long it took."""
    texts = {True: "valid", False: "not valid", None: "no rule tells whether it is valid"}
    if not solution.options.until_valid:
        return texts[solution.valid]
    last, rollouts = solution.steps[-1], solution.options.rollouts
    if solution.valid_step is not None:
        several = f", in {last.num_valid} of {rollouts} rollouts" if rollouts > 1 else ""
        return f"valid at step {last.step}{several}"
    steps = "1 step" if last.step == 1 else f"{last.step} steps"
    return f"no valid answer in {steps} of {rollouts} rollout{'s' * (rollouts > 1)}"
