"""Push a checkpoint to the Hub: the folder of files with its model card, and the upload."""

import contextlib
import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from trm import hub
from trm.checkpoints.open_checkpoint import open_checkpoint
from trm.errors import CheckpointError, HubError, InputError
from trm.hub_names import HubName, parse_name
from trm.inference.model import Model
from trm.publish.model_card import model_card
from trm.publish.space import CARD_FILE, write_space_folder
from trm.runs.checkpoint import verify_checksums, write_checksums
from trm.runs.layout import (
    CHECKSUMS_FILE,
    CONFIG_FILE,
    EVALUATION_FILE,
    NAMES_FILE,
    STATE_FOLDER,
    WEIGHTS_FILE,
)
from trm.storage import atomic_folder, check_new, temporary_folder

#: Files that a checkpoint may lack. A push removes those of an earlier checkpoint.
OPTIONAL_FILES = (NAMES_FILE, EVALUATION_FILE, f"{STATE_FOLDER}/*")


@dataclass(frozen=True)
class PushResult:
    """What :func:`push_hub` uploaded, or wrote for a dry run.

    Attributes:
        checkpoint: its name.
        repo: ``USER/NAME[@BRANCH]``.
        files: the size of each file in bytes, by name.
        url: of the commit; None for a dry run.
        folder: of a dry run; None after an upload.
    """

    checkpoint: str
    repo: str
    files: dict[str, int]
    url: str | None = None
    folder: Path | None = None


def push_hub(
    checkpoint: Model | str | Path | None = None,
    *,
    repo: str | None = None,
    space: str | None = None,
    private: bool = False,
    revision: str | None = None,
    tag: str | None = None,
    license: str = "mit",
    with_training_state: bool = False,
    onnxruntime: str | Path | None = None,
    dry_run: bool = False,
    out: str | Path | None = None,
) -> PushResult:
    """Push a checkpoint to the Hugging Face Hub, with a model card.

    Args:
        checkpoint: a model, a run folder (its best checkpoint) or a checkpoint folder; the newest
            run in ``runs/`` by default.
        repo: ``USER/NAME``; created if missing.
        space: ``USER/NAME`` of a Space, in place of a repository: a page on which the model thinks
            in the browser; created if missing.
        private: create a repository that only its owner can see.
        revision: the branch to push to; created if missing.
        tag: the tag of the commit.
        license: of the weights, as the Hub abbreviates it.
        with_training_state: include what is needed to resume training.
        onnxruntime: of a Space: a folder with onnxruntime-web; it is downloaded by default.
        dry_run: write the files into a folder instead of uploading them.
        out: the folder of a dry run; default: ``hub/USER/NAME``.

    Raises:
        CheckpointError: if there is no such checkpoint, or it is damaged.
        HubError: if the upload fails.
        InputError: if the folder of a dry run exists, or arguments contradict each other.
    """
    if (repo is None) == (space is None):
        raise InputError("give one of --repo USER/NAME and --space USER/NAME.")
    if space is not None and with_training_state:
        raise InputError("--with-training-state: a --space has a page only. Leave it out.")
    if space is None and onnxruntime is not None:
        raise InputError("--onnxruntime is for a --space. Leave it out.")
    if out is not None and not dry_run:
        raise InputError("--out is for --dry-run. Add it, or leave this one out.")
    name = parse_repository(repo or space or "", revision)
    opened = open_checkpoint(checkpoint.path if isinstance(checkpoint, Model) else checkpoint)
    if opened.tensors is not None:
        command = shlex.join(["trm", "import", opened.name, "--out", "imported"])
        raise CheckpointError(
            f"{opened.name} is a checkpoint of the published trainer. Import it first, "
            f"then push --ckpt imported: {command}"
        )

    def write(folder: Path) -> None:
        if space is None:
            write_upload_folder(opened.path, folder, name, license, with_training_state)
        else:
            runtime = None if onnxruntime is None else Path(onnxruntime)
            write_space_folder(opened.path, folder, name.repo, license=license, onnxruntime=runtime)

    if dry_run:
        folder = Path(out or Path("hub") / name.repo)
        check_new(folder)
        write(folder)
        return PushResult(opened.name, str(name), _file_sizes(folder), folder=folder)
    with temporary_folder() as temporary:
        folder = temporary / "files"
        write(folder)
        url = hub.push(
            folder,
            name,
            message=f"Step {opened.config.step}",
            private=private,
            tag=tag,
            replaces=() if space is not None else OPTIONAL_FILES,
            kind="model" if space is None else "space",
        )
        return PushResult(opened.name, str(name), _file_sizes(folder), url)


