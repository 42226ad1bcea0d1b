"""Sudoku datasets: from nothing, from a folder, from one file; whole, or not there."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trm.data import DatasetMeta, Split
from trm.errors import InputError, StorageError
from trm.storage import replacing
from trm.tasks import solved_puzzles
from trm.tasks.sudoku.build import SudokuOptions, build
from trm.tasks.sudoku.generate import invariant
from trm.tasks.sudoku.geometry import Geometry, is_valid_solution
from trm.tasks.sudoku.task import Sudoku

REAL = Path(__file__).parents[3].parent / "shared/data/sudoku-extreme"

Lines = Callable[..., list[str]]
WriteCsv = Callable[..., Path]


def built(out: Path, seed: int = 0, **options: object) -> DatasetMeta:
    """Build a dataset; two copies of each puzzle unless told otherwise."""
    chosen = SudokuOptions.model_validate({"num_aug": 2, "seed": seed, **options})
    with replacing(out):
        return build(out, chosen, np.random.default_rng(seed))


def splits_of(out: Path) -> tuple[Split, Split]:
    dataset = Sudoku().open_data([out])
    return dataset.split("train"), dataset.split("test")


def hashes(split: Split) -> set[int]:
    boards = np.asarray(split.inputs) - np.uint8(1)
    return set(invariant(boards, Geometry.from_num_cells(boards.shape[1])).tolist())


@pytest.fixture
def folder(csv_lines: Lines, write_csv: WriteCsv) -> Path:
    """Five training puzzles rated 0 to 4, and seven test puzzles rated 0 to 6."""
    write_csv(csv_lines(9, slice(0, 5)), "source/train.csv")
    return write_csv(csv_lines(9, slice(5, 12)), "source/test.csv").parent


@pytest.mark.parametrize("size", [4, 6])
def test_generated_data_are_what_was_asked_for(tmp_path: Path, size: int) -> None:
    meta = built(tmp_path / "data", source="generate", size=size, num_train=6, num_test=9)
    assert (meta.task, meta.source, meta.seq_len) == ("sudoku", "generate", size * size)
    assert meta.properties == {"size": size}
    assert meta.vocabulary[-1] == str(size)
    assert meta.options["num_aug"] == 2
    train, test = splits_of(tmp_path / "data")
    assert (train.num_groups, train.num_puzzles) == (6, 18)
    assert (test.num_groups, test.num_puzzles) == (9, 9)
    assert len(hashes(train) | hashes(test)) == 15
    assert set(train.info["source"].tolist()) == {b"generated"}


def test_every_stored_and_augmented_puzzle_is_a_solved_sudoku(tmp_path: Path) -> None:
    built(tmp_path / "data", source="generate", size=6, num_train=6, num_test=2, num_aug=20)
    train, test = splits_of(tmp_path / "data")
    for split in (train, test):
        puzzles = np.arange(split.num_puzzles)
        batch = split.make_batch(split.group_of(puzzles), puzzles)
        assert is_valid_solution((batch.labels - 1).astype(np.uint8)).all()
        assert ((batch.inputs == 1) | (batch.inputs == batch.labels)).all()
        assert (batch.inputs == 1).any(axis=1).all()
        assert (batch.puzzle_identifiers == 0).all()
    originals = train.make_batch(np.arange(6), train.puzzle_offsets[:-1])
    assert (originals.inputs == train.inputs).all()
    copies = train.make_batch(np.zeros(21, int), np.arange(21))
    assert len(np.unique(copies.inputs, axis=0)) == 21


def test_without_a_size_boards_of_9_are_generated(tmp_path: Path) -> None:
    assert built(tmp_path / "a", source="generate", num_train=1, num_test=1).seq_len == 81


def test_a_thousand_test_puzzles_are_generated_unless_told(tmp_path: Path) -> None:
    meta = built(tmp_path / "a", source="generate", size=4, num_train=1)
    assert meta.splits["test"].groups == 1000


def test_equal_seeds_give_equal_data(tmp_path: Path) -> None:
    options = {"source": "generate", "size": 4, "num_train": 5, "num_test": 5}
    digests = [built(tmp_path / name, seed, **options).digest for name, seed in SEEDS]
    assert digests[0] == digests[1] != digests[2]


SEEDS = [("a", 1), ("b", 1), ("c", 2)]


def test_the_data_are_the_recorded_ones(tmp_path: Path, folder: Path) -> None:
    generated = built(tmp_path / "a", source="generate", size=4, num_train=5, num_test=5)
    assert generated.digest == "7032b82c170d04ac8b8d1d78ff30eb564c7e447d14a48c38b2d8536200da64b9"
    from_folder = built(tmp_path / "b", source=str(folder), num_train=3)
    assert from_folder.digest == "2dff541b07cd9c52bfeebb63056a912361f5aeb76d360c8ad5d6b8857cb81047"


def test_a_folder_keeps_its_division(tmp_path: Path, folder: Path) -> None:
    meta = built(tmp_path / "data", source=str(folder), num_train=5)
    assert meta.source == str(folder)
    train, test = splits_of(tmp_path / "data")
    assert train.info["rating"].tolist() == [0, 1, 2, 3, 4]
    assert test.info["rating"].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert train.info["source"].tolist()[:2] == [b"list0", b"list1"]


def test_of_a_folder_random_puzzles_train_and_the_first_test(tmp_path: Path, folder: Path) -> None:
    chosen = set()
    for seed in range(8):
        built(tmp_path / "data", seed, source=str(folder), num_train=2, num_test=3)
        train, test = splits_of(tmp_path / "data")
        chosen.add(tuple(train.info["rating"].tolist()))
        assert test.info["rating"].tolist() == [0, 1, 2]
    assert len(chosen) > 3
    assert all(first < second for first, second in chosen)


def test_easier_puzzles_are_left_out(tmp_path: Path, folder: Path) -> None:
    built(tmp_path / "data", source=str(folder), num_train=2, min_rating=3)
    train, test = splits_of(tmp_path / "data")
    assert train.info["rating"].tolist() == [3, 4]
    assert test.info["rating"].tolist() == [3, 4, 5, 6]


def test_one_file_is_divided_into_puzzles_that_are_no_copies(
    tmp_path: Path, csv_lines: Lines, write_csv: WriteCsv
) -> None:
    lines = csv_lines(4, slice(0, 8))
    copies = [line.translate(str.maketrans("1234", "2341")) for line in csv_lines(4)[1:]]
    copies = [line.rsplit(",", 1)[0] + ",0" for line in copies]
    file = write_csv([*lines, *copies])
    total = set()
    for seed in range(6):
        built(tmp_path / "data", seed, source=str(file), num_train=4)
        train, test = splits_of(tmp_path / "data")
        assert train.num_groups == 4
        assert hashes(train).isdisjoint(hashes(test))
        total.add(test.num_groups)
    assert max(total) <= 8
    assert min(total) >= 4
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
        ({"num_train": 1, "min_rating": 9}, r"/train.csv has no puzzle of rating 9 or more; its"),
        ({"num_train": 1, "min_rating": 5}, r"its highest is 4\. Lower --min-rating\.$"),
        ({"num_train": 1, "size": 4}, r"^--size 4: the source has boards of size 9\. Leave --size"),
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
    with pytest.raises(
        InputError, match=r"/train.csv: no such file\. Name a folder with train.csv"
    ):
        built(tmp_path / "data", source=str(tmp_path))


def test_files_of_different_sizes_are_refused(
    tmp_path: Path, folder: Path, csv_lines: Lines, write_csv: WriteCsv
) -> None:
    write_csv(csv_lines(4), "source/test.csv")
    message = r"^training boards have 81 cells, test boards 16\. Give files of one size\.$"
    with pytest.raises(InputError, match=message):
        built(tmp_path / "data", source=str(folder), num_train=2)


def test_a_file_that_leaves_nothing_to_test_on_is_refused(
    tmp_path: Path, csv_lines: Lines, write_csv: WriteCsv
) -> None:
    file = write_csv(csv_lines(4))
    with pytest.raises(InputError, match=r": no puzzle is left to test on\. Lower --num-train\.$"):
        built(tmp_path / "data", source=str(file), num_train=4)


def test_an_unsupported_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^Sudoku size 5 is not supported: use 4, 6 or 9$"):
        built(tmp_path / "data", source="generate", size=5)


def test_a_failed_build_leaves_the_old_data_and_nothing_else(tmp_path: Path) -> None:
    meta = built(tmp_path / "data", source="generate", size=4, num_train=2, num_test=2)
    (tmp_path / "train.csv").write_text("source,question,answer,rating\n")
    (tmp_path / "test.csv").write_text("source,question,answer,rating\n")
    with pytest.raises(InputError, match="has no puzzle"):
        built(tmp_path / "data", source=str(tmp_path))
    assert Sudoku().open_data([tmp_path / "data"]).meta == meta
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "test.csv", "train.csv"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match=r"^cannot write .*/file/data: a file of that name is "):
        built(tmp_path / "file" / "data", source="generate", size=4, num_train=2, num_test=2)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real puzzles are not at {REAL}")
def test_the_real_puzzles_are_read(tmp_path: Path) -> None:
    meta = built(tmp_path / "data", source=str(REAL), num_train=1000)
    assert meta.splits["test"].puzzles > 5000
    train, test = splits_of(tmp_path / "data")
    assert (train.num_groups, train.num_puzzles) == (1000, 3000)
    assert hashes(train).isdisjoint(hashes(test))
    assert round(float(np.mean(train.info["rating"])), 1) == 20.8
