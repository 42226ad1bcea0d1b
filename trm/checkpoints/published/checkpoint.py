"""Checkpoints of the published TRM trainer: read, imported into trm's format, and exported.

That trainer saves the state dict of its compiled loss head with ``torch.save``, in a file such as
``step_65104``, and its settings in ``all_config.yaml`` in the same folder. A file of ``torch.save``
is a pickle, which could run code. Only torch's weights-only loader reads it here.
"""

import io
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trm.checkpoints.model_shapes import check_model_shapes, model_shapes
from trm.checkpoints.published.file_names import YAML_FILE, step_in_name
from trm.checkpoints.published.find_file import PublishedFile, find_published
from trm.checkpoints.published.infer_settings import infer_settings
from trm.checkpoints.published.safe_load import is_torch_file
from trm.checkpoints.published.tensor_names import published_name, to_published
from trm.checkpoints.published.torch_file import (
    PublishedTensors,
    check_finite,
    load_weights,
    to_float32,
)
from trm.checkpoints.published.yaml_config import (
    PublishedConfig,
    read_yaml,
    short_repr,
    write_yaml,
)
from trm.checkpoints.tensors import load_into, save_tensors
from trm.data.published_layout import IDENTIFIERS_FILE
from trm.errors import CheckpointError
from trm.reading import FileReader
from trm.runs.checkpoint import (
    CheckpointConfig,
    PuzzleNames,
    read_config,
    read_puzzle_names,
    write_checksums,
)
from trm.runs.layout import CONFIG_FILE, NAMES_FILE, WEIGHTS_FILE
from trm.runtime.device import resolve_dtype
from trm.storage import atomic_folder, check_new

_NAMES_ADVICE = "Remove it, or get the one of the training data."
#: Far more than the names of the largest published data set, 877 thousand of 50 bytes, take.
_MAX_NAMES_BYTES = 1 << 30
#: All names take as much memory as the longest one.
_MAX_NAME_BYTES = 1000


@dataclass(frozen=True)
class PublishedCheckpoint:
    """A checkpoint of the published trainer, in trm's terms.

    Attributes:
        file: the torch file.
        config: from the files in its folder, else from its tensors, else the task's defaults.
        weights: by trm's names, in float32; the puzzle embedding stays on the disk until used.
        names: the puzzle of each row of the puzzle embedding, if a file lists them.
        notes: the choices, and a short phrase for each thing that trm inferred.
        choices: which file, and which state dict in it, was taken of several.
    """

    file: Path
    config: CheckpointConfig
    weights: dict[str, Tensor] = field(repr=False)
    names: PuzzleNames | None
    notes: tuple[str, ...]
    choices: tuple[str, ...] = ()

    def __repr__(self) -> str:
        task, step = self.config.run.task, self.config.step
        return f"<PublishedCheckpoint {self.file}: task {task}, step {step:,}>"


def read_published(path: Path | PublishedFile, task: str | None = None) -> PublishedCheckpoint:
    """Read a checkpoint of the published trainer.

    Args:
        path: its torch file, or a folder that contains it.
        task: the task's name, if neither the configuration nor the vocabulary determines it.

    Raises:
        CheckpointError: if there is none, it is damaged, of another network, or would run code.
        PluginError: if there is no task with this name.
    """
    found = find_published(path) if isinstance(path, Path) else path
    if found is None or not is_torch_file(found.path):
        raise CheckpointError(
            f"{path if found is None else found.path}: no file of torch.save is there. Name a "
            "checkpoint of the published trainer: its file step_N, or the folder of it."
        )
    file = found.path
    loaded = load_weights(file)
    state_dict = loaded.tensors
    yaml_file = _nearest_file(YAML_FILE, found)
    published_config = read_yaml(yaml_file) if yaml_file else PublishedConfig()
    tensors = PublishedTensors.of(state_dict, file)
    run, data, notes = infer_settings(tensors, published_config, file, task)
    data = data.model_copy(update={"source": f"published checkpoint {file.name}"})
    step = step_in_name(file)
    step = loaded.step if step is None else step
    config = CheckpointConfig(step=step or 0, run=run, data=data)
    check_model_shapes(
        config,
        {name: tuple(tensor.shape) for name, tensor in state_dict.items()},
        file,
        settings="the configuration",
        advice=f"Correct {YAML_FILE}, or get both files again.",
        display_name=published_name,
    )
    weights = to_float32(state_dict)
    check_finite(weights, file)
    names_file, rows = _nearest_file(IDENTIFIERS_FILE, found), data.num_puzzle_identifiers
    names = _read_names(names_file, rows) if names_file and rows > 1 else None
    if names is None and rows > 1:
        notes += (f"no {IDENTIFIERS_FILE}: the {rows:,} puzzle embeddings have no names",)
    if step_in_name(file) is None and step is not None:
        notes += (f"step {step:,}, as the file says",)
    if step is None:
        notes += (f"step 0, as the file is not called step_N but {short_repr(file.name)}",)
    choices = (*found.notes, *loaded.notes)
    return PublishedCheckpoint(file, config, weights, names, (*choices, *notes), choices)


