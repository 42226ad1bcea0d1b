"""The task ``maze``, as the rest of the package sees it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trm.data import DatasetMeta
from trm.errors import ConfigError, InputError
from trm.settings import load
from trm.tasks.maze import trm_register_tasks
from trm.tasks.maze.evaluator import MazeEvaluator
from trm.tasks.maze.symmetry import MazeAugmentation
from trm.tasks.maze.task import Maze


@pytest.fixture
def task() -> Maze:
    return Maze()


@pytest.fixture
def meta(tmp_path: Path, task: Maze) -> DatasetMeta:
    """A small dataset, at ``tmp_path / "data"``."""
    options = task.data_options(source="generate", size=6, num_train=5, num_test=4)
    return task.build_data(tmp_path / "data", options, np.random.default_rng(0))


def test_the_hook_registers_the_task() -> None:
    found: list[object] = []
    trm_register_tasks(found.append)
    assert [type(task) for task in found] == [Maze]


def test_any_shortest_path_is_valid_and_nothing_else(
    task: Maze, drawn: Callable[[str], np.ndarray]
) -> None:
    square = drawn("S../.#./..G")
    assert task.is_valid(square, drawn("Soo/.#o/..G")) is True
    assert task.is_valid(square, drawn("S../o#./ooG").astype(np.int32)) is True
    maze = drawn("S.G/.#./...")
    assert task.is_valid(maze, drawn("SoG/.#./...")) is True
    assert task.is_valid(maze, drawn("S.G/o#o/ooo")) is False
    assert task.is_valid(maze, maze) is False
    assert task.is_valid(maze, drawn("SoG/.../...")) is False


def test_a_split_is_described(tmp_path: Path, task: Maze, meta: DatasetMeta) -> None:
    split = task.open_data([tmp_path / "data"]).split("train")
    walls = float((np.asarray(split.inputs) == 1).mean())
    lengths = sorted(int((row > 2).sum()) for row in np.asarray(split.labels))
    assert task.describe(meta, split) == {
        "sources": "generated 5",
        "mean walls": f"{100 * walls:.1f}%",
        "median path": f"{lengths[2]} ({lengths[0]}-{lengths[-1]})",
    }
    assert "sources" not in task.describe(meta, replace(split, info={}))


def test_the_evaluator_is_a_fresh_one(tmp_path: Path, task: Maze, meta: DatasetMeta) -> None:
    split = task.open_data([tmp_path / "data"]).split("test")
    first, second = task.evaluator(meta, split), task.evaluator(meta, split)
    assert type(first) is MazeEvaluator
    assert first is not second


def test_augmentations_are_of_the_size_of_the_data(task: Maze, meta: DatasetMeta) -> None:
    augmentation = task.augmentation(meta, "train")
    assert isinstance(augmentation, MazeAugmentation)
    assert augmentation.draw(3, np.random.default_rng(0))[1].shape == (3, 6)


def test_typed_mazes_are_read_and_written(task: Maze) -> None:
    text = "S..##.G.."
    (puzzle,) = task.parse(text, {"size": 3})
    assert task.format(puzzle.tokens) == text
    assert "████" in str(task.render(puzzle.tokens, given=puzzle.tokens))
    assert task.board(puzzle.tokens).colors.shape == (3, 3, 3)
    with pytest.raises(InputError, match=r"^line 1 has 9 characters, neither a row of 4"):
        task.parse(text, {"size": 4})


def test_the_defaults_are_the_published_recipe(task: Maze) -> None:
    config = load("maze", defaults=task.defaults).config
    assert (config.model.h_cycles, config.model.l_cycles, config.model.halt_max_steps) == (3, 4, 16)
    assert (config.optim.lr, config.optim.weight_decay) == (1e-4, 1.0)
    assert (config.optim.puzzle_emb_lr, config.optim.puzzle_emb_weight_decay) == (1e-4, 1.0)
    assert (config.train.batch_size, config.train.epochs) == (768, 50_000)
    assert config.optim.ema


@pytest.mark.parametrize(
    ("vocab_size", "seq_len", "known"), [(6, 900, True), (6, 901, False), (11, 900, False)]
)
def test_the_published_layout_is_known_by_its_sizes(
    task: Maze, vocab_size: int, seq_len: int, known: bool
) -> None:
    assert (task.published_data_meta(vocab_size, seq_len) is not None) == known


@pytest.mark.usefixtures("published")
def test_the_published_mazes_are_opened_as_they_are(task: Maze, shared: Path) -> None:
    dataset = task.open_data([shared / "data" / "maze-30x30-hard-1k"])
    assert dataset.meta.properties == {"size": 30}
    assert [len(split.inputs) for split in dataset.splits.values()] == [1000, 500]
    assert task.describe(dataset.meta, dataset.split("train")) == {
        "mean walls": "37.1%",
        "median path": "113 (110-147)",
    }


def test_what_is_written_in_the_published_layout_is_the_same(tmp_path: Path, task: Maze) -> None:
    options = task.data_options(source="generate", size=5, num_train=4, num_test=3, aug=True)
    task.build_published(tmp_path / "theirs", options, np.random.default_rng(0))
    task.build_data(tmp_path / "ours", options, np.random.default_rng(0))
    ours, theirs = (task.open_data([tmp_path / name]).split("train") for name in ("ours", "theirs"))
    puzzles = np.arange(32)
    batch = ours.make_batch(ours.group_of(puzzles), puzzles)
    assert (batch.inputs == theirs.inputs).all()
    assert (batch.labels == theirs.labels).all()


@pytest.mark.parametrize("preset", Maze.presets)
def test_every_preset_gives_settings_and_options(task: Maze, preset: str) -> None:
    chosen = task.presets[preset]
    resolved = load("maze", defaults=task.defaults, preset=chosen.settings, preset_name=preset)
    assert f"preset {preset}" in resolved.sources.values()
    assert task.options(preset).model_fields_set == set(chosen.data)
    assert chosen.summary


@pytest.mark.parametrize(
    "options",
    [{"num_train": 0}, {"num_test": 0}, {"size": 1}, {"min_path": 1}, {"seed": -1}, {"mazes": 1}],
)
def test_options_out_of_range_are_refused(task: Maze, options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        task.options(None, **options)
