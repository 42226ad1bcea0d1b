"""The installed tasks, by name."""

from dataclasses import dataclass

from trm.errors import PluginError, did_you_mean
from trm.plugins import check_name_and_summary, plugins_of
from trm.tasks.base import DataOptions, Preset, Task

#: The flags that ``trm build-data`` has for every task.
_RESERVED_OPTIONS = {"preset", "out", "out_folder", "overwrite", "layout", "help"}


@dataclass(frozen=True)
class InstalledTask:
    """A task and its origin, such as ``built in`` or ``trm-parity 0.1.0``."""

    task: Task
    origin: str


def get_task(name: str) -> Task:
    """The installed task of this name.

    Raises:
        PluginError: if there is no such task. The message suggests the nearest name.
    """
    tasks = list_tasks()
    if name not in tasks:
        raise PluginError(f"unknown task {name!r}. {did_you_mean(name, tasks)}")
    return tasks[name].task


def list_tasks() -> dict[str, InstalledTask]:
    """All installed tasks by name, with the plugins they come from: ``trm tasks``.

    A broken plugin is skipped with a warning.

    Raises:
        PluginError: if two plugins provide a task of the same name.
    """
    installed = plugins_of("task", "trm_register_tasks", check_task)
    return {name: InstalledTask(task, origin) for name, (task, origin) in installed.items()}


def check_task(task: object) -> None:
    """Check a task, so that it does not break a command later.

    Raises:
        TypeError: states the problem of the task.
    """
    kind = type(task).__name__
    if not isinstance(task, Task):
        raise TypeError(f"registered a {kind}, not a Task")
    check_name_and_summary("task", kind, task)
    if not issubclass(task.data_options, DataOptions):
        raise TypeError(f"data_options of {task.name} is not a subclass of DataOptions")
    reserved = _RESERVED_OPTIONS & task.data_options.model_fields.keys()
    if reserved:
        raise TypeError(f"{task.name} has a data option {min(reserved)!r}, a flag of every task")
    if not all(isinstance(preset, Preset) for preset in task.presets.values()):
        raise TypeError(f"{task.name} has a preset that is not a Preset")
