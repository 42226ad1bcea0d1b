"""The compiled functions of :mod:`trm.tasks.maze.solver`.

Mazes are (batch, cells) uint8 tokens. ``around`` (cells, 4) is the result of
:func:`trm.tasks.maze.geometry.neighbours`.
"""

import numpy as np
from numpy.typing import NDArray

from trm.tasks.compiled import njit
from trm.tasks.maze.geometry import GOAL, OPEN, PATH, START, WALL

Mazes = NDArray[np.uint8]
Cells = NDArray[np.int32]
Flags = NDArray[np.bool_]


@njit
def _find(maze: Mazes, token: int) -> int:
    """The first cell with this token, -1 if there is none."""
    for cell in range(len(maze)):
        if maze[cell] == token:
            return cell
    return -1


@njit
def _flood(maze: Mazes, around: Cells, moves: Cells, queue: Cells) -> None:
    """Write the moves (cells,) from each cell to G, breadth first."""
    moves[:] = -1
    goal = _find(maze, GOAL)
    if goal < 0:
        return
    moves[goal], queue[0] = 0, goal
    first, last = 0, 1
    while first < last:
        cell = queue[first]
        first += 1
        for neighbour in around[cell]:
            if neighbour >= 0 and moves[neighbour] < 0 and maze[neighbour] != WALL:
                moves[neighbour] = moves[cell] + 1
                queue[last] = neighbour
                last += 1


@njit
def distances(mazes: Mazes, around: Cells) -> Cells:
    """Moves (batch, cells) to G; see :func:`trm.tasks.maze.solver.distances`."""
    moves = np.empty(mazes.shape, np.int32)
    queue = np.empty(mazes.shape[1], np.int32)
    for index in range(len(mazes)):
        _flood(mazes[index], around, moves[index], queue)
    return moves


@njit
def solve(mazes: Mazes, around: Cells) -> Mazes:
    """Labels (batch, cells); see :func:`trm.tasks.maze.solver.solve`."""
    labels = mazes.copy()
    moves = np.empty(mazes.shape[1], np.int32)
    queue = np.empty(mazes.shape[1], np.int32)
    for index in range(len(mazes)):
        _flood(mazes[index], around, moves, queue)
        cell = _find(mazes[index], START)
        while cell >= 0 and moves[cell] > 1:
            for neighbour in around[cell]:  # Down, Left, Right, Up
                if neighbour >= 0 and moves[neighbour] == moves[cell] - 1:
                    cell = neighbour
                    break
            labels[index, cell] = PATH
    return labels


@njit
def are_paths(mazes: Mazes, answers: Mazes, around: Cells) -> Flags:
    """Which answers are a path (batch,); see :func:`trm.tasks.maze.solver.is_valid_path`."""
    valid = np.zeros(len(mazes), np.bool_)
    for index in range(len(mazes)):
        if _keeps_maze(mazes[index], answers[index]):
            valid[index] = _is_one_path(answers[index], around)
    return valid


@njit
def _keeps_maze(maze: Mazes, answer: Mazes) -> bool:
    """Whether an answer (cells,) differs from its maze (cells,) only in marked open cells."""
    for cell in range(len(maze)):
        marked = maze[cell] == OPEN and answer[cell] == PATH
        if answer[cell] != maze[cell] and not marked:
            return False
    return True


@njit
def _is_one_path(answer: Mazes, around: Cells) -> bool:
    """Whether S, G and the marks of an answer (cells,) form one path that never touches itself."""
    total = 0
    for cell in range(len(answer)):
        if answer[cell] >= START:
            total += 1
            missing_neighbours = 2 if answer[cell] == PATH else 1
            for neighbour in around[cell]:
                if neighbour >= 0 and answer[neighbour] >= START:
                    missing_neighbours -= 1
            if missing_neighbours:
                return False
    # The marks form paths that end in S or G, and rings. Walk the path from S.
    cell, before, walked = _find(answer, START), -1, 1
    while cell >= 0 and answer[cell] != GOAL:
        here = cell
        for neighbour in around[here]:
            if neighbour >= 0 and neighbour != before and answer[neighbour] >= START:
                cell = neighbour
        if cell == here:
            return False
        before = here
        walked += 1
    return cell >= 0 and walked == total
