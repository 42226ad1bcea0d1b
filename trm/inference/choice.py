"""One answer out of several: the majority's, or the one that the model is surest of."""

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
    """For each example the rollouts whose answer is taken: all of them gave the same one.

    ``vote``: the answer given most often; of those given equally often the one with the higher
    mean halting probability, of those the first. ``halt`` and ``first``: the rollout with the
    highest halting logit, of equals the first.

    Args:
        choose: the rule.
        answers: (rollouts, batch, seq_len).
        logits: (rollouts, batch), the halting logits.
    """
    if choose != "vote":
        return [[best] for best in logits.argmax(axis=0).tolist()]
    return [_most(answers[:, row], logits[:, row]) for row in range(answers.shape[1])]


def _most(answers: NDArray[np.integer[Any]], logits: NDArray[np.floating[Any]]) -> list[int]:
    votes: dict[bytes, list[int]] = {}
    for ballot, answer in enumerate(answers):
        votes.setdefault(answer.tobytes(), []).append(ballot)
    sure = np.tanh(logits.astype(np.float64) / 2)  # rises as the probability does
    return max(votes.values(), key=lambda ones: (len(ones), sure[ones].mean()))


def chosen(choose: Choice, ballots: Sequence[EvalBatch]) -> EvalBatch:
    """The answers taken from several batches of the same examples, see :func:`winners`.

    They keep the mean halting logit and the fewest steps of the rollouts that gave them.
    """
    first = ballots[0]
    if len(ballots) == 1:
        return first
    answers = np.stack([ballot.answers for ballot in ballots])  # (rollouts, batch, seq_len)
    logits = np.stack([ballot.halt_logits for ballot in ballots])
    steps = np.stack([ballot.halt_steps for ballot in ballots])
    taken, logit, step = first.answers.copy(), first.halt_logits.copy(), first.halt_steps.copy()
    for row, ones in enumerate(winners(choose, answers, logits)):
        taken[row] = answers[ones[0], row]
        logit[row] = logits[ones, row].mean()
        step[row] = steps[ones, row].min()
    return replace(first, answers=taken, halt_logits=logit, halt_steps=step)


def majority(ballots: Sequence[EvalBatch]) -> EvalBatch:
    """The answer that most of several batches of the same examples give to each."""
    return chosen("vote", ballots)