def parse_repository(repo: str, revision: str | None = None) -> HubName:
    """The repository and branch of ``USER/NAME[@BRANCH]``, or of ``USER/NAME`` and a revision.

    Raises:
        HubError: if the text does not name a repository.
    """
    name = parse_name(repo)
    twice = name is not None and revision is not None and name.revision is not None
    if name is None or name.file is not None or twice:
        raise HubError(f"{repo!r} does not name a repository on the Hub. Give USER/NAME.")
    return HubName(name.repo, revision or name.revision)


def write_upload_folder(
    checkpoint: Path,
    out: Path,
    name: HubName,
    license: str = "mit",
    with_training_state: bool = False,
) -> None:
    """Write the folder to upload, whole or not at all; files are linked if possible, not copied.

    Raises:
        CheckpointError: if the checkpoint is damaged.
        StorageError: if the disk is full or the folder cannot be written.
    """
    files = _files_to_push(checkpoint, with_training_state)
    if os.path.lexists(checkpoint / CHECKSUMS_FILE):
        verify_checksums(checkpoint, all_files=with_training_state)
    card = model_card(checkpoint, name, license)
    with atomic_folder(out) as folder:
        for file in files:
            (folder / file).parent.mkdir(exist_ok=True)
            _link_or_copy(checkpoint / file, folder / file)
        if not (checkpoint / WEIGHTS_FILE).is_file():  # the run removed it in the meantime
            raise CheckpointError(f"{checkpoint} is no longer there. Push another checkpoint.")
        (folder / CARD_FILE).write_text(str(card), encoding="utf-8")
        write_checksums(folder)


def _files_to_push(checkpoint: Path, with_training_state: bool) -> list[str]:
    """The files of a checkpoint that are there. All are regular files, and lie in it.

    Raises:
        CheckpointError: if one is a link to a file elsewhere, or no regular file.
    """
    files = [WEIGHTS_FILE, CONFIG_FILE, NAMES_FILE, EVALUATION_FILE]
    if with_training_state:
        state_files = sorted((checkpoint / STATE_FOLDER).glob("[!.]*"))
        if not state_files:
            raise CheckpointError(
                f"{checkpoint} has no {STATE_FOLDER}. Leave --with-training-state out."
            )
        files += [f"{STATE_FOLDER}/{path.name}" for path in state_files]
    # In the cache of huggingface_hub, the files of a repository are links to its other folders.
    allowed = hub.cached_repository(checkpoint) or checkpoint.resolve()
    found = [file for file in files if os.path.lexists(checkpoint / file)]
    for path in (checkpoint / file for file in found):
        target = Path(os.path.realpath(path))
        if not target.is_relative_to(allowed):
            raise CheckpointError(
                f"{path} is a link to {target}, which is not a part of the checkpoint. "
                "Replace it by the file."
            )
        if path.exists() and not path.is_file():
            raise CheckpointError(f"{path} is not a regular file. Remove it.")
    return found


def _link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a file on the same disk; the link stays if the source is removed."""
    with contextlib.suppress(OSError):
        os.link(os.path.realpath(source), target)
        return
    shutil.copyfile(source, target)


def _file_sizes(folder: Path) -> dict[str, int]:
    """The size of each file in a folder in bytes, by name."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
