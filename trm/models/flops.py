"""How much arithmetic a model takes, counted from its sizes alone.

Floating point operations of the matrix products, for one example; a multiply-add is two. What is
done element by element (norms, activations, rotary positions, losses, the optimizer) and looking
up embeddings is left out, as is usual, and so is what a kernel computes twice to save memory.
"""

from trm.config import ModelConfig
from trm.config.model import PuzzleSpec
from trm.models.layers import swiglu_width
from trm.models.recursion import Depth

#: The backward pass of a matrix product is two of its size: one for each factor's gradient.
_FORWARD, _FORWARD_AND_BACKWARD = 1, 3


def application_flops(config: ModelConfig, spec: PuzzleSpec) -> int:
    """Operations of one application of the core network, forwards."""
    tokens, width = config.prefix_len + spec.seq_len, config.hidden_size
    if config.mlp_t:
        mixer = _swiglu_flops(tokens, width, config)
    else:
        projections = 8 * tokens * width * width  # query, key, value and output
        mixer = projections + 4 * tokens * tokens * width  # the scores, and the mean of the values
    return config.l_layers * (mixer + _swiglu_flops(width, tokens, config))


def eval_step_flops(config: ModelConfig, spec: PuzzleSpec, depth: Depth | None = None) -> int:
    """Operations of one supervision step of an evaluation, of the model's own depth if None."""
    h_cycles, l_cycles = depth or (config.h_cycles, config.l_cycles)
    applications = h_cycles * (l_cycles + 1)
    return applications * application_flops(config, spec) + _head_flops(config, spec)


def train_step_flops(config: ModelConfig, spec: PuzzleSpec, depth: Depth | None = None) -> int:
    """Operations of one training step: a supervision step and its gradient.

    The gradient goes back through the last h-cycle only, but through all of that: its first
    application already takes in the embedded puzzle, whose tokens and rows learn too. Several
    latents take the whole step forwards, each, before the best of them takes that cycle again.
    """
    h_cycles, l_cycles = depth or (config.h_cycles, config.l_cycles)
    cycle, latents = l_cycles + 1, config.num_latents
    tried = latents if latents > 1 else 0
    without_gradient = tried * h_cycles or h_cycles - 1
    applications = without_gradient * cycle * _FORWARD + cycle * _FORWARD_AND_BACKWARD
    heads = (_FORWARD_AND_BACKWARD + tried) * _head_flops(config, spec)
    return applications * application_flops(config, spec) + heads


def _swiglu_flops(width: int, rows: int, config: ModelConfig) -> int:
    """Of a SwiGLU over ``width`` features: three matrices, gate, up and down."""
    inner = swiglu_width(width, config.expansion, config.swiglu_multiple)
    return 3 * 2 * rows * width * inner


def _head_flops(config: ModelConfig, spec: PuzzleSpec) -> int:
    """The output head on the puzzle's tokens, and the two outputs of the halting head on one."""
    return 2 * config.hidden_size * (spec.seq_len * spec.vocab_size + 2)
