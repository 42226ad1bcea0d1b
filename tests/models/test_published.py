"""The published tensor names."""

import pytest
import torch

from trm.models.published import from_published

X = torch.zeros(1)


def test_wrappers_prefixes_are_dropped() -> None:
    names = ("_orig_mod.model.inner.q_head.bias", "model.inner.q_head.bias", "q_head.bias")
    assert [list(from_published({name: X})) for name in names] == [["halt_head.bias"]] * 3


def test_layers_keep_their_numbers() -> None:
    found = from_published({"model.inner.L_level.layers.11.self_attn.qkv_proj.weight": X})
    assert list(found) == ["core.layers.11.mixer.qkv.weight"]


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError, match="L_level"):
        from_published({"model.inner.L_level.layers.0.conv.weight": X})
