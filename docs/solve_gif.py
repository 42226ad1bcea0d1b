"""Draw pictures/solve.gif from the solution that pictures/solve.json has.

The solution was recorded once, with the commands in the file, so that drawing needs no training.
Usage: python docs/solve_gif.py
"""

import json
from pathlib import Path

from trm.inference.solution import Solution, SolutionStep
from trm.tasks.registry import get_task

PICTURES = Path(__file__).parent / "pictures"


def read_solution(path: Path) -> Solution:
    """The recorded solution."""
    record = json.loads(path.read_text())
    task, solved = get_task(record["task"]), record["solution"]
    text = "\n".join([solved["puzzle"], *solved["boards"]])
    puzzle, *boards = task.parse(text, record["properties"], check=False)
    halts = solved["halt_probabilities"]
    steps = [
        SolutionStep(number, board.tokens, halt)
        for number, (board, halt) in enumerate(zip(boards, halts, strict=True), 1)
    ]
    return Solution(task, puzzle, tuple(steps))


if __name__ == "__main__":
    print(read_solution(PICTURES / "solve.json").save(PICTURES / "solve.gif"))
