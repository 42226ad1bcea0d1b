"""A task whose evaluations return given values."""

from collections.abc import Iterable, Mapping

from trm.data import DatasetMeta, Split
from trm.tasks.metrics import AccuracyEvaluator, EvalBatch, Evaluator, Metric
from trm.tasks.sudoku.task import Sudoku


class Scripted(Sudoku):
    """Sudoku whose complete evaluations return these headline values, one after the other."""

    def __init__(self, headlines: Iterable[float]) -> None:
        self._headlines = list(headlines)

    def evaluator(self, meta: DatasetMeta, split: Split) -> Evaluator:  # type: ignore[override]
        return _ScriptedEvaluator(self._headlines)


class _ScriptedEvaluator(Evaluator):
    def __init__(self, headlines: list[float]) -> None:
        self._headlines, self._measured = headlines, AccuracyEvaluator()

    def update(self, batch: EvalBatch) -> None:
        self._measured.update(batch)

    def result(self) -> Mapping[str, Metric]:
        headline = Metric(self._headlines.pop(0))
        return {**self._measured.result(), "exact_accuracy": headline}
