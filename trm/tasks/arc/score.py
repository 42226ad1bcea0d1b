"""The score of a submission to the ARC Prize, by the competition's rule.

A submission holds two attempts at every test input. A test input is solved if one of its attempts
equals the solution, and the score is the share of all test inputs that are solved.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trm.errors import InputError
from trm.reading import FileReader
from trm.tasks.arc.grids import grid_problem
from trm.tasks.metrics import Metric

ATTEMPTS = ("attempt_1", "attempt_2")
_SUBMISSION = FileReader(InputError, "Name a file of trm eval --submission.")
_SOLUTIONS = FileReader(InputError, "Name a file like Kaggle's arc-agi_evaluation_solutions.json.")


@dataclass(frozen=True)
class Score:
    """How a submission scores.

    Attributes:
        solved: for each task of the solutions, whether each of its test inputs is solved.
        problems: why the competition would refuse the submission; empty if it would not.
    """

    solved: Mapping[str, Sequence[bool]]
    problems: Sequence[str]

    @property
    def metrics(self) -> dict[str, Metric]:
        """``pass@2/outputs``, the competition's score, and ``pass@2``, the mean over tasks."""
        outputs = [solved for of_task in self.solved.values() for solved in of_task]
        tasks = [sum(of_task) / len(of_task) for of_task in self.solved.values()]
        return {
            "pass@2/outputs": Metric.share(sum(outputs), len(outputs)),
            "pass@2": Metric.share(sum(tasks), len(tasks)),
        }

    def __repr__(self) -> str:
        problems = f", {len(self.problems):,} problems" if self.problems else ""
        return f"<Score: pass@2/outputs {self.metrics['pass@2/outputs']}{problems}>"


def score(submission: str | Path, *, solutions: str | Path) -> Score:
    """Check a submission to the ARC Prize, and score it: ``trm score``.

    Args:
        submission: a JSON file with two attempts at each test input, such as
            ``trm eval --submission`` writes.
        solutions: a JSON file with the outputs of each task, in the format of the competition.

    Returns:
        The score. Attempts that are missing or invalid count as wrong; ``problems`` lists them.

    Raises:
        InputError: if a file cannot be read, or the solutions are not in that format.
    """
    outputs = _read_solutions(Path(solutions))
    path = Path(submission)
    raw = _SUBMISSION.json(path)
    if not isinstance(raw, dict):
        raise _SUBMISSION.damaged(path, "it is no object with the attempts of each task")
    if not raw.keys() & outputs.keys():
        raise InputError(
            f"{path} and {solutions} have no task in common. Name the solutions of these tasks."
        )
    solved = {
        name: [_is_solved(raw.get(name), number, grid) for number, grid in enumerate(grids)]
        for name, grids in outputs.items()
    }
    return Score(solved, list(_problems(raw, outputs)))


def _read_solutions(path: Path) -> dict[str, list[Any]]:
    """The outputs of the test inputs of each task."""
    raw = _SOLUTIONS.json(path)
    if not isinstance(raw, dict) or not raw:
        raise _SOLUTIONS.damaged(path, "it is no object with the outputs of each task")
    for name, grids in raw.items():
        if not isinstance(grids, list) or not grids:
            raise _SOLUTIONS.damaged(path, f"task {name!r:.99} has no list of outputs")
        for number, grid in enumerate(grids, 1):
            if problem := grid_problem(grid):
                raise _SOLUTIONS.damaged(path, f"task {name!r:.99}, output {number} {problem}")
    return raw


def _is_solved(answers: object, number: int, solution: object) -> bool:
    if not isinstance(answers, list) or number >= len(answers):
        return False
    attempts = answers[number]
    return isinstance(attempts, dict) and any(
        not grid_problem(grid) and grid == solution for grid in map(attempts.get, ATTEMPTS)
    )


def _problems(raw: Mapping[str, Any], outputs: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """Where a submission breaks the competition's format."""
    for name, grids in outputs.items():
        if name not in raw:
            yield f"task {name} is missing"
            continue
        answers = raw[name]
        if not isinstance(answers, list) or len(answers) != len(grids):
            found = f"{len(answers)} answers" if isinstance(answers, list) else "no list of answers"
            yield f"task {name} has {found}, not one for each of {len(grids)} test inputs"
            continue
        for number, attempts in enumerate(answers, 1):
            where = f"task {name}, test input {number}"
            if not isinstance(attempts, dict):
                yield f"{where} has no object with {' and '.join(ATTEMPTS)}"
                continue
            for attempt in ATTEMPTS:
                problem = "is missing"
                if attempt in attempts:
                    problem = grid_problem(attempts[attempt])
                if problem:
                    yield f"{where}: {attempt} {problem}"
    for name in raw:
        if name not in outputs:
            yield f"task {name!r:.99} is none of the solutions"
