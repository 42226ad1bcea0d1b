"""The model: shapes, dtypes, initial weights, recursion and gradient."""

import dataclasses

import jaxtyping
import pytest
import torch
from torch import Tensor

from tests.models.small_model import SPEC, build, puzzles, small
from trm.config import TRMConfig
from trm.errors import ConfigError
from trm.models import Depth, LatentState, PuzzleSpec, StateNoise, TinyRecursiveModel


def step(model: TinyRecursiveModel) -> tuple[LatentState, Tensor, Tensor, Tensor]:
    inputs, identifiers = puzzles()
    embedded = model.embed(inputs, model.puzzle_vectors(identifiers))
    return model(model.initial_state(3), embedded)


@pytest.mark.parametrize(
    ("changes", "prefix"),
    [
        ({}, 2),
        ({"puzzle_emb_len": 0}, 1),
        ({"puzzle_emb_len": 0, "puzzle_emb_dim": 40}, 3),
        ({"puzzle_emb_dim": 5}, 2),
        ({"puzzle_emb_dim": 0}, 0),
        ({"mlp_t": True, "pos_encodings": "none"}, 2),
        ({"mlp_t": True, "puzzle_emb_dim": 0, "pos_encodings": "learned"}, 0),
        ({"pos_encodings": "learned"}, 2),
    ],
)
def test_shapes_for_every_prefix_and_mixer(changes: dict[str, object], prefix: int) -> None:
    model = build(small(**changes))
    state, logits, halt_logits, _ = step(model)
    assert state.answer.shape == state.latent.shape == (3, prefix + 9, 16)
    assert logits.shape == (3, 9, 6)
    assert halt_logits.shape == (3,)
    assert (model.puzzle_embedding is None) == (prefix == 0)


