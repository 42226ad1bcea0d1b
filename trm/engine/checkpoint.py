"""Checkpoints: safetensors and JSON in a folder that appears whole or not at all.

``model.safetensors`` and ``config.json`` are enough to use a model, with ``identifiers.npy`` where
puzzles have names; ``training_state/`` holds what training needs to go on as if it had never
stopped. Nothing is pickled.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import safetensors
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor

from trm.config import FORMAT_VERSION, Frozen, RunConfig, first_problem
from trm.data import DatasetMeta, Position
from trm.engine.step import TrainState
from trm.errors import CheckpointError
from trm.models import LatentState, Puzzles, PuzzleSpec, RolloutState, TinyRecursiveModel
from trm.storage import whole_folder, write_text

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
NAMES_FILE = "identifiers.npy"
STATE_FOLDER = "training_state"
PROGRESS_FILE = "progress.json"

#: Byte strings; what checks types while testing takes np.bytes_ to mean empty ones.
Names = NDArray[np.character]

#: How torch.save begins (a zip archive), and a bare pickle of protocol 2 to 5.
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")

AnyFrozen = TypeVar("AnyFrozen", bound=Frozen)


class CheckpointConfig(Frozen):
    """``config.json`` of a checkpoint: how to build the model, and what it was trained on."""

    format_version: int = FORMAT_VERSION
    step: int
    run: RunConfig
    data: DatasetMeta

    @property
    def spec(self) -> PuzzleSpec:
        """What the model has to know of its puzzles."""
        return puzzle_spec(self.data)


class Progress(Frozen):
    """``training_state/progress.json``: where training stood."""

    step: int
    position: Position
    evaluated_step: int | None = None
    best: float | None = None
    best_step: int | None = None
    elapsed_s: float = 0.0


def puzzle_spec(meta: DatasetMeta) -> PuzzleSpec:
    """The part of a data set's description that a model is built from."""
    return PuzzleSpec(meta.vocab_size, meta.seq_len, meta.num_puzzle_identifiers)


def save(
    path: Path,
    config: CheckpointConfig,
    state: TrainState,
    progress: Progress,
    identifiers: Names | None = None,
) -> None:
    """Write a checkpoint; ``model.safetensors`` has the averaged weights if there are any.

    Args:
        path: the folder.
        config: how to build the model.
        state: what was trained.
        progress: where training stands.
        identifiers: the names of the rows of the puzzle embedding, where they have some.

    Raises:
        StorageError: if the disk is full or the place may not be written.
    """
    weights = state.model.state_dict()
    if state.average is not None:
        weights |= state.average.average
    names = list(dict(state.model.named_parameters()))
    optimizer = {
        f"{kind}.{name}": tensor
        for kind, tensors in (("mean", state.optimizer.means), ("square", state.optimizer.squares))
        for name, tensor in zip(names, tensors, strict=True)
    }
    with whole_folder(path) as folder:
        _save_tensors(folder / WEIGHTS_FILE, weights)
        _write_json(folder / CONFIG_FILE, config)
        if identifiers is not None:
            np.save(folder / NAMES_FILE, identifiers, allow_pickle=False)
        inner = folder / STATE_FOLDER
        inner.mkdir()
        _save_tensors(inner / "weights.safetensors", dict(state.model.named_parameters()))
        _save_tensors(inner / "optimizer.safetensors", optimizer)
        if state.rollout is not None:
            _save_tensors(inner / "rollout.safetensors", _flatten(state.rollout))
        _write_json(inner / PROGRESS_FILE, progress)


def read_progress(path: Path) -> Progress:
    """Where training stood when this checkpoint was saved.

    Raises:
        CheckpointError: if the checkpoint is damaged or has no training state.
    """
    return _read_json(path / STATE_FOLDER / PROGRESS_FILE, Progress)


def save_progress(path: Path, progress: Progress) -> None:
    """Note in a checkpoint what was found out about it after it was written."""
    text = progress.model_dump_json(indent=2) + "\n"
    write_text(path / STATE_FOLDER / PROGRESS_FILE, text)


def load_model(
    path: Path, device: torch.device | str = "cpu"
) -> tuple[TinyRecursiveModel, CheckpointConfig]:
    """Build the model of a checkpoint folder and load its weights.

    Raises:
        CheckpointError: if the checkpoint is damaged, or its configuration and weights differ.
    """
    config = read_config(path)
    with torch.device("meta"):
        model = TinyRecursiveModel(config.run.model, config.spec)
    weights = _load_tensors(path / WEIGHTS_FILE)
    _check_fits(model.state_dict(), weights, path / WEIGHTS_FILE)
    # The rotary table is no weight: a model built on the meta device has none yet.
    model = TinyRecursiveModel(config.run.model, config.spec, generator=torch.Generator())
    model.to(device)
    model.load_state_dict(weights)
    return model, config


