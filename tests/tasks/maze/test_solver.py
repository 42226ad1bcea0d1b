"""Distances, the rule's path, and which answers count as a path."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from trm.tasks.maze.geometry import GOAL, OPEN, PATH, START, WALL, neighbours
from trm.tasks.maze.solver import distances, is_shortest_path, is_valid_path, path_cells, solve

Drawn = Callable[[str], np.ndarray]


def test_distances_are_moves_to_the_goal(drawn: Drawn) -> None:
    maze = drawn("S.G/.#./...")
    assert distances(maze[None]).reshape(3, 3).tolist() == [[2, 1, 0], [3, -1, 1], [4, 3, 2]]


def test_what_lies_behind_walls_has_no_distance(drawn: Drawn) -> None:
    walled = drawn("S#./##./..G")
    assert distances(walled[None])[0].tolist() == [-1, -1, 2, -1, -1, 1, 2, 1, 0]
    assert path_cells(walled[None]).tolist() == [0]
    assert (solve(walled[None])[0] == walled).all()


def test_a_maze_without_a_goal_or_a_start_has_no_path(drawn: Drawn) -> None:
    broken = np.stack([drawn("S../.../..."), drawn(".../.../..G")])
    assert (distances(broken)[0] == -1).all()
    assert path_cells(broken).tolist() == [0, 0]
    assert (solve(broken) == broken).all()


@pytest.mark.parametrize(
    ("maze", "label"),
    [
        ("S../.../..G", "S../o../ooG"),  # Down before Right
        ("G../.../..S", "G../o../ooS"),  # Left before Up
        ("..G/.../S..", "..G/..o/Soo"),  # Right before Up
        ("..S/.../G..", "..S/..o/Goo"),  # Down before Left
        ("SG./.../...", "SG./.../..."),
    ],
)
def test_of_equal_ways_the_rule_takes_one(drawn: Drawn, maze: str, label: str) -> None:
    assert solve(drawn(maze)[None])[0].tolist() == drawn(label).tolist()


def test_tokens_of_any_integer_type_are_taken(drawn: Drawn) -> None:
    maze = drawn("S../.../..G")
    assert (solve(maze[None].astype(np.int64)) == solve(maze[None])).all()
    assert is_shortest_path(maze[None].astype(np.int32), solve(maze[None]).astype(np.int32)).all()


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_published_label_follows_the_rule(
    published: dict[str, tuple[np.ndarray, np.ndarray]], split: str
) -> None:
    inputs, labels = published[split]
    assert (solve(inputs) == labels).all()
    assert is_shortest_path(inputs, labels).all()
    assert path_cells(inputs).min() == 110


@pytest.mark.parametrize(
    ("answer", "valid", "shortest"),
    [
        ("S.../o.../o.../oooG", True, True),
        ("Soo./..o./..o./..oG", True, True),  # another one than the rule's
        ("Soo./.o../.oo./..oG", False, False),  # a branch
        ("Soo./..o./.oo./.ooG", False, False),  # touches itself
        ("S.../..../..../...G", False, False),
        ("Soo./..oo/...o/...G", True, True),
    ],
)
def test_what_is_a_path(drawn: Drawn, answer: str, valid: bool, shortest: bool) -> None:
    maze = drawn("S.../..../..../...G")
    assert is_valid_path(maze[None], drawn(answer)[None]).tolist() == [valid]
    assert is_shortest_path(maze[None], drawn(answer)[None]).tolist() == [shortest]


MAZE = "S...#/.##../...../.###./....G"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("S...#/o##../o..../o###./ooooG", ""),
        ("Sooo#/.##o./...o./.###./....G", "ends before G"),
        ("Sooo#/o##../o..../o###./ooooG", "a branch at S"),
        ("S...#/o##../oo.../o###./ooooG", "a branch on the way"),
        ("S...#/o##../o..o./o###./ooooG", "a stray mark"),
        ("S...#/o##../o..../o###./ooo.G", "a gap"),
        ("S...#/o#.../o..../o###./ooooG", "a wall is gone"),
        ("S...#/o##.#/o..../o###./ooooG", "a new wall"),
        ("S...#/o##../ooooo/.###o/....G", ""),
        ("S...#/o###./ooooo/.#.#o/....G", "walls moved"),
        ("o...#/o##../o..../o###./ooooG", "no S"),
        ("S...#/o##../o..../o###./ooooo", "no G"),
        ("S...#/o##../o..../o###./oooGG", "two Gs"),
    ],
)
def test_what_spoils_a_path(drawn: Drawn, answer: str, why: str) -> None:
    found = is_valid_path(drawn(MAZE)[None], drawn(answer)[None])
    assert found.tolist() == [not why]


def test_a_ring_beside_the_path_spoils_it(drawn: Drawn) -> None:
    maze = drawn("SG.../...../...../...../.....")
    ring = drawn("SG.../...../.ooo./.o.o./.ooo.")
    both = is_valid_path(np.stack([maze, maze]), np.stack([maze, ring]))
    assert both.tolist() == [True, False]


def test_a_longer_path_is_valid_but_not_shortest(drawn: Drawn) -> None:
    maze = drawn("S.G/.#./...")[None]
    near, far = drawn("SoG/.#./...")[None], drawn("S.G/o#o/ooo")[None]
    assert [is_valid_path(maze, answer)[0] for answer in (near, far)] == [True, True]
    assert [is_shortest_path(maze, answer)[0] for answer in (near, far)] == [True, False]


def test_an_answer_of_padding_is_no_path(drawn: Drawn) -> None:
    maze = drawn("S../.../..G")[None]
    assert not is_valid_path(maze, np.zeros_like(maze))[0]


def brute_force(maze: np.ndarray, marks: tuple[bool, ...], size: int) -> bool:
    """Whether the marks, with S and G, are the cells of a path without a shortcut."""
    cells = {cell for cell, mark in enumerate(marks) if mark}
    cells |= {int((maze == START).argmax()), int((maze == GOAL).argmax())}
    beside = {
        cell: [other for other in neighbours(size)[cell].tolist() if other in cells]
        for cell in cells
    }
    path = [int((maze == START).argmax())]
    while maze[path[-1]] != GOAL:
        onwards = [cell for cell in beside[path[-1]] if cell not in path[-2:-1]]
        if len(onwards) != 1 or onwards[0] in path:
            return False
        path.append(onwards[0])
    return len(beside[path[-1]]) == 1 and set(path) == cells


def test_validity_agrees_with_every_answer_of_small_mazes(drawn: Drawn) -> None:
    for drawing in ("S../.../..G", "S.#/..G/...", "..../S..#/.#G./...."):
        maze = drawn(drawing)
        free, size = np.flatnonzero(maze == OPEN), round(len(maze) ** 0.5)
        for chosen in product([False, True], repeat=len(free)):
            marks = np.zeros(len(maze), bool)
            marks[free] = chosen
            answer = np.where(marks, PATH, maze)
            expected = brute_force(maze, tuple(marks.tolist()), size)
            assert bool(is_valid_path(maze[None], answer[None])[0]) == expected


def test_the_rules_path_is_a_shortest_one(mazes: Callable[[int], np.ndarray]) -> None:
    for size in (6, 9):
        labels = solve(mazes(size))
        assert is_shortest_path(mazes(size), labels).all()
        assert ((labels == WALL) == (mazes(size) == WALL)).all()
        assert ((labels == PATH).sum(axis=1) + 2 == path_cells(mazes(size))).all()
