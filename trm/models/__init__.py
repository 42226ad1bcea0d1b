"""The model in PyTorch: layers, recursion, embeddings, halting and losses.

Read :mod:`trm.models.trm`, then what it stands on: :mod:`trm.models.recursion` (the cycles),
:mod:`trm.models.base` (embeddings and heads) and :mod:`trm.models.layers`. The other models are in
:mod:`trm.models.kinds`.
"""

from trm.config.model import PuzzleSpec
from trm.models.base import Depth, Passes, RecursiveModel, State, StateNoise, StepOutput
from trm.models.carry import (
    Carry,
    PuzzleBatch,
    concat_carries,
    initial_carry,
    replace_halted,
    should_halt,
)
from trm.models.losses import LOSSES, StepLoss, answer_losses, step_loss
from trm.models.puzzle_embedding import PuzzleEmbedding, sign_sgd_
from trm.models.registry import create_model, get_model_class, list_model_kinds
from trm.models.trm import LatentState, TinyRecursiveModel

__all__ = [
    "LOSSES",
    "Carry",
    "Depth",
    "LatentState",
    "Passes",
    "PuzzleBatch",
    "PuzzleEmbedding",
    "PuzzleSpec",
    "RecursiveModel",
    "State",
    "StateNoise",
    "StepLoss",
    "StepOutput",
    "TinyRecursiveModel",
    "answer_losses",
    "concat_carries",
    "create_model",
    "get_model_class",
    "initial_carry",
    "list_model_kinds",
    "replace_halted",
    "should_halt",
    "sign_sgd_",
    "step_loss",
]
