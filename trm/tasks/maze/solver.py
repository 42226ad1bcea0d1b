"""Shortest paths by the published tie-break rule, and checks of paths.

A maze has many shortest paths (a median of millions in the published data), so labels need a rule.
All published labels follow this one: starting from S, take the first of the moves Down, Left, Right
and Up that leads closer to G.

The compiled functions are imported where they are called, so that the command line starts quickly.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.tasks.maze.geometry import PATH, START, neighbours, size_of

Tokens = NDArray[np.integer[Any]]
Mazes = NDArray[np.uint8]
Distances = NDArray[np.int32]
Flags = NDArray[np.bool_]


def distances(mazes: Tokens) -> Distances:
    """The moves (batch, cells) from each cell of mazes (batch, cells) to G; -1 without a path.

    All cells except walls can be walked on.
    """
    from trm.tasks.maze import compiled_solver

    moves: Distances = compiled_solver.distances(*_prepared(mazes))
    return moves


def path_cells(mazes: Tokens) -> Distances:
    """The cells (batch,) of a shortest path of mazes (batch, cells), with S and G; 0 if none."""
    lengths: Distances = np.where(mazes == START, distances(mazes) + 1, 0).max(axis=1)
    return lengths


def solve(mazes: Tokens) -> Mazes:
    """The labels (batch, cells) uint8 of mazes (batch, cells), with the path of the rule.

    A maze without a path from S to G is not changed.
    """
    from trm.tasks.maze import compiled_solver

    labels: Mazes = compiled_solver.solve(*_prepared(mazes))
    return labels


def is_valid_path(mazes: Tokens, answers: Tokens) -> Flags:
    """Whether (batch,) each answer (batch, cells) is a path through its maze (batch, cells).

    Walls, S and G must be those of the maze. S, G and the cells marked ``o`` must form one path: S
    and G have one neighbour among them, every ``o`` has two, and all are connected. So there are
    no stray marks and no branches. A path that touches itself is invalid, because its marks do not
    define its order. A shortest path never touches itself.
    """
    from trm.tasks.maze import compiled_solver

    tokens, around = _prepared(mazes)
    valid: Flags = compiled_solver.are_paths(tokens, np.asarray(answers).astype(np.uint8), around)
    return valid


def is_shortest_path(mazes: Tokens, answers: Tokens) -> Flags:
    """Whether (batch,) each answer (batch, cells) is a valid path of minimum length.

    Any shortest path counts, not only the one of the rule.
    """
    num_cells = (np.asarray(answers) == PATH).sum(axis=1) + 2
    shortest: Flags = is_valid_path(mazes, answers) & (num_cells == path_cells(mazes))
    return shortest


def _prepared(mazes: Tokens) -> tuple[Mazes, NDArray[np.int32]]:
    """The arguments of the compiled functions: mazes as uint8, and the neighbours of each cell."""
    tokens = np.ascontiguousarray(mazes, np.uint8)
    return tokens, neighbours(size_of(tokens.shape[1]))
