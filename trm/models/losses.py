"""The losses: the answer's, by stablemax or softmax, and the halting head's.

Sums over the batch, as published (``models/losses.py``); the engine divides by the batch size.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

IGNORE_LABEL = -100

Logits = Float[Tensor, "batch seq vocab"]
Labels = Int[Tensor, "batch seq"]


class StepLoss(NamedTuple):
    """The loss of a supervision step, and what it was computed from on the way.

    Attributes:
        total: what is minimised, summed over the batch.
        answer, halting: its two parts, detached; neither is weighted in any way.
        cell_accuracy: share of each row's scored cells that are right.
        exact: whether all of them are.
        scored: whether a row has any scored cell.
    """

    total: Float[Tensor, ""]
    answer: Float[Tensor, ""]
    halting: Float[Tensor, ""]
    cell_accuracy: Float[Tensor, " batch"]
    exact: Bool[Tensor, " batch"]
    scored: Bool[Tensor, " batch"]


def wide_dtype(device: torch.device) -> torch.dtype:
    """float64 where the device has it, else float32."""
    return torch.float32 if device.type == "mps" else torch.float64


def stablemax_cross_entropy(
    logits: Logits, labels: Labels, smoothing: float = 0.0
) -> Float[Tensor, "batch seq"]:
    """Cross-entropy of s(x) / sum s(x), s(x) = x + 1 or 1 / (1 - x) (Prieto et al. 2025).

    Ignored labels have loss 0. ``smoothing`` is the share of a target that all tokens have equally.
    """
    x = logits.to(wide_dtype(logits.device))
    # The absolute value keeps the branch that is not taken away from a division by zero.
    s = torch.where(x < 0, 1 / (1 + x.abs()), x + 1)
    scored = labels != IGNORE_LABEL
    index = torch.where(scored, labels, 0).to(torch.int64).unsqueeze(-1)
    log_probability = torch.log(s.gather(-1, index).squeeze(-1) / s.sum(-1))
    if smoothing:
        uniform = (s.log() - s.sum(-1, keepdim=True).log()).mean(-1)
        log_probability = torch.lerp(log_probability, uniform, smoothing)
    return torch.where(scored, -log_probability, 0)


def softmax_cross_entropy(
    logits: Logits, labels: Labels, smoothing: float = 0.0
) -> Float[Tensor, "batch seq"]:
    """The usual cross-entropy, in float32 at least; see :func:`stablemax_cross_entropy`."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(
        wide.flatten(0, 1),
        labels.flatten().to(torch.int64),
        ignore_index=IGNORE_LABEL,
        reduction="none",
        label_smoothing=smoothing,
    ).view(labels.shape)


LOSSES: dict[str, Callable[[Logits, Labels, float], Float[Tensor, "batch seq"]]] = {
    "stablemax": stablemax_cross_entropy,
    "softmax": softmax_cross_entropy,
}


def answer_losses(
    logits: Logits, labels: Labels, loss: str = "stablemax", smoothing: float = 0.0
) -> Float[Tensor, " batch"]:
    """The answer's loss of each row, its cells averaged; see :func:`step_loss`."""
    return _cell_losses(logits, labels, loss, smoothing).sum(-1)


def step_loss(
    logits: Logits,
    halt_logits: Float[Tensor, " batch"],
    labels: Labels,
    loss: str = "stablemax",
    *,
    smoothing: float = 0.0,
    halting_weight: float = 0.5,
    weights: Float[Tensor, " batch"] | None = None,
) -> StepLoss:
    """The answer's loss, a row's cells averaged, and a share of the halting head's.

    The halting head learns whether the answer of this step is exactly right (paper section 4.6).

    Args:
        logits, halt_logits: of a supervision step.
        labels: the right tokens, ``IGNORE_LABEL`` where nothing is scored.
        loss: of ``LOSSES``, the answer's.
        smoothing: the share of a cell's target that all tokens have equally.
        halting_weight: the share of the halting loss; published, half.
        weights: how much each row counts in the total; published, all alike.
    """
    scored = labels != IGNORE_LABEL
    counts = scored.sum(-1)
    right = ((logits.argmax(-1) == labels) & scored).sum(-1)
    exact = right == counts
    cells = _cell_losses(logits, labels, loss, smoothing)
    halts = F.binary_cross_entropy_with_logits(
        halt_logits, exact.to(halt_logits.dtype), reduction="none"
    )
    answer, halting = cells.sum(), halts.sum()
    total = answer + halting_weight * halting
    if weights is not None:
        total = (weights * (cells.sum(-1) + halting_weight * halts)).sum()
    return StepLoss(
        total=total,
        answer=answer.detach(),
        halting=halting.detach(),
        cell_accuracy=right / counts.clamp_min(1),
        exact=exact,
        scored=counts > 0,
    )


def _cell_losses(
    logits: Logits, labels: Labels, loss: str, smoothing: float
) -> Float[Tensor, "batch seq"]:
    """The losses of the cells, as shares of their row's."""
    counts = (labels != IGNORE_LABEL).sum(-1, keepdim=True)
    return LOSSES[loss](logits, labels, smoothing) / counts.clamp_min(1)
