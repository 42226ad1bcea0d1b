"""Every error that trm raises on purpose.

::

    TrmError
    ├── ConfigError        a setting, preset or option that is unknown or out of range
    ├── PluginError        a task or tracker that is unknown, or two of one name
    ├── InputError         a puzzle, file or argument value that cannot be used
    ├── DataError          a data folder that is incomplete, damaged or does not fit
    ├── CheckpointError    a checkpoint that is incomplete, damaged or does not fit
    ├── HubError           a repository of the Hub that cannot be read or written
    ├── TrainingError      a run that went wrong on the way
    └── StorageError       the disk is full, or the place may not be written

A message is one line: what is wrong, with the value, and what to do about it. The command line
prints it as ``trm: error: <message>`` and exits with 1.
"""

import difflib
from collections.abc import Iterable


class TrmError(Exception):
    """The base of every error that trm raises on purpose."""


class ConfigError(TrmError):
    """A setting, preset or option that is unknown or out of range."""


class PluginError(TrmError):
    """A task or tracker that is unknown, or two that claim one name."""


class InputError(TrmError):
    """A puzzle, file or argument value that cannot be used."""


class DataError(TrmError):
    """A data folder that is incomplete, damaged, or does not fit what it is used for."""


class CheckpointError(TrmError):
    """A checkpoint that is incomplete, damaged, or does not fit what it is used for."""


class HubError(TrmError):
    """A repository of the Hugging Face Hub that cannot be read or written."""


class TrainingError(TrmError):
    """A run that went wrong on the way, such as a loss that is no longer a number."""


class StorageError(TrmError):
    """The disk is full, or the place may not be written."""


def did_you_mean(name: str, known: Iterable[str], *, none: str = "None is installed.") -> str:
    """The end of an "unknown name" message: the nearest known name, then all of them.

    >>> did_you_mean("sudokoo", ["maze", "sudoku"])
    "Did you mean 'sudoku'? Known: maze, sudoku."
    """
    names = sorted(known)
    if not names:
        return none
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean {nearest[0]!r}? " if nearest else ""
    return f"{hint}Known: {', '.join(names)}."
