"""Pushing a checkpoint: a folder of what goes, and the upload."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trm import hub
from trm.checkpoints.opened import open_checkpoint
from trm.errors import CheckpointError, HubError, InputError
from trm.publish.model_card import model_card
from trm.runs.checkpoint import verify_checksums, write_checksums
from trm.runs.layout import (
    CHECKSUMS_FILE,
    CONFIG_FILE,
    EVALUATION_FILE,
    NAMES_FILE,
    STATE_FOLDER,
    WEIGHTS_FILE,
)
from trm.storage import atomic_folder

CARD_FILE = "README.md"
#: What a checkpoint may have and the next one may lack, which must not stay behind.
OPTIONAL_FILES = (NAMES_FILE, EVALUATION_FILE, f"{STATE_FOLDER}/*")


@dataclass(frozen=True)
class PushResult:
    """What was uploaded, or would be.

    Attributes:
        files: their sizes in bytes, by name.
        url: of the commit, None where nothing was uploaded.
        folder: what would go, None where it was uploaded.
    """

    checkpoint: str
    repo: str
    files: dict[str, int]
    url: str | None = None
    folder: Path | None = None


def push_hub(
    checkpoint: str | Path | None = None,
    *,
    repo: str,
    private: bool = False,
    revision: str | None = None,
    tag: str | None = None,
    licence: str = "mit",
    with_training_state: bool = False,
    dry_run: Path | None = None,
) -> PushResult:
    """Publish a checkpoint on the Hugging Face Hub, with a model card.

    Args:
        checkpoint: a run folder (its best checkpoint) or a checkpoint folder; the newest run in
            ``runs/`` if left out.
        repo: ``USER/NAME``; made if there is none.
        private: only its owner may see a repository that is made.
        revision: the branch to write to; made if there is none.
        tag: mark the commit with it.
        licence: of the weights, as the Hub abbreviates it.
        with_training_state: also what is needed to train on.
        dry_run: write what would go into this folder instead.

    Raises:
        CheckpointError: if there is no such checkpoint, or it is damaged.
        HubError: if it cannot be uploaded.
    """
    name = repository(repo, revision)
    stored = open_checkpoint(checkpoint)
    if stored.tensors is not None:
        raise CheckpointError(
            f"{stored.name} is a checkpoint of the published trainer. Import it first: "
            "trm import, and push what that writes."
        )
    if (stored.path / CHECKSUMS_FILE).is_file():
        verify_checksums(stored.path)
    if dry_run is not None:
        if dry_run.exists():
            raise InputError(f"{dry_run} exists. Name a new folder, or remove it.")
        stage(stored.path, dry_run, name, licence, with_training_state)
        return PushResult(stored.name, str(name), sizes(dry_run), folder=dry_run)
    with tempfile.TemporaryDirectory(prefix="trm-push-") as beside:
        folder = Path(beside) / "files"
        stage(stored.path, folder, name, licence, with_training_state)
        step = stored.config.step
        url = hub.push(
            folder, name, message=f"Step {step}", private=private, tag=tag, replaces=OPTIONAL_FILES
        )
        return PushResult(stored.name, str(name), sizes(folder), url)


def repository(repo: str, revision: str | None = None) -> hub.HubName:
    """The repository that is meant.

    Raises:
        HubError: if the text is no name of one.
    """
    name = hub.parse_name(repo)
    if name is None or (revision is not None and name.revision is not None):
        raise HubError(f"{repo!r} is no repository of the Hub. Give USER/NAME.")
    return hub.HubName(name.repo, revision or name.revision)


def stage(
    checkpoint: Path,
    out: Path,
    name: hub.HubName,
    licence: str = "mit",
    with_training_state: bool = False,
) -> None:
    """Write the folder that is uploaded, whole or not at all; weights are linked if they can be.

    Raises:
        CheckpointError: if the checkpoint is damaged.
        StorageError: if the disk is full or the place may not be written.
    """
    card = model_card(checkpoint, name.repo, licence)
    files = [WEIGHTS_FILE, CONFIG_FILE, NAMES_FILE, EVALUATION_FILE]
    if with_training_state:
        inner = sorted((checkpoint / STATE_FOLDER).glob("*"))
        if not inner:
            raise CheckpointError(
                f"{checkpoint} has no {STATE_FOLDER}. Leave --with-training-state out."
            )
        files += [f"{STATE_FOLDER}/{path.name}" for path in inner]
    with atomic_folder(out) as folder:
        for file in files:
            if (checkpoint / file).is_file():
                (folder / file).parent.mkdir(exist_ok=True)
                _link(checkpoint / file, folder / file)
        if not (checkpoint / WEIGHTS_FILE).is_file():  # a run removes its old ones in one piece
            raise CheckpointError(f"{checkpoint} is no longer there. Push another checkpoint.")
        (folder / CARD_FILE).write_text(str(card), encoding="utf-8")
        write_checksums(folder)


def _link(source: Path, target: Path) -> None:
    """One copy on the disk, where both are on the same; it stays if the source is removed."""
    with contextlib.suppress(OSError):
        os.link(source.resolve(), target)
        return
    shutil.copyfile(source, target)


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file in a folder, by name."""
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in _files(folder)}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
