"""Sudoku: the built-in plugin."""

from collections.abc import Callable

from trm.plugins import hookimpl
from trm.tasks.base import Task


@hookimpl
def trm_register_tasks(register: Callable[[Task], None]) -> None:
    """Provide the task ``sudoku``."""
    from trm.tasks.sudoku.task import Sudoku

    register(Sudoku())
