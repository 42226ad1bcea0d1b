"""Maze datasets: from nothing, from a folder, from one file; whole, or not there."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trm.data import DatasetMeta, Split
from trm.errors import InputError
from trm.storage import replacing
from trm.tasks import solved_puzzles
from trm.tasks.maze.build import MazeOptions, build
from trm.tasks.maze.generate import canonical
from trm.tasks.maze.geometry import VOCABULARY, symmetry_cells
from trm.tasks.maze.solver import is_shortest_path, path_cells, solve
from trm.tasks.maze.task import Maze

Lines = Callable[..., list[str]]
WriteCsv = Callable[..., Path]


def built(out: Path, seed: int = 0, **options: object) -> DatasetMeta:
    chosen = MazeOptions.model_validate({"seed": seed, **options})
    with replacing(out):
        return build(out, chosen, np.random.default_rng(seed))


def splits_of(out: Path) -> tuple[Split, Split]:
    dataset = Maze().open_data([out])
    return dataset.split("train"), dataset.split("test")


def copies(split: Split) -> set[bytes]:
    return {canonical(np.asarray(maze)) for maze in split.inputs}


@pytest.fixture
def folder(csv_lines: Lines, write_csv: WriteCsv) -> Path:
    """Five training mazes and seven test mazes of 6x6."""
    write_csv(csv_lines(6, slice(0, 5)), "source/train.csv")
    return write_csv(csv_lines(6, slice(5, 12)), "source/test.csv").parent


@pytest.mark.parametrize(("size", "min_path"), [(6, None), (8, 15)])
def test_generated_data_are_what_was_asked_for(
    tmp_path: Path, size: int, min_path: int | None
) -> None:
    options = {"size": size, "min_path": min_path, "num_train": 6, "num_test": 9}
    meta = built(tmp_path / "data", source="generate", **options)
    assert (meta.task, meta.source, meta.seq_len) == ("maze", "generate", size * size)
    assert (meta.properties, meta.vocabulary) == ({"size": size}, VOCABULARY)
    assert meta.options == {**options, "aug": False}
    train, test = splits_of(tmp_path / "data")
    assert (train.num_groups, train.num_puzzles) == (6, 6)
    assert (test.num_groups, test.num_puzzles) == (9, 9)
    assert len(copies(train) | copies(test)) == 15
    assert path_cells(train.inputs).min() >= (min_path or 14)
    assert (solve(train.inputs) == train.labels).all()
    assert set(train.info["source"].tolist()) == {b"generated"}
    assert train.symmetry is None


def test_without_a_size_mazes_of_30_are_generated(tmp_path: Path) -> None:
    built(tmp_path / "data", source="generate", num_train=1, num_test=1)
    train, test = splits_of(tmp_path / "data")
    assert train.inputs.shape == test.inputs.shape == (1, 900)
    assert path_cells(np.concatenate([train.inputs, test.inputs])).min() >= 110


def test_a_thousand_mazes_each_are_generated_unless_told(tmp_path: Path) -> None:
    meta = built(tmp_path / "data", source="generate", size=6)
    assert [split.groups for split in meta.splits.values()] == [1000, 1000]


def test_equal_seeds_give_equal_data(tmp_path: Path) -> None:
    options = {"source": "generate", "size": 5, "num_train": 5, "num_test": 5}
    seeds = [("a", 1), ("b", 1), ("c", 2)]
    digests = [built(tmp_path / name, seed, **options).digest for name, seed in seeds]
    assert digests[0] == digests[1] != digests[2]


def test_the_data_are_the_recorded_ones(tmp_path: Path, folder: Path) -> None:
    options = {"num_train": 3, "aug": True}
    generated = built(tmp_path / "a", source="generate", size=5, num_test=5, **options)
    assert generated.digest == "6d1bb43f0844fc32b104e24fc9282d09a310142ef9d684bef486ba327636acce"
    from_folder = built(tmp_path / "b", source=str(folder), **options)
    assert from_folder.digest == "6616169b027fad3a1d53ab330c04ae36134e59b980672706e430573ff55eba35"


def test_augmented_mazes_are_the_eight_symmetries_with_labels_by_the_rule(
    tmp_path: Path, folder: Path
) -> None:
    meta = built(tmp_path / "data", source=str(folder), num_train=5, aug=True)
    assert meta.options["aug"]
    train, test = splits_of(tmp_path / "data")
    assert (train.num_groups, train.num_puzzles, test.num_puzzles) == (5, 40, 7)
    puzzles = np.arange(40)
    batch = train.make_batch(train.group_of(puzzles), puzzles)
    cells = symmetry_cells(6, puzzles % 8)
    moved = np.take_along_axis(np.repeat(np.asarray(train.inputs), 8, axis=0), cells, axis=1)
    assert (batch.inputs == moved).all()
    assert (batch.labels == solve(moved)).all()
    assert is_shortest_path(batch.inputs, batch.labels).all()
    assert (batch.puzzle_identifiers == 0).all()
    originals = train.make_batch(np.arange(5), train.puzzle_offsets[:-1])
    assert (originals.inputs == train.inputs).all()


def test_a_folder_keeps_its_division_and_its_labels(
    tmp_path: Path, folder: Path, mazes: Callable[[int], np.ndarray]
) -> None:
    meta = built(tmp_path / "data", source=str(folder), num_train=5)
    assert meta.source == str(folder)
    train, test = splits_of(tmp_path / "data")
    assert (train.inputs == mazes(6)[:5]).all()
    assert (test.inputs == mazes(6)[5:12]).all()
    assert (test.labels == solve(mazes(6)[5:12])).all()
    assert train.info["source"].tolist()[:2] == [b"list0", b"list1"]


def test_of_a_folder_random_mazes_train_and_the_first_test(
    tmp_path: Path, folder: Path, mazes: Callable[[int], np.ndarray]
) -> None:
    chosen = set()
    for seed in range(8):
        built(tmp_path / "data", seed, source=str(folder), num_train=2, num_test=3)
        train, test = splits_of(tmp_path / "data")
        chosen.add(train.inputs.tobytes())
        assert (test.inputs == mazes(6)[5:8]).all()
    assert len(chosen) > 3


def test_mazes_with_shorter_paths_are_left_out(tmp_path: Path, folder: Path) -> None:
    built(tmp_path / "data", source=str(folder), num_train=1, min_path=13)
    train, test = splits_of(tmp_path / "data")
    assert path_cells(np.concatenate([train.inputs, test.inputs])).min() >= 13
    assert test.num_groups < 7


def test_one_file_is_divided_into_mazes_that_are_no_copies(
    tmp_path: Path, csv_lines: Lines, write_csv: WriteCsv
) -> None:
    lines = csv_lines(6, slice(0, 8))
    turned = [",".join(cell[::-1] if len(cell) == 36 else cell for cell in line.split(","))
              for line in lines[1:5]]  # fmt: skip
    file = write_csv([*lines, *turned])
    totals = set()
    for seed in range(6):
        built(tmp_path / "data", seed, source=str(file), num_train=4)
        train, test = splits_of(tmp_path / "data")
        assert train.num_groups == 4
        assert copies(train).isdisjoint(copies(test))
        totals.add(test.num_groups)
    assert 4 <= min(totals) < max(totals) <= 8
    built(tmp_path / "data", source=str(file), num_train=4, num_test=2)
    assert splits_of(tmp_path / "data")[1].num_groups == 2


def test_the_files_of_the_hub_are_used(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        solved_puzzles, "download", lambda repository, split: folder / f"{split}.csv"
    )
    from_hub = built(tmp_path / "a", num_train=3)
    from_folder = built(tmp_path / "b", source=str(folder), num_train=3)
    assert from_hub.source == "hub"
    assert from_hub.digest == from_folder.digest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_train": 6}, r"/train.csv has only 5 such puzzles, not 6\. Lower --num-train\.$"),
        (
            {"num_train": 1, "min_path": 36},
            r"/train.csv has no maze with a path of 36 cells or more; its longest has \d+\. Lower",
        ),
        ({"num_train": 1, "size": 4}, r"^--size 4: the source has boards of size 6\. Leave --size"),
    ],
)
def test_what_a_folder_cannot_give_is_said(
    tmp_path: Path, folder: Path, options: dict[str, int], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        built(tmp_path / "out" / "data", source=str(folder), **options)
    assert not (tmp_path / "out").exists()


def test_an_unknown_source_is_named(tmp_path: Path) -> None:
    message = r"^--source hubb: no such file or folder, and not one of hub, generate\.$"
    with pytest.raises(InputError, match=message):
        built(tmp_path / "data", source="hubb")


def test_a_folder_without_its_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"/train.csv: no such file\. Name a folder with train"):
        built(tmp_path / "data", source=str(tmp_path))


def test_files_of_different_sizes_are_refused(
    tmp_path: Path, folder: Path, csv_lines: Lines, write_csv: WriteCsv
) -> None:
    write_csv(csv_lines(5), "source/test.csv")
    message = r"^training boards have 36 cells, test boards 25\. Give files of one size\.$"
    with pytest.raises(InputError, match=message):
        built(tmp_path / "data", source=str(folder), num_train=2)


def test_a_file_that_leaves_nothing_to_test_on_is_refused(
    tmp_path: Path, csv_lines: Lines, write_csv: WriteCsv
) -> None:
    file = write_csv(csv_lines(5))
    with pytest.raises(InputError, match=r": no puzzle is left to test on\. Lower --num-train\.$"):
        built(tmp_path / "data", source=str(file), num_train=4)


def test_a_size_that_cannot_be_generated_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--size 65: mazes of 2 to 64 can be generated\."):
        built(tmp_path / "data", source="generate", size=65)
