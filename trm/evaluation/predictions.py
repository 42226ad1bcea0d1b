"""Saved answers, and votes over them: without the model, or over several models."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trm.data import IGNORE_LABEL, PAD, Dataset, Split, with_validation_split
from trm.errors import InputError
from trm.evaluation.report_page import write_page
from trm.inference.choice import majority
from trm.inference.options import InferenceOptions
from trm.reading import FileReader, parse_json
from trm.storage import Paths, as_paths, atomic_file
from trm.tasks.base import Task
from trm.tasks.metrics import EvalBatch, Evaluator
from trm.tasks.registry import get_task

#: The array of a file that holds its :class:`PredictionsInfo`, as JSON.
ABOUT = "about"
_BATCH_SIZE = 8192
_FIELDS = tuple(field.name for field in fields(EvalBatch))
_TOKENS = ("inputs", "labels", "answers")
_TYPES: dict[str, type[np.generic]] = {
    **dict.fromkeys(_TOKENS, np.uint8),
    "halt_logits": np.float32,
    "halt_steps": np.int32,
    "steps": np.float32,
    "puzzle_identifiers": np.int32,
    "examples": np.int64,
    "puzzles": np.int64,
}
#: The largest value of an array of a type.
_LARGEST: dict[type[np.generic], float] = {
    np.float32: np.inf,
    **{kind: int(np.iinfo(kind).max) for kind in (np.uint8, np.int32, np.int64)},
}
_READER = FileReader(
    InputError, "Name a file of trm eval --save-predictions.", "holds no predictions"
)


class PredictionsInfo(InferenceOptions):
    """What a file of predictions holds: the model, the data and the inference options.

    Attributes:
        split: of the data, ``test`` or ``validation``.
        validation_share: the share of the training puzzles in ``validation``.
        digest: a digest of the data.
        weights: a digest of the weights; empty in files of older versions.
        reset_puzzle_embedding: whether all puzzles had the mean puzzle embedding.
    """

    task: str
    data: tuple[str, ...]
    split: str = Field("test", pattern="^(test|validation)$")
    validation_share: float = Field(0.0, ge=0, lt=1, allow_inf_nan=False)
    digest: str
    checkpoint: str
    step: int
    weights: str = ""
    reset_puzzle_embedding: bool = False

    def difference(self, other: "PredictionsInfo") -> str | None:
        """What the answers of another one differ in, None if both may be in one file."""
        for mine, others in zip(self._parts(), other._parts(), strict=True):
            if mine[0] != others[0]:
                return f"{others[1]}, not {mine[1]}"
        return None

    def _parts(self) -> list[tuple[object, str]]:
        """Values to compare, and how to name them."""
        mean = self.reset_puzzle_embedding
        puzzles = "the mean puzzle embedding" if mean else "their own puzzle embeddings"
        weights = "" if self.weights else "unknown weights of "
        return [
            (self.weights, f"answers of {weights}{self.checkpoint}"),
            (self.digest, f"answers to data of digest {self.digest[:12]}"),
            ((self.split, self.validation_share), f"answers to the {self.split} split"),
            (puzzles, f"answers with {puzzles}"),
            (self.options, f"answers with {self.flags or 'no inference flags'}"),
        ]


@dataclass(frozen=True)
class Predictions:
    """A model's answers to the examples of a split.

    Attributes:
        info: the model, the data and the inference options.
        answers: all answers, one example per row, with tokens as in :func:`compact`.
    """

    info: PredictionsInfo
    answers: EvalBatch

    @classmethod
    def of(cls, info: PredictionsInfo, batches: Sequence[EvalBatch]) -> "Predictions":
        """Join the answers of several batches."""
        small = [compact(batch) for batch in batches]
        parts = {n: np.concatenate([getattr(b, n) for b in small]) for n in _FIELDS}
        return cls(info, EvalBatch(**parts))

    def batches(self) -> Iterator[EvalBatch]:
        """The answers in batches, with :data:`trm.data.IGNORE_LABEL` where nothing is scored."""
        for start in range(0, len(self.answers.answers), _BATCH_SIZE):
            rows = slice(start, start + _BATCH_SIZE)
            parts: Any = {name: getattr(self.answers, name)[rows] for name in _FIELDS}
            parts |= {name: parts[name].astype(np.int32) for name in _TOKENS}
            parts["labels"][parts["labels"] == PAD] = IGNORE_LABEL
            yield EvalBatch(**parts)

    def save(self, path: Path, names: NDArray[np.bytes_] | None = None) -> None:
        """Write the fields of :class:`~trm.tasks.metrics.EvalBatch` as a compressed ``.npz``.

        Tokens are uint8. The label of a cell that is not scored is 0.

        Args:
            path: the file. It is written completely or not at all.
            names: the names of the puzzle identifiers; that of each row is saved as ``names``.
        """
        arrays: dict[str, NDArray[Any]] = {name: getattr(self.answers, name) for name in _FIELDS}
        if names is not None:
            arrays["names"] = names[arrays["puzzle_identifiers"]]
        about = np.frombuffer(self.info.model_dump_json().encode(), np.uint8)
        with atomic_file(path) as file:
            np.savez_compressed(file, allow_pickle=False, **{ABOUT: about}, **arrays)

    @classmethod
    def load(cls, path: Path, advice: str = _READER.advice) -> "Predictions":
        """Read a file that :meth:`save` wrote. The steps are NaN if an older version wrote it.

        Args:
            path: the file.
            advice: the last sentence of its errors.

        Raises:
            InputError: if the file holds no predictions, or is damaged.
        """
        reader = replace(_READER, advice=advice)
        arrays = reader.archive(path, [ABOUT, *_FIELDS], optional=["steps"])
        with reader.parsing(path):
            info = PredictionsInfo.model_validate(parse_json(arrays.pop(ABOUT).tobytes()))
            arrays = _checked(arrays)
            arrays.setdefault("steps", np.full(len(arrays["answers"]), np.nan, np.float32))
            return cls(info, EvalBatch(**arrays))


def _checked(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays of a file, with the types that :meth:`Predictions.save` gives them.

    Raises:
        ValueError: if they are not answers.
    """
    for name, array in arrays.items():
        kinds = "f" if _TYPES[name] is np.float32 else "iu"
        dimensions = 2 if name in _TOKENS else 1
        if array.dtype.kind not in kinds or array.ndim != dimensions:
            raise ValueError(f"its {name} are {array.dtype} of shape {array.shape}")
        least, most = -np.inf if name == "halt_logits" else 0, _LARGEST[_TYPES[name]]
        if array.size and not (array.min() >= least and array.max() <= most):  # also not NaN
            raise ValueError(f"its {name} go from {array.min()} to {array.max()}")
    if len({len(array) for array in arrays.values()}) > 1:
        raise ValueError("its arrays differ in length")
    if len({arrays[name].shape for name in _TOKENS}) > 1:
        raise ValueError("its answers and labels differ in length")
    return {name: array.astype(_TYPES[name], copy=False) for name, array in arrays.items()}


