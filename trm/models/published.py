"""The tensor names of the published code, and ours for them."""

import re
from collections.abc import Mapping

from torch import Tensor

#: Published name (without the wrappers' prefixes) to ours; ``{}`` stands for a layer's number.
NAMES = {
    "H_init": "answer_init",
    "L_init": "latent_init",
    "embed_tokens.embedding_weight": "embedding.token.weight",
    "embed_pos.embedding_weight": "embedding.position.weight",
    "puzzle_emb.weights": "puzzle_embedding.weight",
    "lm_head.weight": "output_head.weight",
    "q_head.weight": "halt_head.weight",
    "q_head.bias": "halt_head.bias",
    "L_level.layers.{}.self_attn.qkv_proj.weight": "core.layers.{}.mixer.qkv.weight",
    "L_level.layers.{}.self_attn.o_proj.weight": "core.layers.{}.mixer.out.weight",
    "L_level.layers.{}.mlp_t.gate_up_proj.weight": "core.layers.{}.mixer.gate_up.weight",
    "L_level.layers.{}.mlp_t.down_proj.weight": "core.layers.{}.mixer.down.weight",
    "L_level.layers.{}.mlp.gate_up_proj.weight": "core.layers.{}.mlp.gate_up.weight",
    "L_level.layers.{}.mlp.down_proj.weight": "core.layers.{}.mlp.down.weight",
}

_PREFIX = re.compile(r"^(_orig_mod\.)?(model\.)?(inner\.)?")
_LAYER = re.compile(r"(?<=layers\.)\d+(?=\.)")


def from_published(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a published state dict.

    Raises:
        KeyError: for a name that the published code does not have.
    """
    return {_ours(name): tensor for name, tensor in tensors.items()}


def _ours(name: str) -> str:
    bare = _PREFIX.sub("", name)
    layer = _LAYER.search(bare)
    ours = NAMES[_LAYER.sub("{}", bare)]
    return ours.format(layer.group()) if layer else ours
