"""Shortest paths by the published tie-break rule, and what counts as a path at all.

Mazes have many shortest paths (a median of millions in the published data), so a label needs a
rule. All published labels follow this one: from S, of the moves Down, Left, Right and Up, in
this order, take the first that brings G nearer.

The compiled functions are loaded where they are called: the command line does without them.
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
    """Moves (batch, cells) from each cell of mazes (batch, cells) to G; -1 where there is no way.

    Every cell that is no wall can be walked on.
    """
    from trm.tasks.maze import compiled_solver

    moves: Distances = compiled_solver.distances(*_prepared(mazes))
    return moves


def path_cells(mazes: Tokens) -> Distances:
    """Cells (batch,) of a shortest path of mazes (batch, cells), S and G included; 0 if none."""
    lengths: Distances = np.where(mazes == START, distances(mazes) + 1, 0).max(axis=1)
    return lengths


def solve(mazes: Tokens) -> Mazes:
    """Labels (batch, cells) uint8 of mazes (batch, cells): the rule's path drawn in.

    A maze without a way from S to G stays as it is.
    """
    from trm.tasks.maze import compiled_solver

    labels: Mazes = compiled_solver.solve(*_prepared(mazes))
    return labels


def is_valid_path(mazes: Tokens, answers: Tokens) -> Flags:
    """Whether each answer (batch, cells) is a path through its maze (batch, cells); (batch,).

    Walls, S and G have to be those of the maze. S, G and the cells marked ``o`` have to be one
    path: S and G have one of them as a neighbour, every ``o`` has two, and all are connected. So
    there is no stray mark and no branch. A way that touches itself is not counted: its marks do
    not say which way it goes. A shortest path never touches itself.
    """
    from trm.tasks.maze import compiled_solver

    tokens, around = _prepared(mazes)
    valid: Flags = compiled_solver.are_paths(tokens, np.asarray(answers).astype(np.uint8), around)
    return valid


def is_shortest_path(mazes: Tokens, answers: Tokens) -> Flags:
    """Whether each answer (batch, cells) is a valid path of the least length; (batch,).

    Any shortest path counts, not only the one that the rule takes.
    """
    num_cells = (np.asarray(answers) == PATH).sum(axis=1) + 2
    shortest: Flags = is_valid_path(mazes, answers) & (num_cells == path_cells(mazes))
    return shortest


def _prepared(mazes: Tokens) -> tuple[Mazes, NDArray[np.int32]]:
    """What the compiled functions take: the mazes as uint8, and the neighbours of each cell."""
    tokens = np.ascontiguousarray(mazes, np.uint8)
    return tokens, neighbours(size_of(tokens.shape[1]))
