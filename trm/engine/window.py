"""What is said of the steps between two logged lines."""

import time
from typing import Any

from torch import Tensor

from trm.engine.distributed import Group
from trm.engine.step import METRICS

#: Metrics of the rows that halted; the others are of all rows.
_SHARES = ("exact_accuracy", "cell_accuracy", "halting_accuracy", "mean_steps")


class Window:
    """The steps since the last logged one: sums on the device, read only when logged.

    Args:
        step: the last one before.
        elapsed: seconds that the run took until then.
        batch_size: examples in a step, over all processes.
        group: those processes.
    """

    def __init__(self, step: int, elapsed: float, batch_size: int, group: Group) -> None:
        self._batch_size, self._group = batch_size, group
        self._began = time.perf_counter() - elapsed
        self._open(step)

    def _open(self, step: int) -> None:
        self._sums: Tensor | None = None
        self._added = 0
        self._first = step
        self._since = self._stepped = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds of training and evaluation, those before an interruption included."""
        return time.perf_counter() - self._began

    def resume(self) -> None:
        """Do not count the time since the last step: it went into evaluation and saving."""
        self._since += time.perf_counter() - self._stepped

    def add(self, sums: Tensor | None) -> None:
        """Take in one step's sums, None of a step that was left out."""
        self._stepped = time.perf_counter()
        if sums is not None:
            self._added += 1
            self._sums = sums if self._sums is None else self._sums + sums

    def close(self, step: int, total: int) -> dict[str, Any]:
        """The averages since the last call, over all processes; a new window begins."""
        sums: dict[str, float] = dict.fromkeys(METRICS, 0.0)
        if self._sums is not None:
            self._group.sum_(self._sums[:-1])  # the last, grad_norm, is of all processes already
            sums = dict(zip(METRICS, self._sums.tolist(), strict=True))
        steps, seconds = step - self._first, time.perf_counter() - self._since
        added, count = self._added, sums.pop("count")
        averages = {name: _mean(v, count if name in _SHARES else added) for name, v in sums.items()}
        self._open(step)
        return {
            **averages,
            "num_halted": int(count),
            "samples_per_s": steps * self._batch_size / seconds,
            "eta_s": (total - step) * seconds / steps,
            "elapsed_s": self.elapsed,
        }


def _mean(value: float, count: int | float) -> float | None:
    return value / count if count else None
