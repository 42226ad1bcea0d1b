"""What the files of a published checkpoint are called, in a folder and on the Hub."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath
from typing import TypeVar

from trm.data.published_layout import IDENTIFIERS_FILE
from trm.errors import CheckpointError

#: The file with the settings.
YAML_FILE = "all_config.yaml"

_STEP = re.compile(r"step[_-]?(\d{1,18})(?!\d)", re.ASCII)
_TORCH_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin")
#: The published evaluation saves its predictions with ``torch.save`` too.
_PREDICTIONS = re.compile(r"_all_preds\.\d+$")
#: Names in the message about several checkpoints.
_MAX_LISTED = 5

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


def looks_like_checkpoint(file: PurePath) -> bool:
    """Whether the name alone tells of a checkpoint: ``step_N``, or a suffix of torch."""
    in_name = not file.suffix and step_in_name(file) is not None
    return can_be_checkpoint(file) and (in_name or file.suffix in _TORCH_SUFFIXES)


def newest(files: Iterable[AnyPath], place: str, top: AnyPath) -> tuple[AnyPath, str | None] | None:
    """The file with the highest step in its name, and a note if there are others.

    Args:
        files: the checkpoints in one place.
        place: the folder or repository, for messages.
        top: the path of the place, which the files begin with.

    Returns:
        None if there are no files.

    Raises:
        CheckpointError: if several have the highest step: which one is meant is not known.
    """
    ranked = sorted(files, key=lambda file: (_rank(file), str(file)))
    if not ranked:
        return None
    best = [file for file in ranked if _rank(file) == _rank(ranked[-1])]
    if best[1:]:
        step = step_in_name(best[0])
        of_step = "without a step in their names" if step is None else f"of step {step}"
        names = ", ".join(str(file.relative_to(top)) for file in best[:_MAX_LISTED])
        more = f" and {len(best) - _MAX_LISTED} more" if best[_MAX_LISTED:] else ""
        raise CheckpointError(
            f"{place} has {len(best)} checkpoints {of_step}: {names}{more}. Name the one to use, "
            f"such as {place}/{best[0].relative_to(top)}."
        )
    name = best[0].relative_to(top)
    return best[0], f"{name}, the newest of {len(ranked)} checkpoints" if ranked[1:] else None


def _rank(file: PurePath) -> int:
    step = step_in_name(file)
    return -1 if step is None else step


@dataclass(frozen=True)
class RepositoryFiles:
    """The files of a repository that make one checkpoint.

    Attributes:
        checkpoint: the file with the tensors.
        files: all files to download.
        note: which checkpoint it is, if the repository has several.
    """

    checkpoint: PurePosixPath
    files: tuple[str, ...]
    note: str | None = None


def files_to_download(
    names: Iterable[str], place: str, path: str | None = None
) -> RepositoryFiles | None:
    """The files of a repository that make a published checkpoint, None if it has none.

    The content is unknown before the download, so the name decides: ``step_N`` (or ``step-N``,
    ``stepN``) without a suffix or with one of torch, or else any name with a suffix of torch.

    Args:
        names: of all files in the repository.
        place: the repository, for messages.
        path: a file of any name, or the folder to search; None for all folders.

    Raises:
        CheckpointError: if several checkpoints have the highest step.
    """
    files, top = [PurePosixPath(name) for name in names], PurePosixPath(path or ".")
    if path is not None and top in files:
        found: tuple[PurePosixPath, str | None] | None = (top, None)
    else:
        inside = [file for file in files if file.is_relative_to(top)]
        found = newest(filter(looks_like_checkpoint, inside), place, top)
    if found is None:
        return None
    checkpoint, note = found
    described = [
        str(file)
        for file in files
        if file.name in (YAML_FILE, IDENTIFIERS_FILE) and file.parent in checkpoint.parents
    ]
    return RepositoryFiles(checkpoint, (str(checkpoint), *described), note)
