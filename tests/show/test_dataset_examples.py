"""Examples of a dataset, to look at."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.text import Text

from trm.data import DatasetMeta, Split
from trm.show.dataset_examples import DatasetExample, select_examples, show_example
from trm.show.text import Terminal
from trm.tasks.base import Board, Puzzle, Task, Tokens
from trm.tasks.sudoku.task import Sudoku

Show = Callable[..., str]


class Toy(Task):
    """A task of four cells that are written below one another."""

    name = "toy"
    summary = "For tests."

    def build_data(self, out: Path, options: Any, rng: np.random.Generator) -> DatasetMeta:
        raise NotImplementedError

    def render(
        self, tokens: Tokens, *, given: Tokens | None = None, before: Tokens | None = None
    ) -> Text:
        mark = "" if given is None else "*"
        return Text("\n".join(f"{token}{mark}" for token in tokens.tolist()))


class Drawn(Toy):
    def board(
        self, tokens: Tokens, *, given: Tokens | None = None, before: Tokens | None = None
    ) -> Board:
        return Board(np.zeros((2, 2, 3), np.uint8), tuple(map(str, tokens.tolist())))


@pytest.fixture
def split() -> Split:
    """Two groups of two puzzles; the first has two examples."""
    tokens = np.arange(12, dtype=np.uint8).reshape(3, 4)
    return Split(
        inputs=tokens,
        labels=tokens[::-1],
        example_offsets=np.array([0, 2, 3]),
        puzzle_offsets=np.array([0, 2, 4]),
        identifiers=np.arange(1, 5, dtype=np.int32),
        names=np.array([b"<blank>", b"one", b"one-copy", b"two", b"two-copy"]),
    )


@pytest.fixture
def show() -> Show:
    """What is seen of an example on a terminal of this width."""

    def shown(example: DatasetExample, width: int = 80) -> str:
        view = Terminal(file=io.StringIO(), width=width, color_system=None)
        show_example(view, example)
        assert isinstance(view.file, io.StringIO)
        return view.file.getvalue()

    return shown


def test_the_first_examples_have_place_and_name(split: Split) -> None:
    titles = [example.title for example in select_examples(Toy(), "train", split, 5)]
    assert titles == ["train 0 one", "train 1 one", "train 2 two"]
    (first,) = select_examples(Toy(), "train", split, 1)
    assert first.puzzle.name == "one"
    assert first.puzzle.tokens.tolist() == [0, 1, 2, 3]
    assert first.solution.tolist() == [8, 9, 10, 11]
    assert first.text == "0 1 2 3"
    assert list(select_examples(Toy(), "train", split, 0)) == []


def test_all_examples_of_one_puzzle(split: Split) -> None:
    found = select_examples(Toy(), "train", split, 1, puzzle="one")
    assert [example.title for example in found] == ["train 0 one", "train 1 one"]
    assert list(select_examples(Toy(), "train", split, 5, puzzle="three")) == []


def test_where_puzzles_have_no_names_the_place_tells_them(mini_data: Path) -> None:
    split = Sudoku().open_data([mini_data]).split("test")
    first, second = select_examples(Sudoku(), "test", split, 2)
    assert (first.title, second.title) == ("test 0", "test 1")
    assert Sudoku().parse(first.text, {"size": 4})[0].tokens.tolist() == split.inputs[0].tolist()


def test_puzzle_and_solution_are_side_by_side_if_the_terminal_is_wide(
    split: Split, show: Show
) -> None:
    (example,) = select_examples(Toy(), "train", split, 1)
    lines = [line.split() for line in show(example).splitlines()]
    assert lines == [
        [],
        ["train", "0", "one:", "0", "1", "2", "3"],
        ["0", "8*"], ["1", "9*"], ["2", "10*"], ["3", "11*"],
    ]  # fmt: skip
    narrow = show(example, width=6).split()
    assert narrow[-9:] == ["0", "1", "2", "3", "solution", "8*", "9*", "10*", "11*"]


def test_a_long_puzzle_is_drawn_and_not_written_on_one_line(show: Show) -> None:
    tokens = np.arange(60)
    example = DatasetExample(Toy(), "train 0", Puzzle(tokens), tokens)
    assert show(example).splitlines()[1] == "train 0"


def test_a_name_is_shown_as_it_is(show: Show) -> None:
    tokens = np.arange(4)
    text = show(DatasetExample(Toy(), "train 0 [red]x", Puzzle(tokens, "[red]x"), tokens))
    assert text.startswith("\ntrain 0 [red]x: 0 1 2 3\n")


def test_pictures_are_of_puzzle_and_solution(split: Split) -> None:
    (example,) = select_examples(Drawn(), "train", split, 1)
    pictures = [(title, board.symbols) for title, board in example.pictures()]
    assert pictures == [("train 0 one", ("0", "1", "2", "3")), ("solution", ("8", "9", "10", "11"))]
    (plain,) = select_examples(Toy(), "train", split, 1)
    assert plain.pictures() == []
