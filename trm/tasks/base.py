"""The base class of tasks: dataset builder, evaluator, default settings, presets, text formats."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from rich.console import RenderableType

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
from trm.storage import storage_errors, temporary_folder
from trm.tasks.board import Board as Board
from trm.tasks.build_command import check_folders
from trm.tasks.build_size import check_build_size
from trm.tasks.cell_axes import CellAxes
from trm.tasks.data_options import DataOptions as DataOptions
from trm.tasks.given_cells import is_board, rows_of
from trm.tasks.metrics import AccuracyEvaluator, Evaluator
from trm.tasks.metrics import mean_and_range as mean_and_range
from trm.tasks.preset import EIGHT_GPUS as EIGHT_GPUS
from trm.tasks.preset import Preset as Preset
from trm.tasks.preset import Settings as Settings
from trm.tasks.puzzle import Difficulty as Difficulty
from trm.tasks.puzzle import Puzzle as Puzzle
from trm.tasks.puzzle import Tokens as Tokens
from trm.tasks.puzzle import single_puzzle as single_puzzle


class Task(ABC):
    """A kind of puzzle. Subclass it, and register an instance with the hook.

    Attributes:
        name: the name on the command line.
        summary: a description of one line.
        data_options: the options of ``trm build-data`` for this task.
        defaults: settings that differ from the defaults of the fields.
        presets: named options and settings.
        hub_dataset: the dataset on the Hub that ``--source hub`` downloads, if any.
        info_kinds: the arrays in :attr:`trm.data.Split.info` that the task needs, and numpy's kinds
            of types that each may have, such as ``{"source": "S"}`` for byte strings. A dataset
            without them is not opened, except in the published layout.
        legend: what the styles of :meth:`render` mean: by meaning, the style.
        published_names: other names of the task in configurations of the published trainer.
        published_seq_len: the length of the puzzles of published checkpoints, if the checkpoint
            does not contain it.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    data_options: ClassVar[type[DataOptions]] = DataOptions
    defaults: ClassVar[Settings] = {}
    presets: ClassVar[Mapping[str, Preset]] = {}
    hub_dataset: ClassVar[str | None] = None
    info_kinds: ClassVar[Mapping[str, str]] = {}
    legend: ClassVar[Mapping[str, str]] = {}
    published_names: ClassVar[tuple[str, ...]] = ()
    published_seq_len: ClassVar[int | None] = None

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    def preset(self, name: str | None) -> Preset:
        """The preset of this name; for None, an empty preset.

        Raises:
            ConfigError: if there is no such preset; the message suggests the nearest name.
        """
        if name is None:
            return Preset("")
        if name not in self.presets:
            hint = did_you_mean(name, self.presets, none="It has no presets.")
            raise ConfigError(f"task {self.name} has no preset {name!r}. {hint}")
        return self.presets[name]

    def options(self, preset: str | None = None, **given: Any) -> DataOptions:
        """The options for building data: the defaults, then the preset's, then those given.

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
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # a rule about several options
            return f"{message}. Change one of them."
        name = str(first["loc"][0])
        flag = "--" + name.replace("_", "-")
        source = flag if name in given or preset is None else f"preset {preset}"
        if first["type"] == "extra_forbidden":
            known = did_you_mean(name, self.data_options.model_fields)
            return f"{source}: unknown option {name!r} of task {self.name}. {known}"
        if first["type"] == "missing":
            return f"{flag} is required to build data of task {self.name}. Give it."
        return f"{source}: {name} = {first['input']!r:.99}: {message}. Give another value."

    @abstractmethod
    def build_data(self, out: Path, options: Any, rng: np.random.Generator) -> DatasetMeta:
        """Build the dataset in the folder ``out``, completely or not at all.

        Args:
            out: the folder, which does not exist yet, or is to be replaced.
            options: an instance of :attr:`data_options`.
            rng: the source of all random numbers.
        """

    def find_problem(self, meta: DatasetMeta) -> str | None:
        """What is wrong with the description of a dataset, None if nothing is.

        It is called before a dataset or a checkpoint is used, whose file may be damaged. Check
        here what the task expects of ``meta.properties``, ``vocabulary`` and ``seq_len``. All other
        methods may rely on it.
        """
        return None

    def augmentation(self, meta: DatasetMeta, split: str) -> Augmentation | None:
        """The augmentation of a split, None if its puzzles cannot be augmented.

        Args:
            meta: the description of the dataset.
            split: the name of the split.
        """
        return None

    def evaluator(self, meta: DatasetMeta, split: Split) -> Evaluator:
        """A new evaluator for one evaluation of ``split``."""
        return AccuracyEvaluator()

    def leak_of(self, other: str) -> str:
        """What to say of weights that were trained for another task with the same vocabulary."""
        return ""

    def can_measure(self, split: Split) -> bool:
        """Whether any output of a split is known, so that an evaluation measures something."""
        return True

    def known_copies(
        self, puzzle: Puzzle, meta: DatasetMeta, names: NDArray[np.bytes_]
    ) -> Split | None:
        """The copies of a puzzle that a model knows by name; None if puzzles have no such copies.

        Args:
            puzzle: the puzzle, whose name the model knows.
            meta: the description of the dataset that the model was trained on.
            names: (num_puzzle_identifiers,), the names that the model knows.

        Returns:
            A split with one example, and a puzzle for each copy, the original first.

        Raises:
            InputError: if the puzzle is a copy itself.
        """
        return None

    def parse(
        self, text: str, properties: Mapping[str, Any], name: str = "", *, check: bool = True
    ) -> list[Puzzle]:
        """Parse puzzles that a user typed, or that are in a file.

        Args:
            text: one or more puzzles, in the notation of the task.
            properties: the properties of the dataset that the model was trained on.
            name: the name of the file without its ending; empty for typed text.
            check: also refuse puzzles that break the rules. Callers pass it only if it is False, so
                a task without rules may leave it out.

        Raises:
            InputError: if a puzzle cannot be read, or breaks the rules.
        """
        raise DataError(f"task {self.name} cannot read typed puzzles. Use trm eval.")

    def text_of(self, board: object, properties: Mapping[str, Any]) -> str:
        """A board that a Python program gives, in the notation that :meth:`parse` reads.

        A character a cell, and a line for each row. Override it if that is not the notation.

        Args:
            board: a list of rows, each a list of cells; or a list of cells. A cell is a number, a
                character, or None if it is empty. Arrays are lists already. Or a dictionary, which
                most tasks refuse.
            properties: the properties of the dataset that the model was trained on.

        Raises:
            InputError: if it is not a board of this task.
        """
        if not is_board(board):
            raise InputError(
                f"a {type(board).__name__} is no puzzle of task {self.name}. Give text, an array, "
                "or a list of rows."
            )
        return "\n".join(rows_of(board, empty="."))

    def cell_axes(self, meta: DatasetMeta) -> CellAxes:
        """The positions (seq_len,) of the cells of a puzzle on each axis, from 0.

        ``model.pos_encodings = "grid"`` learns an embedding for each position of each axis: rows
        and columns, or what else the cells of a board have in common. Empty if there are none.
        """
        return ()

    def interchangeable(self, meta: DatasetMeta) -> tuple[int, ...]:
        """The tokens that can be renamed in a whole puzzle, such as the digits of a Sudoku.

        ``model.kind = "candidates"`` treats them alike. Empty if there are none.
        """
        return ()

    def divide(
        self, lines: Iterable[tuple[int, str]], properties: Mapping[str, Any]
    ) -> Iterator[tuple[int, str]]:
        """Divide the lines of a text into its puzzles, one after the other.

        Override it if a puzzle may be written on several lines. Lines that are no puzzle are given
        too; :meth:`parse` refuses them.

        Args:
            lines: the number of each line, from 1, and the line without its end.
            properties: as for :meth:`parse`.

        Returns:
            For each puzzle, the number of its last line, and its text.
        """
        return ((number, line) for number, line in lines if line.strip())

    def parse_answer(self, text: str, properties: Mapping[str, Any]) -> Tokens:
        """Parse an answer (seq_len,), such as a known solution; see :meth:`parse`."""
        return single_puzzle(self.parse(text, properties)).tokens

    def format_puzzle(self, puzzle: Puzzle) -> str:
        """A puzzle on one line that :meth:`parse` reads."""
        return self.format(puzzle.tokens)

    def format(self, tokens: Tokens) -> str:
        """A board (seq_len,) in the notation that :meth:`parse` reads."""
        return " ".join(map(str, tokens.tolist()))

    def render(
        self, tokens: Tokens, *, given: Tokens | None = None, before: Tokens | None = None
    ) -> RenderableType:
        """A board (seq_len,) for a terminal. Its ``str`` is the board as text.

        Args:
            tokens: the board.
            given: the puzzle, if the board is an answer.
            before: an earlier board. Cells that differ from it are highlighted.
        """
        return self.format(tokens)

    def board(
        self, tokens: Tokens, *, given: Tokens | None = None, before: Tokens | None = None
    ) -> Board | None:
        """A picture of a board (seq_len,), None if the task has none; see :meth:`render`."""
        return None

    def is_valid(self, puzzle: Tokens, answer: Tokens) -> bool | None:
        """Whether ``answer`` solves ``puzzle`` (seq_len,); None if this depends on the label."""
        return None

    def build_warnings(self, meta: DatasetMeta) -> Sequence[str]:
        """The warnings to print after a dataset was built."""
        return ()

    def describe(self, meta: DatasetMeta, split: Split) -> Mapping[str, str]:
        """Facts about a split for ``trm inspect-data``, by name."""
        return {}

    def data_summary(self, meta: DatasetMeta) -> str:
        """A description of one line of a dataset, for the card of a model trained on it."""
        return self.summary

    def example(self, meta: DatasetMeta, names: Sequence[str]) -> Puzzle | None:
        """A puzzle like those of a dataset, for the card of a model trained on it; None: no such.

        Args:
            meta: the description of the dataset.
            names: of the puzzles that the model knows, empty if they have none.
        """
        return None

    def draw_puzzle(
        self,
        meta: DatasetMeta,
        names: Sequence[str],
        difficulty: Difficulty,
        rng: np.random.Generator,
    ) -> str | None:
        """A new puzzle in the notation that :meth:`parse` reads, None if the task draws none.

        Args:
            meta: the description of the dataset.
            names: of the puzzles that the model knows, empty if they have none.
            difficulty: how hard it is, if the task knows.
            rng: the source of all random numbers.

        Raises:
            InputError: if no such puzzle is found.
        """
        return None

    def published_data_meta(self, vocab_size: int, seq_len: int) -> DatasetMeta | None:
        """The description of a dataset in the published layout with puzzles of this kind.

        None if they are not puzzles of this task.
        """
        return None

    def published_files(self, dataset: Dataset) -> Mapping[str, Any]:
        """Additional JSON files of this task in the published layout, by name."""
        return {}

    def build_published(self, out: Path, options: Any, rng: np.random.Generator) -> DatasetMeta:
        """Build the dataset in the published layout; see :meth:`build_data`."""
        with storage_errors(out):
            out.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(out.parent) as folder:
            meta = self.build_data(folder / "native", options, rng)
            dataset = self.open_data([folder / "native"])
            examples = sum(s.total_puzzle_examples for s in dataset.splits.values())
            check_build_size(
                out,
                memory=0,
                disk=2 * examples * meta.seq_len,
                advice="Lower --num-aug, or build the native layout.",
            )
            write_published(out, dataset, self.published_files(dataset))
        if self.published_data_meta(meta.vocab_size, meta.seq_len) is None:
            return meta  # this task writes the layout, but cannot read it
        return meta.model_copy(update={"digest": self.open_data([out]).meta.digest})

    def open_data(self, paths: Sequence[str | Path], *, allow_changed: bool = False) -> Dataset:
        """Open a data folder of this task, or several as one dataset.

        Args:
            paths: the folders.
            allow_changed: also open a dataset whose digest is not the one it was built with.

        Raises:
            DataError: if a folder is not a dataset, is incomplete or damaged, has changed since it
                was built, belongs to another task or has a newer format, or if they cannot be
                joined.
        """
        if not paths:
            raise DataError("no data folder was given. Give one with --data.")
        check_folders(self, paths)
        datasets = [self._open(Path(path), allow_changed) for path in paths]
        return datasets[0] if len(datasets) == 1 else concat_datasets(datasets)

    def _open(self, path: Path, allow_changed: bool) -> Dataset:
        if is_published(path):
            published = read_published_meta(path)
            described = self.published_data_meta(published.vocab_size, published.seq_len)
            if described is None:
                raise DataError(
                    f"{path} (published layout) has puzzles of {published.seq_len} tokens of "
                    f"{published.vocab_size} kinds, so it is not of task {self.name}. Name another."
                )
            if published.task not in (None, self.name):
                other = described.model_copy(update={"task": published.task})
                raise DataError(self.wrong_task_message(path, other))
            return open_published(path, described, lambda s: self.augmentation(described, s))
        meta = read_meta(path)
        if meta.task != self.name:
            raise DataError(self.wrong_task_message(path, meta))
        if problem := self.find_problem(meta):
            raise DataError(f"{path}/dataset.json is damaged: {problem}. Build the data again.")
        return open_dataset(
            path,
            lambda split: self.augmentation(meta, split),
            self.info_kinds,
            allow_changed=allow_changed,
        )

    def wrong_task_message(self, path: Path, meta: DatasetMeta) -> str:
        """The error message for data of another task."""
        return (
            f"{path} holds data of task {meta.task!r}, not {self.name!r}. "
            f"Build data: trm build-data {self.name}"
        )
