"""The metrics of Sudoku answers."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from trm.data import Split
from trm.tasks.metrics import AccuracyEvaluator, EvalBatch, Metric
from trm.tasks.solved_puzzles import MAX_SOURCES
from trm.tasks.sudoku.geometry import BLANK, is_valid_solution


class SudokuEvaluator(AccuracyEvaluator):
    """Adds the share of valid Sudokus, and exact accuracy for each of the largest sources.

    ``valid_sudoku`` counts the answers with every digit once in each row, column and box. Such an
    answer is wrong only if it changes a clue.
    """

    def __init__(self, split: Split) -> None:
        super().__init__()
        self._split = split
        self._valid = self._answers = 0
        self._hits: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()

    def update(self, batch: EvalBatch) -> None:
        """See :meth:`trm.tasks.metrics.Evaluator.update`."""
        super().update(batch)
        self._answers += len(batch.answers)
        digits = np.maximum(batch.answers - BLANK, 0)
        self._valid += int(is_valid_solution(digits.astype(np.uint8)).sum())
        if "source" not in self._split.info:  # the published layout has no sources
            return
        sources = self._split.info["source"][self._split.group_of(batch.puzzles)]
        for source, exact in zip(sources.tolist(), batch.exact.tolist(), strict=True):
            self._counts[source.decode()] += 1
            self._hits[source.decode()] += exact

    def result(self) -> Mapping[str, Metric]:
        """See :meth:`trm.tasks.metrics.Evaluator.result`."""
        common = super().result()
        per_source = {
            f"exact_accuracy/{source}": Metric.share(self._hits[source], self._counts[source])
            for source in sorted(dict(self._counts.most_common(MAX_SOURCES)))
        }
        if len(per_source) == 1:  # the same as exact_accuracy
            per_source = {}
        return {**common, "valid_sudoku": Metric.share(self._valid, self._answers), **per_source}
