"""Every error that trm raises on purpose.

::

    TrmError
    ├── ConfigError        a setting, preset or option that is unknown or out of range
    ├── PluginError        a task or tracker that is unknown, or two with the same name
    ├── InputError         a puzzle, file or argument value that cannot be used
    ├── DataError          a data folder that is incomplete, damaged or does not fit
    ├── CheckpointError    a checkpoint that is incomplete, damaged or does not fit
    ├── HubError           a repository on the Hub that cannot be read or written
    ├── TrainingError      a run that failed during training
    └── StorageError       the disk is full, or a file or folder cannot be written

A message is one line: what is wrong, with the value, and what to do. The command line
prints it as ``trm: error: <message>`` and exits with 1. What is odd but can be used is a
:class:`TrmWarning`, a line ``trm: warning: <message>``.

Messages are written for the command line: they name flags. The calls of ``import trm`` turn flags
into arguments, so that Python shows ``overwrite=True`` where the command line prints
``--overwrite``: see :mod:`trm.python_calls`.
"""

import difflib
from collections.abc import Iterable


class TrmError(Exception):
    """The base of every error that trm raises on purpose."""


class ConfigError(TrmError):
    """A setting, preset or option that is unknown or out of range."""


class PluginError(TrmError):
    """A task or tracker that is unknown, or two with the same name."""


class InputError(TrmError):
    """A puzzle, file or argument value that cannot be used."""


class DataError(TrmError):
    """A data folder that is incomplete, damaged, or does not fit its use."""


class CheckpointError(TrmError):
    """A checkpoint that is incomplete, damaged, or does not fit its use."""


class HubError(TrmError):
    """A repository on the Hugging Face Hub that cannot be read or written."""


class TrainingError(TrmError):
    """A run that failed during training, for example because its loss became NaN."""


class StorageError(TrmError):
    """The disk is full, or a file or folder cannot be written."""


class TrmWarning(UserWarning):
    """Something that is probably not what the user wants, such as test puzzles in training data.

    It is issued by :func:`warnings.warn`. A filter of Python's ``warnings`` can hide it, or turn it
    into an error.
    """


def did_you_mean(name: str, known: Iterable[str], *, none: str = "None is installed.") -> str:
    """The end of an "unknown name" message: the most similar name, then all known names.

    >>> did_you_mean("sudokoo", ["maze", "sudoku"])
    "Did you mean 'sudoku'? Known: maze, sudoku."
    """
    names = sorted(known)
    if not names:
        return none
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean {nearest[0]!r}? " if nearest else ""
    return f"{hint}Known: {', '.join(names)}."
