"""Averages and speed of the training steps between two logged lines."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from trm.models import RecursiveModel
from trm.runtime.peak_flops import DevicePeak
from trm.runtime.process_group import ProcessGroup
from trm.training.step import METRICS

#: Metrics of the rows that halted; the others are of all rows.
_OF_HALTED_ROWS = ("exact_accuracy", "cell_accuracy", "halting_accuracy", "mean_steps")

#: A record is due after so long, however few steps it is of.
_MOST_SECONDS = 60.0


class StepMetrics:
    """Sums over the steps since the last logged one. They stay on the device until they are logged.

    Args:
        model: the model that is trained.
        step: the last step before.
        elapsed: seconds that the run took until then.
        batch_size: examples in a step, over all processes.
        group: the processes that train together.
        flops: the operations per example of a step, by its number.
    """

    def __init__(
        self,
        model: RecursiveModel,
        step: int,
        elapsed: float,
        batch_size: int,
        group: ProcessGroup,
        flops: Callable[[int], int],
    ) -> None:
        self._batch_size, self._group, self._flops = batch_size, group, flops
        self._has_continue_loss = model.config.continues
        # All processes measure at the same time, as they train at the same time: they may share a
        # CPU.
        self._peak = DevicePeak(model.device, model.dtype)
        self._last_step: torch.cuda.Event | None = None
        if model.device.type == "cuda":
            self._last_step = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._began = time.perf_counter() - elapsed
        self._reset(step)

    def _reset(self, step: int) -> None:
        self._sums: Tensor | None = None
        self._num_added = 0
        self._waited = 0.0
        self._first = step
        self._since = self._last_added = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds of training and evaluation, including those before an interruption."""
        return time.perf_counter() - self._began

    @property
    def is_due(self) -> bool:
        """Whether steps are so slow that a record is due before ``log_every_steps`` of them."""
        return time.perf_counter() - self._since > _MOST_SECONDS

    def exclude_pause(self) -> None:
        """Do not count the time since the last step, which evaluation and saving took."""
        self._since += time.perf_counter() - self._last_added

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the block, which makes the next batch, as waiting for input.

        If a GPU is still busy with earlier steps after the block, nothing has waited.
        """
        began = time.perf_counter()
        yield
        if self._last_step is None or self._last_step.query():  # type: ignore[no-untyped-call]
            self._waited += time.perf_counter() - began

    def add(self, sums: Tensor | None) -> None:
        """Add the sums of a step, None for a step that was skipped."""
        self._last_added = time.perf_counter()
        if self._last_step is not None:
            self._last_step.record()
        if sums is not None:
            self._num_added += 1
            self._sums = sums if self._sums is None else self._sums + sums

    def summarize(self, step: int, total: int) -> dict[str, Any]:
        """The averages since the last call, over all processes, for ``metrics.jsonl``.

        Args:
            step: the last step.
            total: the length of the run, for the remaining time.
        """
        sums: dict[str, float] = dict.fromkeys(METRICS, 0.0)
        if self._sums is not None:
            self._group.all_reduce_(self._sums[:-1])  # grad_norm is that of all processes already
            sums = dict(zip(METRICS, self._sums.tolist(), strict=True))
        steps, seconds = step - self._first, time.perf_counter() - self._since
        num_halted, num_added = sums.pop("count"), self._num_added
        averages: dict[str, float | None] = {}
        for name, value in sums.items():
            if name == "continue_loss" and not self._has_continue_loss:
                continue
            count = num_halted if name in _OF_HALTED_ROWS else num_added
            averages[name] = value / count if count else None
        rate, input_share = steps * self._batch_size / seconds, self._waited / seconds
        flops = sum(map(self._flops, range(self._first + 1, step + 1))) / steps
        self._reset(step)
        return {
            **averages,
            "num_halted": int(num_halted),
            "samples_per_s": rate,
            **self._peak.utilization(rate / self._group.size, flops),
            "input_share": input_share,
            "eta_s": (total - step) * seconds / steps,
            "elapsed_s": self.elapsed,
        }
