"""The published tensor names."""

import pytest
import torch

from trm.checkpoints.published.tensor_names import published_name, to_published, trm_name
from trm.config import TRMConfig
from trm.models import PuzzleSpec, TinyRecursiveModel

X = torch.zeros(1)


def test_the_prefixes_of_wrappers_are_removed() -> None:
    for name in ("_orig_mod.model.inner.q_head.bias", "model.inner.q_head.bias", "q_head.bias"):
        assert trm_name(name) == "halt_head.bias"


def test_layers_keep_their_numbers() -> None:
    name = "model.inner.L_level.layers.11.self_attn.qkv_proj.weight"
    assert trm_name(name) == "core.layers.11.mixer.qkv.weight"


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError, match="L_level"):
        trm_name("model.inner.L_level.layers.0.conv.weight")


def test_there_and_back_in_the_published_order() -> None:
    config = TRMConfig(hidden_size=16, num_heads=2, l_layers=11, pos_encodings="learned")
    original = TinyRecursiveModel(config, PuzzleSpec(5, 6, 3)).state_dict()
    published = to_published(dict(reversed(original.items())), torch.bfloat16)
    bare = [name.removeprefix("_orig_mod.model.inner.") for name in published]
    assert bare[:8] == [
        "H_init", "L_init", "embed_tokens.embedding_weight", "lm_head.weight", "q_head.weight",
        "q_head.bias", "puzzle_emb.weights", "embed_pos.embedding_weight",
    ]  # fmt: skip
    assert bare[8:10] == [f"L_level.layers.0.self_attn.{n}_proj.weight" for n in ("qkv", "o")]
    assert bare[-1] == "L_level.layers.10.mlp.down_proj.weight"
    narrow = {name for name, tensor in published.items() if tensor.dtype == torch.bfloat16}
    assert narrow == set(list(published)[:2])
    assert [published_name(trm_name(name)) for name in published] == bare
    back = {trm_name(name): tensor for name, tensor in published.items()}
    assert back.keys() == original.keys()
    assert all(torch.equal(back[name], original[name].to(back[name].dtype)) for name in original)


def test_a_tensor_that_no_model_has_is_an_error() -> None:
    with pytest.raises(KeyError, match="conv"):
        to_published({"core.layers.0.conv.weight": X})
