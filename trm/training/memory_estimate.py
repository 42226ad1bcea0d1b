"""The memory that a run needs, computed without running it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from trm.config import RunConfig, TrainConfig
from trm.models import PuzzleBatch, PuzzleSpec, TinyRecursiveModel, initial_carry, replace_halted
from trm.training.step import TrainState, supervision_step


@dataclass(frozen=True)
class MemoryEstimate:
    """The size of a model and of a training step, on each device.

    Attributes:
        num_parameters: without the puzzle embedding.
        num_puzzle_numbers: numbers in the puzzle embedding.
        state_bytes: weights, gradients, optimizer, EMA and puzzle embedding.
        activation_bytes: what a step keeps for its backward pass, if not compiled.
        carry_bytes: two copies of the carry.
        batch_size: examples per step on each device.
    """

    num_parameters: int
    num_puzzle_numbers: int
    state_bytes: int
    activation_bytes: int
    carry_bytes: int
    batch_size: int

    @property
    def total_bytes(self) -> int:
        """The sum."""
        return self.state_bytes + self.activation_bytes + self.carry_bytes


def estimate_memory(config: RunConfig, spec: PuzzleSpec, num_processes: int = 1) -> MemoryEstimate:
    """Measure a training step on the meta device, which has shapes but no numbers."""
    train, local_batch = config.train, config.train.batch_size // num_processes
    one_cycle = config.model.model_copy(update={"h_cycles": 1})  # the others keep nothing
    with torch.device("meta"):
        model = TinyRecursiveModel(one_cycle, spec)
        size = local_batch // train.accumulate
        tokens = torch.zeros(size, spec.seq_len, dtype=torch.int32)
        puzzles = PuzzleBatch(tokens, tokens, torch.zeros(size, dtype=torch.int32))
        kept = _saved_bytes(model, puzzles, train)
        moments = TrainState.create(model, config).optimizer.moments()
    copies = 3 if config.optim.ema else 2  # weight, gradient, average
    copies += num_processes > 1  # the bucket in which gradients travel
    table = 0 if model.puzzle_embedding is None else model.puzzle_embedding.weight.numel()
    kept_table = -(-table // num_processes) if train.shard_puzzle_embedding else table
    parts = 1 + config.model.num_latents  # the answer, and each latent
    latents = parts * (config.model.prefix_len + spec.seq_len) * config.model.hidden_size
    return MemoryEstimate(
        num_parameters=model.num_parameters,
        num_puzzle_numbers=table,
        state_bytes=4 * (copies * model.num_parameters + kept_table)
        + sum(moment.nbytes for moment in moments.values()),
        activation_bytes=kept,
        carry_bytes=2 * local_batch * latents * model.dtype.itemsize,
        batch_size=local_batch,
    )


def _saved_bytes(model: TinyRecursiveModel, puzzles: PuzzleBatch, train: TrainConfig) -> int:
    """Bytes of the distinct storages that autograd keeps of a supervision step."""
    storages: dict[int, int] = {}
    alive: list[Tensor] = []  # so that no storage's address is used twice

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage._cdata] = storage.nbytes()
        alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        carry = replace_halted(model, initial_carry(model, puzzles), puzzles)
        supervision_step(model, carry, model.puzzle_vectors(puzzles.identifiers), None, train)
    return sum(storages.values())
