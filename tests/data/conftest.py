"""Made-up splits of the shape of ARC: groups of several examples and several puzzles."""

from collections.abc import Callable

import numpy as np
import pytest

from trm.data import CellAugmentation, Split

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
