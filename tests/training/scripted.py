"""A task whose evaluations find what they are told to find."""

from collections.abc import Iterable, Mapping

from trm.data import DatasetMeta, Split
from trm.tasks.metrics import AccuracyEvaluator, EvalBatch, Evaluator, Metric
from trm.tasks.sudoku.task import Sudoku


class Scripted(Sudoku):
    """Sudoku of which each evaluation that comes to its end has the next of these headlines."""

    def __init__(self, headlines: Iterable[float]) -> None:
        self._headlines = list(headlines)

    def evaluator(self, meta: DatasetMeta, split: Split) -> Evaluator:  # type: ignore[override]
        return _Told(self._headlines)


class _Told(Evaluator):
    def __init__(self, headlines: list[float]) -> None:
        self._headlines, self._measured = headlines, AccuracyEvaluator()

    def update(self, batch: EvalBatch) -> None:
        self._measured.update(batch)

    def result(self) -> Mapping[str, Metric]:
        told = Metric(self._headlines.pop(0))
        return {**self._measured.result(), "exact_accuracy": told}
