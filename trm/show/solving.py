"""A model at work on one puzzle: its board after each supervision step."""

from collections.abc import Iterable

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from trm.inference.options import Solving
from trm.inference.solution import USUAL, Solution, Thought
from trm.tasks.base import Puzzle, Task, Tokens

#: A board of more characters is drawn, and not written on a line too.
LONGEST_LINE = 100


def show_thoughts(
    console: Console,
    task: Task,
    puzzle: Puzzle,
    thoughts: Iterable[Thought],
    how: Solving = USUAL,
) -> Solution:
    """Draw each step's board as it changes, live on a terminal; returns the whole solution."""
    console.print(Text(f"puzzle {puzzle.name}".strip(), style="bold"))
    console.print(task.render(puzzle.tokens))
    seen: list[Thought] = []
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for thought in thoughts:
            before = seen[-1].board if seen else puzzle.tokens
            seen.append(thought)
            drawing = _drawing(task, puzzle.tokens, before, thought)
            if console.is_terminal:
                live.update(drawing, refresh=True)
            if not np.array_equal(before, thought.board):
                console.print(drawing)
    return Solution(task, puzzle, tuple(seen), how)


def verdict(solution: Solution) -> str:
    """One line on what came out."""
    halts = solution.halt_step
    when = "would not have halted" if halts is None else f"would have halted at step {halts}"
    answer = solution.answer if len(solution.answer) <= LONGEST_LINE else "as drawn"
    return f"answer {answer}: {_validity(solution)}; the model {when}"


def _validity(solution: Solution) -> str:
    """Whether the answer is valid, and where that was looked for, what was found."""
    says = {True: "valid", False: "not valid", None: "no rule tells whether it is valid"}
    if not solution.how.until_valid:
        return says[solution.valid]
    last, rollouts = solution.thoughts[-1], solution.how.rollouts
    if solution.valid_step is not None:
        several = f", in {last.num_valid} of {rollouts} rollouts" if rollouts > 1 else ""
        return f"valid at step {last.step}{several}"
    steps = "1 step" if last.step == 1 else f"{last.step} steps"
    return f"no valid answer in {steps} of {rollouts} rollout{'s' * (rollouts > 1)}"


def _drawing(task: Task, puzzle: Tokens, before: Tokens, thought: Thought) -> RenderableType:
    changed = int((before != thought.board).sum())
    cells = "1 cell" if changed == 1 else f"{changed} cells"
    title = f"step {thought.step}: {cells} changed, halt {thought.halt_probability:.3f}"
    return Group(Text(title, style="bold"), task.render(thought.board, given=puzzle))
