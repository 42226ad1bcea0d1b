"""Checkpoints of the published TRM trainer: read, imported as ours, and written from ours.

That trainer saves the state dict of its compiled loss head with ``torch.save``, in a file such as
``step_65104``, and its settings beside it in ``all_config.yaml``. A file of ``torch.save`` is a
pickle, which could run code: only torch's weights-only loader ever reads one.
"""

import io
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trm.checkpoints.published.infer_settings import check_shapes, describe, model_shapes
from trm.checkpoints.published.tensor_names import to_published
from trm.checkpoints.published.torch_file import (
    PublishedTensors,
    check_finite,
    is_torch_file,
    load_weights,
    to_float32,
)
from trm.checkpoints.published.yaml_config import (
    YAML_FILE,
    PublishedConfig,
    read_yaml,
    shown,
    write_yaml,
)
from trm.checkpoints.tensors import fill, save_tensors
from trm.errors import CheckpointError, InputError
from trm.runs.checkpoint import (
    CheckpointConfig,
    PuzzleNames,
    read_config,
    read_puzzle_names,
    write_checksums,
)
from trm.runs.layout import CONFIG_FILE, NAMES_FILE, WEIGHTS_FILE
from trm.storage import atomic_folder

#: The names of the puzzle embedding's rows, which a published data set has in this file.
PUBLISHED_NAMES_FILE = "identifiers.json"
_STEP = re.compile(r"step[_-]?(\d+)")
#: What the published evaluation saves beside a checkpoint, in the same form.
_PREDICTIONS = re.compile(r"_all_preds\.\d+$")


@dataclass(frozen=True)
class PublishedCheckpoint:
    """A checkpoint of the published trainer, in our words.

    Attributes:
        file: the torch file.
        config: what the files beside it say, what its tensors tell, and else the task's defaults.
        weights: by our names, float32; the puzzle embedding stays on the disk until it is used.
        names: of the rows of the puzzle embedding, where a file beside it has some.
        notes: a short phrase for everything that no file says, and was inferred.
    """

    file: Path
    config: CheckpointConfig
    weights: dict[str, Tensor] = field(repr=False)
    names: PuzzleNames | None
    notes: tuple[str, ...]


def find_published(path: Path) -> Path | None:
    """The file of ``torch.save`` that is meant by a file or folder, None if there is none.

    Known by its first bytes, under any name; of several in a folder the one of the highest step.

    Raises:
        CheckpointError: if a file cannot be read.
    """
    if path.is_file():
        return path if is_torch_file(path) else None
    found = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
        and not _PREDICTIONS.search(file.name)
        and is_torch_file(file)
    ]
    return max(found, key=lambda file: (_step(file) or 0, -len(file.name)), default=None)


def read_published(path: Path, task: str | None = None) -> PublishedCheckpoint:
    """Read a checkpoint of the published trainer.

    Args:
        path: its torch file, or a folder that has it at the top or below.
        task: the task's name, where neither the configuration nor the vocabulary tells it.

    Raises:
        CheckpointError: if there is none, it is damaged, of another network, or wants to run code.
        PluginError: if there is no task of this name.
    """
    file = find_published(path)
    if file is None:
        raise CheckpointError(
            f"{path}: no file of torch.save is there. Name a checkpoint of the published trainer: "
            "its file step_N, or the folder of it."
        )
    stored = load_weights(file)
    settings = _beside(file, path, YAML_FILE)
    said = read_yaml(settings) if settings else PublishedConfig()
    run, data, notes = describe(PublishedTensors.of(stored, file), said, file, task)
    check_shapes(stored, run, data, file)
    weights = to_float32(stored)
    check_finite(weights, file)
    named, rows = _beside(file, path, PUBLISHED_NAMES_FILE), data.num_puzzle_identifiers
    names = _read_names(named, rows) if named and rows > 1 else None
    if names is None and rows > 1:
        notes += (f"no {PUBLISHED_NAMES_FILE}: the {rows:,} puzzle embeddings have no names",)
    step = _step(file)
    if step is None:
        notes += (f"step 0, as the file is not called step_N but {shown(file.name)}",)
    data = data.model_copy(update={"source": f"published checkpoint {file.name}"})
    return PublishedCheckpoint(
        file, CheckpointConfig(step=step or 0, run=run, data=data), weights, names, notes
    )


