"""The tensor names of the published code, and ours for them."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

#: Published name (without the wrappers' prefixes) to ours; ``{}`` stands for a layer's number.
#: In the order of a published state dict, in which layers follow each other as a whole.
NAMES = {
    "H_init": "answer_init",
    "L_init": "latent_init",
    "embed_tokens.embedding_weight": "embedding.token.weight",
    "lm_head.weight": "output_head.weight",
    "q_head.weight": "halt_head.weight",
    "q_head.bias": "halt_head.bias",
    "puzzle_emb.weights": "puzzle_embedding.weight",
    "embed_pos.embedding_weight": "embedding.position.weight",
    "L_level.layers.{}.self_attn.qkv_proj.weight": "core.layers.{}.mixer.qkv.weight",
    "L_level.layers.{}.self_attn.o_proj.weight": "core.layers.{}.mixer.out.weight",
    "L_level.layers.{}.mlp_t.gate_up_proj.weight": "core.layers.{}.mixer.gate_up.weight",
    "L_level.layers.{}.mlp_t.down_proj.weight": "core.layers.{}.mixer.down.weight",
    "L_level.layers.{}.mlp.gate_up_proj.weight": "core.layers.{}.mlp.gate_up.weight",
    "L_level.layers.{}.mlp.down_proj.weight": "core.layers.{}.mlp.down.weight",
}
#: What the published trainer's wrappers (the compiled loss head around the model) put before.
PREFIX = "_orig_mod.model.inner."

_THEIRS = {ours: theirs for theirs, ours in NAMES.items()}
_ORDER = {ours: place for place, ours in enumerate(NAMES.values())}
#: Kept by the published code in the type of the activations; all else is float32.
_ACTIVATIONS = {"answer_init", "latent_init"}
_PREFIX = re.compile(r"^(_orig_mod\.)?(model\.)?(inner\.)?")
_LAYER = re.compile(r"(?<=layers\.)\d+(?=\.)")


def from_published(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a published state dict.

    Raises:
        KeyError: for a name that the published code does not have.
    """
    return {trm_name(name): tensor for name, tensor in tensors.items()}


def to_published(
    tensors: Mapping[str, Tensor], dtype: torch.dtype = torch.float32, prefix: str = PREFIX
) -> dict[str, Tensor]:
    """The state dict that the published code has for a model of ours: names, order and types.

    Args:
        tensors: by our names.
        dtype: of the activations, in which the published code keeps the initial states, too.
        prefix: what stands before each name.

    Raises:
        KeyError: for a name that no model of ours has.
    """
    return {
        prefix + published_name(name): tensors[name].to(
            dtype if name in _ACTIVATIONS else torch.float32
        )
        for name in sorted(tensors, key=_place)
    }


def trm_name(name: str) -> str:
    """Our name of a published tensor, with or without the wrappers' prefixes.

    Raises:
        KeyError: if the published code has none of this name.
    """
    template, layer = _split(_PREFIX.sub("", name))
    return NAMES[template].format(layer)


def published_name(name: str) -> str:
    """The published name of a tensor of ours, without the wrappers' prefixes.

    Raises:
        KeyError: if no model of ours has one of this name.
    """
    template, layer = _split(name)
    return _THEIRS[template].format(layer)


def _split(name: str) -> tuple[str, str]:
    """A name with ``{}`` for the layer's number, and that number, empty where there is none."""
    layer = _LAYER.search(name)
    return (_LAYER.sub("{}", name), layer.group()) if layer else (name, "")


def _place(name: str) -> tuple[int, int]:
    template, layer = _split(name)
    return int(layer or -1), _ORDER[template]
