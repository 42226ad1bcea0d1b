"""ARC tasks in JSON files, in the forms in which people publish them.

===================  =====================================================================
a task               ``{"train": [{"input": ..., "output": ...}, ...], "test": [...]}``
pairs of one task    a list of such pairs (RE-ARC), or ``{"examples": [[input, output], ...]}``
                     (BARC): only to train on
many tasks           any of these by ID, such as Kaggle's files, or in a list
a task a line        any of these in JSON lines: ``.jsonl``
===================  =====================================================================

Each file may be compressed: ``.json.gz``.
"""

import contextlib
import gzip
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from trm.errors import InputError
from trm.reading import FileReader, bounded_lines, parse_json
from trm.tasks.arc.grids import ArcTask, is_task_id, parse_task

FILES = FileReader(InputError, "Correct it, or leave it out.", "is no ARC source")
#: What is read, for messages.
READABLE = "files .json and .jsonl, also .gz"
#: The largest file of JSON, and the longest line, that is read. Published ones are far smaller.
_MAX_BYTES, _MAX_LINE_BYTES = 128 << 20, 16 << 20
_JSON, _LINES = (".json",), (".jsonl", ".ndjson")
#: Where a task in a list may say its ID.
_ID_KEYS = ("id", "task_id", "uid")
_CHALLENGES, _SOLUTIONS = "challenges", "solutions"


def read_tasks(path: Path) -> list[ArcTask]:
    """The tasks in a file, or in all files of a folder and its subfolders, in the order of IDs.

    Raises:
        InputError: if there is no task, or a file is not an ARC source.
    """
    with FILES.parsing(path):
        is_folder = path.is_dir()
    return read_files(task_files(path), path) if is_folder else sort_tasks(_read_file(path))


def task_files(folder: Path) -> Iterator[Path]:
    """The files of tasks in a folder and its subfolders.

    Names that begin with a dot are passed over, such as the side files of macOS.
    """
    with FILES.parsing(folder):
        for path in folder.rglob("*"):
            parts = path.relative_to(folder).parts
            if _kind(path) and not any(part.startswith(".") for part in parts):
                yield path


def read_files(files: Iterable[Path], folder: Path) -> list[ArcTask]:
    """The tasks in files, in the order of their IDs.

    Raises:
        InputError: if there are no files, or one is not an ARC source. Messages name ``folder``.
    """
    tasks = sort_tasks(task for file in files for task in _read_file(file))
    if not tasks:
        raise InputError(f"{folder} has no task. Name another folder, with {READABLE}.")
    return tasks


def from_bytes(name: str, text: bytes, source: str) -> ArcTask:
    """The task in a JSON text.

    Args:
        name: the task's ID.
        text: UTF-8.
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


def _kind(path: Path) -> str:
    """The ending of a file of tasks, without ``.gz``; empty for another file."""
    ending = Path(path.name.removesuffix(".gz")).suffix
    return ending if ending in (*_JSON, *_LINES) else ""


def _read_file(path: Path) -> Iterator[ArcTask]:
    kind = _kind(path)
    stem = path.name.removesuffix(".gz").removesuffix(kind)
    if kind in _LINES:
        with _opened(path) as file:
            for number, line in enumerate(bounded_lines(file, _MAX_LINE_BYTES), 1):
                where = f"{path}, line {number}"
                if len(line) > _MAX_LINE_BYTES:
                    raise InputError(f"{where} has more than {_MAX_LINE_BYTES:,} bytes. Divide it.")
                if line.strip():
                    yield from _tasks_in(_parse_json(line, where), f"{stem}-{number}", where)
    elif kind in _JSON:
        raw = _read_json(path)
        solutions = path.with_name(path.name.replace(_CHALLENGES, _SOLUTIONS))
        if isinstance(raw, dict) and solutions != path and solutions.is_file():
            raw = _with_solutions(raw, solutions)
        yield from _tasks_in(raw, stem, str(path))
    else:
        raise InputError(f"{path} is no ARC source. Name a file or folder with {READABLE}.")


def _tasks_in(raw: Any, name: str, source: str) -> Iterator[ArcTask]:
    """The tasks in a JSON value; ``name`` is the ID of a single one that says none."""
    if _is_one_task(raw):
        yield parse_task(_own_id(raw) or name, raw, source)
    elif isinstance(raw, list) and raw:
        for number, task in enumerate(raw, 1):
            yield parse_task(_own_id(task) or f"{name}-{number}", task, source)
    elif isinstance(raw, dict) and raw:
        for task_id, task in raw.items():
            yield parse_task(task_id, task, source)
    else:
        raise InputError(
            f"{source} has no ARC task: neither 'train' and 'test', nor pairs, nor tasks by ID. "
            "Correct it, or leave it out."
        )


def _is_one_task(raw: Any) -> bool:
    if isinstance(raw, list):
        return bool(raw) and isinstance(raw[0], dict) and "input" in raw[0]
    parts = ("train", "test", "examples")
    return isinstance(raw, dict) and any(isinstance(raw.get(part), list) for part in parts)


def _own_id(raw: Any) -> str:
    """The ID that a task says itself, if any."""
    values = [raw.get(key) for key in _ID_KEYS] if isinstance(raw, dict) else []
    return next((value for value in values if isinstance(value, str) and is_task_id(value)), "")


def _with_solutions(tasks: dict[str, Any], file: Path) -> dict[str, Any]:
    """Kaggle's tasks with the outputs of their test pairs, which are in a file of their own."""
    answers = _read_json(file)
    if not isinstance(answers, dict) or not answers:
        raise InputError(f"{file} is not an object of outputs by ID. Correct it, or leave it out.")
    for name in tasks:
        if name not in answers:
            raise InputError(f"{file} has no task {name!r:.99}. Correct it, or leave it out.")
    return {
        name: _with_outputs(task, answers[name], f"{file}: task {name!r:.99}")
        for name, task in tasks.items()
    }


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


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """A file, decompressed if its name says that it is compressed."""
    with FILES.open(path) as file, FILES.parsing(path):
        if not path.name.endswith(".gz"):
            yield file
            return
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked  # type: ignore[misc]
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"it is no whole gzip file: {error}") from error


def _read_json(path: Path) -> Any:
    with _opened(path) as file:
        text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise ValueError(f"it has more than {_MAX_BYTES:,} bytes. JSON lines may have more")
    return _parse_json(text, str(path))


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
