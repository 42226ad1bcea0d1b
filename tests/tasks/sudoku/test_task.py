"""The task ``sudoku``, as the rest of the package sees it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trm.data import BatchTransforms, CellAugmentation, DatasetMeta
from trm.errors import InputError
from trm.settings import load
from trm.tasks.sudoku.build import SudokuOptions
from trm.tasks.sudoku.evaluator import SudokuEvaluator
from trm.tasks.sudoku.generate import GeneratedPuzzles
from trm.tasks.sudoku.task import Sudoku

Solved = Callable[[int], np.ndarray]


@pytest.fixture
def task() -> Sudoku:
    return Sudoku()


@pytest.fixture
def meta(tmp_path: Path, task: Sudoku) -> DatasetMeta:
    """A small dataset, at ``tmp_path / "data"``."""
    options = task.data_options(source="generate", size=4, num_train=5, num_test=4, num_aug=1)
    return task.build_data(tmp_path / "data", options, np.random.default_rng(0))


@pytest.mark.parametrize("size", [4, 6, 9])
def test_a_solution_is_valid(
    task: Sudoku, puzzles: Callable[[int], GeneratedPuzzles], size: int
) -> None:
    found = puzzles(size)
    board, solution = found.boards[0] + np.uint8(1), found.solutions[0] + np.uint8(1)
    assert task.is_valid(board, solution) is True
    assert task.is_valid(solution, solution) is True
    assert task.is_valid(board, board) is False


def test_an_answer_that_changes_a_clue_is_not_valid(task: Sudoku, solved: Solved) -> None:
    puzzle = solved(4) + np.uint8(1)
    other = np.array([0, 1, 3, 2, 5, 4])[puzzle]
    assert task.is_valid(puzzle, other) is False
    assert task.is_valid(np.ones(16, np.uint8), other) is True
    assert task.is_valid(np.where(np.arange(16) == 3, puzzle, 1), other) is False


@pytest.mark.parametrize("token", [0, 1])
def test_an_answer_with_a_cell_left_out_is_not_valid(
    task: Sudoku, solved: Solved, token: int
) -> None:
    answer = solved(9) + np.uint8(1)
    answer[40] = token
    assert task.is_valid(np.ones(81, np.uint8), answer) is False


def test_a_split_is_described(tmp_path: Path, task: Sudoku, meta: DatasetMeta) -> None:
    split = task.open_data([tmp_path / "data"]).split("train")
    found = task.describe(meta, split)
    clues = [int((row > 1).sum()) for row in np.asarray(split.inputs)]
    assert found == {
        "sources": "generated 5",
        "mean clues": f"{sum(clues) / 5:.1f} ({min(clues)}-{max(clues)})",
        "mean rating": "0.0 (0-0)",
    }


def test_the_evaluator_is_a_fresh_one(tmp_path: Path, task: Sudoku, meta: DatasetMeta) -> None:
    split = task.open_data([tmp_path / "data"]).split("test")
    first, second = task.evaluator(meta, split), task.evaluator(meta, split)
    assert type(first) is SudokuEvaluator
    assert first is not second


def test_augmentations_are_of_the_size_of_the_data(task: Sudoku, meta: DatasetMeta) -> None:
    augmentation = task.augmentation(meta, "train")
    assert isinstance(augmentation, CellAugmentation)
    tokens, zero = np.arange(16)[None] % 6, np.array([0])
    same = augmentation.apply(
        tokens, tokens, BatchTransforms(zero, np.arange(6)[None], zero, zero, zero + 1)
    )
    assert (same[0] == tokens).all()


def test_typed_puzzles_are_read_and_written(task: Sudoku) -> None:
    text = "1..." + "." * 12
    tokens = task.parse(text, {"size": 4})[0].tokens
    assert task.format(tokens) == text
    assert "1 . | . ." in str(task.render(tokens, given=tokens))
    with pytest.raises(InputError, match=r"^this is a 4x4 board, but the model is for 9x9 bo"):
        task.parse(text, {"size": 9})


def test_the_defaults_are_the_published_recipe(task: Sudoku) -> None:
    config = load("sudoku", defaults=task.defaults).config
    assert (config.model.h_cycles, config.model.l_cycles, config.model.halt_max_steps) == (3, 6, 16)
    assert (config.optim.lr, config.optim.weight_decay) == (1e-4, 1.0)
    assert (config.train.batch_size, config.train.epochs) == (768, 50_000)
    assert config.optim.ema


@pytest.mark.parametrize("preset", Sudoku.presets)
def test_every_preset_gives_settings_and_options(task: Sudoku, preset: str) -> None:
    chosen = task.presets[preset]
    resolved = load("sudoku", defaults=task.defaults, preset=chosen.settings, preset_name=preset)
    assert f"preset {preset}" in resolved.sources.values()
    assert (SudokuOptions.model_validate(dict(chosen.data)) != SudokuOptions()) == bool(chosen.data)
    assert chosen.summary


@pytest.mark.parametrize(
    "options", [{"num_train": 0}, {"num_test": 0}, {"num_aug": -1}, {"seed": -1}, {"puzzles": 1}]
)
def test_options_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        SudokuOptions.model_validate(options)
