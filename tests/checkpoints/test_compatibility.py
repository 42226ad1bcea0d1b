"""Whether a checkpoint and a dataset belong together, and which row each puzzle has."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.made_checkpoints import write_named_data
from trm.checkpoints.compatibility import TrainedOn
from trm.data import PUBLISHED_ORDER, Dataset
from trm.errors import CheckpointError
from trm.tasks.registry import get_task

NAMES = ["<blank>", "a", "bb", "ccc", "d"]
Named = Callable[..., Dataset]


@pytest.fixture
def named(mini_data: Path, tmp_path: Path) -> Named:
    """Puzzles whose identifiers have these names."""

    def make(names: Sequence[str] = NAMES, used: Sequence[str] | None = None) -> Dataset:
        folder = tmp_path / f"data{len(list(tmp_path.iterdir()))}"
        return get_task("sudoku").open_data([write_named_data(folder, mini_data, names, used)])

    return make


@pytest.fixture
def plain(mini_data: Path) -> Dataset:
    return get_task("sudoku").open_data([mini_data])


def trained_on(dataset: Dataset, *, nameless: bool = False) -> TrainedOn:
    return TrainedOn("alice/demo", dataset.meta, None if nameless else dataset.names)


def changed(dataset: Dataset, **update: Any) -> Dataset:
    return replace(dataset, meta=dataset.meta.model_copy(update=update))


def test_puzzles_of_the_same_kind(plain: Dataset, named: Named) -> None:
    trained_on(plain).check(plain)
    trained_on(plain).check(named())
    trained_on(plain).check(changed(plain, digest="other", source="hub", splits={}))


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"seq_len": 36}, "puzzles of length 36, alice/demo was trained for 16"),
        (
            {"vocabulary": ("<pad>", "1")},
            "a vocabulary of size 2, alice/demo was trained for 6",
        ),
        (
            {"vocabulary": tuple("abcdef")},
            "the vocabulary ('a', 'b', 'c', 'd', 'e', 'f'), alice/demo was trained for ('<pad>', ",
        ),
    ],
    ids=["length", "size", "vocabulary"],
)
def test_puzzles_of_another_kind(plain: Dataset, update: dict[str, Any], message: str) -> None:
    whole = f"^{plain.path} has {re.escape(message)}.*Give data of that kind with --data\\.$"
    with pytest.raises(CheckpointError, match=whole):
        trained_on(plain).check(changed(plain, **update))


def test_a_table_for_the_same_puzzles(plain: Dataset, named: Named, mini_data: Path) -> None:
    trained_on(plain).check_puzzle_identifiers(plain)
    trained_on(named()).check_puzzle_identifiers(named(used=["a"]))
    trained_on(named(), nameless=True).check_puzzle_identifiers(
        changed(plain, num_puzzle_identifiers=5)
    )


def test_a_table_for_other_puzzles(plain: Dataset, named: Named) -> None:
    made = trained_on(named())
    ways = r"\. Give the data that it was trained with, or .* with --reset-puzzle-embedding\.$"
    for other, why in (
        (plain, r"has 1 puzzle identifiers, alice/demo was trained with 5"),
        (named([*NAMES, "e"]), r"has 6 puzzle identifiers, alice/demo was trained with 5"),
        (
            named(["<blank>", "bb", "a", "ccc", "d"]),
            r"has other puzzle identifiers than alice/demo was trained with",
        ),
        (
            named(["<blank>", "a", "bb", "ccc", "longer"]),
            r"has other puzzle identifiers than alice/demo was trained with",
        ),
    ):
        with pytest.raises(CheckpointError, match=f"^{other.path} {why}{ways}"):
            made.check_puzzle_identifiers(other)


def test_a_table_without_names_is_for_data_of_the_published_order(named: Named) -> None:
    dataset = named()
    made = trained_on(dataset, nameless=True)
    with pytest.raises(
        CheckpointError, match=r"numbers its puzzles in another way than the data of ali"
    ):
        made.check_puzzle_identifiers(dataset)
    made.check_puzzle_identifiers(changed(dataset, properties={PUBLISHED_ORDER: True}))


def test_the_same_names_keep_their_numbers(plain: Dataset, named: Named) -> None:
    split = plain.split("test")
    assert trained_on(named()).with_identifiers(split, plain) is split
    dataset = named()
    split = dataset.split("test")
    assert trained_on(named()).with_identifiers(split, dataset) is split


@pytest.mark.parametrize(
    "names",
    [NAMES[::-1], ["d", "bb"], ["unused", "ccc", "d", "bb"]],
    ids=["another order", "few", "with another that no puzzle has"],
)
def test_names_are_given_the_numbers_that_they_had(named: Named, names: list[str]) -> None:
    dataset = named(names, used=[name for name in names if name != "unused"])
    before = dataset.split("test")
    after = trained_on(named()).with_identifiers(before, dataset)
    assert before.names is not None
    assert after.names is not None
    assert after.names.tolist() == [name.encode() for name in NAMES]
    assert after.identifiers is not None
    assert after.identifiers.dtype == np.int32
    assert len(set(after.identifiers.tolist())) > 1
    assert np.array_equal(after.names[after.identifiers], before.names[before.identifiers])
    assert after.inputs is before.inputs


def test_names_that_were_never_trained_are_counted_and_named(named: Named) -> None:
    dataset = named(["zz", "a", "mm", "kk", "aa"], used=["a", "zz", "mm", "kk", "aa"])
    message = (
        r"^alice/demo does not know 80 of the 100 puzzle identifiers of \S+, such as aa, kk, mm: "
        r"it has no embedding for them\. .* or --reset-puzzle-embedding\.$"
    )
    with pytest.raises(CheckpointError, match=message):
        trained_on(named()).with_identifiers(dataset.split("test"), dataset)


def test_a_table_without_names_takes_the_numbers_of_the_data(named: Named) -> None:
    dataset = named()
    made, split = trained_on(dataset, nameless=True), dataset.split("test")
    published = changed(dataset, properties={PUBLISHED_ORDER: True})
    assert made.with_identifiers(split, published) is split
    with pytest.raises(CheckpointError, match="numbers its puzzles in another way"):
        made.with_identifiers(split, dataset)
