"""Votes over saved answers: without the model, or over several models."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.data import Dataset, Split, rows_of, with_validation_split
from trm.errors import InputError, TrmWarning
from trm.evaluation.predictions import Predictions
from trm.evaluation.report_page import write_page
from trm.inference.choice import majority
from trm.reading import FileReader
from trm.storage import Paths, as_paths
from trm.tasks.base import Task
from trm.tasks.metrics import EvalBatch, Evaluator, Rows
from trm.tasks.registry import get_task

_SOLUTIONS = FileReader(InputError, "Name a file like Kaggle's arc-agi_evaluation_solutions.json.")


def vote(
    predictions: Paths,
    *,
    data: Paths = (),
    solutions: str | Path | None = None,
    report: str | Path | None = None,
) -> Evaluator:
    """Vote over saved predictions; several files make an ensemble: ``trm vote``.

    Args:
        predictions: a file that :func:`trm.evaluate` saved, or several. ARC files may be of
            different builds of the same tasks: with other seeds, or other numbers of copies.
        data: a data folder, or several; by default those of the first file whose folders are there.
            For ARC any build of the tasks will do, such as one with outputs that were unknown
            before.
        solutions: a JSON file with the outputs of ARC tasks, in the format of the competition.
        report: write a page of HTML with the votes on each task into this folder (ARC).

    Returns:
        The evaluator, with ``result()``, ``per_task()`` and ``submission()``.

    Raises:
        InputError: if the predictions are of several tasks, or cannot be read.
        StorageError: if the report cannot be written.
    """
    files = {str(path): Predictions.load(Path(path)) for path in as_paths(predictions)}
    return vote_saved(files, data, solutions, report)


def vote_saved(
    files: Mapping[str, Predictions],
    data: Paths = (),
    solutions: str | Path | None = None,
    report: str | Path | None = None,
) -> Evaluator:
    """Vote over predictions, by the names of their files; see :func:`vote`."""
    if not files:
        raise InputError("no file of predictions was given. Give one or more.")
    names = list(dict.fromkeys(saved.info.task for saved in files.values()))
    if len(names) != 1:
        raise InputError(f"predictions of several tasks ({', '.join(names)}). Give those of one.")
    task, first = get_task(names[0]), next(iter(files.values()))
    folders = [saved.info.data for saved in files.values()]
    there = (paths for paths in folders if all(Path(path).exists() for path in paths))
    paths = tuple(map(str, as_paths(data))) or next(there, folders[0])
    dataset = task.open_data(paths)
    evaluator = count_votes(task, dataset, files, solutions)
    if report:
        evaluator.check_has(["report"])
        facts = {name: f"{saved.info.checkpoint}{saved.info.text}" for name, saved in files.items()}
        title = f"Vote of {len(files)} files" if len(files) > 1 else first.info.checkpoint
        write_page(report, evaluator, dataset, first.info.split, title, facts)
    return evaluator


def count_votes(
    task: Task,
    dataset: Dataset,
    files: Mapping[str, Predictions],
    solutions: str | Path | None = None,
) -> Evaluator:
    """Judge the votes of one or several evaluations.

    If the task's evaluator votes itself, it gets all answers. Otherwise it gets the majority answer
    to each example.

    Args:
        task: the task.
        dataset: the data that was evaluated, or for ARC another build of it.
        files: the predictions by name.
        solutions: see :func:`vote`.

    Raises:
        InputError: if the files are of other data or different examples, or do not fit the data.
    """
    info = next(iter(files.values())).info
    if info.validation_share:
        dataset = with_validation_split(dataset, info.validation_share)
    split = dataset.split(info.split)
    for name, saved in files.items():
        if (saved.info.split, saved.info.validation_share) != (info.split, info.validation_share):
            raise InputError(f"{name} and {next(iter(files))} answer different examples. "
                             "Give files with the same examples.")  # fmt: skip
    evaluator = task.evaluator(dataset.meta, split)
    others = [name for name, s in files.items() if s.info.digest != dataset.meta.digest]
    for name, saved in files.items():
        _check_fits(name, saved.answers, dataset, split, only_tokens=bool(others or solutions))
    rows = {name: (s.answers.examples, s.answers.puzzles) for name, s in files.items()}
    joined = None
    if others or solutions is not None:
        joined = evaluator.join_builds(_named(files))
    if joined is not None:
        split, rows = joined
    elif others:
        raise InputError(
            f"{others[0]} has answers to data of digest {files[others[0]].info.digest[:12]}, "
            f"{dataset.path} has {dataset.meta.digest[:12]}. Give the data they are of with --data."
        )
    if solutions is not None:
        raw = _SOLUTIONS.json(Path(solutions))
        split = evaluator.with_solutions(split, raw, str(solutions))
    if not evaluator.votes:
        for batch in _majorities(files):
            evaluator.update(batch)
        return evaluator
    if joined is not None:
        evaluator = task.evaluator(dataset.meta, split)
    for name, kept in _once(split, files, rows).items():
        answers = files[name].batches(kept)
        for batch in answers if joined is None else _seen_as(split, answers, rows[name], kept):
            evaluator.update(batch)
    return evaluator


def _named(files: Mapping[str, Predictions]) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """The names and the inputs of the answers of each file."""
    no_names = np.zeros(0, np.bytes_)
    return {
        name: (no_names if saved.names is None else saved.names, saved.answers.inputs)
        for name, saved in files.items()
    }


def _once(
    split: Split, files: Mapping[str, Predictions], rows: Mapping[str, Rows]
) -> dict[str, NDArray[np.bool_]]:
    """Which answers of each file count: not those that an earlier file of the same model has."""
    counted: dict[str, NDArray[np.int64]] = {}
    kept = {}
    for name, saved in files.items():
        info, own = saved.info, rows_of(split, *rows[name])
        kept[name] = np.ones(len(own), bool)
        if info.weights:
            model = f"{info.weights} {info.reset_puzzle_embedding} {info.options}"
            before = counted.get(model, own[:0])
            kept[name] = ~np.isin(own, before)
            counted[model] = np.concatenate((before, own))
        if again := int((~kept[name]).sum()):
            warnings.warn(
                f"{again:,} of {len(own):,} answers of {name} are in an earlier file of the same "
                "checkpoint: they count once",
                TrmWarning,
                stacklevel=2,
            )
    return kept


def _seen_as(
    split: Split, answers: Iterator[EvalBatch], rows: Rows, kept: NDArray[np.bool_]
) -> Iterator[EvalBatch]:
    """Answers of another build as answers to these rows, with the labels of this split."""
    examples, puzzles = (column[kept] for column in rows)
    start = 0
    for batch in answers:
        own = slice(start, start + len(batch.answers))
        start = own.stop
        known = split.make_batch(examples[own], puzzles[own])
        yield replace(
            batch,
            inputs=known.inputs,
            labels=known.labels,
            puzzle_identifiers=known.puzzle_identifiers,
            examples=known.examples,
            puzzles=known.puzzles,
        )


def _majorities(files: Mapping[str, Predictions]) -> Iterator[EvalBatch]:
    """The majority answer to each example.

    Raises:
        InputError: if the files have other examples.
    """
    first, *others = files
    for name in others:
        same = (
            np.array_equal(
                getattr(files[name].answers, which), getattr(files[first].answers, which)
            )
            for which in ("examples", "puzzles")
        )
        if not all(same):
            raise InputError(
                f"{name} and {first} answer different examples. Give files with the same examples."
            )
    for batches in zip(*(saved.batches() for saved in files.values()), strict=True):
        yield majority(batches)


def _check_fits(
    name: str, answers: EvalBatch, dataset: Dataset, split: Split, *, only_tokens: bool
) -> None:
    """Refuse numbers out of range; a file may have been edited by hand."""
    meta = dataset.meta
    limits = {} if only_tokens else {"examples": len(split.inputs), "puzzles": split.num_puzzles}
    limits |= dict.fromkeys(("inputs", "labels", "answers"), meta.vocab_size)
    wrong = None
    if answers.answers.shape[1] != meta.seq_len:
        wrong = f"its answers have {answers.answers.shape[1]} cells, not {meta.seq_len}"
    for what, limit in limits.items():
        values: NDArray[Any] = getattr(answers, what)
        if values.size and not (values.min() >= 0 and values.max() < limit):
            wrong = wrong or f"its {what} go from {values.min()} to {values.max()}, beyond {limit}"
    if wrong:
        raise InputError(f"{name} does not fit {dataset.path}: {wrong}. Write it again.")
