"""The model: layers, embeddings, the recursion, halting and losses. Only torch below."""

from trm.config.model import PuzzleSpec
from trm.models.best_latent import StateNoise, advance
from trm.models.carry import (
    Puzzles,
    RolloutState,
    halts,
    joined_rollouts,
    replace_halted,
    start_rollout,
)
from trm.models.core import StepOutput, TinyRecursiveModel
from trm.models.embedding import PuzzleEmbedding, sign_sgd_
from trm.models.losses import LOSSES, StepLoss, answer_losses, step_loss
from trm.models.recursion import Depth, LatentState, Noise

__all__ = [
    "LOSSES",
    "Depth",
    "LatentState",
    "Noise",
    "PuzzleEmbedding",
    "PuzzleSpec",
    "Puzzles",
    "RolloutState",
    "StateNoise",
    "StepLoss",
    "StepOutput",
    "TinyRecursiveModel",
    "advance",
    "answer_losses",
    "halts",
    "joined_rollouts",
    "replace_halted",
    "sign_sgd_",
    "start_rollout",
    "step_loss",
]
