"""The layers: norm, SwiGLU, attention, rotary positions, block."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.models.small_model import small
from trm.config import TRMConfig
from trm.errors import ConfigError
from trm.models.layers import (
    KERNELS_VARIABLE,
    Attention,
    Block,
    SwiGLU,
    TokenSwiGLU,
    rms_norm,
    rotary_table,
    rotate,
    select_glu,
    silu_glu,
    swiglu_width,
    truncated_normal_,
)

#: In a process of its own, so that no other test pays for these checks.
SHAPES = """
import sys
import torch
from jaxtyping import install_import_hook
sys.pycache_prefix = sys.argv[1]  # without the bytecode of modules that were not checked
install_import_hook("trm.models", "beartype.beartype")
from tests.models.small_model import build, puzzles, small

inputs, identifiers = puzzles()
for settings in {}, {"mlp_t": True, "pos_encodings": "none"}, {"swiglu": "normed"}:
    model = build(small(**settings))
    for grad in True, False:
        with torch.set_grad_enabled(grad):
            embedded = model.embed(inputs, model.puzzle_vectors(identifiers))
            model(model.initial_state(3), embedded)
print("checked")
model.core.layers[0](embedded[0], None)
"""


def test_shapes_fit_the_signatures(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHAPES, tmp_path], cwd=Path(__file__).parents[2],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "checked\n", done.stderr
    assert done.returncode == 1  # the last call lacks an axis
    assert "TypeCheckError" in done.stderr


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_rms_norm_gives_unit_root_mean_square(rng: torch.Generator) -> None:
    x = rms_norm(3 * torch.randn(4, 5, 64, generator=rng), 0.0)
    torch.testing.assert_close(x.square().mean(-1), torch.ones(4, 5))


def test_rms_norm_computes_in_float32_and_keeps_the_dtype(
    rng: torch.Generator,
) -> None:
    x = torch.randn(2, 3, 64, generator=rng).to(torch.bfloat16)
    torch.testing.assert_close(rms_norm(x, 1e-5), rms_norm(x.float(), 1e-5).to(torch.bfloat16))


@pytest.mark.parametrize(
    ("width", "multiple", "expected"),
    [(512, 256, 1536), (97, 256, 512), (128, 16, 352), (32, 16, 96), (384, 1, 1024)],
)
def test_swiglu_width(width: int, multiple: int, expected: int) -> None:
    assert swiglu_width(width, 4.0, multiple) == expected


def test_truncated_normal_has_the_given_deviation_after_the_cut(rng: torch.Generator) -> None:
    x = torch.empty(400_000)
    truncated_normal_(x, 0.5, rng)
    assert x.std().item() == pytest.approx(0.5, rel=5e-3)
    assert x.abs().max().item() <= 2 * 0.5 / 0.8796 + 1e-4


def test_rotary_scores_depend_only_on_the_distance(rng: torch.Generator) -> None:
    table = rotary_table(torch.arange(10)[None], 8, 10000.0)
    query, key = torch.randn(2, 1, 1, 1, 8, generator=rng).expand(2, 1, 1, 10, 8)
    scores = rotate(query, table) @ rotate(key, table).transpose(-1, -2)
    for offset in range(-3, 4):
        diagonal = scores[0, 0].diagonal(offset)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5, rtol=0)


def test_rotary_scores_of_a_board_depend_only_on_both_distances(rng: torch.Generator) -> None:
    row, column = torch.arange(12) // 4, torch.arange(12) % 4
    table = rotary_table(torch.stack([row, column]), 16, 10000.0)
    query, key = torch.randn(2, 1, 1, 1, 16, generator=rng).expand(2, 1, 1, 12, 16)
    scores = (rotate(query, table) @ rotate(key, table).transpose(-1, -2))[0, 0]
    by_distance: dict[tuple[int, int], list[float]] = {}
    for one in range(12):
        for two in range(12):
            distance = (int(row[two] - row[one]), int(column[two] - column[one]))
            by_distance.setdefault(distance, []).append(scores[one, two].item())
    means = []
    for found in by_distance.values():
        assert found == pytest.approx([found[0]] * len(found), abs=1e-5)
        means.append(round(found[0], 4))
    assert len(set(means)) == len(by_distance) == 5 * 7  # each distance has its own


def test_attention_without_positions_ignores_the_order(rng: torch.Generator) -> None:
    layer, x = Attention(16, 4), torch.randn(2, 7, 16, generator=rng)
    order = torch.randperm(7, generator=rng)
    torch.testing.assert_close(layer(x[:, order], None), layer(x, None)[:, order])


@pytest.mark.parametrize("mlp_t", [False, True])
def test_a_block_ends_normalised(mlp_t: bool, rng: torch.Generator) -> None:
    config = TRMConfig(hidden_size=32, num_heads=2, mlp_t=mlp_t, swiglu_multiple=16)
    out = Block(config, 7)(torch.randn(3, 7, 32, generator=rng), None)
    torch.testing.assert_close(out.square().mean(-1), torch.ones(3, 7), atol=1e-3, rtol=0)


def test_swiglus_have_the_published_sizes() -> None:
    config = TRMConfig(mlp_t=True, pos_encodings="none")
    block = Block(config, 97)
    shapes = {name: tuple(p.shape) for name, p in block.named_parameters()}
    assert shapes == {
        "mixer.gate_up.weight": (1024, 97),
        "mixer.down.weight": (97, 512),
        "mlp.gate_up.weight": (3072, 512),
        "mlp.down.weight": (512, 1536),
    }
    assert math.prod(shapes["mlp.down.weight"]) == 786_432


def test_weights_on_the_left_give_the_same_result_and_gradient(rng: torch.Generator) -> None:
    mixer = TokenSwiGLU(9, 16, silu_glu).double()
    x = torch.randn(3, 9, 5, generator=rng, dtype=torch.float64, requires_grad=True)
    inputs = (x, *mixer.parameters())
    plain, left = mixer(x), mixer.left_multiply(x)
    torch.testing.assert_close(left, plain)
    towards = torch.randn(plain.shape, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad(left, inputs, towards), torch.autograd.grad(plain, inputs, towards)
    )
    with torch.no_grad():
        torch.testing.assert_close(mixer(x), plain)


def test_the_published_swiglu_is_the_default() -> None:
    assert select_glu(small()) is silu_glu


@pytest.mark.parametrize("size", [1.0, 100.0])
def test_normed_swiglu_by_hand(size: float, rng: torch.Generator) -> None:
    layer = SwiGLU(6, 5, select_glu(small(swiglu="normed")))
    weight = size * torch.randn(10, 6, generator=rng)
    x = torch.randn(2, 3, 6, generator=rng)
    gate, up = x @ weight[:5].T, x @ weight[5:].T
    product = gate * up
    normed = product / (product.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    actual = layer.glu(weight, x, -1)
    torch.testing.assert_close(actual, torch.sigmoid(gate) * normed)
    assert actual.abs().max() < 5**0.5 + 1e-3  # whatever the size of the weights


def test_normed_swiglu_over_tokens_gives_the_same_on_both_axes(rng: torch.Generator) -> None:
    mixer = TokenSwiGLU(9, 16, select_glu(small(swiglu="normed"))).double()
    x = torch.randn(2, 9, 8, generator=rng, dtype=torch.float64)
    transposed = mixer(x)  # with a gradient on a CPU, the tokens move to the last axis
    torch.testing.assert_close(transposed, mixer.left_multiply(x))


def test_the_normed_swiglu_has_no_triton_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KERNELS_VARIABLE, "triton")
    with pytest.raises(ConfigError, match=r"triton has no kernel for model\.swiglu = normed"):
        select_glu(small(swiglu="normed"))
