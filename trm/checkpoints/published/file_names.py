"""What the files of a published checkpoint are called, in a folder and on the Hub."""

import re
from collections.abc import Iterable
from pathlib import PurePath, PurePosixPath
from typing import TypeVar

from trm.data.published_layout import IDENTIFIERS_FILE

#: The file with the settings.
YAML_FILE = "all_config.yaml"

_STEP = re.compile(r"step[_-]?(\d+)")
_TORCH_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin")
#: The published evaluation saves its predictions with ``torch.save`` too.
_PREDICTIONS = re.compile(r"_all_preds\.\d+$")

AnyPath = TypeVar("AnyPath", bound=PurePath)


def step_in_name(file: PurePath) -> int | None:
    """The training step in a file's name: 65104 for ``step_65104``, None if there is no step."""
    match = _STEP.search(file.name)
    return int(match[1]) if match else None


def can_be_checkpoint(file: PurePath) -> bool:
    """Whether a file may hold the tensors: it is not hidden, and holds no predictions.

    Args:
        file: its path below the folder or repository.
    """
    hidden = any(part.startswith(".") for part in file.parts)
    return not hidden and not _PREDICTIONS.search(file.name)


def newest(files: Iterable[AnyPath]) -> AnyPath | None:
    """The file with the highest step in its name, and of equal steps the shortest name."""
    return max(files, key=lambda file: (step_in_name(file) or 0, -len(file.name)), default=None)


def files_to_download(names: Iterable[str]) -> list[str]:
    """The files of a repository that make its newest published checkpoint; empty if it has none.

    The content is unknown before the download, so the name decides: ``step_N`` (or ``step-N``,
    ``stepN``) without a suffix or with one of torch, or else any name with a suffix of torch.
    """
    files = [PurePosixPath(name) for name in names]
    checkpoint = newest(
        file
        for file in files
        if can_be_checkpoint(file)
        and (file.suffix in _TORCH_SUFFIXES or (not file.suffix and step_in_name(file) is not None))
    )
    if checkpoint is None:
        return []
    described = [file for file in files if file.name in (YAML_FILE, IDENTIFIERS_FILE)]
    return [str(file) for file in (checkpoint, *described)]
