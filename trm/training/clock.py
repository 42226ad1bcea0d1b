"""The time of a run: how much of ``train.max_minutes`` is over, and what still fits."""

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

#: What a disk writes in a second at least, until a checkpoint is saved.
_SLOW_DISK = 100e6
#: Evaluations may take longer than the longest one so far, by this factor.
_SLOWER = 1.1
#: The share of the time is exchanged as a whole number of these.
_PARTS = 10**9
#: What starting and ending Python may take: this share of the limit, within these seconds.
_END_SHARE, _LEAST_END_S, _MOST_END_S = 0.01, 2.0, 10.0


def now() -> float:
    """The seconds of a clock that all processes of a machine share."""
    return time.monotonic()


@dataclass
class RunClock:
    """The clock of a run, with which all processes agree on what is over.

    Only the first process looks at the time. The others take its :meth:`reading` in
    :meth:`agree`, so that all end at the same step and have the same learning rate.

    Attributes:
        minutes: ``train.max_minutes``, None for a run without a limit. Then nothing is ever over.
        began: when the run began, by :func:`now`; earlier for one that resumes, by its time before.
        save_s: the longest time of saving so far; before the first, an estimate.
        evaluation_s: the longest time of an evaluation so far, 0 before the first.
        share: the share of the time for training that is over, 0 to 1. Time to save, and to
            evaluate once more, is kept back.
        may_evaluate: whether an evaluation would end in time.
        is_late: whether all time is over, so that an evaluation has to end.
    """

    minutes: float | None
    began: float
    save_s: float = 0.0
    evaluation_s: float = 0.0
    share: float = 0.0
    may_evaluate: bool = True
    is_late: bool = False
    _steps: list[float] = field(default_factory=lambda: [0.0, 0.0])

    @classmethod
    def of_run(cls, minutes: float | None, began: float, num_bytes: int) -> "RunClock":
        """The clock of a run whose checkpoints have about this size."""
        return cls(minutes, began, num_bytes / _SLOW_DISK)

    @property
    def elapsed(self) -> float:
        """Seconds since the run began, in this process."""
        return now() - self.began

    @property
    def is_over(self) -> bool:
        """Whether there is no time for another step."""
        return self.share >= 1

    @property
    def left(self) -> float:
        """Seconds until training ends, infinite without a limit."""
        return max(0.0, self._training - self.elapsed)

    @property
    def _limit(self) -> float:
        if self.minutes is None:
            return math.inf
        seconds = 60 * self.minutes
        return seconds - min(max(_LEAST_END_S, _END_SHARE * seconds), _MOST_END_S)

    @property
    def _training(self) -> float:
        """The seconds after which there is no time for another step."""
        # The first step may take minutes to compile: the shorter one of the last two counts.
        return self._limit - self.save_s - _SLOWER * self.evaluation_s - min(self._steps)

    @contextlib.contextmanager
    def timing_step(self) -> Iterator[None]:
        """Time a training step."""
        before = now()
        yield
        self._steps = [self._steps[1], now() - before]

    @contextlib.contextmanager
    def timing_evaluation(self) -> Iterator[None]:
        """Time an evaluation."""
        before = now()
        yield
        self.evaluation_s = max(self.evaluation_s, now() - before)

    def saved_in(self, seconds: float) -> None:
        """Note how long a checkpoint took."""
        self.save_s = max(self.save_s, seconds)

    def reading(self, *, is_first: bool) -> tuple[int, ...]:
        """What the first process tells the others; theirs are zeros. Empty without a limit."""
        if self.minutes is None:
            return ()
        if not is_first:
            return (0, 0, 0)
        elapsed = self.elapsed
        share = min(elapsed / self._training, 1.0) if self._training > 0 else 1.0
        # The first evaluation has an unknown length. If time ends before it, there is none.
        ends = elapsed + self.evaluation_s + self.save_s
        fits = ends <= self._limit and (share < 1 or self.evaluation_s > 0)
        is_late = elapsed + self.save_s >= self._limit
        return (round(share * _PARTS), int(fits), int(is_late))

    def agree(self, reading: Sequence[int]) -> None:
        """Take the reading of the first process."""
        if reading:
            share, fits, late = reading
            self.share = max(self.share, share / _PARTS)
            self.may_evaluate, self.is_late = bool(fits), bool(late)