def read_config(path: Path) -> CheckpointConfig:
    """Read ``config.json`` of a checkpoint folder.

    Raises:
        CheckpointError: if it is missing, damaged, or of a newer format.
    """
    return _read_json(path / CONFIG_FILE, CheckpointConfig)


def read_names(path: Path) -> Names | None:
    """The names of the rows of a checkpoint's puzzle embedding, None where they have none.

    Raises:
        CheckpointError: if the file of names is damaged.
    """
    file = path / NAMES_FILE
    if not file.is_file():
        return None
    try:
        names: Names = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{file} is damaged: {reason}. Use another checkpoint.") from error
    return names


def restore(path: Path, state: TrainState) -> Progress:
    """Bring ``state`` back to where it was when this checkpoint was saved.

    Raises:
        CheckpointError: if the checkpoint is damaged, does not fit, or has no training state.
    """
    inner = path / STATE_FOLDER
    if not inner.is_dir():
        raise CheckpointError(f"{path} has no {STATE_FOLDER}: it cannot be trained on. Retrain.")
    progress = read_progress(path)
    parameters = dict(state.model.named_parameters())
    published = _load_tensors(path / WEIGHTS_FILE)
    _check_fits(state.model.state_dict(), published, path / WEIGHTS_FILE)
    state.model.load_state_dict(published)
    _fill(parameters, inner / "weights.safetensors")
    if state.average is not None:
        for name, average in state.average.average.items():
            average.copy_(published[name])
    kinds = (("mean", state.optimizer.means), ("square", state.optimizer.squares))
    moments = {
        f"{kind}.{name}": tensor
        for kind, tensors in kinds
        for name, tensor in zip(parameters, tensors, strict=True)
    }
    _fill(moments, inner / "optimizer.safetensors")
    state.optimizer.num_steps = state.step = progress.step
    if progress.step:
        state.rollout = _unflatten(_load_tensors(inner / "rollout.safetensors"), state.model.device)
    return progress


_ROLLOUT = (*LatentState._fields, "steps", "halted", *Puzzles._fields)


def _flatten(rollout: RolloutState) -> dict[str, Tensor]:
    tensors = (*rollout.latents, rollout.steps, rollout.halted, *rollout.puzzles)
    return dict(zip(_ROLLOUT, tensors, strict=True))


def _unflatten(tensors: Mapping[str, Tensor], device: torch.device) -> RolloutState:
    answer, latent, steps, halted, *puzzles = (tensors[name].to(device) for name in _ROLLOUT)
    return RolloutState(LatentState(answer, latent), steps, halted, Puzzles(*puzzles))


def _save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    try:
        save_file({n: t.detach().contiguous() for n, t in tensors.items()}, path)
    except safetensors.SafetensorError as error:
        raise _as_os_error(error) from error


def _as_os_error(error: Exception) -> OSError:
    """safetensors reports a full disk as text: ``... (os error 28)``."""
    code = re.search(r"os error (\d+)", str(error))
    return OSError(int(code.group(1)) if code else 0, str(error))


def _load_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file. Name a whole checkpoint, such as RUN/best.")
    try:
        return load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        with path.open("rb") as file:
            if file.read(4).startswith(_PICKLES):
                raise CheckpointError(
                    f"{path} is a pickle, which could run code; trm reads safetensors only. "
                    "Name a checkpoint that trm wrote."
                ) from error
        raise CheckpointError(
            f"{path} is damaged or cut short: {error}. Use another checkpoint."
        ) from error


def _check_fits(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path) -> None:
    for name, tensor in expected.items():
        if name not in found:
            raise CheckpointError(f"{path} lacks the tensor {name}. Use another checkpoint.")
        if found[name].shape != tensor.shape:
            raise CheckpointError(
                f"{path}: {name} is {tuple(found[name].shape)}, but config.json makes it "
                f"{tuple(tensor.shape)}. Restore the config.json the weights were saved with."
            )
    extra = sorted(found.keys() - expected.keys())
    if extra:
        raise CheckpointError(
            f"{path} has the tensor {extra[0]}, for which config.json has no place. "
            "Restore the config.json the weights were saved with."
        )


@torch.no_grad()
def _fill(targets: Mapping[str, Tensor], path: Path) -> None:
    tensors = _load_tensors(path)
    _check_fits(targets, tensors, path)
    for name, target in targets.items():
        target.copy_(tensors[name])


def _write_json(path: Path, model: Frozen) -> None:
    path.write_text(model.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _read_json(path: Path, kind: type[AnyFrozen]) -> AnyFrozen:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file. Name a whole checkpoint, such as RUN/best.")
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
        version = raw.get("format_version", 0)
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise CheckpointError(
                f"{path} is of format {version}, this trm reads up to {FORMAT_VERSION}. "
                "Upgrade trm."
            )
        return kind.model_validate(raw)
    except ValidationError as error:
        reason = first_problem(error)
        raise CheckpointError(f"{path} is damaged: {reason}. Use another checkpoint.") from error
    except (OSError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path} is damaged: {reason}. Use another checkpoint.") from error
