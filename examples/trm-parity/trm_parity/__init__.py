"""An example plugin that adds the task ``parity`` to trm."""

from collections.abc import Callable

from trm import hookimpl
from trm.tasks.base import Task


@hookimpl
def trm_register_tasks(register: Callable[[Task], None]) -> None:
    """Provide the task ``parity``."""
    from trm_parity.task import Parity

    register(Parity())
