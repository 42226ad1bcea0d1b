"""Checkpoints by name: those of trm and of the published trainer, on this machine or on the Hub."""

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from trm.checkpoints.compatibility import TrainedOn
from trm.checkpoints.model_shapes import check_model_shapes
from trm.checkpoints.published.checkpoint import read_published
from trm.checkpoints.published.file_names import (
    RepositoryFiles,
    files_to_download,
    looks_like_checkpoint,
)
from trm.checkpoints.published.find_file import PublishedFile, find_published
from trm.checkpoints.tensors import (
    PUZZLE_EMBEDDING,
    check_shapes,
    expected_shapes,
    load_into,
    load_shapes,
    load_tensor,
)
from trm.errors import CheckpointError
from trm.hub import pull
from trm.hub_names import HubName, is_address, parse_name
from trm.models import RecursiveModel, create_model
from trm.runs.checkpoint import (
    CheckpointConfig,
    PuzzleNames,
    read_config,
    read_puzzle_names,
    verify_checksums,
)
from trm.runs.layout import CONFIG_FILE, EVALUATION_FILE, NAMES_FILE, WEIGHTS_FILE
from trm.runs.run_folder import find_checkpoint, is_run, runs_hint
from trm.runs.shipped import FOLDER
from trm.runtime.device import resolve_dtype


@dataclass(frozen=True)
class OpenedCheckpoint:
    """A checkpoint whose weights are read when they are used.

    Attributes:
        name: as the user wrote it, or the folder.
        path: its folder, or the published trainer's file.
        config: its settings, and the data it was trained on.
        names: the puzzle of each row of the puzzle embedding, None if unknown.
        notes: what trm chose or inferred, as the files of a published checkpoint leave it open.
        choices: the notes that say what was taken of several.
        tensors: the weights of a published checkpoint, by trm's names; None for one of trm.
    """

    name: str
    path: Path
    config: CheckpointConfig
    names: PuzzleNames | None = None
    notes: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    tensors: Mapping[str, Tensor] | None = field(default=None, repr=False)

    @property
    def trained_on(self) -> TrainedOn:
        """The puzzles that it was trained on."""
        return TrainedOn(self.name, self.config.data, self.names)

    def shapes(self) -> dict[str, list[int]]:
        """The shape of each tensor, by trm's names."""
        if self.tensors is None:
            return load_shapes(self.path / WEIGHTS_FILE)
        return expected_shapes(self.tensors)

    @torch.no_grad()
    def load_into(
        self,
        targets: Mapping[str, Tensor],
        row_slices: Mapping[str, tuple[int, slice]] | None = None,
    ) -> None:
        """Copy every tensor into its target; see :func:`trm.checkpoints.tensors.load_into`.

        Raises:
            CheckpointError: if names or shapes differ, or a number is not finite.
        """
        if self.tensors is None:
            load_into(targets, self.path / WEIGHTS_FILE, row_slices)
        else:
            check_shapes(expected_shapes(targets, row_slices), self.shapes(), self.path)
            for name, target in targets.items():
                rows = row_slices[name][1] if row_slices and name in row_slices else slice(None)
                target.copy_(self.tensors[name][rows])
        for name, target in targets.items():
            if not target.isfinite().all():
                raise CheckpointError(
                    f"{self.path}: {name} has numbers that are not finite. Use another checkpoint."
                )

    def model(self, device: torch.device | str = "cpu") -> RecursiveModel:
        """The model with its weights, in the device's own type if its settings leave that open.

        Raises:
            CheckpointError: if the weights are damaged or do not fit the configuration.
        """
        check_model_shapes(self.config, self.shapes(), self.path)
        config = resolve_dtype(self.config.run, torch.device(device)).model
        try:
            model = create_model(config, self.config.spec, init_weights=False)
        except RuntimeError as error:  # the table of rotary positions is not among the tensors
            raise CheckpointError(
                f"{self.path}: {CONFIG_FILE} makes a model too large for the memory. Use another "
                "checkpoint."
            ) from error
        self.load_into(model.state_dict())
        return model.to(device)

    def puzzle_embedding(self) -> Tensor | None:
        """The table (num_puzzle_identifiers, width), None if the model has no puzzle embedding."""
        if PUZZLE_EMBEDDING not in self.shapes():
            return None
        if self.tensors is not None:
            return self.tensors[PUZZLE_EMBEDDING]
        return load_tensor(self.path / WEIGHTS_FILE, PUZZLE_EMBEDDING)


@dataclass(frozen=True)
class LocatedCheckpoint:
    """Where a checkpoint is on this machine.

    Attributes:
        name: as the user wrote it, or the folder.
        path: the folder of a checkpoint of trm, or the published trainer's file.
        published: the published trainer's file, None for a checkpoint of trm.
    """

    name: str
    path: Path
    published: PublishedFile | None = None