def import_published(
    path: Path, out: Path, *, task: str | None = None, source: str = ""
) -> PublishedCheckpoint:
    """Write a checkpoint folder of ours from one of the published trainer, whole or not at all.

    Args:
        path: see :func:`read_published`.
        out: the new folder.
        task: see :func:`read_published`.
        source: where the checkpoint is from, to be noted in it.

    Raises:
        CheckpointError, PluginError: see :func:`read_published`.
        InputError: if ``out`` is there already.
        StorageError: if the disk is full or the place may not be written.
    """
    _refuse_existing(out)
    found = read_published(path, task)
    if source:
        data = found.config.data.model_copy(update={"source": source})
        found = replace(found, config=found.config.model_copy(update={"data": data}))
    with atomic_folder(out) as folder:
        save_tensors(folder / WEIGHTS_FILE, found.weights)
        text = found.config.model_dump_json(indent=2) + "\n"
        (folder / CONFIG_FILE).write_text(text, encoding="utf-8")
        if found.names is not None:
            np.save(folder / NAMES_FILE, found.names, allow_pickle=False)
        write_checksums(folder)
    return found


def export_published(checkpoint: Path, out: Path) -> Path:
    """Write a checkpoint of ours as the published trainer would have, whole or not at all.

    The initial states are rounded to the type of the activations, in which it keeps them; the
    model computes the same.

    Args:
        checkpoint: a checkpoint folder of ours.
        out: the new folder.

    Returns:
        the torch file in it.

    Raises:
        CheckpointError: if the checkpoint is damaged, or the published code cannot express it.
        InputError: if ``out`` is there already.
        StorageError: if the disk is full or the place may not be written.
    """
    _refuse_existing(out)
    config, names = read_config(checkpoint), read_puzzle_names(checkpoint)
    settings = write_yaml(config)
    shapes = model_shapes(config.run, config.data)
    weights = {name: torch.empty(shape) for name, shape in shapes.items()}
    fill(weights, checkpoint / WEIGHTS_FILE)
    check_finite(weights, checkpoint / WEIGHTS_FILE)
    weights.pop("other_latent_inits", None)  # evaluation begins with the first latent
    file = f"step_{config.step}"
    saved = io.BytesIO()  # torch.save would say of a full disk neither so nor how
    torch.save(to_published(weights, getattr(torch, config.run.model.forward_dtype)), saved)
    with atomic_folder(out) as folder:
        (folder / file).write_bytes(saved.getbuffer())
        (folder / YAML_FILE).write_text(settings, encoding="utf-8")
        if names is not None:
            listed = json.dumps([name.decode() for name in names.tolist()])
            (folder / PUBLISHED_NAMES_FILE).write_text(listed, encoding="utf-8")
    return out / file


def _refuse_existing(out: Path) -> None:
    if out.exists() or out.is_symlink():
        raise InputError(f"{out} exists already. Name another --out, or remove it.")


def _step(file: Path) -> int | None:
    """The training step that a file's name tells."""
    found = _STEP.search(file.name)
    return int(found.group(1)) if found else None


def _beside(file: Path, path: Path, name: str) -> Path | None:
    """The file of a name that is nearest: with the torch file, or above it inside ``path``."""
    top = file.parent if path == file else path
    for folder in file.parents:
        if (folder / name).is_file():
            return folder / name
        if folder == top:
            break
    return None


def _read_names(file: Path, rows: int) -> PuzzleNames:
    """The names of the puzzle identifiers of a published data set."""
    try:
        names: Any = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("it is no list of names")
        if len(names) != rows:
            raise ValueError(f"it has {len(names):,} names for {rows:,} puzzle embeddings")
        return np.array([name.encode() for name in names])
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{file} does not fit: {reason}. Remove it, or get that of the training data."
        ) from error
