"""What is measured of ARC answers: pass@k of the votes of all copies of a task."""

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.data import Split
from trm.errors import DataError
from trm.tasks.arc.identifier_names import VOCAB_SIZE, parse_names
from trm.tasks.arc.restore import grid_of, restore
from trm.tasks.arc.votes import PASS_AT, Votes, solved_share
from trm.tasks.metrics import AccuracyEvaluator, EvalBatch, Metric

_ROWS_AT_ONCE = 8192
#: What Kaggle's own sample hands in for a test input without an answer.
NO_ANSWER = [[0, 0], [0, 0]]


class ArcEvaluator(AccuracyEvaluator):
    """Adds ``pass@k``: the mean over tasks of the share of test inputs solved in k attempts.

    Attempts are the grids most voted for, see :mod:`trm.tasks.arc.votes`. Tasks without an answer
    (an evaluation of a sample) are not looked at. Tasks whose outputs are unknown are voted on,
    and stand in the submission, but count in no metric.

    Attributes:
        tally: the votes so far.
    """

    headline = "pass@2"
    votes = True

    def __init__(self, split: Split) -> None:
        super().__init__()
        self.tally = Votes()
        self._split = split
        self._symmetry, self._permutation = _copies(split)
        self._truths = _truths(split)
        solved = split.info.get("solved")
        self._solved = np.ones(split.num_groups, bool) if solved is None else np.asarray(solved)

    def update(self, batch: EvalBatch) -> None:
        """See :meth:`trm.tasks.metrics.Evaluator.update`."""
        for start in range(0, len(batch.answers), _ROWS_AT_ONCE):
            self._update(_rows(batch, slice(start, start + _ROWS_AT_ONCE)))

    def _update(self, batch: EvalBatch) -> None:
        groups = self._split.group_of(batch.puzzles)
        places = batch.examples - self._split.example_range(batch.puzzles, groups)[0]
        symmetry, permutation = self._symmetry[batch.puzzles], self._permutation[batch.puzzles]
        grids = restore(batch.answers, symmetry, permutation)
        self.tally.add(groups, places, grids.keys(), batch.halt_logits)
        super().update(_rows(batch, self._solved[groups]))

    def result(self) -> Mapping[str, Metric]:
        """See :meth:`trm.tasks.metrics.Evaluator.result`."""
        passed = self.pass_at(PASS_AT)
        return {**super().result(), **{f"pass@{k}": metric for k, metric in passed.items()}}

    def pass_at(self, ks: Iterable[int]) -> dict[int, Metric]:
        """pass@k by k, of the tasks that were looked at and whose outputs are known."""
        ranks = self._ranks().values()
        shares = {k: [solved_share(of_task, k) for of_task in ranks] for k in ks}
        return {k: Metric.share(reduce(add, s, 0.0), len(s)) for k, s in shares.items()}

    def per_task(self) -> Mapping[str, Mapping[str, float]]:
        """See :meth:`trm.tasks.metrics.Evaluator.per_task`."""
        ids = self._ids()
        return {
            ids[group]: {f"pass@{k}": solved_share(ranks, k) for k in PASS_AT}
            for group, ranks in self._ranks().items()
        }

    def submission(self) -> dict[str, list[dict[str, list[list[int]]]]]:
        """Two attempts at each test input, in the form that Kaggle's competition asks for."""
        ids = self._ids()
        return {
            ids[group]: [self._attempts(group, place) for place in range(len(self._truths[group]))]
            for group in self.tally.groups
        }

    def _attempts(self, group: int, place: int) -> dict[str, list[list[int]]]:
        best = [grid_of(one.key) for one in self.tally.ranking(group, place)[:2]] or [NO_ANSWER]
        return {"attempt_1": best[0], "attempt_2": best[-1]}

    def _ranks(self) -> dict[int, list[int | None]]:
        """Where the truth of each test input stands in its ranking, by group."""
        return {
            group: [self.tally.rank(group, p, truth) for p, truth in enumerate(self._truths[group])]
            for group in self.tally.groups
            if self._solved[group]
        }

    def _ids(self) -> list[str]:
        """The ID of each group's task."""
        ids, split = self._split.info.get("name"), self._split
        if ids is None:
            ids = parse_names(_names(split, split.puzzle_offsets[:-1]))[0]
        return [task.decode() for task in ids.tolist()]


def _truths(split: Split) -> list[list[bytes]]:
    """The keys of the outputs of each group, as its original puzzle has them."""
    starts, counts = split.example_range(split.puzzle_offsets[:-1])
    ends = np.cumsum(counts)
    examples = np.repeat(starts - (ends - counts), counts) + np.arange(ends[-1])
    same = np.tile(np.arange(VOCAB_SIZE), (len(examples), 1))
    keys = restore(split.labels[examples], np.zeros(len(examples), np.int32), same).keys()
    return [keys[end - count : end] for end, count in zip(ends, counts, strict=True)]


def _copies(split: Split) -> tuple[NDArray[Any], NDArray[Any]]:
    """The symmetry (num_puzzles,) and the permutation (num_puzzles, 12) of each puzzle."""
    if split.symmetry is not None and split.permutation is not None:
        return split.symmetry, split.permutation
    return parse_names(_names(split, np.arange(split.num_puzzles)))[1:]


def _names(split: Split, puzzles: NDArray[np.integer[Any]]) -> NDArray[np.bytes_]:
    """The names (batch,) of puzzles (batch,).

    Raises:
        DataError: if they have none.
    """
    if split.names is None or split.identifiers is None:
        raise DataError("the puzzles of this split have no identifiers. Build the data again.")
    names: NDArray[np.bytes_] = split.names[split.identifiers[puzzles]]
    return names


def _rows(batch: EvalBatch, chosen: slice | NDArray[np.bool_]) -> EvalBatch:
    """Some rows of a batch."""
    names = EvalBatch.__dataclass_fields__
    return EvalBatch(**{name: getattr(batch, name)[chosen] for name in names})
