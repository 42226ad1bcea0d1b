"""The metrics of ARC answers: pass@k of the votes of all copies of a task."""

import warnings
from collections.abc import Iterable, Mapping
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.data import BatchTransforms, Split, Transforms
from trm.errors import DataError, TrmWarning
from trm.tasks.arc.augmentation import ArcAugmentation
from trm.tasks.arc.closeness import InputVotes, attempts_of, votes_json
from trm.tasks.arc.grids import NO_GRID, encode
from trm.tasks.arc.identifier_names import parse_names
from trm.tasks.arc.joined_builds import join_builds, with_solutions
from trm.tasks.arc.report import find_demonstrations, report_page
from trm.tasks.arc.votes import PASS_AT, Votes, grid_from_key, grid_keys, solved_share
from trm.tasks.metrics import AccuracyEvaluator, Attempt, EvalBatch, Metric, Rows

_ROWS_AT_ONCE = 8192
#: The attempts at each test input that the competition allows.
_NUM_ATTEMPTS = 2
#: The attempt at a test input without an answer, as in Kaggle's sample submission.
NO_ANSWER = [[0, 0], [0, 0]]
#: What is stored in place of an unknown output: no grid, or in older data a single black cell.
_UNKNOWN = grid_keys(np.stack([encode(NO_GRID), encode(np.zeros((1, 1), np.uint8))]))


class ArcEvaluator(AccuracyEvaluator):
    """Adds two measures of the votes, see :mod:`trm.tasks.arc.votes`.

    - ``pass@k``: the mean over tasks of the share of test inputs whose output is among the k grids
      with the most votes. The published code reports it.
    - ``pass@2/outputs``: the share of all test inputs that the two attempts of the submission
      solve. This is the score of the competition.

    Tasks without an answer (when only a sample is evaluated) are ignored. Tasks with unknown
    outputs are part of the submission, but count in no metric.

    Attributes:
        tally: the votes so far.
    """

    headline = "pass@2"
    votes = True

    def __init__(self, split: Split) -> None:
        super().__init__()
        self.tally = Votes()
        self._split = split
        self._augmentation = ArcAugmentation(seed=0, translate=False)
        self._transforms = _transforms(split)
        self._inputs, self._solutions = (
            _original_keys(split, tokens) for tokens in (split.inputs, split.labels)
        )
        solved = split.info.get("solved")
        self._solved = np.ones(split.num_groups, bool) if solved is None else np.asarray(solved)

    def update(self, batch: EvalBatch) -> None:
        """See :meth:`trm.tasks.metrics.Evaluator.update`."""
        for start in range(0, len(batch.answers), _ROWS_AT_ONCE):
            self._update(_select(batch, slice(start, start + _ROWS_AT_ONCE)))

    def _update(self, batch: EvalBatch) -> None:
        groups = self._split.group_of(batch.puzzles)
        begins, counts = self._split.example_range(batch.puzzles, groups)
        test_indices = batch.examples - begins
        transforms = BatchTransforms(
            self._transforms.symmetry[batch.puzzles],
            self._transforms.permutation[batch.puzzles],
            puzzles=batch.puzzles,
            example_index=test_indices,
            num_examples=counts,
        )
        answers = self._augmentation.undo(batch.answers, transforms)
        self.tally.add(groups, test_indices, grid_keys(answers), batch.halt_logits)
        super().update(_select(batch, self._solved[groups]))

    def result(self) -> Mapping[str, Metric]:
        """See :meth:`trm.tasks.metrics.Evaluator.result`."""
        passed = {f"pass@{k}": metric for k, metric in self.pass_at(PASS_AT).items()}
        scored = [group for group in self.tally.groups if self._solved[group]]
        solved = [voted.is_solved for group in scored for voted in self._voted(group)]
        outputs = {f"pass@{_NUM_ATTEMPTS}/outputs": Metric.share(sum(solved), len(solved))}
        return {**super().result(), **passed, **outputs}

    def pass_at(self, ks: Iterable[int]) -> dict[int, Metric]:
        """pass@k for each k, over the tasks with answers and known outputs."""
        ranks = self._ranks().values()
        shares = {k: [solved_share(of_task, k) for of_task in ranks] for k in ks}
        return {k: Metric.share(reduce(add, s, 0.0), len(s)) for k, s in shares.items()}

    def per_task(self) -> Mapping[str, Mapping[str, Any]]:
        """pass@k of each task with known outputs, and the votes on its test inputs."""
        ids = self._ids()
        return {
            ids[group]: {f"pass@{k}": solved_share(ranks, k) for k in PASS_AT}
            | {"tests": [votes_json(voted) for voted in self._voted(group)]}
            for group, ranks in self._ranks().items()
        }

    def attempts(self, example: int) -> list[Attempt]:
        """See :meth:`trm.tasks.metrics.Evaluator.attempts`."""
        puzzles = np.asarray(self._split.puzzle_offsets[:-1])
        begins, counts = self._split.example_range(puzzles)
        groups = np.flatnonzero((begins <= example) & (example < begins + counts))
        if not len(groups):  # of a copy, which the published layout stores too
            return []
        return attempts_of(self._voted(int(groups[0]))[example - int(begins[groups[0]])])

    def report(self, title: str, facts: Mapping[str, str], train: Split | None) -> str:
        """See :meth:`trm.tasks.metrics.Evaluator.report`."""
        voted = self.voted_tasks()
        known = {} if train is None else find_demonstrations(train, set(voted))
        return report_page(title, facts, self.result(), known, voted.items())

    def voted_tasks(self) -> dict[str, list[InputVotes]]:
        """The votes on all test inputs of each task of the split, by its ID; some have none."""
        return {name: self._voted(group) for group, name in enumerate(self._ids())}

    def _voted(self, group: int) -> list[InputVotes]:
        """The votes on all test inputs of a task. Unknown outputs have no solution."""
        is_known = [self._solved[group] or key not in _UNKNOWN for key in self._solutions[group]]
        return [
            InputVotes(given, self.tally.ranking(group, i), key if known else None)
            for i, (given, key, known) in enumerate(
                zip(self._inputs[group], self._solutions[group], is_known, strict=True)
            )
        ]

    def submission(self) -> dict[str, list[dict[str, list[list[int]]]]]:
        """Two attempts at each test input of the split, in the format of Kaggle's competition.

        Warns of test inputs without an answer that could be right.
        """
        voted = self.voted_tasks()
        empty = [not one.attempts for of_task in voted.values() for one in of_task]
        if any(empty):
            warnings.warn(
                f"{sum(empty):,} of {len(empty):,} test inputs have no answer, or only empty "
                f"grids, so both attempts are {NO_ANSWER}. Evaluate more copies.",
                TrmWarning,
                stacklevel=2,
            )
        return {name: [_submitted(one) for one in of_task] for name, of_task in voted.items()}

    def _ranks(self) -> dict[int, list[int | None]]:
        """The ranks of the solutions of all test inputs, by group."""
        return {
            group: [self.tally.rank(group, i, key) for i, key in enumerate(self._solutions[group])]
            for group in self.tally.groups
            if self._solved[group]
        }

    def join_builds(
        self, answered: Mapping[str, tuple[NDArray[Any], NDArray[Any]]]
    ) -> tuple[Split, dict[str, Rows]]:
        """See :meth:`trm.tasks.metrics.Evaluator.join_builds`."""
        return join_builds(self._split, self._ids(), answered)

    def with_solutions(self, split: Split, solutions: object, source: str) -> Split:
        """See :meth:`trm.tasks.metrics.Evaluator.with_solutions`."""
        return with_solutions(split, self._ids(), solutions, source)

    def _ids(self) -> list[str]:
        """The ID of each group's task."""
        ids, split = self._split.info.get("name"), self._split
        if ids is None:
            ids = parse_names(_names(split, split.puzzle_offsets[:-1]))[0]
        return [task.decode() for task in ids.tolist()]


