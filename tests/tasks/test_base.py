"""What a task gets without writing it, and how it refuses the data of others."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trm.data import DatasetMeta, Split, is_published, write
from trm.errors import DataError
from trm.tasks.base import DataOptions, Task
from trm.tasks.metrics import AccuracyEvaluator


class Toy(Task):
    name = "toy"
    summary = "For tests."

    def build_data(self, out: Path, options: Any, rng: np.random.Generator) -> DatasetMeta:
        tokens = rng.integers(1, 3, (5, 4), dtype=np.uint8)
        split = Split.of_single_examples(tokens, tokens, info={})
        meta = DatasetMeta(
            task=self.name, source="made up", seed=0, vocabulary=("_", "a", "b"), seq_len=4
        )
        return write(out, meta, {"train": split, "test": split})


class Other(Toy):
    name = "other"


def built(task: Task, out: Path) -> DatasetMeta:
    return task.build_data(out, task.data_options(), np.random.default_rng(0))


def test_a_folder_of_the_task_is_opened(tmp_path: Path) -> None:
    meta = built(Toy(), tmp_path / "data")
    for path in (tmp_path / "data", str(tmp_path / "data")):
        dataset = Toy().open_data([path])
        assert dataset.meta == meta
        assert dataset.split("train").num_groups == 5


def test_a_folder_of_another_task_is_refused(tmp_path: Path) -> None:
    built(Other(), tmp_path / "data")
    message = r"/data holds data of task 'other', not 'toy'\. Build data: trm build-data toy$"
    with pytest.raises(DataError, match=message):
        Toy().open_data([tmp_path / "data"])


def test_a_folder_is_needed() -> None:
    with pytest.raises(DataError, match=r"^no data folder was given\. Give one with --data\.$"):
        Toy().open_data([])


def test_a_missing_folder_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="/none: no such data folder"):
        Toy().open_data([tmp_path / "none"])


def test_a_minimal_task_has_the_rest(tmp_path: Path) -> None:
    task, meta = Toy(), built(Toy(), tmp_path / "data")
    split = task.open_data([tmp_path / "data"]).split("test")
    tokens = np.array([1, 2, 0, 1])
    assert (task.defaults, task.presets, task.data_options) == ({}, {}, DataOptions)
    assert task.augmentation(meta, "train") is None
    assert type(task.evaluator(meta, split)) is AccuracyEvaluator
    assert task.evaluator(meta, split) is not task.evaluator(meta, split)
    assert task.format(tokens) == task.render(tokens) == "1 2 0 1"
    assert task.is_valid(tokens, tokens) is None
    assert task.describe(meta, split) == {}


def test_a_task_without_notation_says_so() -> None:
    message = r"^task toy cannot read typed puzzles\. Use trm eval\.$"
    with pytest.raises(DataError, match=message):
        Toy().parse("1 2", {})


def test_a_task_has_to_build_its_data() -> None:
    with pytest.raises(TypeError, match="build_data"):
        Task()  # type: ignore[abstract]


def test_the_published_layout_is_written_by_every_task_and_read_by_those_that_know_it(
    tmp_path: Path,
) -> None:
    meta = Toy().build_published(tmp_path / "p", Toy().options(), np.random.default_rng(0))
    assert is_published(tmp_path / "p")
    assert meta.splits["train"].puzzles == 5
    with pytest.raises(DataError, match=r"has puzzles of 4 tokens of 3 kinds, so it is not of ta"):
        Toy().open_data([tmp_path / "p"])

    class Reader(Toy):
        def published_data_meta(self, vocab_size: int, seq_len: int) -> DatasetMeta:
            return meta

    again = Reader().build_published(tmp_path / "q", Toy().options(), np.random.default_rng(0))
    opened = Reader().open_data([tmp_path / "q"])
    assert again.digest == opened.meta.digest != meta.digest
    assert (again.source, again.seed) == (meta.source, meta.seed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p", "q"]


def test_several_folders_are_opened_as_one(tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        Toy().build_data(tmp_path / name, Toy().options(), np.random.default_rng(seed))
    with pytest.raises(DataError, match=r"/b trains on \d+ of the test examples of \S+/a"):
        Toy().open_data([tmp_path / "a", tmp_path / "b"])  # this toy trains on what it tests on
    with pytest.raises(DataError, match=r"^no data folder was given\. Give one with --data\.$"):
        Toy().open_data([])
