"""Evaluators and metrics: the base class, and the metrics that all tasks report."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from trm.data import IGNORE_LABEL, Split
from trm.errors import InputError


@dataclass(frozen=True)
class EvalBatch:
    """A model's final answers to a batch of examples.

    Attributes:
        inputs, labels: (batch, seq_len) int32; labels are ``IGNORE_LABEL`` where not scored.
        answers: (batch, seq_len) int32, the tokens after the last supervision step.
        halt_logits: (batch,), after the last supervision step.
        halt_steps: (batch,), the first step at which the model halts or would have halted, or the
            last step.
        steps: (batch,), the supervision steps taken, as a mean over the rollouts of an example; of
            a search, the sum over its tries and all their rollouts. NaN if unknown.
        puzzle_identifiers, examples, puzzles: (batch,), as in :class:`trm.data.Batch`.
    """

    inputs: NDArray[np.int32]
    labels: NDArray[np.int32]
    answers: NDArray[np.int32]
    halt_logits: NDArray[np.float32]
    halt_steps: NDArray[np.int32]
    steps: NDArray[np.float32]
    puzzle_identifiers: NDArray[np.int32]
    examples: NDArray[np.int64]
    puzzles: NDArray[np.int64]

    @property
    def exact(self) -> NDArray[np.bool_]:
        """Whether (batch,) all scored cells are correct, and there is at least one."""
        scored = self.labels != IGNORE_LABEL
        exact: NDArray[np.bool_] = ((self.answers == self.labels) | ~scored).all(axis=1)
        exact &= scored.any(axis=1)
        return exact


@dataclass(frozen=True)
class Attempt:
    """An answer that several ways to solve a puzzle voted for.

    Attributes:
        answer: (seq_len,), the tokens.
        votes: the number of votes for it.
        all_votes: the number of votes for any answer.
        confidence: the mean halting probability of its votes.
        verdict: how close it is to the solution, such as ``right`` or ``2 of 9 cells wrong``; empty
            if the solution is unknown.
    """

    answer: NDArray[np.integer[Any]]
    votes: int
    all_votes: int
    confidence: float
    verdict: str = ""

    def __repr__(self) -> str:
        return f"<Attempt: {', '.join(self.facts)}>"

    @property
    def facts(self) -> list[str]:
        """Votes, confidence and verdict, in words."""
        votes = f"{self.votes:,} of {self.all_votes:,} vote{'s' * (self.all_votes != 1)}"
        return [votes, f"confidence {self.confidence:.3f}", *filter(None, [self.verdict])]


@dataclass(frozen=True)
class Metric:
    """A measured number. A share also has its count and its 95% Wilson interval.

    Attributes:
        count: the number of measured examples or tasks; with a count of 0 the value is meaningless,
            and ``float`` gives NaN.
    """

    value: float
    count: int | None = None
    interval: tuple[float, float] | None = None

    def __float__(self) -> float:
        return self.value if self.count != 0 else math.nan

    def __repr__(self) -> str:
        return f"<Metric {self}>"

    def __str__(self) -> str:
        value, interval, count = self.texts
        return value + (f" ({interval})" if interval else "") + (f" of {count}" if count else "")

    @property
    def texts(self) -> tuple[str, str, str]:
        """Value, 95% interval and count. A metric over zero examples has no value."""
        if self.count == 0:
            return "-", "", "0"
        interval = "{:.4f} to {:.4f}".format(*self.interval) if self.interval else ""
        return f"{self.value:.4f}", interval, "" if self.count is None else f"{self.count:,}"

    @classmethod
    def share(cls, hits: float, count: int) -> "Metric":
        """The share ``hits / count`` with its interval; hits may be fractional, such as 0.5."""
        return cls(hits / count if count else 0.0, count, wilson(hits, count))

    def as_json(self) -> dict[str, Any]:
        """For ``--json`` and ``metrics.jsonl``."""
        fields: dict[str, Any] = {"value": self.value}
        if self.count is not None:
            fields["count"] = self.count
        if self.interval:
            fields["interval"] = list(self.interval)
        return fields


def wilson(hits: float, count: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """The 95% interval of a share (Wilson 1927).

    >>> low, high = wilson(0, 10)
    >>> round(low, 3), round(high, 3)
    (0.0, 0.278)
    """
    if not count:
        return 0.0, 1.0
    share, square = hits / count, z * z / count
    middle = (share + square / 2) / (1 + square)
    half = z * math.sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square)
    # Rounding may put the share itself outside: at 0 of 6 the lower end is 2.8e-17.
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


#: The examples (n,) and puzzles (n,) of a split.
Rows = tuple[NDArray[np.int64], NDArray[np.int64]]


class Evaluator(ABC):
    """Collects the answers of one evaluation and computes metrics.

    Attributes:
        headline: the metric that decides which checkpoint is best; higher is better.
        votes: whether this evaluator counts several answers to one example as votes.
    """

    headline: ClassVar[str] = "exact_accuracy"
    votes: ClassVar[bool] = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: result() has the metrics, such as {self.headline}>"

    @abstractmethod
    def update(self, batch: EvalBatch) -> None:
        """Add a batch of answers."""

    @abstractmethod
    def result(self) -> Mapping[str, Metric]:
        """The metrics of all answers so far."""

    def per_task(self) -> Mapping[str, Mapping[str, Any]]:
        """The metrics of each named puzzle, as JSON values; empty if puzzles have no names."""
        return {}

    def submission(self) -> Any:
        """The answers in the format of a competition, as JSON values; None if there is none."""
        return None

    def attempts(self, example: int) -> Sequence[Attempt]:
        """The answers to hand in for an example, by vote and best first.

        It is empty if the example has no answer, or if this evaluator counts no votes.

        Args:
            example: a row of the split's arrays.
        """
        return ()

    def report(self, title: str, facts: Mapping[str, str], train: Split | None) -> str | None:
        """A page of HTML that shows the answers; None if there is none.

        Args:
            title: what was evaluated.
            facts: more about it, by name.
            train: the training split, if the dataset has one.
        """
        return None

    def join_builds(
        self, answered: Mapping[str, tuple[NDArray[Any], NDArray[Any]]]
    ) -> tuple[Split, dict[str, Rows]] | None:
        """A split with all copies that several builds of the same puzzles have.

        Args:
            answered: for each file of predictions, the names (n,) of the puzzles that it answers,
                and their inputs (n, seq_len).

        Returns:
            The split, and for each file the rows of its answers. None if names do not tell how a
            copy was made.

        Raises:
            InputError: if a file has puzzles that this evaluator's split does not have.
        """
        return None

    def with_solutions(self, split: Split, solutions: object, source: str) -> Split:
        """A split with these outputs.

        Args:
            split: of :meth:`join_builds`.
            solutions: the content of a JSON file.
            source: the file, for messages.

        Raises:
            InputError: if they are not outputs of the split.
        """
        raise InputError(f"--solutions {source}: this task has no such file. Leave it out.")

    @classmethod
    def check_has(cls, extras: Iterable[str]) -> None:
        """Check, before an evaluation, that this evaluator has the requested results.

        Args:
            extras: some of ``per_task``, ``submission`` and ``report``.

        Raises:
            InputError: for a missing one; the message names its flag.
        """
        for name in extras:
            if getattr(cls, name) is getattr(Evaluator, name):
                flag = "--" + name.replace("_", "-")
                raise InputError(f"{flag}: this task has no such file. Leave it out.")


@dataclass(frozen=True)
class _Totals:
    count: int = 0
    exact: int = 0
    cells: float = 0.0
    halting: int = 0
    halting_loss: int = 0  # in units of 2**-32, so that the order of the batches does not matter
    steps: float = 0.0
    halt_steps: int = 0


class AccuracyEvaluator(Evaluator):
    """The metrics that all tasks report, for the examples with at least one scored cell.

    - ``exact_accuracy``: the share of answers that are correct in every scored cell.
    - ``cell_accuracy``: the mean over examples of the share of correct cells.
    - ``halting_accuracy``: the share of answers whose halting logit is 0 or more if and only if
      they are correct.
    - ``halting_loss``: the mean binary cross-entropy of the halting head. The evaluation adds
      ``answer_loss``, the mean loss of the answers, if each example is answered once and the
      answers are not saved.
    - ``mean_steps``: the mean number of supervision steps taken; left out if unknown.
    - ``would_halt_at``: the mean of the first step at which the model halts or would have halted,
      or of the last step. With ``halt``, examples end at that step.

    The published loss head defines all but the last in the same way.
    """

    def __init__(self) -> None:
        self._totals = _Totals()

    def update(self, batch: EvalBatch) -> None:
        """See :meth:`Evaluator.update`."""
        scored = batch.labels != IGNORE_LABEL
        correct = ((batch.answers == batch.labels) & scored).sum(axis=1)
        exact = batch.exact
        counts = scored.any(axis=1)
        logits = batch.halt_logits.astype(np.float64)
        losses = np.logaddexp(0, np.where(exact, -logits, logits))
        old = self._totals
        self._totals = replace(
            old,
            count=old.count + int(counts.sum()),
            exact=old.exact + int(exact.sum()),
            cells=old.cells + float((correct / np.maximum(scored.sum(axis=1), 1)).sum()),
            halting=old.halting + int((((batch.halt_logits >= 0) == exact) & counts).sum()),
            halting_loss=old.halting_loss + int((losses[counts] * 2**32).astype(np.int64).sum()),
            steps=old.steps + float(batch.steps[counts].sum(dtype=np.float64)),
            halt_steps=old.halt_steps + int(batch.halt_steps[counts].sum()),
        )

    def result(self) -> Mapping[str, Metric]:
        """See :meth:`Evaluator.result`."""
        totals, count = self._totals, self._totals.count
        taken = {"mean_steps": Metric(totals.steps / max(count, 1), count)}
        return {
            "exact_accuracy": Metric.share(totals.exact, count),
            "cell_accuracy": Metric(totals.cells / max(count, 1), count),
            "halting_accuracy": Metric.share(totals.halting, count),
            **({} if math.isnan(totals.steps) else taken),
            "would_halt_at": Metric(totals.halt_steps / max(count, 1), count),
            "halting_loss": Metric(totals.halting_loss / 2**32 / max(count, 1), count),
        }


def mean_and_range(values: NDArray[Any]) -> str:
    """The mean, the minimum and the maximum, such as ``3.2 (2-10)``."""
    return f"{values.mean():.1f} ({values.min()}-{values.max()})"
