"""One answer out of several: the majority's, or the most confident one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.inference.options import Choice
from trm.tasks.metrics import EvalBatch


def winners(
    choose: Choice, answers: NDArray[np.integer[Any]], logits: NDArray[np.floating[Any]]
) -> list[list[int]]:
    """For each example, the rollouts that gave the chosen answer.

    ``vote`` chooses the most frequent answer; if several are, the one with the highest mean halting
    probability. ``halt`` and ``first`` choose the rollout with the highest halting logit. In a tie
    the first one wins.

    Args:
        choose: the rule.
        answers: (rollouts, batch, seq_len).
        logits: (rollouts, batch), the halting logits.
    """
    if choose != "vote":
        return [[best] for best in logits.argmax(axis=0).tolist()]
    confidence = np.tanh(logits.astype(np.float64) / 2)  # rises with the halting probability
    found = []
    for row in range(answers.shape[1]):
        votes: dict[bytes, list[int]] = {}
        for rollout, answer in enumerate(answers[:, row]):
            votes.setdefault(answer.tobytes(), []).append(rollout)
        own = confidence[:, row]
        found.append(max(votes.values(), key=lambda which: (len(which), own[which].mean())))
    return found


def chosen(choose: Choice, batches: Sequence[EvalBatch]) -> EvalBatch:
    """The chosen answers among those of several rollouts of a batch; see :func:`winners`.

    Their halting logit is the mean, and their halting step the first, of the rollouts that gave
    them. Their steps are the mean of all rollouts.
    """
    first = batches[0]
    if len(batches) == 1:
        return first
    answers = np.stack([batch.answers for batch in batches])  # (rollouts, batch, seq_len)
    logits = np.stack([batch.halt_logits for batch in batches])
    steps = np.stack([batch.halt_steps for batch in batches])
    best, logit, step = first.answers.copy(), first.halt_logits.copy(), first.halt_steps.copy()
    for row, rollouts in enumerate(winners(choose, answers, logits)):
        best[row] = answers[rollouts[0], row]
        logit[row] = logits[rollouts, row].mean()
        step[row] = steps[rollouts, row].min()
    taken = np.stack([batch.steps for batch in batches]).mean(axis=0)
    return replace(first, answers=best, halt_logits=logit, halt_steps=step, steps=taken)


def majority(batches: Sequence[EvalBatch]) -> EvalBatch:
    """The most frequent answers among those of several rollouts of a batch."""
    return chosen("vote", batches)
