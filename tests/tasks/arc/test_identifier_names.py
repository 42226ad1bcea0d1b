"""Names of copies, made and read back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trm.errors import DataError
from trm.tasks.arc.grids import VOCAB_SIZE
from trm.tasks.arc.identifier_names import make_names, parse_names

SAME = np.arange(VOCAB_SIZE, dtype=np.uint8)


def permutation(colors: str) -> np.ndarray:
    """The permutation of tokens that this new colour of each old colour stands for."""
    return np.array([0, 1, *(int(color) + 2 for color in colors)], np.uint8)


def test_names_are_those_of_the_published_data() -> None:
    names = make_names(
        np.array([b"8efcae92", b"f76d97a5"]),
        np.array([0, 2, 3]),
        np.array([0, 3, 0], np.int32),
        np.stack([SAME, permutation("0638521794"), SAME]),
    )
    assert names.tolist() == [b"<blank>", b"8efcae92", b"8efcae92|||t3|||0638521794", b"f76d97a5"]


def test_the_colours_of_a_name_are_the_new_ones_of_the_old() -> None:
    (task,), (symmetry,), (colors,) = parse_names(np.array([b"a|||t1|||0312456789"]))
    assert (task, symmetry) == (b"a", 1)
    assert colors.tolist() == [0, 1, 2, 5, 3, 4, 6, 7, 8, 9, 10, 11]  # 1 becomes 3, 2 becomes 1


ids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="|\0"), max_size=12)
copies = st.tuples(st.integers(0, 7), st.permutations(range(10)))


@given(tasks=st.lists(st.tuples(ids, st.lists(copies, max_size=3)), min_size=1, max_size=5))
@settings(deadline=None, derandomize=True)
def test_what_is_made_is_read_back(tasks: list[tuple[str, list[tuple[int, list[int]]]]]) -> None:
    sizes = [1 + len(made) for _, made in tasks]
    offsets = np.cumsum([0, *sizes])
    symmetry, colors = np.zeros(offsets[-1], np.int32), np.tile(SAME, (offsets[-1], 1))
    for start, (_, made) in zip(offsets, tasks, strict=False):
        for copy, (kind, order) in enumerate(made, 1):
            symmetry[start + copy], colors[start + copy, 2:] = kind, np.array(order) + 2
    written = np.array([task.encode() for task, _ in tasks])
    names = make_names(written, offsets, symmetry, colors)
    found_ids, found_symmetry, found_colors = parse_names(names)
    assert names[0] == found_ids[0] == b"<blank>"
    assert found_ids[1:].tolist() == np.repeat(written, sizes).tolist()
    assert (found_symmetry.tolist(), found_symmetry.dtype) == ([0, *symmetry], np.int32)
    assert (found_colors[1:] == colors).all()
    assert found_colors.dtype == np.uint8


def test_an_id_may_have_bars_though_not_three() -> None:
    names = np.array([b"|a||b|", b"|a||b||||t7|||0123456789"])
    assert parse_names(names)[0].tolist() == [b"|a||b|", b"|a||b|"]


def test_an_id_that_could_not_be_read_back_is_refused() -> None:
    with pytest.raises(DataError, match=r"^task ID 'b\|\|\|c' contains '\|\|\|', which separates"):
        make_names(np.array([b"a", b"b|||c"]), np.arange(3), np.zeros(2, int), np.stack([SAME] * 2))


@pytest.mark.parametrize(
    "name",
    [
        "a|||t8|||0123456789",
        "a|||t12|||0123456789",
        "a|||3|||0123456789",
        "a|||t3|||0123456788",
        "a|||t3|||012345678",
        "a|||t3|||01234567890",
        "a|||t3|||012345678x",
        "a|||t3",
        "a|||0123456789",
        "|||",
    ],
)
def test_a_name_that_means_nothing_is_refused(name: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_names(np.array([b"a", b"b|||t3|||0123456789", name.encode()]))
    assert str(caught.value).startswith(f"identifier {name!r} is not the name of an ARC task or of")


def test_no_names_are_no_puzzles() -> None:
    found = parse_names(np.zeros(0, "S20"))
    assert [array.shape for array in found] == [(0,), (0,), (0, VOCAB_SIZE)]