def compact(batch: EvalBatch) -> EvalBatch:
    """A batch with uint8 tokens, because 400,000 ARC answers take gigabytes otherwise.

    The label of a cell that is not scored is 0.
    """
    parts = {name: getattr(batch, name) for name in _TOKENS}
    parts["labels"] = np.where(parts["labels"] == IGNORE_LABEL, PAD, parts["labels"])
    small: Any = {name: tokens.astype(np.uint8, copy=False) for name, tokens in parts.items()}
    return replace(batch, **small)


def count_votes(task: Task, dataset: Dataset, files: Mapping[str, Predictions]) -> Evaluator:
    """Judge the votes of one or several evaluations.

    If the task's evaluator votes itself, it gets all answers. Otherwise it gets the majority answer
    to each example.

    Args:
        task: the task.
        dataset: the data that was evaluated.
        files: the predictions by name.

    Raises:
        InputError: if the files are of other data or different examples, or do not fit the data.
    """
    info = next(iter(files.values())).info
    if info.validation_share:
        dataset = with_validation_split(dataset, info.validation_share)
    split = dataset.split(info.split)
    for name, saved in files.items():
        if saved.info.digest != dataset.meta.digest:
            raise InputError(
                f"{name} has answers to data of digest {saved.info.digest[:12]}, {dataset.path} "
                f"has {dataset.meta.digest[:12]}. Give the data they are of with --data."
            )
        if (saved.info.split, saved.info.validation_share) != (info.split, info.validation_share):
            raise InputError(f"{name} and {next(iter(files))} answer different examples. "
                             "Give files with the same examples.")  # fmt: skip
        _check_fits(name, saved.answers, dataset, split)
    evaluator = task.evaluator(dataset.meta, split)
    if evaluator.votes:
        for saved in files.values():
            for batch in saved.batches():
                evaluator.update(batch)
    else:
        first, *others = files
        for name in others:
            same = (np.array_equal(getattr(files[name].answers, which),
                                   getattr(files[first].answers, which))
                    for which in ("examples", "puzzles"))  # fmt: skip
            if not all(same):
                raise InputError(
                    f"{name} and {first} answer different examples. Give files with the same "
                    "examples."
                )
        for batches in zip(*(saved.batches() for saved in files.values()), strict=True):
            evaluator.update(majority(batches))
    return evaluator


