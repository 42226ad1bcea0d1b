"""The model: layers, embeddings, the recursion, halting and losses. Only torch below."""

from trm.models.core import LatentState, PuzzleSpec, StepOutput, TinyRecursiveModel
from trm.models.embedding import PuzzleEmbedding, sign_sgd_
from trm.models.halting import (
    Puzzles,
    RolloutState,
    halts,
    joined_rollouts,
    replace_halted,
    start_rollout,
)
from trm.models.losses import LOSSES, StepLoss, step_loss

__all__ = [
    "LOSSES",
    "LatentState",
    "PuzzleEmbedding",
    "PuzzleSpec",
    "Puzzles",
    "RolloutState",
    "StepLoss",
    "StepOutput",
    "TinyRecursiveModel",
    "halts",
    "joined_rollouts",
    "replace_halted",
    "sign_sgd_",
    "start_rollout",
    "step_loss",
]
