"""The full state of a training run: copied to the CPU, written as a checkpoint, restored.

It does not depend on the number of processes: the first one gathers the shards of the others, and
restoring divides them again.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel
from torch import Tensor

from trm.checkpoints.tensors import PUZZLE_EMBEDDING, load_into, load_row_slices, save_tensors
from trm.errors import CheckpointError
from trm.models import Carry
from trm.runs.checkpoint import (
    CheckpointConfig,
    Progress,
    PuzzleNames,
    read_progress,
    write_checksums,
)
from trm.runs.layout import CONFIG_FILE, NAMES_FILE, PROGRESS_FILE, STATE_FOLDER, WEIGHTS_FILE
from trm.runtime.process_group import SINGLE_PROCESS, ProcessGroup
from trm.storage import atomic_folder
from trm.training.sharded_embedding import ShardedPuzzleEmbedding
from trm.training.step import TrainState

_RAW, _OPTIMIZER, _CARRY = "weights.safetensors", "optimizer.safetensors", "rollout.safetensors"


@dataclass(frozen=True)
class Snapshot:
    """A checkpoint in memory, on the CPU, that training no longer changes.

    Attributes:
        config: ``config.json``.
        progress: how far training is.
        weights: for use: the EMA's, if there is one.
        training_state: the other tensors, by file.
        names: the names of the puzzle embedding's rows, None if they have none.
    """

    config: CheckpointConfig
    progress: Progress
    weights: dict[str, Tensor]
    training_state: dict[str, dict[str, Tensor]]
    names: PuzzleNames | None = None

    def write(self, path: Path) -> None:
        """Write the checkpoint folder atomically.

        Raises:
            StorageError: if the disk is full or the folder is not writable.
        """
        with atomic_folder(path, replace=True) as folder:
            save_tensors(folder / WEIGHTS_FILE, self.weights)
            _write(folder / CONFIG_FILE, self.config)
            if self.names is not None:
                np.save(folder / NAMES_FILE, self.names, allow_pickle=False)
            inner = folder / STATE_FOLDER
            inner.mkdir()
            for name, tensors in self.training_state.items():
                save_tensors(inner / name, tensors)
            _write(inner / PROGRESS_FILE, self.progress)
            write_checksums(folder)


def _write(file: Path, model: BaseModel) -> None:
    file.write_text(model.model_dump_json(indent=2) + "\n", encoding="utf-8")


def take_snapshot(
    state: TrainState,
    config: CheckpointConfig,
    progress: Progress,
    names: PuzzleNames | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Snapshot | None:
    """Copy the state. All processes have to call this; only the first one gets the snapshot."""
    gathered: dict[str, Tensor] = {}
    table = state.model.puzzle_embedding
    if isinstance(table, ShardedPuzzleEmbedding):
        gathered[PUZZLE_EMBEDDING] = group.gather_to_first(
            table.shard, config.data.num_puzzle_identifiers
        )
    carry: dict[str, Tensor] = {}
    if state.carry is not None:
        size = config.run.train.batch_size
        carry = {n: group.gather_to_first(t, size) for n, t in state.carry.tensors().items()}
    if not group.is_first:
        return None
    weights: dict[str, Tensor] = dict(state.model.state_dict())
    if state.ema is not None:
        weights |= state.ema.weights
    weights = {n: _copy(t) for n, t in weights.items() if n not in gathered} | gathered
    raw: dict[str, Tensor] = dict(state.model.named_parameters())
    inner = {_RAW: raw, _OPTIMIZER: state.optimizer.moments()}
    copied = {file: {n: _copy(t) for n, t in tensors.items()} for file, tensors in inner.items()}
    if carry:
        copied[_CARRY] = carry
    return Snapshot(config, progress, weights, copied, names)


def restore(path: Path, state: TrainState, group: ProcessGroup = SINGLE_PROCESS) -> Progress:
    """Load a checkpoint into ``state``.

    Args:
        path: the checkpoint folder.
        state: a new state of the same settings.
        group: the processes that train. Each takes its shard. Their number may have changed.

    Raises:
        CheckpointError: if the checkpoint is damaged, does not fit, or has no training state.
    """
    inner = path / STATE_FOLDER
    if not inner.is_dir():
        raise CheckpointError(
            f"{path} has no {STATE_FOLDER}: the run cannot resume from it. Train again."
        )
    progress = read_progress(path)
    targets: dict[str, Tensor] = dict(state.model.state_dict())
    shards = {}
    table = state.model.puzzle_embedding
    if isinstance(table, ShardedPuzzleEmbedding):
        targets[PUZZLE_EMBEDDING] = table.shard
        count = state.model.spec.num_puzzle_identifiers
        shards[PUZZLE_EMBEDDING] = (count, group.shard(count))
    if state.ema is not None:
        targets |= state.ema.weights
    load_into(targets, path / WEIGHTS_FILE, shards)
    load_into(dict(state.model.named_parameters()), inner / _RAW)
    load_into(state.optimizer.moments(), inner / _OPTIMIZER)
    state.step = progress.step
    taken = progress.optimizer_steps
    state.optimizer.num_steps = progress.step - progress.left_out if taken is None else taken
    if progress.step:
        found = load_row_slices(inner / _CARRY, group.shard)
        try:
            state.carry = Carry.from_tensors(
                {n: t.to(state.model.device) for n, t in found.items()}, state.model.state_class
            )
        except KeyError as error:
            raise CheckpointError(
                f"{inner / _CARRY} lacks the tensor {error}. Use another checkpoint."
            ) from error
    return progress


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()
