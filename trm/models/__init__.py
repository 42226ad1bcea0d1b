"""The model in PyTorch: layers, recursion, embeddings, halting and losses.

Read :mod:`trm.models.trm` from top to bottom; :mod:`trm.models.layers` has the layers it uses.
"""

from trm.config.model import PuzzleSpec
from trm.models.best_latent import best_latent_step
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
from trm.models.trm import Depth, LatentState, StateNoise, StepOutput, TinyRecursiveModel

__all__ = [
    "LOSSES",
    "Carry",
    "Depth",
    "LatentState",
    "PuzzleBatch",
    "PuzzleEmbedding",
    "PuzzleSpec",
    "StateNoise",
    "StepLoss",
    "StepOutput",
    "TinyRecursiveModel",
    "answer_losses",
    "best_latent_step",
    "concat_carries",
    "initial_carry",
    "replace_halted",
    "should_halt",
    "sign_sgd_",
    "step_loss",
]
