"""The memory that a run needs, counted from its sizes, and whether the device has it.

Counted are the tensors that stay: the weights and what belongs to them, and what a step keeps for
its backward pass. Gradients of activations and temporary results come on top; the gradients of the
weights are not there yet when most is kept.
"""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trm.config import BlockConfig, ModelConfig, RunConfig
from trm.errors import ConfigError
from trm.models import PuzzleSpec, create_model, get_model_class
from trm.models.flops import one_step
from trm.models.layers import swiglu_width
from trm.storage import Memory, size_text

#: A run that needs more than this share of the free memory may not fit.
_TIGHT = 0.8


@dataclass(frozen=True)
class MemoryEstimate:
    """The size of a model and of a training step, on each device.

    Attributes:
        num_parameters: without the puzzle embedding.
        num_puzzle_numbers: numbers in the puzzle embedding.
        state_bytes: weights, gradients, optimizer, EMA and puzzle embedding.
        activation_bytes: what a step keeps for its backward pass, if not compiled.
        compiled_bytes: the same if the network is compiled.
        carry_bytes: two copies of the carry.
        batch_size: examples per step on each device.
    """

    num_parameters: int
    num_puzzle_numbers: int
    state_bytes: int
    activation_bytes: int
    compiled_bytes: int
    carry_bytes: int
    batch_size: int

    @property
    def total_bytes(self) -> int:
        """The sum, if not compiled."""
        return self.total(compiled=False)

    def total(self, *, compiled: bool) -> int:
        """The sum."""
        kept = self.compiled_bytes if compiled else self.activation_bytes
        return self.state_bytes + self.carry_bytes + kept


def estimate_memory(config: RunConfig, spec: PuzzleSpec, num_processes: int = 1) -> MemoryEstimate:
    """Count the memory of a training step, without a model."""
    model, train = config.model, config.train
    local_batch = train.batch_size // num_processes
    with torch.device("meta"):  # of shapes alone
        built = create_model(model, replace(spec, num_puzzle_identifiers=1), init_weights=False)
        state = built.initial_training_state(1)
    core = sum(parameter.numel() for parameter in built.core.parameters())
    others = built.num_parameters - core
    wide, dtype_bytes = _item_sizes(model)
    copies = 3 if config.optim.ema else 2  # weight, gradient, average
    copies += num_processes > 1  # the bucket in which gradients travel
    copies_of_core = copies + (1 if config.optim.optimizer == "muon" else 2)  # moments
    table = spec.num_puzzle_identifiers * model.puzzle_emb_width
    kept_table = -(-table // num_processes) if train.shard_puzzle_embedding else table
    part = local_batch // train.accumulate
    casts = core * dtype_bytes if dtype_bytes != wide else 0  # one for each weight of the core
    return MemoryEstimate(
        num_parameters=built.num_parameters,
        num_puzzle_numbers=table,
        state_bytes=wide * (copies_of_core * core + (copies + 2) * others + kept_table),
        activation_bytes=_activation_bytes(model, spec, part, compiled=False) + casts,
        compiled_bytes=_activation_bytes(model, spec, part, compiled=True) + casts,
        carry_bytes=2 * local_batch * sum(p.numel() for p in state) * dtype_bytes,
        batch_size=local_batch,
    )


def check_memory(
    config: RunConfig,
    spec: PuzzleSpec,
    num_processes: int,
    memory: Memory | None,
    *,
    compiled: bool,
    small_presets: Sequence[str] = (),
) -> str | None:
    """Check, before a run, that a training step fits into the memory.

    Args:
        config: the settings.
        spec: of the data.
        num_processes: that train together.
        memory: for each process; None if it is unknown.
        compiled: whether the network is compiled. The compiler decides what it keeps, so such a run
            is refused only for what does not depend on it.
        small_presets: presets of the task with a small model.

    Returns:
        A warning if it may not fit.

    Raises:
        ConfigError: if it cannot fit.
    """
    if memory is None:
        return None
    needs = estimate_memory(config, spec, num_processes)
    rest = needs.state_bytes + needs.carry_bytes
    total = needs.total(compiled=compiled)
    surely, kept = (rest if compiled else total), total - rest
    if surely <= memory.total and total <= _TIGHT * memory.free:
        return None
    parts = config.train.accumulate
    part = needs.batch_size // parts
    fits = (
        factor * parts
        for factor in range(2, part + 1)
        if part % factor == 0 and rest + kept // factor <= _TIGHT * min(memory.total, memory.free)
    )
    ways = [f"--accumulate {factor}" for factor in itertools.islice(fits, 1)]
    ways += ["a lower --batch-size", *(f"--preset {name}" for name in small_presets)]
    smaller = " or ".join(filter(None, (", ".join(ways[:-1]), ways[-1])))
    needed = f"a training step needs about {size_text(total)} of memory"
    if surely > memory.total:
        raise ConfigError(f"{needed}, there are {size_text(memory.total)}. Use {smaller}.")
    return f"{needed}, {size_text(memory.free)} are free. If it does not fit, use {smaller}."


def _item_sizes(config: ModelConfig) -> tuple[int, int]:
    """Bytes of a number in the weights and norms, and in the activations."""
    dtype: torch.dtype = getattr(torch, config.forward_dtype)
    return max(dtype.itemsize, 4), dtype.itemsize


def _activation_bytes(
    config: ModelConfig, spec: PuzzleSpec, batch_size: int, *, compiled: bool
) -> int:
    """Bytes that the backward pass of a step needs: of what has a gradient, and of the loss.

    A layer keeps the inputs of its matrix products, and of its norms in float32. A SwiGLU also
    keeps gate, up and the activated gate. Attention keeps queries, keys and values, those of
    queries and keys also as they were before the rotation. A compiled network computes cheap
    results again: it keeps neither the activated gate nor the inputs of norms in float32.

    What a model of other parts keeps is measured, as if it were not compiled.
    """
    tokens, width = config.prefix_len + spec.seq_len, config.hidden_size
    wide, narrow = _item_sizes(config)
    loss = spec.seq_len * spec.vocab_size * 4 * 8 + tokens * width * narrow
    passes = get_model_class(config.kind).passes(config)
    if passes is None or not isinstance(config, BlockConfig):
        return batch_size * (_measured_bytes(config, spec) + loss)

    def swiglu(features: int) -> int:
        inner = swiglu_width(features, config.expansion, config.swiglu_multiple)
        if compiled:
            return (features + 3 * inner) * narrow
        if config.has_normed_swiglu:
            return features * narrow + inner * (5 * narrow + wide)
        return features * narrow + 4 * inner * narrow

    rotated = 2 if config.rotates else 0
    mixer = (
        width * swiglu(tokens) if config.has_mlp_mixer else tokens * width * (5 + rotated) * narrow
    )
    norms = 2 * tokens * width * (narrow if compiled else wide)
    layer = mixer + tokens * swiglu(width) + norms
    return batch_size * (passes.learned * layer + loss)


def _measured_bytes(config: ModelConfig, spec: PuzzleSpec) -> int:
    """Bytes that a supervision step keeps for each example, besides the weights."""
    one, two = (_kept_bytes(config, spec, n) for n in (1, 2))
    return two - one


@functools.lru_cache(maxsize=8)
def _kept_bytes(config: ModelConfig, spec: PuzzleSpec, batch_size: int) -> int:
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[id(tensor.untyped_storage())] = tensor
        return tensor

    step = one_step(config, spec, batch_size=batch_size)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        _logits = step()
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
