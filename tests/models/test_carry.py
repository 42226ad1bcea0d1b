"""The carry: which rows halt, and what replaces them."""

import torch

from trm.config import TRMConfig
from trm.models import (
    Carry,
    LatentState,
    PuzzleBatch,
    PuzzleSpec,
    TinyRecursiveModel,
    initial_carry,
    replace_halted,
    should_halt,
)


def model() -> TinyRecursiveModel:
    config = TRMConfig(hidden_size=8, num_heads=2, puzzle_emb_len=1, forward_dtype="float32")
    return TinyRecursiveModel(config, PuzzleSpec(4, 3), generator=torch.Generator().manual_seed(0))


def batch(token: int, size: int = 3) -> PuzzleBatch:
    tokens = torch.full((size, 3), token, dtype=torch.int32)
    return PuzzleBatch(tokens, tokens + 1, torch.full((size,), token, dtype=torch.int32))


def test_the_first_batch_fills_every_row() -> None:
    network, first = model(), batch(1)
    carry = replace_halted(network, initial_carry(network, batch(0)), first)
    assert torch.equal(carry.puzzles.inputs, first.inputs)
    assert torch.equal(carry.latent_state.answer, network.initial_state(3).answer)
    assert carry.steps.tolist() == [0, 0, 0]


def test_only_halted_rows_are_replaced() -> None:
    network, old, new = model(), batch(1), batch(2)
    ones = torch.ones(3, 4, 8)
    carry = Carry(
        LatentState(ones, 2 * ones),
        steps=torch.tensor([4, 5, 6], dtype=torch.int32),
        halted=torch.tensor([False, True, False]),
        puzzles=old,
    )
    after = replace_halted(network, carry, new)
    assert after.steps.tolist() == [4, 0, 6]
    assert after.puzzles.inputs[:, 0].tolist() == [1, 2, 1]
    assert after.puzzles.labels[:, 0].tolist() == [2, 3, 2]
    assert after.puzzles.identifiers.tolist() == [1, 2, 1]
    assert torch.equal(after.latent_state.answer[0], ones[0])
    assert torch.equal(after.latent_state.answer[1], network.initial_state(1).answer[0])
    assert torch.equal(after.latent_state.latent[1], network.initial_state(1).latent[0])
    assert torch.equal(after.latent_state.latent[2], 2 * ones[2])


def test_a_row_halts_with_a_positive_logit_or_at_the_last_step() -> None:
    logits = torch.tensor([-1.0, 0.0, 0.1, -1.0])
    steps = torch.tensor([1, 1, 1, 3], dtype=torch.int32)
    assert should_halt(logits, steps, 3).tolist() == [False, False, True, True]


def test_a_row_takes_its_minimum_number_of_steps() -> None:
    logits = torch.tensor([1.0, 1.0, 1.0])
    steps = torch.tensor([1, 2, 3], dtype=torch.int32)
    min_steps = torch.tensor([2, 2, 3], dtype=torch.int32)
    assert should_halt(logits, steps, 3, min_steps).tolist() == [False, True, True]
