"""Our copies are those of the published builder, row by row."""

import json
from pathlib import Path

import numpy as np
import pytest

from trm.data import BatchTransforms, Dataset, open_dataset
from trm.tasks.arc.augmentation import ArcAugmentation
from trm.tasks.arc.build import ArcOptions, build
from trm.tasks.arc.identifier_names import parse_names


class Published:
    """A split as the published builder wrote it, with the task and the copy of each row."""

    def __init__(self, folder: Path, split: str) -> None:
        def load(name: str) -> np.ndarray:
            return np.load(folder / split / f"all__{name}.npy")

        self.inputs, self.labels = load("inputs"), load("labels")
        starts = load("puzzle_indices")
        self.counts = np.repeat(np.diff(starts), np.diff(starts))
        self.puzzles = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        self.places = np.arange(len(self.inputs)) - starts[self.puzzles]
        names = np.array(json.loads((folder / "identifiers.json").read_text()), np.bytes_)
        self.names = names[load("puzzle_identifiers")][self.puzzles]
        self.ids, self.symmetry, self.permutation = parse_names(self.names)

    @property
    def offsets(self) -> np.ndarray:
        """The first row and column (rows, 2) that hold something."""
        used = self.inputs.reshape(-1, 30, 30) > 0
        return np.stack([used.any(axis=axis).argmax(axis=1) for axis in (2, 1)], axis=1)


class Moved(ArcAugmentation):
    """Moves grids by what it is told."""

    def __init__(self, offsets: np.ndarray) -> None:
        super().__init__(0, translate=True)
        self._offsets = np.ascontiguousarray(offsets.T)

    def translations(
        self, transforms: BatchTransforms
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return (self._offsets > 0).any(axis=0), self._offsets[0], self._offsets[1]


@pytest.fixture(scope="module")
def reference(shared: Path) -> Path:
    return shared / "reference/arc"


@pytest.fixture(scope="module")
def ours(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The same tasks, as many copies of each."""
    out = tmp_path_factory.mktemp("ours") / "data"
    options = ArcOptions(source=str(reference), num_aug=8, no_concept=True)
    build(out, "arc1", options, np.random.default_rng(0))
    return open_dataset(out, lambda split: ArcAugmentation(0, translate=split == "train"))


def test_there_is_as_much_of_everything(ours: Dataset, reference: Path) -> None:
    for name, split in ours.splits.items():
        published = json.loads((reference / f"built/{name}/dataset.json").read_text())
        assert ours.meta.num_puzzle_identifiers == published["num_puzzle_identifiers"]
        assert split.num_groups == published["total_groups"]
        assert split.num_puzzles == published["total_puzzles"]
        assert split.mean_puzzle_examples() == pytest.approx(published["mean_puzzle_examples"])
        assert (ours.meta.seq_len, ours.meta.vocab_size) == (900, published["vocab_size"])


def test_the_published_order_gives_the_published_identifiers(
    reference: Path, tmp_path: Path
) -> None:
    options = ArcOptions(
        source=str(reference), num_aug=8, no_concept=True, published_order=True, seed=0
    )
    build(tmp_path / "data", "arc1", options, np.random.default_rng(0))
    names = open_dataset(tmp_path / "data").names
    published = json.loads((reference / "built/identifiers.json").read_text())
    assert names is not None
    assert [name.decode() for name in names.tolist()] == published


@pytest.mark.parametrize("name", ["train", "test"])
def test_our_originals_give_the_published_rows(ours: Dataset, reference: Path, name: str) -> None:
    published, split = Published(reference / "built", name), ours.split(name)
    assert published.offsets.any() == (name == "train")
    groups = {task: group for group, task in enumerate(split.info["name"].tolist())}
    group = np.array([groups[task] for task in published.ids.tolist()])
    begin, count = split.example_offsets[group], np.diff(split.example_offsets)[group]
    assert (count == published.counts).all()
    matched = np.zeros(len(group), bool)
    augmentation = Moved(published.offsets)
    rows = BatchTransforms(
        published.symmetry, published.permutation, published.puzzles, published.places, count
    )
    # There a task's test pairs may come first, here its training pairs do.
    for shift in range(count.max()):
        example = begin + (published.places + shift) % count
        inputs, labels = augmentation.apply(split.inputs[example], split.labels[example], rows)
        equal = (inputs == published.inputs) & (labels == published.labels)
        matched |= equal.all(axis=1)
    assert matched.all()
    back = augmentation.undo(published.inputs, rows)
    originals = {row.tobytes() for row in split.inputs}
    assert all(row.tobytes() in originals for row in back)


def test_both_move_all_but_one_example_within_the_same_range(
    ours: Dataset, reference: Path
) -> None:
    published, split = Published(reference / "built", "train"), ours.split("train")
    counts = split.example_range(np.arange(split.num_puzzles))[1]
    puzzles = np.repeat(np.arange(split.num_puzzles), counts)
    places = np.concatenate([np.arange(count) for count in counts])
    batch = split.make_batch(split.example_range(puzzles)[0] + places, puzzles)
    mean = []
    for inputs, labels, owner in (
        (published.inputs, published.labels, published.puzzles),
        (batch.inputs, np.maximum(batch.labels, 0), puzzles),
    ):
        used = np.concatenate((inputs, labels), axis=1).reshape(-1, 2, 30, 30) > 1
        down, right = (used.any(axis=(1, axis)).argmax(axis=1) for axis in (3, 2))
        for which in (0, 1):  # both grids of a pair are moved alike
            assert (used[:, which].any(axis=2).argmax(axis=1) == down).all()
            assert (used[:, which].any(axis=1).argmax(axis=1) == right).all()
        stays = (down == 0) & (right == 0)
        assert (np.bincount(owner[stays], minlength=len(counts)) >= 1).all()
        bottom = 30 - used.any(axis=(1, 3))[:, ::-1].argmax(axis=1)
        room = 30 - (bottom - down)
        moved = ~stays & (room > 5)
        mean.append((down[moved] / room[moved]).mean())
        assert (down <= room).all()
    assert mean == pytest.approx([0.5, 0.5], abs=0.06)
