"""Checkpoints of other kinds: those of the published trainer in, and several kinds out."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trm.checkpoints.opened import locate_checkpoint
from trm.errors import CheckpointError
from trm.runs.layout import WEIGHTS_FILE

if TYPE_CHECKING:
    from trm.checkpoints.published.checkpoint import PublishedCheckpoint

Kind = Literal["published", "onnx", "torch-export"]


def import_checkpoint(
    source: str | Path, *, out: str | Path, task: str | None = None
) -> "PublishedCheckpoint":
    """Write a checkpoint folder of ours from one of the published trainer: ``trm import``.

    Args:
        source: its file ``step_N``, a folder that has one, or ``USER/NAME[@REVISION]`` of the Hub.
        out: the new folder.
        task: where neither its configuration nor its vocabulary tells it.

    Returns:
        What was read; its ``notes`` say what was inferred.

    Raises:
        CheckpointError: if there is none, it is damaged, or it wants to run code.
        HubError: if it cannot be fetched.
        InputError: if ``out`` exists.
    """
    from trm.checkpoints.published.checkpoint import import_published

    path, name = locate_checkpoint(str(source))
    if (path / WEIGHTS_FILE).is_file():
        raise CheckpointError(f"{name} is a checkpoint of trm already. Use it as it is.")
    return import_published(path, Path(out), task=task, source=f"published checkpoint {name}")


def export_checkpoint(
    checkpoint: str | Path | None = None, *, kind: Kind, out: str | Path
) -> float | None:
    """Write a checkpoint in a form that others read: ``trm export``.

    Args:
        checkpoint: a run folder (its best checkpoint) or checkpoint folder, or one of the Hub; the
            newest run in ``runs/`` if left out.
        kind: ``published`` for the published trainer; ``onnx`` and ``torch-export`` hold one
            supervision step, with its state as inputs and outputs.
        out: the new folder.

    Returns:
        The largest difference between the logits of what was written and ours, over all
        supervision steps; None for ``published``, whose numbers are the same.

    Raises:
        CheckpointError: if there is no such checkpoint, or it cannot be expressed.
        InputError: if ``out`` exists.
    """
    from trm.checkpoints.published import checkpoint as published
    from trm.publish import export_program

    path, name = locate_checkpoint(None if checkpoint is None else str(checkpoint))
    if not (path / WEIGHTS_FILE).is_file():
        raise CheckpointError(
            f"{name} is a checkpoint of the published trainer. Import it first: trm import."
        )
    if kind == "published":
        published.export_published(path, Path(out))
        return None
    return {
        "onnx": export_program.export_onnx,
        "torch-export": export_program.export_torch,
    }[kind](path, Path(out))
