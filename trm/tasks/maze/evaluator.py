"""The metrics of maze answers."""

from collections.abc import Mapping

from trm.tasks.maze.solver import is_shortest_path, is_valid_path
from trm.tasks.metrics import AccuracyEvaluator, EvalBatch, Metric


class MazeEvaluator(AccuracyEvaluator):
    """Adds the shares of answers that are a valid path, and that are a shortest path.

    Both ignore the tie-break rule, unlike the exact accuracy. See
    :func:`trm.tasks.maze.solver.is_valid_path` for what a valid path is.
    """

    def __init__(self) -> None:
        super().__init__()
        self._count = self._valid = self._shortest = 0

    def update(self, batch: EvalBatch) -> None:
        """See :meth:`trm.tasks.metrics.Evaluator.update`."""
        super().update(batch)
        self._count += len(batch.inputs)
        self._valid += int(is_valid_path(batch.inputs, batch.answers).sum())
        self._shortest += int(is_shortest_path(batch.inputs, batch.answers).sum())

    def result(self) -> Mapping[str, Metric]:
        """See :meth:`trm.tasks.metrics.Evaluator.result`."""
        return {
            **super().result(),
            "valid_path": Metric.share(self._valid, self._count),
            "shortest_path": Metric.share(self._shortest, self._count),
        }
