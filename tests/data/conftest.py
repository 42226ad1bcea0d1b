"""Made-up splits of the shape of ARC: groups of several examples and several puzzles."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trm.data import CellAugmentation, Dataset, DatasetMeta, Split, write_published

SEQ_LEN, VOCAB_SIZE, NUM_IDENTIFIERS = 6, 5, 50


def rotations(symmetry: np.ndarray) -> np.ndarray:
    """Symmetry s takes the cells s places further on."""
    return (np.arange(SEQ_LEN) + symmetry[:, None]) % SEQ_LEN


@pytest.fixture(scope="session")
def augmentation() -> CellAugmentation:
    return CellAugmentation(rotations, num_symmetries=SEQ_LEN, vocab_size=VOCAB_SIZE, first_free=2)


@pytest.fixture(scope="session")
def make_split(augmentation: CellAugmentation) -> Callable[..., Split]:
    """A split with the given numbers of examples and of puzzles of each group.

    The first puzzle of a group is the original; identifiers are those of the puzzles, from 1 on.
    """

    def make(
        examples: tuple[int, ...] = (3, 1, 2, 5), puzzles: tuple[int, ...] = (2, 3, 1, 4)
    ) -> Split:
        rng = np.random.default_rng(7)
        example_offsets = np.concatenate(([0], np.cumsum(examples))).astype(np.int64)
        puzzle_offsets = np.concatenate(([0], np.cumsum(puzzles))).astype(np.int64)
        num_examples, num_puzzles = int(example_offsets[-1]), int(puzzle_offsets[-1])
        symmetry = rng.integers(0, SEQ_LEN, num_puzzles, dtype=np.int32)
        permutation = np.tile(np.arange(VOCAB_SIZE, dtype=np.uint8), (num_puzzles, 1))
        permutation[:, 2:] = rng.permuted(permutation[:, 2:], axis=1)
        symmetry[puzzle_offsets[:-1]] = 0
        permutation[puzzle_offsets[:-1]] = np.arange(VOCAB_SIZE)
        return Split(
            inputs=rng.integers(0, VOCAB_SIZE, (num_examples, SEQ_LEN), dtype=np.uint8),
            labels=rng.integers(0, VOCAB_SIZE, (num_examples, SEQ_LEN), dtype=np.uint8),
            example_offsets=example_offsets,
            puzzle_offsets=puzzle_offsets,
            symmetry=symmetry,
            permutation=permutation,
            identifiers=np.arange(1, num_puzzles + 1, dtype=np.int32),
            info={"name": np.array([f"g{g}".encode() for g in range(len(examples))])},
            names=np.array([b"<blank>", *(b"p%d" % p for p in range(1, NUM_IDENTIFIERS))]),
            augmentation=augmentation,
        )

    return make


@pytest.fixture(scope="session")
def make_dataset(make_split: Callable[..., Split]) -> Callable[..., Dataset]:
    """A dataset in memory; the seed decides its examples.

    Each puzzle has a name of its own, ``a1``, ``a2`` and so on if the dataset's is ``a``. Where
    names are not wanted, all have identifier 0.
    """

    def make(
        name: str = "a",
        *,
        seed: int = 0,
        train: tuple[tuple[int, ...], tuple[int, ...]] = ((3, 1, 2), (2, 3, 1)),
        test: tuple[tuple[int, ...], tuple[int, ...]] | None = ((1, 2), (1, 2)),
        named: bool = True,
        augmented: bool = True,
        **meta: Any,
    ) -> Dataset:
        rng = np.random.default_rng(seed)
        splits, first = {}, 1
        for split_name, sizes in (("train", train), ("test", test)):
            if sizes is None:
                continue
            split = make_split(*sizes)
            shape = split.inputs.shape
            splits[split_name] = replace(
                split,
                inputs=rng.integers(0, VOCAB_SIZE, shape, dtype=np.uint8),
                labels=np.maximum(rng.integers(0, VOCAB_SIZE, shape), 1 - np.arange(SEQ_LEN)),
                identifiers=np.arange(first, first + split.num_puzzles, dtype=np.int32),
            )
            first += split.num_puzzles
        names = np.array([b"<blank>", *(f"{name}{number}".encode() for number in range(1, first))])
        for split_name, split in splits.items():
            splits[split_name] = replace(
                split,
                labels=split.labels.astype(np.uint8),
                symmetry=split.symmetry if augmented else None,
                permutation=split.permutation if augmented else None,
                identifiers=split.identifiers if named else None,
                names=names if named else None,
            )
        described = DatasetMeta(
            task="toy", source=f"made up {name}", seed=seed, vocabulary=tuple("_.abc"),
            seq_len=SEQ_LEN, num_puzzle_identifiers=len(names) if named else 1, digest=name,
        )  # fmt: skip
        return Dataset(Path(name), described.model_copy(update=meta), splits)

    return make


@pytest.fixture
def dataset(make_dataset: Callable[..., Dataset]) -> Dataset:
    return make_dataset()


@pytest.fixture
def published(tmp_path: Path, dataset: Dataset) -> Path:
    """``dataset`` in the published layout, with a further file."""
    write_published(tmp_path / "data", dataset, {"test_puzzles.json": {"a": 1}})
    return tmp_path / "data"
