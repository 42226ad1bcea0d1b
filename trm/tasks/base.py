"""What a task provides: a data set builder, an evaluator, defaults, presets and a way to look."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from rich.console import RenderableType

from trm.config import Frozen
from trm.data import (
    Augmentation,
    Dataset,
    DatasetMeta,
    Split,
    concat_datasets,
    is_published,
    open_dataset,
    open_published,
    read_meta,
    read_published_meta,
    write_published,
)
from trm.errors import ConfigError, DataError, InputError, did_you_mean
from trm.storage import storage_errors
from trm.tasks.metrics import AccuracyEvaluator, Evaluator

Tokens = NDArray[np.integer[Any]]
Settings = Mapping[str, Mapping[str, Any]]


class DataOptions(Frozen):
    """The options of ``trm build-data`` that every task has; a task adds its own as fields.

    Each field becomes a flag, its description the flag's help.
    """

    source: str = Field("generate", description="Where the puzzles come from.")
    seed: int = Field(0, ge=0, description="Decides everything that is drawn.")


@dataclass(frozen=True)
class Preset:
    """A named set of options for building data and of settings for a run."""

    summary: str
    data: Mapping[str, Any] = field(default_factory=dict)
    settings: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Puzzle:
    """A puzzle that somebody wants solved.

    Attributes:
        tokens: (seq_len,).
        name: which of the data set's identifiers it has, empty for the common one, 0.
    """

    tokens: Tokens
    name: str = ""


def single_puzzle(puzzles: Sequence[Puzzle]) -> Puzzle:
    """The puzzle of a text that has to hold one.

    Raises:
        InputError: if there are several.
    """
    if len(puzzles) != 1:
        raise InputError(f"{len(puzzles)} puzzles were given. Give one at a time.")
    return puzzles[0]


@dataclass(frozen=True)
class Board:
    """What a picture of a board shows.

    Attributes:
        colors: (rows, columns, 3) uint8, red, green and blue of each cell.
        symbols: what stands in each cell, row by row; empty where colours say it all.
    """

    colors: NDArray[np.uint8]
    symbols: tuple[str, ...] = ()


class Task(ABC):
    """A kind of puzzle. Subclass it, and register an instance with the hook.

    Attributes:
        name: as typed on the command line.
        summary: one line.
        data_options: the model of the task's ``trm build-data`` flags.
        defaults: settings that differ from the fields' own defaults.
        presets: named alternatives.
        hub_dataset: what ``--source hub`` stands for, if anything.
        published_names: what the published trainer's configurations call it, beside its name.
        published_seq_len: length of the puzzles that published checkpoints are for, where a
            vocabulary does not tell it.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    data_options: ClassVar[type[DataOptions]] = DataOptions
    defaults: ClassVar[Settings] = {}
    presets: ClassVar[Mapping[str, Preset]] = {}
    hub_dataset: ClassVar[str | None] = None
    published_names: ClassVar[tuple[str, ...]] = ()
    published_seq_len: ClassVar[int | None] = None

    def preset(self, name: str | None) -> Preset:
        """The preset of this name; None is one that changes nothing.

        Raises:
            ConfigError: if there is none; the message has the nearest name.
        """
        if name is None:
            return Preset("")
        if name not in self.presets:
            hint = did_you_mean(name, self.presets, none="It has no presets.")
            raise ConfigError(f"task {self.name} has no preset {name!r}. {hint}")
        return self.presets[name]

    def options(self, preset: str | None = None, **given: Any) -> DataOptions:
        """The options to build data with: defaults, a preset's, and those given.

        Raises:
            ConfigError: for an unknown option or a value out of range.
        """
        base = dict(self.preset(preset).data)
        try:
            return self.data_options.model_validate(base | given)
        except ValidationError as error:
            raise ConfigError(self._explain(error, preset, given)) from error

    def _explain(self, error: ValidationError, preset: str | None, given: Mapping[str, Any]) -> str:
        first = error.errors()[0]
        if not first["loc"]:  # a rule about several options
            return f"{first['msg'].removeprefix('Value error, ')}. Change one of them."
        name = str(first["loc"][0])
        flag = "--" + name.replace("_", "-")
        source = flag if name in given or preset is None else f"preset {preset}"
        if first["type"] == "extra_forbidden":
            known = did_you_mean(name, self.data_options.model_fields)
            return f"{source}: unknown option {name!r} of task {self.name}. {known}"
        if first["type"] == "missing":
            return f"{flag} is needed to build data of task {self.name}. Give it."
        return f"{source}: {name} = {first['input']!r}: {first['msg']}. Give another value."

    @abstractmethod
    def build_data(self, out: Path, options: Any, rng: np.random.Generator) -> DatasetMeta:
        """Build the data set in the folder ``out``, whole or not at all.

        Args:
            out: where; replaced if it is there.
            options: an instance of :attr:`data_options`.
            rng: the source of everything that is drawn.
        """

    def augmentation(self, meta: DatasetMeta, split: str) -> Augmentation | None:
        """The symmetries of a split's puzzles, None where there are none.

        Args:
            meta: the data set's.
            split: the split's name.
        """
        return None

    def evaluator(self, meta: DatasetMeta, split: Split) -> Evaluator:
        """A fresh evaluator of one evaluation of ``split``."""
        return AccuracyEvaluator()

    def parse(
        self, text: str, properties: Mapping[str, Any], name: str = "", *, check: bool = True
    ) -> list[Puzzle]:
        """The puzzles that a user typed, or that stand in a file.

        Args:
            text: one puzzle or several, in the task's own notation.
            properties: those of the data set that the model was trained on.
            name: of the file that the text was read from, without its ending.
            check: refuse a puzzle that breaks the rules too. Passed only where it is False, so that
                a task may leave it out.

        Raises:
            InputError: if a puzzle cannot be read, or breaks the puzzle's rules.
        """
        raise DataError(f"task {self.name} has no notation for typed puzzles. Use trm eval.")

    def parse_answer(self, text: str, properties: Mapping[str, Any]) -> Tokens:
        """An answer (seq_len,), such as one that is known to be right; see :meth:`parse`."""
        return single_puzzle(self.parse(text, properties)).tokens

    def format_puzzle(self, puzzle: Puzzle) -> str:
        """A puzzle on one line that :meth:`parse` reads."""
        return self.format(puzzle.tokens)

    def format(self, tokens: Tokens) -> str:
        """A board (seq_len,) in the notation that :meth:`parse` reads."""
        return " ".join(map(str, tokens.tolist()))

    def render(self, tokens: Tokens, *, given: Tokens | None = None) -> RenderableType:
        """A board (seq_len,) to look at in a terminal.

        Args:
            tokens: the board.
            given: the puzzle, to tell its cells from the answer's.
        """
        return self.format(tokens)

    def board(self, tokens: Tokens, *, given: Tokens | None = None) -> Board | None:
        """A board (seq_len,) as a picture, None where the task has none; see :meth:`render`."""
        return None

    def is_valid(self, puzzle: Tokens, answer: Tokens) -> bool | None:
        """Whether ``answer`` solves ``puzzle`` (seq_len,); None where only a label can tell."""
        return None

    def build_warnings(self, meta: DatasetMeta) -> Sequence[str]:
        """What to warn of after a data set was built."""
        return ()

    def describe(self, meta: DatasetMeta, split: Split) -> Mapping[str, str]:
        """What to say of a split beside its counts, by name."""
        return {}

    def published_data_meta(self, vocab_size: int, seq_len: int) -> DatasetMeta | None:
        """The description of a data set of the published layout with puzzles of this kind.

        None where this task has no such puzzles.
        """
        return None

    def published_files(self, dataset: Dataset) -> Mapping[str, Any]:
        """Further JSON files of this task in the published layout, by name."""
        return {}

    def build_published(self, out: Path, options: Any, rng: np.random.Generator) -> DatasetMeta:
        """Build the data set in the published layout; see :meth:`build_data`."""
        with storage_errors(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            beside = tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent)
        with beside as folder:
            meta = self.build_data(Path(folder) / "native", options, rng)
            dataset = self.open_data([Path(folder) / "native"])
            write_published(out, dataset, self.published_files(dataset))
        if self.published_data_meta(meta.vocab_size, meta.seq_len) is None:
            return meta  # this task writes the layout, but does not read it
        return meta.model_copy(update={"digest": self.open_data([out]).meta.digest})

    def open_data(self, paths: Sequence[str | Path]) -> Dataset:
        """Open a data folder of this task, or several, joined.

        Raises:
            DataError: if one is none, incomplete, of another task or of a newer format, or if they
                cannot be joined.
        """
        if not paths:
            raise DataError("no data folder was given. Give one with --data.")
        return concat_datasets([self._open(Path(path)) for path in paths])

    def _open(self, path: Path) -> Dataset:
        if is_published(path):
            stated = read_published_meta(path)
            described = self.published_data_meta(stated.vocab_size, stated.seq_len)
            if described is None:
                raise DataError(
                    f"{path} (published layout) has puzzles of {stated.seq_len} tokens of "
                    f"{stated.vocab_size} kinds, which are none of task {self.name}. Name another."
                )
            if stated.task not in (None, self.name):
                theirs = described.model_copy(update={"task": stated.task})
                raise DataError(self.wrong_task_message(path, theirs))
            return open_published(path, described, lambda s: self.augmentation(described, s))
        meta = read_meta(path)
        if meta.task != self.name:
            raise DataError(self.wrong_task_message(path, meta))
        return open_dataset(path, lambda split: self.augmentation(meta, split))

    def wrong_task_message(self, path: Path, meta: DatasetMeta) -> str:
        """Why data of another task is not used."""
        return (
            f"{path} holds data of task {meta.task!r}, not {self.name!r}. "
            f"Build some: trm build-data {self.name}"
        )
