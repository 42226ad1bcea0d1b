"""The normed SwiGLU; the published one is held against the published numbers."""

import pytest
import torch

from tests.models.test_trm import small
from trm.errors import ConfigError
from trm.models.layers import VARIABLE, SwiGLU, TokenSwiGLU, chosen_gated
from trm.models.swiglu import plain_gated


def test_the_published_one_is_chosen_unless_asked_otherwise() -> None:
    assert chosen_gated(small()) is plain_gated


@pytest.mark.parametrize("size", [1.0, 100.0])
def test_normed_by_hand(size: float) -> None:
    rng = torch.Generator().manual_seed(0)
    layer = SwiGLU(6, 5, chosen_gated(small(swiglu="normed")))
    weight = size * torch.randn(10, 6, generator=rng)
    x = torch.randn(2, 3, 6, generator=rng)
    gate, up = x @ weight[:5].T, x @ weight[5:].T
    product = gate * up
    normed = product / (product.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    found = layer.gated(weight, x, -1)
    torch.testing.assert_close(found, torch.sigmoid(gate) * normed)
    assert found.abs().max() < 5**0.5 + 1e-3  # however large the weights


def test_normed_over_tokens_is_the_same_turned() -> None:
    rng = torch.Generator().manual_seed(0)
    mixer = TokenSwiGLU(9, 16, chosen_gated(small(swiglu="normed"))).double()
    x = torch.randn(2, 9, 8, generator=rng, dtype=torch.float64)
    turned = mixer(x)  # with a gradient on a CPU the tokens are turned to the last axis
    torch.testing.assert_close(turned, mixer.on_left(x))


def test_there_is_no_triton_kernel_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "triton")
    with pytest.raises(ConfigError, match=r"triton has no kernel for model\.swiglu = normed"):
        chosen_gated(small(swiglu="normed"))
