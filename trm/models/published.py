"""How the published code names the parts of a model: its settings and its tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Published names under ``arch``, and trm's model settings: those of every model.
COMMON = {
    "expansion": "expansion",
    "forward_dtype": "forward_dtype",
    "halt_exploration_prob": "halt_exploration_prob",
    "halt_max_steps": "halt_max_steps",
    "hidden_size": "hidden_size",
    "num_heads": "num_heads",
    "pos_encodings": "pos_encodings",
    "puzzle_emb_ndim": "puzzle_emb_dim",
    "rms_norm_eps": "rms_norm_eps",
    "rope_theta": "rope_theta",
}
#: Those of a model with cycles.
WITH_CYCLES = {
    **COMMON,
    "H_cycles": "h_cycles",
    "L_cycles": "l_cycles",
    "L_layers": "l_layers",
    "mlp_t": "mlp_t",
}
#: Those of a model with cycles whose prefix may be longer than the puzzle embedding.
WITH_PREFIX = {**WITH_CYCLES, "puzzle_emb_len": "puzzle_emb_len"}


@dataclass(frozen=True)
class PublishedModel:
    """A model of the published code.

    Attributes:
        network: the value of ``arch.name``.
        settings: published names under ``arch``, and the model's settings.
        networks: its networks: ``L_level`` is ``core.layers`` here, ``H_level`` is
            ``core.answer_layers``.
        fixed: published names under ``arch`` with the only value that they may have.
        implied: the model's settings that the published code does not have, with the value that it
            implies.
        may_continue: whether ``no_ACT_continue`` says if continuing is learned.
        without_effect: other names under ``arch`` that the published code ignores, with the value
            to write if it requires one, or else None.
    """

    network: str
    settings: Mapping[str, str]
    networks: tuple[str, ...] = ("L_level",)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    implied: Mapping[str, Any] = field(default_factory=dict)
    may_continue: bool = True
    without_effect: Mapping[str, Any] = field(default_factory=dict)
