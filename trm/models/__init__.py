"""The model: layers, embeddings, the recursion, halting and losses. Only torch below."""

from trm.config.model import PuzzleSpec
from trm.models.best_latent import StateNoise, best_latent_step
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
from trm.models.recursion import Depth, LatentState, Noise
from trm.models.trm import StepOutput, TinyRecursiveModel

__all__ = [
    "LOSSES",
    "Carry",
    "Depth",
    "LatentState",
    "Noise",
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
