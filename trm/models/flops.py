"""Floating point operations of a model, computed from its sizes.

As usual, these are the operations of the matrix products, for one example; a multiply-add counts as
two. Not counted are element-wise operations (norms, activations, rotary positions, losses, the
optimizer), embedding look-ups, and what a kernel recomputes to save memory.
"""

from trm.config import ModelConfig
from trm.config.model import PuzzleSpec
from trm.models.layers import swiglu_width
from trm.models.trm import Depth

#: The backward pass has two products of the same size: one for the gradient of each factor.
_FORWARD, _FORWARD_AND_BACKWARD = 1, 3


def application_flops(config: ModelConfig, spec: PuzzleSpec) -> int:
    """Operations of one application of the network, forward only."""
    tokens, width = config.prefix_len + spec.seq_len, config.hidden_size
    if config.mlp_t:
        mixer = _swiglu_flops(tokens, width, config)
    else:
        projections = 8 * tokens * width * width  # query, key, value and output
        mixer = projections + 4 * tokens * tokens * width  # scores, and weighted sum of values
    return config.l_layers * (mixer + _swiglu_flops(width, tokens, config))


def eval_step_flops(config: ModelConfig, spec: PuzzleSpec, depth: Depth | None = None) -> int:
    """Operations of one supervision step in evaluation; ``depth`` None is the model's own depth."""
    h_cycles, l_cycles = depth or (config.h_cycles, config.l_cycles)
    applications = h_cycles * (l_cycles + 1)
    return applications * application_flops(config, spec) + _head_flops(config, spec)


def train_step_flops(config: ModelConfig, spec: PuzzleSpec, depth: Depth | None = None) -> int:
    """Operations of one training step: a supervision step and its gradient.

    The gradient covers the whole last h-cycle, or of it the last two applications, and nothing
    before. With several latents, each takes the whole step forward, and then the best one repeats
    the last h-cycle with a gradient. ``act_continue`` takes another supervision step.
    """
    h_cycles, l_cycles = depth or (config.h_cycles, config.l_cycles)
    cycle, latents = l_cycles + 1, config.num_latents
    trials = latents if latents > 1 else 0
    without_gradient = trials * h_cycles or h_cycles - 1
    learned = 2 if config.gradient == "one_step" else cycle
    applications = (without_gradient * cycle + cycle - learned) * _FORWARD
    applications += learned * _FORWARD_AND_BACKWARD
    heads = (_FORWARD_AND_BACKWARD + trials) * _head_flops(config, spec)
    has_target = config.act_continue and config.halt_max_steps > 1
    target = eval_step_flops(config, spec, depth) if has_target else 0
    return applications * application_flops(config, spec) + heads + target


def _swiglu_flops(width: int, rows: int, config: ModelConfig) -> int:
    """Operations of a SwiGLU over ``width`` features: three matrices, gate, up and down."""
    inner = swiglu_width(width, config.expansion, config.swiglu_multiple)
    return 3 * 2 * rows * width * inner


def _head_flops(config: ModelConfig, spec: PuzzleSpec) -> int:
    """The output head on all puzzle tokens, and the halting head with two outputs on one token."""
    return 2 * config.hidden_size * (spec.seq_len * spec.vocab_size + 2)
