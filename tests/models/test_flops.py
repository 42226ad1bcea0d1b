"""Computed operations, against those that torch counts while a model runs."""

from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from tests.models.small_model import SPEC, build, puzzles, small
from trm.config import TrainConfig, TRMConfig
from trm.models import (
    Depth,
    PuzzleBatch,
    PuzzleSpec,
    initial_carry,
    replace_halted,
)
from trm.models.flops import eval_step_flops, layer_flops, train_step_flops
from trm.training.step import supervision_step

BATCH = 3
CHANGES: dict[str, dict[str, Any]] = {
    "attention": {},
    "attention, no prefix": {"puzzle_emb_dim": 0},
    "attention, learned positions": {"pos_encodings": "learned"},
    "attention, one h-cycle, three layers": {"h_cycles": 1, "l_layers": 3},
    "mlp": {"mlp_t": True, "pos_encodings": "none"},
    "mlp, no prefix": {"mlp_t": True, "pos_encodings": "none", "puzzle_emb_dim": 0},
    "mlp, learned positions": {"mlp_t": True, "pos_encodings": "learned", "h_cycles": 3},
    "mlp, three latents": {"mlp_t": True, "pos_encodings": "none", "num_latents": 3},
    "mlp, bfloat16": {"mlp_t": True, "pos_encodings": "none", "forward_dtype": "bfloat16"},
}


def forward_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def backward_flops(gradient: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_backward_flop_count(gradient, query, key, value)


#: The attention kernel of the CPU, which torch does not count by default.
CPU_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: forward_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: backward_flops,
}


def counted(settings: TRMConfig, *, training: bool, backend: SDPBackend) -> float:
    """Operations of one supervision step that torch counts, for one example."""
    model, (inputs, identifiers) = build(settings), puzzles(BATCH)
    batch = PuzzleBatch(inputs, inputs, identifiers)
    carry = replace_halted(model, initial_carry(model, batch), batch)
    rows = model.puzzle_vectors(identifiers)
    counter = FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION)
    with sdpa_kernel(backend), counter:
        if training:
            supervision_step(model, carry, rows, None, TrainConfig()).loss.total.backward()
        else:
            with torch.no_grad():
                model(model.initial_state(BATCH), model.embed(inputs, rows))
    return counter.get_total_flops() / BATCH


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_step_has_the_operations_that_torch_counts(changes: dict[str, Any]) -> None:
    settings = small(swiglu_multiple=8, **changes)
    counts = {
        training: counted(settings, training=training, backend=SDPBackend.MATH)
        for training in (False, True)
    }
    assert counts == {
        False: eval_step_flops(settings, SPEC),
        True: train_step_flops(settings, SPEC),
    }


@pytest.mark.parametrize("latents", [1, 2])
def test_a_shallower_step_counts_like_a_shallower_model(latents: int) -> None:
    deep = small(h_cycles=3, num_latents=latents)
    shallow = small(l_cycles=1, num_latents=latents)
    for count in (eval_step_flops, train_step_flops):
        assert count(deep, SPEC, Depth(2, 1)) == count(shallow, SPEC)


def test_recomputation_in_a_kernel_is_not_counted() -> None:
    settings = small(swiglu_multiple=8)
    tokens = settings.prefix_len + SPEC.seq_len
    # In the backward pass a fused kernel computes the scores again instead of keeping them.
    again = settings.l_layers * (settings.l_cycles + 1) * 2 * tokens**2 * settings.hidden_size
    for training, expected in (
        (False, eval_step_flops(settings, SPEC)),
        (True, train_step_flops(settings, SPEC) + again),
    ):
        counts = counted(settings, training=training, backend=SDPBackend.FLASH_ATTENTION)
        assert counts == expected


def test_the_published_sizes() -> None:
    settings = TRMConfig(mlp_t=True, pos_encodings="none")
    spec = PuzzleSpec(vocab_size=11, seq_len=81)
    flops = [f(settings, spec) for f in (layer_flops, train_step_flops, eval_step_flops)]
    assert [round(number / 1e9, 2) for number in flops] == [0.61, 42.72, 25.63]
