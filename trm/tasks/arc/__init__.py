"""ARC-AGI-1 and ARC-AGI-2: the built-in plugin."""

from collections.abc import Callable

from trm.plugins import hookimpl
from trm.tasks.base import Task


@hookimpl
def trm_register_tasks(register: Callable[[Task], None]) -> None:
    """Provide the tasks ``arc1`` and ``arc2``."""
    from trm.tasks.arc.task import Arc1, Arc2

    register(Arc1())
    register(Arc2())