def import_published(
    path: Path | PublishedFile, out: Path, *, task: str | None = None, source: str = ""
) -> PublishedCheckpoint:
    """Write a checkpoint folder of trm from a published checkpoint, whole or not at all.

    Args:
        path: see :func:`read_published`.
        out: the new folder.
        task: see :func:`read_published`.
        source: where the checkpoint comes from; it is saved with the checkpoint.

    Raises:
        CheckpointError, PluginError: see :func:`read_published`.
        InputError: if ``out`` exists.
        StorageError: if the disk is full or the folder cannot be written.
    """
    check_new(out)
    published = read_published(path, task)
    if source:
        data = published.config.data.model_copy(update={"source": source})
        config = published.config.model_copy(update={"data": data})
        published = replace(published, config=config)
    with atomic_folder(out) as folder:
        save_tensors(folder / WEIGHTS_FILE, published.weights)
        text = published.config.model_dump_json(indent=2) + "\n"
        (folder / CONFIG_FILE).write_text(text, encoding="utf-8")
        if published.names is not None:
            np.save(folder / NAMES_FILE, published.names, allow_pickle=False)
        write_checksums(folder)
    return published


def export_published(checkpoint: Path, out: Path) -> Path:
    """Write a checkpoint of trm in the published trainer's format, whole or not at all.

    The published code stores the initial states in the dtype of the activations, so they are
    rounded to it. The model computes the same.

    Args:
        checkpoint: a checkpoint folder of trm.
        out: the new folder.

    Returns:
        The torch file in it.

    Raises:
        CheckpointError: if the checkpoint is damaged, or the published code cannot express it.
        InputError: if ``out`` exists.
        StorageError: if the disk is full or the folder cannot be written.
    """
    check_new(out)
    config, names = read_config(checkpoint), read_puzzle_names(checkpoint)
    run = resolve_dtype(config.run, torch.device("cpu"))
    config = config.model_copy(update={"run": run})
    yaml_text = write_yaml(config)
    weights = {name: torch.empty(shape) for name, shape in model_shapes(config).items()}
    load_into(weights, checkpoint / WEIGHTS_FILE)
    check_finite(weights, checkpoint / WEIGHTS_FILE)
    weights.pop("other_latent_inits", None)  # evaluation starts from the first latent
    # In memory first: on a full disk torch.save raises an error that does not say so.
    saved = io.BytesIO()
    torch.save(to_published(weights, getattr(torch, config.run.model.forward_dtype)), saved)
    file = f"step_{config.step}"
    with atomic_folder(out) as folder:
        (folder / file).write_bytes(saved.getbuffer())
        (folder / YAML_FILE).write_text(yaml_text, encoding="utf-8")
        if names is not None:
            text = json.dumps([name.decode() for name in names.tolist()])
            (folder / IDENTIFIERS_FILE).write_text(text, encoding="utf-8")
    return out / file


def _nearest_file(name: str, found: PublishedFile) -> Path | None:
    """The file with this name in the folder of the torch file, or the nearest one above it."""
    for folder in found.path.parents:
        if (folder / name).is_file():
            return folder / name
        if folder == found.top:
            break
    return None


def _read_names(file: Path, rows: int) -> PuzzleNames:
    """The names of the puzzle identifiers of a published dataset."""
    reader = FileReader(CheckpointError, _NAMES_ADVICE, "does not fit")
    names = reader.json(file, max_bytes=_MAX_NAMES_BYTES)
    with reader.parsing(file):
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("it is not a list of names")
        if len(names) != rows:
            raise ValueError(f"it has {len(names):,} names for {rows:,} puzzle embeddings")
        encoded = [name.encode() for name in names]
        if (longest := max(map(len, encoded))) > _MAX_NAME_BYTES:
            raise ValueError(f"it has a name of {longest:,} bytes")
        return np.array(encoded)
