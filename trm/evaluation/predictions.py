"""Saved answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trm.data import IGNORE_LABEL, PAD
from trm.errors import InputError
from trm.inference.options import SolveOptions
from trm.reading import FileReader, parse_json
from trm.storage import atomic_file
from trm.tasks.metrics import EvalBatch

#: The array of a file that holds its :class:`PredictionsInfo`, as JSON.
ABOUT = "about"
_BATCH_SIZE = 2048
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


class PredictionsInfo(SolveOptions):
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
        names: (rows,) byte strings, the name of the puzzle of each row; None if puzzles have none.
    """

    info: PredictionsInfo
    answers: EvalBatch
    names: NDArray[np.bytes_] | None = None

    @classmethod
    def of(cls, info: PredictionsInfo, batches: Sequence[EvalBatch]) -> "Predictions":
        """Join the answers of several batches."""
        small = [compact(batch) for batch in batches]
        parts = {n: np.concatenate([getattr(b, n) for b in small]) for n in _FIELDS}
        return cls(info, EvalBatch(**parts))

    def batches(self, kept: NDArray[np.bool_] | None = None) -> Iterator[EvalBatch]:
        """The answers in batches, with :data:`trm.data.IGNORE_LABEL` where nothing is scored.

        Args:
            kept: whether to give each answer (rows,); default: all.
        """
        for start in range(0, len(self.answers.answers), _BATCH_SIZE):
            rows: Any = slice(start, start + _BATCH_SIZE)
            if kept is not None and not kept[rows].all():
                rows = start + np.flatnonzero(kept[rows])
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
        arrays = reader.archive(path, [ABOUT, *_FIELDS, "names"], optional=["steps", "names"])
        with reader.parsing(path):
            info = PredictionsInfo.model_validate(parse_json(arrays.pop(ABOUT).tobytes()))
            names = arrays.pop("names", None)
            arrays = _checked(arrays)
            arrays.setdefault("steps", np.full(len(arrays["answers"]), np.nan, np.float32))
            if names is not None and (names.dtype.kind, names.shape) != (
                "S",
                arrays["steps"].shape,
            ):
                raise ValueError(f"its names are {names.dtype} of shape {names.shape}")
            return cls(info, EvalBatch(**arrays), names)


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
