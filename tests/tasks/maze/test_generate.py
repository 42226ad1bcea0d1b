"""Generated mazes are long, like the published ones, all different, and reproducible."""

import hashlib
from collections.abc import Callable

import numpy as np
import pytest

from trm.errors import InputError
from trm.tasks.maze.generate import canonical, default_min_path, generate
from trm.tasks.maze.geometry import GOAL, OPEN, START, WALL, size_of, symmetry_cells
from trm.tasks.maze.solver import path_cells

GOLDEN = {
    8: "0730b48e74da1eabd89550068649de66429647385d36855582001bcbfb47857c",
    30: "17af98151192caf05bcbb17e6758ac8409f074c2e0a487a06a28662c0d407ddc",
}


def generated(size: int, count: int, min_path: int | None = None, seed: int = 0) -> np.ndarray:
    chosen = default_min_path(size) if min_path is None else min_path
    return generate(size, count, chosen, np.random.default_rng(seed))


def digest(mazes: np.ndarray) -> str:
    return hashlib.sha256(mazes.tobytes()).hexdigest()


def facts(mazes: np.ndarray) -> dict[str, np.ndarray]:
    """What was found to tell the published mazes from other random ones; each (batch,)."""
    size = size_of(mazes.shape[1])
    free = (mazes != WALL).reshape(-1, size, size)
    blocks = free[:, 1:, 1:] & free[:, 1:, :-1] & free[:, :-1, 1:] & free[:, :-1, :-1]
    start, goal = (np.divmod((mazes == token).argmax(axis=1), size) for token in (START, GOAL))
    return {
        "wall share": 1 - free.mean(axis=(1, 2)),
        "path cells": path_cells(mazes),
        "open blocks": blocks.sum(axis=(1, 2)),
        "straight distance": abs(start[0] - goal[0]) + abs(start[1] - goal[1]),
    }


def test_quartiles_are_those_of_the_published_mazes(
    published: dict[str, tuple[np.ndarray, np.ndarray]],
) -> None:
    theirs, ours = facts(published["train"][0]), facts(generated(30, 100))
    tolerance = {"wall share": 0.007, "path cells": 1, "open blocks": 6, "straight distance": 2.5}
    for name, allowed in tolerance.items():
        quartiles = [np.quantile(found[name], [0.25, 0.5, 0.75]) for found in (theirs, ours)]
        assert abs(quartiles[0] - quartiles[1]).max() <= allowed, name


@pytest.mark.parametrize(("size", "min_path"), [(3, 4), (6, 10), (8, 20), (13, 2), (64, 64)])
def test_mazes_are_whole_and_their_paths_long_enough(size: int, min_path: int) -> None:
    mazes = generated(size, 20, min_path)
    assert (mazes.shape, mazes.dtype) == ((20, size * size), np.uint8)
    assert set(np.unique(mazes)) <= {WALL, OPEN, START, GOAL}
    assert ((mazes == START).sum(axis=1) == 1).all()
    assert ((mazes == GOAL).sum(axis=1) == 1).all()
    assert path_cells(mazes).min() >= min_path


def test_the_least_length_is_met_exactly() -> None:
    assert path_cells(generated(8, 200, 12)).min() == 12


def test_paths_may_be_as_short_as_can_be() -> None:
    lengths = path_cells(generated(4, 300, 2))
    assert (lengths.min(), lengths.max() > 5) == (2, True)


def test_every_cell_is_a_wall_a_start_and_a_goal_at_times() -> None:
    mazes = generated(6, 1000, 6)
    for token, share in ((WALL, 0.2), (START, 0.004), (GOAL, 0.004)):
        assert ((mazes == token).mean(axis=0) > share).all()


def test_no_maze_is_a_copy_of_another() -> None:
    mazes = generated(3, 60, 4)
    assert len({canonical(maze) for maze in mazes}) == 60


def test_symmetric_copies_have_one_canonical_form(mazes: Callable[[int], np.ndarray]) -> None:
    for maze in mazes(6):
        copies = maze[symmetry_cells(6, np.arange(8))]
        assert {canonical(copy) for copy in copies} == {canonical(maze)}


def test_equal_seeds_give_equal_bytes() -> None:
    assert digest(generated(8, 20)) == digest(generated(8, 20))
    assert digest(generated(8, 20)) != digest(generated(8, 20, seed=1))
    assert (generated(8, 30)[:20] == generated(8, 20)).all()


@pytest.mark.parametrize("size", GOLDEN)
def test_the_stream_of_mazes_is_the_recorded_one(size: int) -> None:
    assert digest(generated(size, 10)) == GOLDEN[size]


@pytest.mark.parametrize(("size", "cells"), [(30, 110), (8, 20), (20, 65), (2, 3)])
def test_the_default_length_grows_with_the_size(size: int, cells: int) -> None:
    assert default_min_path(size) == cells


def test_no_mazes_have_the_shape_of_one_all_the_same() -> None:
    assert generated(30, 0).shape == (0, 900)


def test_more_mazes_than_there_are_end_in_an_error() -> None:
    message = (
        r"^found only \d+ of 100 mazes for --size 2 with --min-path 2\. Ask for fewer, for a "
        r"larger --size or for a shorter --min-path\.$"
    )
    with pytest.raises(InputError, match=message):
        generated(2, 100, 2)


@pytest.mark.parametrize("size", [1, 65])
def test_a_size_out_of_range_is_refused(size: int) -> None:
    message = rf"^--size {size}: mazes of 2 to 64 can be generated\. Change it\.$"
    with pytest.raises(InputError, match=message):
        generated(size, 1, 2)