def test_initial_weights_depend_only_on_the_generator() -> None:
    first, again, other = (build(small(), seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["output_head.weight"], other["output_head.weight"])


def test_initial_halt_logits_are_minus_five() -> None:
    _, _, halt_logits, _ = step(build(small()))
    assert halt_logits.tolist() == [-5.0, -5.0, -5.0]


def test_the_state_is_detached() -> None:
    state, logits, *_ = step(build(small()))
    assert logits.requires_grad
    assert not state.answer.requires_grad
    assert not state.latent.requires_grad


def test_only_the_last_h_cycle_is_differentiated() -> None:
    """The gradient equals that of one cycle that starts from the state after the earlier ones."""
    two, one = build(small(h_cycles=2)), build(small(h_cycles=1))
    inputs, identifiers = puzzles()
    embedded = two.embed(inputs, two.puzzle_vectors(identifiers))
    with torch.no_grad():
        middle = one(one.initial_state(3), embedded).state
    one(middle, one.embed(inputs, one.puzzle_vectors(identifiers))).logits.square().sum().backward()
    two(two.initial_state(3), embedded).logits.square().sum().backward()
    for (name, expected), actual in zip(one.named_parameters(), two.parameters(), strict=True):
        if expected.grad is not None:
            torch.testing.assert_close(actual.grad, expected.grad, msg=name)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_activations_have_the_forward_type_and_weights_no_less_than_float32(
    dtype: torch.dtype,
) -> None:
    model = build(small(forward_dtype=str(dtype).removeprefix("torch.")))
    state, logits, halt_logits, _ = step(model)
    assert state.answer.dtype == logits.dtype == dtype
    assert halt_logits.dtype == torch.promote_types(dtype, torch.float32)
    assert {p.dtype for p in model.parameters()} == {torch.promote_types(dtype, torch.float32)}
    exact = build(small())
    torch.testing.assert_close(
        logits.float(), step(exact)[1], atol=0.4 if dtype == torch.bfloat16 else 1e-4, rtol=0
    )


def test_the_puzzle_embedding_is_a_buffer() -> None:
    model = build(small())
    assert "puzzle_embedding.weight" not in dict(model.named_parameters())
    assert model.state_dict()["puzzle_embedding.weight"].shape == (4, 16)
    assert model.state_dict()["puzzle_embedding.weight"].abs().sum() == 0


def test_rows_of_a_batch_are_independent() -> None:
    model = build(small(mlp_t=True, pos_encodings="none"))
    inputs, identifiers = puzzles()
    with torch.no_grad():
        together = model(
            model.initial_state(3), model.embed(inputs, model.puzzle_vectors(identifiers))
        )
        alone = model(
            model.initial_state(1), model.embed(inputs[1:2], model.puzzle_vectors(identifiers[1:2]))
        )
    torch.testing.assert_close(together.logits[1:2], alone.logits, atol=1e-5, rtol=0)


def test_published_sudoku_model_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        mlp = TinyRecursiveModel(TRMConfig(mlp_t=True, pos_encodings="none"), PuzzleSpec(11, 81))
        attention = TinyRecursiveModel(TRMConfig(), PuzzleSpec(11, 81))
    assert mlp.num_parameters == 5_028_866
    assert attention.num_parameters == 6_828_034


def test_shapes_are_checked_while_testing() -> None:
    model = build(small())
    with pytest.raises(jaxtyping.TypeCheckError, match="batch"):
        model.embed(torch.zeros(3, 9, dtype=torch.int32), torch.zeros(2, 16))


def test_depth_overrides_the_depth_of_the_model() -> None:
    shallow, deep = build(small(h_cycles=1, l_cycles=3)), build(small())
    inputs, identifiers = puzzles()
    embedded = deep.embed(inputs, deep.puzzle_vectors(identifiers))
    output = deep(deep.initial_state(3), embedded, Depth(1, 3))
    assert torch.equal(output.logits, shallow(shallow.initial_state(3), embedded).logits)
    assert not torch.equal(output.logits, deep(deep.initial_state(3), embedded).logits)


def test_damping_scales_every_update() -> None:
    model = build(small(h_cycles=1, l_cycles=1, damping=0.75))
    inputs, identifiers = puzzles()
    embedded = model.embed(inputs, model.puzzle_vectors(identifiers))
    answer, latent = model.initial_state(3)
    latent = 0.25 * latent + 0.75 * model.core.apply_network(latent, answer + embedded)
    answer = 0.25 * answer + 0.75 * model.core.apply_network(answer, latent)
    output = model(model.initial_state(3), embedded)
    torch.testing.assert_close(output.state.answer, answer)
    torch.testing.assert_close(output.state.latent, latent)


def test_noise_is_added_after_each_application() -> None:
    model = build(small(h_cycles=2, l_cycles=2))
    inputs, identifiers = puzzles()
    embedded = model.embed(inputs, model.puzzle_vectors(identifiers))
    state, rng = model.initial_state(3), torch.Generator()
    plain = model(state, embedded)
    assert torch.equal(model(state, embedded, None, StateNoise(0.0, rng)).logits, plain.logits)
    apply, updated = model.core.apply_network, list[Tensor]()

    def recorded(hidden: Tensor, injected: Tensor) -> Tensor:
        updated.append(apply(hidden, injected))
        return updated[-1]

    model.core.apply_network = recorded
    output = model(state, embedded, None, StateNoise(0.5, rng.manual_seed(3)))
    assert len(updated) == 2 * 3
    rng.manual_seed(3)
    noise = [0.5 * torch.randn(updated[0].shape, generator=rng) for _ in updated]
    torch.testing.assert_close(output.state.latent, (updated[-2] + noise[-2]).detach())
    torch.testing.assert_close(output.state.answer, (updated[-1] + noise[-1]).detach())
    assert not torch.equal(output.logits, plain.logits)


AXES = ((0, 0, 0, 1, 1, 1, 2, 2, 2), (0, 1, 2, 0, 1, 2, 0, 1, 2), (0, 0, 1, 0, 0, 1, 0, 1, 1))


def test_rows_and_columns_rotate_heads_and_the_prefix_does_not() -> None:
    axes = (tuple(n // 3 for n in range(9)), tuple(n % 3 for n in range(9)), (0,) * 9)
    config = small(pos_encodings="rope2d", num_heads=4)
    model = TinyRecursiveModel(config, dataclasses.replace(SPEC, cell_axes=axes))
    cos, sin = model.core.cos, model.core.sin
    assert cos is not None
    assert sin is not None
    assert cos.shape == (config.prefix_len + 9, config.head_dim)
    assert cos[: config.prefix_len].eq(1).all()
    assert sin[: config.prefix_len].eq(0).all()
    cells = sin[config.prefix_len :].view(3, 3, 4)
    assert (cells[:, :, 0] == cells[:, :1, 0]).all()  # the first half of a head: by row
    assert (cells[:, :, 1] == cells[:1, :, 1]).all()  # the second: by column
    assert not (cells[:, :, 0] == cells[:1, :, 0]).all()


def test_rows_and_columns_need_a_board_and_whole_heads() -> None:
    with pytest.raises(ConfigError, match="puzzles of this task have no rows and columns"):
        build(small(pos_encodings="rope2d", num_heads=4))
    with pytest.raises(ValueError, match="width divisible by 4, not 2"):
        small(pos_encodings="rope2d", num_heads=8)


@pytest.mark.parametrize("mlp_t", [False, True])
def test_grid_positions_are_sums_over_the_axes_of_a_cell(mlp_t: bool) -> None:
    config = small(pos_encodings="grid", mlp_t=mlp_t)
    spec = dataclasses.replace(SPEC, cell_axes=AXES)
    model = TinyRecursiveModel(config, spec, generator=torch.Generator().manual_seed(0))
    assert model.embedding.axes is not None
    assert [tuple(axis.weight.shape) for axis in model.embedding.axes] == [
        (3, 16),
        (3, 16),
        (2, 16),
    ]
    tokens = torch.randint(0, 6, (2, 9), generator=torch.Generator().manual_seed(1))
    vectors = torch.ones(2, 16)
    embedded = model.embed(tokens, vectors)
    rows, columns, boxes = (axis.weight for axis in model.embedding.axes)
    for place in range(9):
        row, column, box = (axis[place] for axis in AXES)
        parts = (
            model.embedding.token.weight[tokens[:, place]]
            + rows[row]
            + columns[column]
            + boxes[box]
        )
        assert torch.allclose(embedded[:, config.prefix_len + place], 4 * parts / 2)
    assert torch.allclose(embedded[:, 0], torch.full((2, 16), 4 / 2))


def test_grid_positions_need_axes() -> None:
    with pytest.raises(
        ConfigError, match=r"^model\.pos_encodings = grid: .* no axes\. Use learned"
    ):
        build(small(pos_encodings="grid"))
