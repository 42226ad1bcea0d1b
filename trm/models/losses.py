"""The loss of the answer (stablemax or softmax cross-entropy) and of the halting head.

Losses are sums over the batch, as published (``models/losses.py``). Training divides by the batch
size.
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
    """The loss of a supervision step and its parts.

    Attributes:
        total: the loss to minimise, summed over the batch.
        answer, halting, continuing: its parts, without weights, detached.
        cell_accuracy: share of the scored cells of each row that are correct.
        exact: whether all scored cells of a row are correct.
        scored: whether a row has any scored cell.
    """

    total: Float[Tensor, ""]
    answer: Float[Tensor, ""]
    halting: Float[Tensor, ""]
    continuing: Float[Tensor, ""]
    cell_accuracy: Float[Tensor, " batch"]
    exact: Bool[Tensor, " batch"]
    scored: Bool[Tensor, " batch"]


def widest_dtype(device: torch.device) -> torch.dtype:
    """float64 where the device supports it, else float32."""
    return torch.float32 if device.type == "mps" else torch.float64


def stablemax_cross_entropy(
    logits: Logits, labels: Labels, smoothing: float = 0.0
) -> Float[Tensor, "batch seq"]:
    """Cross-entropy of s(x) / sum s(x) with s(x) = x + 1 if x >= 0, else 1 / (1 - x).

    From Prieto et al. 2025. Computed in float64 where the device supports it.

    Args:
        logits: of a supervision step.
        labels: the correct tokens. Cells with ``IGNORE_LABEL`` have loss 0.
        smoothing: share of the target that is spread over all tokens.
    """
    x = logits.to(widest_dtype(logits.device))
    # abs() avoids a division by zero in the branch that is not used.
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
    """Softmax cross-entropy, in float32 or wider; see :func:`stablemax_cross_entropy`."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(
        wide.flatten(0, 1),
        labels.flatten().to(torch.int64),
        ignore_index=IGNORE_LABEL,
        reduction="none",
        label_smoothing=smoothing,
    ).view(labels.shape)


def answer_probabilities(logits: Logits, loss: str) -> Float[Tensor, "batch seq"]:
    """The probability of each cell's most likely token, as the loss defines probabilities.

    Args:
        logits: of a supervision step.
        loss: the loss that the model was trained with, a key of ``LOSSES``.
    """
    return torch.exp(-LOSSES[loss](logits, logits.argmax(-1), 0.0)).float()


LOSSES: dict[str, Callable[[Logits, Labels, float], Float[Tensor, "batch seq"]]] = {
    "stablemax": stablemax_cross_entropy,
    "softmax": softmax_cross_entropy,
}


def answer_losses(
    logits: Logits, labels: Labels, loss: str = "stablemax", smoothing: float = 0.0
) -> Float[Tensor, " batch"]:
    """The answer loss of each row, the mean over its cells; see :func:`step_loss`."""
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
    continuing: tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]] | None = None,
    extra: Float[Tensor, " batch"] | None = None,
) -> StepLoss:
    """The answer loss, the mean over a row's cells, plus the weighted halting loss.

    The halting head learns whether the answer of this step is exactly right (paper section 4.6).

    Args:
        logits, halt_logits: of a supervision step.
        labels: the correct tokens, ``IGNORE_LABEL`` where nothing is scored.
        loss: the answer loss, a key of ``LOSSES``.
        smoothing: share of a cell's target that is spread over all tokens.
        halting_weight: weight of the halting loss, and of the continue loss; 0.5 as published.
        weights: weight of each row in the total; None for equal weights, as published.
        continuing: the continue logits and their targets, if the model learns them.
        extra: the model's own loss of each row, see :meth:`RecursiveModel.extra_losses`.
    """
    scored = labels != IGNORE_LABEL
    counts = scored.sum(-1)
    correct = ((logits.argmax(-1) == labels) & scored).sum(-1)
    exact = correct == counts
    cell_losses = _cell_losses(logits, labels, loss, smoothing)
    halting_losses = F.binary_cross_entropy_with_logits(
        halt_logits, exact.to(halt_logits.dtype), reduction="none"
    )
    continue_losses = torch.zeros_like(halting_losses)
    if continuing is not None:
        continue_losses = F.binary_cross_entropy_with_logits(*continuing, reduction="none")
    answer, halting = cell_losses.sum(), halting_losses.sum()
    total = answer + halting_weight * (halting + continue_losses.sum())
    if weights is not None:
        of_head = halting_losses + continue_losses
        total = (weights * (cell_losses.sum(-1) + halting_weight * of_head)).sum()
    if extra is not None:
        total = total + (extra if weights is None else weights * extra).sum()
    return StepLoss(
        total=total,
        answer=answer.detach(),
        halting=halting.detach(),
        continuing=continue_losses.sum().detach(),
        cell_accuracy=correct / counts.clamp_min(1),
        exact=exact,
        scored=counts > 0,
    )


def _cell_losses(
    logits: Logits, labels: Labels, loss: str, smoothing: float
) -> Float[Tensor, "batch seq"]:
    """The loss of each cell, divided by the number of scored cells in its row."""
    counts = (labels != IGNORE_LABEL).sum(-1, keepdim=True)
    return LOSSES[loss](logits, labels, smoothing) / counts.clamp_min(1)