def _check_fits(name: str, answers: EvalBatch, dataset: Dataset, split: Split) -> None:
    """Refuse numbers out of range; a file may have been edited by hand."""
    meta = dataset.meta
    limits = {"examples": len(split.inputs), "puzzles": split.num_puzzles}
    limits |= dict.fromkeys(_TOKENS, meta.vocab_size)
    wrong = None
    if answers.answers.shape[1] != meta.seq_len:
        wrong = f"its answers have {answers.answers.shape[1]} cells, not {meta.seq_len}"
    for what, limit in limits.items():
        values: NDArray[Any] = getattr(answers, what)
        if values.size and not (values.min() >= 0 and values.max() < limit):
            wrong = wrong or f"its {what} go from {values.min()} to {values.max()}, beyond {limit}"
    if wrong:
        raise InputError(f"{name} does not fit {dataset.path}: {wrong}. Write it again.")


def vote(predictions: Paths, *, data: Paths = (), report: str | Path | None = None) -> Evaluator:
    """Vote over saved predictions; several files make an ensemble: ``trm vote``.

    Args:
        predictions: a file that :func:`trm.evaluate` saved, or several.
        data: a data folder, or several; by default those of the predictions.
        report: write a page of HTML with the votes on each task into this folder (ARC).

    Returns:
        The evaluator, with ``result()``, ``per_task()`` and ``submission()``.

    Raises:
        InputError: if the predictions are of several tasks, or cannot be read.
        StorageError: if the report cannot be written.
    """
    files = {str(path): Predictions.load(Path(path)) for path in as_paths(predictions)}
    return vote_saved(files, data, report)


def vote_saved(
    files: Mapping[str, Predictions], data: Paths = (), report: str | Path | None = None
) -> Evaluator:
    """Vote over predictions, by the names of their files; see :func:`vote`."""
    if not files:
        raise InputError("no file of predictions was given. Give one or more.")
    names = list(dict.fromkeys(saved.info.task for saved in files.values()))
    if len(names) != 1:
        raise InputError(f"predictions of several tasks ({', '.join(names)}). Give those of one.")
    task, first = get_task(names[0]), next(iter(files.values()))
    paths = list(map(str, as_paths(data))) or first.info.data
    dataset = task.open_data(paths)
    evaluator = count_votes(task, dataset, files)
    if report:
        evaluator.check_has(["report"])
        facts = {name: f"{saved.info.checkpoint}{saved.info.text}" for name, saved in files.items()}
        title = f"Vote of {len(files)} files" if len(files) > 1 else first.info.checkpoint
        write_page(report, evaluator, dataset, first.info.split, title, facts)
    return evaluator