def _submitted(voted: InputVotes) -> dict[str, list[list[int]]]:
    """The attempts at a test input. A single one is handed in twice."""
    best = [grid_from_key(candidate.key) for candidate in voted.attempts] or [NO_ANSWER]
    return {"attempt_1": best[0], "attempt_2": best[-1]}


def _original_keys(split: Split, tokens: NDArray[np.uint8]) -> list[list[bytes]]:
    """The keys of the grids of each group, among the tokens of all examples of a split."""
    starts, counts = split.example_range(split.puzzle_offsets[:-1])
    ends = np.cumsum(counts)
    examples = np.repeat(starts - (ends - counts), counts) + np.arange(ends[-1])
    keys = grid_keys(tokens[examples])
    return [keys[end - count : end] for end, count in zip(ends, counts, strict=True)]


def _transforms(split: Split) -> Transforms:
    """The symmetries (num_puzzles,) and permutations (num_puzzles, 12) of all puzzles.

    Raises:
        DataError: if they are not stored and the puzzles have no names.
    """
    if split.symmetry is None or split.permutation is None:
        _, symmetry, permutation = parse_names(_names(split, np.arange(split.num_puzzles)))
        return Transforms(symmetry, permutation)
    return Transforms(split.symmetry, split.permutation)


def _names(split: Split, puzzles: NDArray[np.integer[Any]]) -> NDArray[np.bytes_]:
    """The names (batch,) of puzzles (batch,).

    Raises:
        DataError: if puzzles have no names.
    """
    if split.names is None or split.identifiers is None:
        raise DataError("the puzzles of this split have no identifiers. Build the data again.")
    names: NDArray[np.bytes_] = split.names[split.identifiers[puzzles]]
    return names


def _select(batch: EvalBatch, rows: slice | NDArray[np.bool_]) -> EvalBatch:
    """The given rows of a batch."""
    names = EvalBatch.__dataclass_fields__
    return EvalBatch(**{name: getattr(batch, name)[rows] for name in names})
