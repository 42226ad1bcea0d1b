"""The tensor names of the published code, and those of trm."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

#: The networks of a model, and their names in trm.
NETWORKS = {"L_level": "layers", "H_level": "answer_layers"}
#: The matrices of a layer, and their names in trm.
_PARTS = {
    "self_attn.qkv_proj": "mixer.qkv",
    "self_attn.o_proj": "mixer.out",
    "mlp_t.gate_up_proj": "mixer.gate_up",
    "mlp_t.down_proj": "mixer.down",
    "mlp.gate_up_proj": "mlp.gate_up",
    "mlp.down_proj": "mlp.down",
}
#: Published name (without the wrappers' prefix) to trm's name; ``{}`` is the number of the layer.
#: The order is that of a published state dict, where all tensors of one layer come together.
_TRM_NAMES = {
    "H_init": "answer_init",
    "L_init": "latent_init",
    **{f"L{number}_init": f"latent_{number}_init" for number in range(1, 7)},
    "embed_tokens.embedding_weight": "embedding.token.weight",
    "lm_head.weight": "output_head.weight",
    "q_head.weight": "halt_head.weight",
    "q_head.bias": "halt_head.bias",
    "puzzle_emb.weights": "puzzle_embedding.weight",
    "embed_pos.embedding_weight": "embedding.position.weight",
    **{
        f"{network}.layers.{{}}.{part}.weight": f"core.{ours}.{{}}.{own}.weight"
        for network, ours in NETWORKS.items()
        for part, own in _PARTS.items()
    },
}
_PUBLISHED_NAMES = {trm: published for published, trm in _TRM_NAMES.items()}
_ORDER = {name: position for position, name in enumerate(_PUBLISHED_NAMES)}
#: The published trainer saves the compiled loss head around the model, which gives this prefix.
PREFIX = "_orig_mod.model.inner."
#: Compilers, wrappers for several devices and averages prepend these, in any order.
_ANY_PREFIX = re.compile(r"^((_orig_mod|module|model|inner)\.)*")
#: The one entry of ``torch.optim.swa_utils.AveragedModel`` that is not a tensor of the model.
AVERAGED_MODEL_COUNTER = "n_averaged"
#: The published code stores the initial states in the dtype of the activations, and all other
#: tensors in float32.
STATE_ENDING = "_init"
_LAYER = re.compile(r"(?<=layers\.)(0|[1-9]\d{0,8})(?=\.)", re.ASCII)


def to_published(
    tensors: Mapping[str, Tensor], dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """The state dict that the published trainer saves: its names, order and dtypes.

    Args:
        tensors: the state dict of a model of trm.
        dtype: of the activations.

    Raises:
        KeyError: for a name that no model of trm has.
    """

    def position(name: str) -> tuple[int, int]:
        template, layer = _split(name)
        return int(layer or -1), _ORDER[template]

    return {
        PREFIX + published_name(name): tensors[name].to(
            dtype if name.endswith(STATE_ENDING) else torch.float32
        )
        for name in sorted(tensors, key=position)
    }


def trm_name(name: str) -> str:
    """The name in trm of a published tensor, with or without the wrappers' prefix.

    Raises:
        KeyError: if the published code has no tensor with this name.
    """
    template, layer = _split(_ANY_PREFIX.sub("", name))
    return _TRM_NAMES[template].format(layer)


def published_name(name: str) -> str:
    """The published name of a tensor of trm, without the wrappers' prefix.

    Raises:
        KeyError: if no model of trm has a tensor with this name.
    """
    template, layer = _split(name)
    return _PUBLISHED_NAMES[template].format(layer)


def _split(name: str) -> tuple[str, str]:
    """A name with ``{}`` for the number of the layer, and that number or an empty string."""
    layer = _LAYER.search(name)
    return (_LAYER.sub("{}", name), layer.group()) if layer else (name, "")
