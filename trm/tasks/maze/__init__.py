"""Maze: the built-in plugin."""

from collections.abc import Callable

from trm.plugins import hookimpl
from trm.tasks.base import Task


@hookimpl
def trm_register_tasks(register: Callable[[Task], None]) -> None:
    """Provide the task ``maze``."""
    from trm.tasks.maze.task import Maze

    register(Maze())
