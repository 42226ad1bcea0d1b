"""Import checkpoints of the published trainer, and export checkpoints to other formats."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trm.checkpoints.open_checkpoint import locate_checkpoint
from trm.errors import CheckpointError, InputError
from trm.inference.model import Model
from trm.runs.checkpoint import verify_checksums

if TYPE_CHECKING:
    from trm.checkpoints.published.checkpoint import PublishedCheckpoint

Format = Literal["published", "onnx", "torch-export", "web"]


def import_checkpoint(
    source: str | Path, *, out: str | Path, task: str | None = None
) -> "PublishedCheckpoint":
    """Write a checkpoint folder of trm from a published checkpoint: ``trm import``.

    Args:
        source: its file ``step_N``, a folder with one, or ``USER/NAME[/FILE][@REVISION]`` or
            an address on the Hub.
        out: the new folder.
        task: the task's name, if neither the configuration nor the vocabulary determines it.

    Returns:
        The published checkpoint; its ``notes`` say what was inferred.

    Raises:
        CheckpointError: if there is none, it is damaged, or it would run code.
        HubError: if it cannot be downloaded.
        InputError: if ``out`` exists.
    """
    from trm.checkpoints.published.checkpoint import import_published

    located = locate_checkpoint(str(source))
    if located.published is None:
        raise CheckpointError(f"{located.name} is already a checkpoint of trm. Use it as it is.")
    origin = f"published checkpoint {located.name}"
    return import_published(located.published, Path(out), task=task, source=origin)


def export_checkpoint(
    checkpoint: Model | str | Path | None = None,
    *,
    format: Format,
    out: str | Path,
    onnxruntime: str | Path | None = None,
) -> float | None:
    """Write a checkpoint in another format: ``trm export``.

    Args:
        checkpoint: a model, a run folder (its best checkpoint), a checkpoint folder, or one on the
            Hub; the newest run in ``runs/`` by default.
        format: ``published`` for the published trainer; ``onnx`` and ``torch-export`` hold one
            supervision step, with its state as inputs and outputs; ``web`` is a page on which the
            model thinks in the browser alone.
        out: the new folder.
        onnxruntime: a folder with onnxruntime-web, for ``web``; it is downloaded by default.

    Returns:
        The largest difference between an output of the exported program and of the model, over all
        supervision steps; None for ``published``, whose numbers are the same.

    Raises:
        CheckpointError: if there is no such checkpoint, or the format cannot express it.
        InputError: if ``out`` exists, or there is no onnxruntime-web.
    """
    from trm.checkpoints.published import checkpoint as published
    from trm.publish import export_program
    from trm.publish.export_web import export_web

    if onnxruntime is not None and format != "web":
        raise InputError(f"--onnxruntime needs the format web, not {format}. Leave it out.")
    if isinstance(checkpoint, Model):
        checkpoint = checkpoint.path
    located = locate_checkpoint(None if checkpoint is None else str(checkpoint))
    path = located.path
    if located.published is not None:
        raise CheckpointError(
            f"{located.name} is a checkpoint of the published trainer. Import it first: "
            f"{shlex.join(['trm', 'import', located.name, '--out', 'imported'])}"
        )
    if format == "published":
        verify_checksums(path)
        published.export_published(path, Path(out))
        return None
    if format == "web":
        folder = None if onnxruntime is None else Path(onnxruntime)
        return export_web(path, Path(out), name=Path(located.name).name, onnxruntime=folder)
    return {
        "onnx": export_program.export_onnx,
        "torch-export": export_program.export_torch,
    }[format](path, Path(out))
