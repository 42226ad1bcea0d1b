"""The kinds whose layers know the board: candidates and conv."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trm.config.model import PuzzleSpec, config_class
from trm.errors import ConfigError
from trm.models import RecursiveModel, StepOutput, create_model
from trm.tasks.cell_axes import CellAxes, axis_of, rows_and_columns
from trm.tasks.sudoku.geometry import Geometry

GEOMETRY = Geometry.of(4)
AXES: CellAxes = tuple(axis_of(kind) for kind in np.split(GEOMETRY.units, 3))
SUDOKU = PuzzleSpec(6, 16, 1, AXES, (2, 3, 4, 5))
MAZE = PuzzleSpec(6, 16, 1, rows_and_columns(4))
PUZZLE = "1.3.341221434.21"


def build(kind: str, spec: PuzzleSpec = SUDOKU, **settings: Any) -> RecursiveModel:
    small = {"hidden_size": 16, "halt_max_steps": 3, "forward_dtype": "float32"}
    config = config_class(kind).model_validate({"kind": kind, **small, **settings})
    model = create_model(config, spec, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():  # zero at first, which would hide what it reads
        model.halt_head.weight.normal_(generator=torch.Generator().manual_seed(1))
    return model


def tokens() -> Tensor:
    return torch.tensor([[1 if c == "." else 1 + int(c) for c in PUZZLE]], dtype=torch.int32)


@torch.no_grad()
def two_steps(model: RecursiveModel, inputs: Tensor) -> StepOutput:
    embedded = model.embed(inputs, None)
    first: StepOutput = model(model.initial_state(len(inputs)), embedded)
    second: StepOutput = model(first.state, embedded)
    return second


def assert_near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_candidates_rename_with_the_digits() -> None:
    model = build("candidates")
    names = torch.tensor([0, 1, 4, 2, 5, 3])
    plain, renamed = (two_steps(model, x) for x in (tokens(), names[tokens().long()].int()))
    assert_near(renamed.logits[..., names], plain.logits)
    assert_near(renamed.halt_logits, plain.halt_logits)


def test_candidates_move_with_the_rows_of_a_band_and_with_the_bands() -> None:
    model = build("candidates")
    cells = torch.arange(16).view(4, 4)
    plain = two_steps(model, tokens())
    for order in ([1, 0, 2, 3], [2, 3, 0, 1]):
        for moved in (cells[order], cells[:, order]):
            found = two_steps(model, tokens()[:, moved.flatten()])
            assert_near(found.logits, plain.logits[:, moved.flatten()])
            assert_near(found.halt_logits, plain.halt_logits)


def test_candidates_do_not_move_across_bands() -> None:
    """Rows of different boxes are not alike."""
    model = build("candidates")
    moved = torch.arange(16).view(4, 4)[[0, 2, 1, 3]].flatten()
    plain, found = two_steps(model, tokens()), two_steps(model, tokens()[:, moved])
    assert (found.logits - plain.logits[:, moved]).abs().max() > 1e-3


def test_candidates_answer_with_values_only() -> None:
    output = two_steps(build("candidates"), tokens())
    assert (output.logits[..., :2] < -1000).all()
    assert (output.logits[..., 2:].abs() < 100).all()


def test_an_open_cell_is_not_one_with_another_value() -> None:
    model = build("candidates")
    embedded = model.embed(tokens(), None).view(16, 4, -1)
    given, excluded, is_open = embedded[0, 0], embedded[0, 1], embedded[1]
    assert torch.equal(excluded, embedded[0, 2])
    assert torch.equal(is_open, is_open[:1].expand_as(is_open))
    assert len({tuple(vector.tolist()) for vector in (given, excluded, is_open[0])}) == 3


def test_a_convolution_sees_the_next_cells_alone() -> None:
    model = build("conv", MAZE, l_layers=1, l_cycles=1, h_cycles=1)
    changed = tokens().clone()
    changed[0, 0] += 1

    def once(inputs: Tensor) -> Tensor:
        with torch.no_grad():
            state = model(model.initial_state(1), model.embed(inputs, None)).state
        latent: Tensor = state.latent
        return latent

    moved = (once(tokens()) - once(changed)).abs().amax(-1).view(4, 4) > 1e-6
    assert moved.nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


@pytest.mark.parametrize("kind", ["candidates", "conv"])
def test_weights_fit_any_size_of_board(kind: str) -> None:
    axes = tuple(axis_of(units) for units in np.split(Geometry.of(9).units, 3))
    large = PuzzleSpec(11, 81, 1, axes, tuple(range(2, 11)))
    small_shapes, large_shapes = (
        {name: p.shape for name, p in build(kind, spec).core.named_parameters()}
        for spec in (SUDOKU, large)
    )
    assert small_shapes == large_shapes


@pytest.mark.parametrize(
    ("kind", "spec", "settings", "message"),
    [
        ("candidates", MAZE, {}, "no interchangeable values, as the digits of a Sudoku are"),
        ("conv", PuzzleSpec(6, 16), {}, "no rows and columns. Use --model trm."),
        ("conv", MAZE, {"kernel_size": 4}, "model.kernel_size is 4. Give an odd number."),
    ],
)
def test_what_they_cannot_be_built_for(
    kind: str, spec: PuzzleSpec, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(kind, spec, **settings)


def test_they_have_no_puzzle_embedding() -> None:
    with pytest.raises(ValueError, match="puzzle_emb_dim 8: conv has none, use 0"):
        build("conv", MAZE, puzzle_emb_dim=8)
