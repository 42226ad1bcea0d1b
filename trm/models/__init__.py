"""The model: layers, embeddings, the recursion, halting and losses. Only torch below."""

from trm.config.model import PuzzleSpec
from trm.models.best_latent import StateNoise, advance
from trm.models.carry import (
    Carry,
    Puzzles,
    concat_carries,
    halts,
    initial_carry,
    replace_halted,
)
from trm.models.core import StepOutput, TinyRecursiveModel
from trm.models.embedding import PuzzleEmbedding, sign_sgd_
from trm.models.losses import LOSSES, StepLoss, answer_losses, step_loss
from trm.models.recursion import Depth, LatentState, Noise

__all__ = [
    "LOSSES",
    "Carry",
    "Depth",
    "LatentState",
    "Noise",
    "PuzzleEmbedding",
    "PuzzleSpec",
    "Puzzles",
    "StateNoise",
    "StepLoss",
    "StepOutput",
    "TinyRecursiveModel",
    "advance",
    "answer_losses",
    "concat_carries",
    "halts",
    "initial_carry",
    "replace_halted",
    "sign_sgd_",
    "step_loss",
]
