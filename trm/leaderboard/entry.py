"""The format of a results file: figures, and all that it takes to compare and to check them."""

from typing import Annotated, Literal, get_args

from pydantic import ConfigDict, Field, model_validator

from trm.config import FORMAT_VERSION, Frozen
from trm.evaluation.provenance import Provenance, Sha256
from trm.inference.options import SolveOptions

#: How a model came to its answers.
Way = Literal["single pass", "fewer steps", "more steps", "votes", "search"]
_WAYS: tuple[Way, ...] = get_args(Way)
_FULL = "full training split"
#: Figures of different columns are not compared.
COLUMNS = (*_WAYS, _FULL, *(f"{_FULL}, {way}" for way in _WAYS[1:]))

Text = Annotated[str, Field(min_length=1, max_length=500)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=2**53)]
#: The same figure after another order of sums.
_CLOSE = 1e-9


class _Strict(Frozen):
    model_config = ConfigDict(strict=True)


class Figure(_Strict):
    """A measured share.

    Attributes:
        metric: its name, such as ``exact_accuracy``.
        count: the puzzles or tasks that it is a share of; None if that was not reported.
        interval: of 95%.
    """

    metric: Text
    value: Share
    count: Count | None = None
    interval: Annotated[tuple[Share, Share], Field(strict=False)] | None = None

    @property
    def text(self) -> str:
        """The value and its interval.

        >>> Figure(metric="pass@2", value=0.446).text
        '0.446'
        >>> Figure(metric="a", value=0.5, count=10, interval=(0.237, 0.763)).text
        '0.500 (0.237-0.763)'
        """
        within = "" if self.interval is None else " ({:.3f}-{:.3f})".format(*self.interval)
        return f"{self.value:.3f}{within}"

    def equals(self, other: "Figure") -> bool:
        """Whether both have the same hits of the same number of puzzles."""
        return self.count == other.count and abs(self.value - other.value) < _CLOSE


class Thinking(SolveOptions):
    """How a model came to its answers.

    Attributes:
        copies: augmented puzzles that voted on each example, itself included (ARC); None for
            several if their number is unknown.
        trained_steps: the supervision steps that the model was trained with; None if unknown.
        own_rule: whether the model's own rule ended answers before that.
    """

    copies: Count | None = 1
    trained_steps: Count | None = None
    own_rule: bool = False

    @property
    def column(self) -> Way:
        """The column of a leaderboard.

        >>> Thinking().column, Thinking(steps=32, trained_steps=16).column
        ('single pass', 'more steps')
        >>> Thinking(steps=32, samples=4).column, Thinking(halt=0.9).column
        ('votes', 'fewer steps')
        >>> Thinking(own_rule=True).column, Thinking(own_rule=True).details
        ('fewer steps', 'until the model halts')
        >>> Thinking(guesses=64, rounds=4).column, Thinking(guesses=64, rounds=4).details
        ('search', '64 guesses in 4 rounds')
        >>> Thinking(effort=2).column, Thinking(effort=2).details
        ('search', 'effort 2')
        """
        if self.searches:
            return "search"
        if self.rollouts > 1 or self.copies != 1:
            return "votes"
        if self.steps is not None and self.steps != self.trained_steps:
            fewer = self.trained_steps is not None and self.steps < self.trained_steps
            return "fewer steps" if fewer else "more steps"
        return "single pass" if self.halt is None and not self.own_rule else "fewer steps"

    @property
    def details(self) -> str:
        """What to write after a figure: ``32 steps``; empty for a single pass."""
        count = "" if self.copies is None else f"{self.copies:,} "
        parts = [f"{count}copies vote"] if self.copies != 1 else []
        parts += ["until the model halts"] if self.own_rule else []
        return ", ".join([*parts, *filter(None, [self.text.removeprefix(", ")])])


class Puzzles(_Strict):
    """The puzzles that a figure is of.

    Attributes:
        name: for people, such as ``Sudoku-Extreme``.
        task: the name of the task.
        digest: of the data; None if others reported the figure.
        subset: of the rows that were answered, see :func:`trm.evaluation.provenance.subset_digest`.
        examples: the number of these rows.
        split_examples: the rows of the whole split.
    """

    name: Text
    task: Text
    split: Literal["test", "validation"] = "test"
    digest: Sha256 | None = None
    subset: Sha256 | None = None
    examples: Count | None = None
    split_examples: Count | None = None


class Entry(_Strict):
    """One figure of one model.

    Attributes:
        status: ``measured`` with trm, or ``reported`` by others and not checked.
        model: its name in the table.
        parameters: without the puzzle embedding.
        full_training_split: whether it was trained on the whole training split of data of which
            others take a part.
        source: of a reported figure: where it stands.
        checkpoint: of a measured figure: what ``trm eval --ckpt`` took.
        seeds: of the training; one for each run that the figure is a mean of.
        provenance: of a measured figure.
    """

    status: Literal["measured", "reported"]
    model: Text
    puzzles: Puzzles
    figure: Figure
    thinking: Annotated[Thinking, Field(strict=False)] = Thinking()
    parameters: Count | None = None
    full_training_split: bool = False
    source: Text | None = None
    note: Text | None = None
    checkpoint: Text | None = None
    step: Annotated[int, Field(ge=0)] | None = None
    seeds: Annotated[tuple[int, ...], Field(strict=False)] = ()
    provenance: Provenance | None = None

    @model_validator(mode="after")
    def _check(self) -> "Entry":
        of = self.puzzles
        if self.status == "reported":
            if self.source is None:
                raise ValueError("a reported figure needs a source")
            if self.provenance or of.digest or of.subset or self.checkpoint:
                raise ValueError("a reported figure has no provenance, checkpoint or digests")
            return self
        needed = {"provenance": self.provenance, "checkpoint": self.checkpoint, "step": self.step,
                  "seeds": self.seeds, "puzzles.digest": of.digest, "puzzles.subset": of.subset,
                  "puzzles.examples": of.examples, "figure.count": self.figure.count,
                  "figure.interval": self.figure.interval}  # fmt: skip
        if missing := [name for name, value in needed.items() if value is None or value == ()]:
            raise ValueError(f"a measured figure needs {', '.join(missing)}")
        if self.provenance and self.provenance.subset != of.subset:
            raise ValueError("puzzles.subset differs from that of the provenance")
        return self

    @property
    def column(self) -> str:
        """The column of a leaderboard that the figure belongs to, one of ``COLUMNS``."""
        way = self.thinking.column
        if not self.full_training_split:
            return way
        return _FULL if way == "single pass" else f"{_FULL}, {way}"

    @property
    def group(self) -> tuple[str, ...]:
        """Figures of one group are of the same puzzles and the same metric."""
        of = self.puzzles
        name = of.name if of.digest is None else ""
        return (of.task, name, of.split, of.digest or "", of.subset or "", self.figure.metric)

    @property
    def label(self) -> str:
        """For messages: the model and its way of thinking."""
        details = self.thinking.details
        return f"{self.model}, {self.column}" + (f" ({details})" if details else "")


class ResultsFile(_Strict):
    """A file of a leaderboard folder."""

    format_version: Literal[1] = FORMAT_VERSION  # type: ignore[assignment]
    entries: Annotated[tuple[Entry, ...], Field(strict=False, min_length=1, max_length=10_000)]