def open_checkpoint(
    name: str | Path | None = None,
    *,
    task: str | None = None,
    any_task: bool = False,
    runs_folder: Path = Path("runs"),
) -> OpenedCheckpoint:
    """Find a checkpoint and read everything except its weights.

    Args:
        name: a run (its best checkpoint), a checkpoint folder, a file or folder of the
            published trainer, or ``USER/NAME[/FILE][@REVISION]`` or an address on the Hub; None
            for the newest run.
        task: the task of a published checkpoint whose files do not name it. One of trm has to be
            of this task.
        any_task: allow a checkpoint of trm that is of another task.
        runs_folder: where to look for the newest run.

    Raises:
        CheckpointError: if there is no such checkpoint, or it is damaged, or of another task.
        HubError: if it cannot be downloaded.
    """
    located = locate_checkpoint(None if name is None else str(name), runs_folder)
    if located.published is not None:
        published = read_published(located.published, task)
        return OpenedCheckpoint(
            located.name,
            published.file,
            published.config,
            published.names,
            published.notes,
            published.choices,
            published.weights,
        )
    verify_checksums(located.path)
    config = read_config(located.path)
    if task not in (None, config.run.task) and not any_task:
        raise CheckpointError(f"{located.name} was trained for task {config.run.task}, not {task}.")
    names, rows = read_puzzle_names(located.path), config.data.num_puzzle_identifiers
    if names is not None and len(names) != rows:
        raise CheckpointError(
            f"{located.path / NAMES_FILE} has {len(names):,} names, and {CONFIG_FILE} tells of "
            f"{rows:,} puzzle identifiers. Use another checkpoint."
        )
    return OpenedCheckpoint(located.name, located.path, config, names)


def locate_checkpoint(name: str | None, runs_folder: Path = Path("runs")) -> LocatedCheckpoint:
    """Find a checkpoint by its name, and download it if it is on the Hub.

    What is here goes before the Hub. ``A/B`` that is not here is a repository. ``A/B/C`` may as
    well be a local path with a mistake in it, so it is a file on the Hub only if it has the name of
    a checkpoint or a revision, and there is no folder ``A``.

    Raises:
        CheckpointError: if there is no such checkpoint.
        HubError: if it cannot be downloaded.
    """
    if name is not None:
        on_hub = parse_name(name)
        if on_hub is not None and (is_address(name) or _is_meant(on_hub, name, runs_folder)):
            return _download(on_hub, name)
        path = _checked_path(name)
        if on_hub is not None and on_hub.file is not None and not path.exists():
            raise CheckpointError(
                f"{name}: no such run or checkpoint here, and not the name of one on the Hub, "
                f"which is USER/NAME[/step_N][@REVISION]. {runs_hint(path, runs_folder)}"
            )
        is_trm = is_run(path) or (path / WEIGHTS_FILE).is_file()
        found = None if is_trm else find_published(path)
        if found is not None:
            return LocatedCheckpoint(name, found.path, found)
    path = find_checkpoint(name, runs_folder)
    return LocatedCheckpoint(path.name if path.parent == FOLDER else str(path), path)


def _is_meant(on_hub: HubName, name: str, runs_folder: Path) -> bool:
    """Whether a name that may be a local path or one on the Hub means the one on the Hub."""
    first = name.partition("/")[0]
    if first == runs_folder.name or os.path.lexists(name) or is_run(Path(name).parent):
        return False
    if on_hub.file is None:
        return True
    file = PurePosixPath(on_hub.file)
    named = looks_like_checkpoint(file) or file.name == WEIGHTS_FILE or on_hub.revision is not None
    return named and not os.path.lexists(first)


def _checked_path(name: str) -> Path:
    """The path with this name, which is missing, a regular file or a folder.

    Raises:
        CheckpointError: if it is anything else, or the file system cannot be asked about it.
    """
    path, short = Path(name), name if len(name) <= 200 else f"{name[:200]}..."
    try:
        mode = path.stat().st_mode
        regular = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
        if regular and not os.access(path, os.R_OK | (os.X_OK if stat.S_ISDIR(mode) else 0)):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except (FileNotFoundError, NotADirectoryError):
        return path
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL character
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"cannot read {short}: {reason}. Name a run or checkpoint."
        ) from error
    if not regular:
        raise CheckpointError(
            f"{short} is neither a regular file nor a folder. Name a run or checkpoint."
        )
    return path


def _download(on_hub: HubName, name: str) -> LocatedCheckpoint:
    folder, chosen = pull(on_hub, lambda files: _choose(files, on_hub))
    path = folder / chosen.checkpoint
    if path.name == WEIGHTS_FILE:
        return LocatedCheckpoint(name, path.parent)
    notes = (chosen.note,) if chosen.note else ()
    return LocatedCheckpoint(name, path, PublishedFile(path, folder, notes))


def _choose(files: Sequence[str], on_hub: HubName) -> RepositoryFiles:
    """The files of a repository to download: a checkpoint of trm, or the newest published one.

    Raises:
        CheckpointError: if it has neither.
    """
    folder = PurePosixPath(on_hub.file or ".")
    if folder.name == WEIGHTS_FILE:
        folder = folder.parent
    weights, config, *optional = (
        str(folder / file) for file in (WEIGHTS_FILE, CONFIG_FILE, NAMES_FILE, EVALUATION_FILE)
    )
    if {weights, config} <= set(files):
        present = (file for file in optional if file in files)
        return RepositoryFiles(PurePosixPath(weights), (weights, config, *present))
    published = files_to_download(files, on_hub.repo, on_hub.file)
    if published is None:
        raise CheckpointError(
            f"{on_hub} holds no TRM: neither {WEIGHTS_FILE} with {CONFIG_FILE} nor a file step_N "
            "of the published trainer. Name another repository or file."
        )
    return published
