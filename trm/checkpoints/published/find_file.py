"""Where a published checkpoint is: a file, or in a folder."""

import stat
from dataclasses import dataclass
from pathlib import Path

from trm.checkpoints.published.file_names import can_be_checkpoint, newest
from trm.checkpoints.published.safe_load import is_torch_file
from trm.errors import CheckpointError

#: A folder is searched down to the files of this level; 1 is the folder itself.
_MAX_LEVELS = 3
#: A folder with more files and folders is not one of checkpoints.
_MAX_ENTRIES = 2_000


@dataclass(frozen=True)
class PublishedFile:
    """The torch file of a published checkpoint.

    Attributes:
        path: the file.
        top: the folder that the user named, or that of the file: the other files are searched from
            the file's folder up to it.
        notes: which file it is, if there are several.
    """

    path: Path
    top: Path
    notes: tuple[str, ...] = ()


def find_published(path: Path) -> PublishedFile | None:
    """The file of ``torch.save`` at a path or below it, None if there is none.

    The first bytes of a file decide, so it may have any name. In a folder with several, the one
    with the highest step in its name is taken; hidden files and predictions are skipped.

    Raises:
        CheckpointError: if a file cannot be read, several have the highest step, or the folder
            holds too much to be one of checkpoints.
    """
    if path.is_file():
        return PublishedFile(path, path.parent) if is_torch_file(path) else None
    if not path.is_dir():
        return None
    found = newest((file for file in _files_below(path) if is_torch_file(file)), str(path), path)
    return PublishedFile(found[0], path, (found[1],) if found[1] else ()) if found else None


def _files_below(top: Path) -> list[Path]:
    """The files in a folder that may be checkpoints. Links to folders are not followed."""
    found: list[Path] = []
    folders, entries = [top], 0
    for _ in range(_MAX_LEVELS):
        deeper: list[Path] = []
        for folder in folders:
            try:
                paths = sorted(folder.iterdir())
            except OSError as error:
                if folder != top:
                    continue
                raise CheckpointError(
                    f"cannot read {top}: {error.strerror}. Name another folder."
                ) from error
            entries += len(paths)
            if entries > _MAX_ENTRIES:
                raise CheckpointError(
                    f"{top} is no checkpoint itself, and has more than {_MAX_ENTRIES:,} files and "
                    "folders in which to search for one. Name the file or the folder of a "
                    "checkpoint."
                )
            for path in paths:
                try:
                    status = path.stat()
                except OSError:  # a link to nothing, or to what only its owner may see
                    continue
                if stat.S_ISDIR(status.st_mode):
                    if not path.is_symlink() and not path.name.startswith("."):
                        deeper.append(path)
                # The files of /proc and the like have no size; reading some of them waits.
                elif stat.S_ISREG(status.st_mode) and status.st_size:
                    found.append(path)
        folders = deeper
    return [path for path in found if can_be_checkpoint(path.relative_to(top))]
