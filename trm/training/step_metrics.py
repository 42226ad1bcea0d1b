"""What is said of the steps between two logged lines."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from trm.models import TinyRecursiveModel
from trm.runtime.peak_flops import measure_peak_flops, utilization
from trm.runtime.process_group import ProcessGroup
from trm.training.supervision import METRICS

#: Metrics of the rows that halted; the others are of all rows.
_SHARES = ("exact_accuracy", "cell_accuracy", "halting_accuracy", "mean_steps")


class StepMetrics:
    """The steps since the last logged one: sums on the device, read only when logged.

    Args:
        model: what is trained.
        step: the last one before.
        elapsed: seconds that the run took until then.
        batch_size: examples in a step, over all processes.
        group: those processes.
        flops: operations that a step takes of an example, by its number.
    """

    def __init__(
        self,
        model: TinyRecursiveModel,
        step: int,
        elapsed: float,
        batch_size: int,
        group: ProcessGroup,
        flops: Callable[[int], int],
    ) -> None:
        self._batch_size, self._group, self._flops = batch_size, group, flops
        # Measured by all processes at once, as they compute at once: they may share a CPU.
        self._peak_flops = measure_peak_flops(model.device, model.dtype)
        self._last_step: torch.cuda.Event | None = None
        if model.device.type == "cuda":
            self._last_step = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._began = time.perf_counter() - elapsed
        self._open(step)

    def _open(self, step: int) -> None:
        self._sums: Tensor | None = None
        self._added = 0
        self._waited = 0.0
        self._first = step
        self._since = self._stepped = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds of training and evaluation, those before an interruption included."""
        return time.perf_counter() - self._began

    def resume(self) -> None:
        """Do not count the time since the last step: it went into evaluation and saving."""
        self._since += time.perf_counter() - self._stepped

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """The next batch is made in the block, and no step is taken.

        A GPU may have steps to take all the while: then nothing waited.
        """
        began = time.perf_counter()
        yield
        if self._last_step is None or self._last_step.query():  # type: ignore[no-untyped-call]
            self._waited += time.perf_counter() - began

    def add(self, sums: Tensor | None) -> None:
        """Take in one step's sums, None of a step that was left out."""
        self._stepped = time.perf_counter()
        if self._last_step is not None:
            self._last_step.record()
        if sums is not None:
            self._added += 1
            self._sums = sums if self._sums is None else self._sums + sums

    def close(self, step: int, total: int) -> dict[str, Any]:
        """The averages since the last call, over all processes; a new window begins."""
        sums: dict[str, float] = dict.fromkeys(METRICS, 0.0)
        if self._sums is not None:
            self._group.all_reduce_(
                self._sums[:-1]
            )  # the last, grad_norm, is of all processes already
            sums = dict(zip(METRICS, self._sums.tolist(), strict=True))
        steps, seconds = step - self._first, time.perf_counter() - self._since
        added, count = self._added, sums.pop("count")
        averages = {name: _mean(v, count if name in _SHARES else added) for name, v in sums.items()}
        rate, input_share = steps * self._batch_size / seconds, self._waited / seconds
        flops = sum(map(self._flops, range(self._first + 1, step + 1))) / steps
        self._open(step)
        return {
            **averages,
            "num_halted": int(count),
            "samples_per_s": rate,
            **utilization(rate / self._group.size, flops, self._peak_flops),
            "input_share": input_share,
            "eta_s": (total - step) * seconds / steps,
            "elapsed_s": self.elapsed,
        }


def _mean(value: float, count: int | float) -> float | None:
    return value / count if count else None
