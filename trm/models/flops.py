"""Floating point operations of a model, computed from its sizes.

As usual, these are the operations of the matrix products, for one example; a multiply-add counts as
two. Not counted are element-wise operations (norms, activations, rotary positions, losses, the
optimizer), embedding look-ups, and what a kernel recomputes to save memory.
"""

import dataclasses
import functools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from trm.config.model import BlockConfig, ModelConfig, PuzzleSpec
from trm.models.base import Depth, Passes
from trm.models.layers import swiglu_width
from trm.models.registry import get_model_class

#: The backward pass has two products of the same size: one for the gradient of each factor.
_FORWARD, _FORWARD_AND_BACKWARD = 1, 3


def layer_flops(config: BlockConfig, spec: PuzzleSpec) -> int:
    """Operations of one layer, forward only."""
    tokens, width = config.prefix_len + spec.seq_len, config.hidden_size
    if config.has_mlp_mixer:
        mixer = _swiglu_flops(tokens, width, config)
    else:
        inner = config.num_heads * config.head_dim
        projections = 8 * tokens * width * inner  # query, key, value and output
        mixer = projections + 4 * tokens * tokens * inner  # scores, and weighted sum of values
    return mixer + _swiglu_flops(width, tokens, config)


def eval_step_flops(config: ModelConfig, spec: PuzzleSpec, depth: Depth | None = None) -> int:
    """Operations of one supervision step in evaluation; ``depth`` None is the model's own depth."""
    passes = _passes(config, depth)
    if passes is None or not isinstance(config, BlockConfig):
        return count_flops(config, spec, depth, False)
    return passes.forward * layer_flops(config, spec) + _head_flops(config, spec)


def train_step_flops(config: ModelConfig, spec: PuzzleSpec, depth: Depth | None = None) -> int:
    """Operations of one training step: a supervision step and its gradient.

    The target of continuing takes another supervision step.
    """
    target = 0
    if config.continues and config.halt_max_steps > 1:
        target = eval_step_flops(config, spec, depth)
    passes = _passes(config, depth)
    if passes is None or not isinstance(config, BlockConfig):
        return target + count_flops(config, spec, depth, True)
    constant = passes.forward - passes.learned + passes.trials
    layers = constant * _FORWARD + passes.learned * _FORWARD_AND_BACKWARD
    heads = (_FORWARD_AND_BACKWARD + passes.head_trials) * _head_flops(config, spec)
    return layers * layer_flops(config, spec) + heads + target


def _passes(config: ModelConfig, depth: Depth | None) -> Passes | None:
    return get_model_class(config.kind).passes(config, depth)


@functools.lru_cache(maxsize=64)
def count_flops(config: ModelConfig, spec: PuzzleSpec, depth: Depth | None, gradient: bool) -> int:
    """Operations of a supervision step of one example, counted by torch on the meta device."""
    step = one_step(config, spec, depth)
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(gradient):
        logits = step()
        if gradient:
            logits.sum().backward()  # type: ignore[no-untyped-call]
    return int(counter.get_total_flops())


def one_step(
    config: ModelConfig, spec: PuzzleSpec, depth: Depth | None = None, batch_size: int = 1
) -> Callable[[], Tensor]:
    """A supervision step, up to its logits, of a model whose tensors have shapes but no numbers."""
    dtype = "float32" if config.forward_dtype == "auto" else config.forward_dtype
    config = config.model_copy(update={"forward_dtype": dtype})
    spec = dataclasses.replace(spec, num_puzzle_identifiers=1)
    with torch.device("meta"):
        model = get_model_class(config.kind)(config, spec, init_weights=False)
        inputs = torch.zeros(batch_size, spec.seq_len, dtype=torch.int32)
        vectors = None
        if config.puzzle_emb_width:
            vectors = torch.zeros(batch_size, config.puzzle_emb_width, requires_grad=True)

    def step() -> Tensor:
        state = model.initial_state(batch_size)
        output = model(state, model.embed(inputs, vectors), depth)
        return torch.cat((output.logits.flatten(), output.halt_logits))

    return step


def _swiglu_flops(width: int, rows: int, config: BlockConfig) -> int:
    """Operations of a SwiGLU over ``width`` features: three matrices, gate, up and down."""
    inner = swiglu_width(width, config.expansion, config.swiglu_multiple)
    return 3 * 2 * rows * width * inner


def _head_flops(config: ModelConfig, spec: PuzzleSpec) -> int:
    """The output head on all puzzle tokens, and the halting head with two outputs on one token."""
    return 2 * config.hidden_size * (spec.seq_len * spec.vocab_size + 2)
