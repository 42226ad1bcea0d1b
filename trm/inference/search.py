"""Puzzles that are solved together, each in one way or several, until each has its answer."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from trm.inference.choice import winners
from trm.inference.latent_noise import LatentNoise
from trm.inference.options import SolveOptions
from trm.inference.rollouts import Rollouts
from trm.inference.solution import SolutionStep
from trm.inference.symmetric_copies import SymmetricCopies
from trm.models import RecursiveModel
from trm.models.losses import answer_probabilities
from trm.tasks.base import Task, Tokens


class Search:
    """Puzzles on the device.

    A puzzle that has its answer leaves, so that no puzzle waits for another.

    Args:
        model: the model.
        task: whose rules tell a valid board.
        tokens: (batch, seq_len), the puzzles.
        identifiers: (batch,), the rows of their puzzle embeddings.
        options: the options, resolved.
        copies: as many as ``options.votes``.
        noise: what disturbs the latents of all samples but the first.
        loss: the loss that the model was trained with. It defines how confident a cell is.
        guesses: what the rollouts solve instead of copies: the puzzles with one more cell filled
            in, (batch, seq_len) each. There are no copies and samples then.
    """

    def __init__(
        self,
        model: RecursiveModel,
        task: Task,
        tokens: NDArray[np.int32],
        identifiers: NDArray[np.int32],
        options: SolveOptions,
        copies: SymmetricCopies,
        noise: LatentNoise | None,
        loss: str = "stablemax",
        guesses: Sequence[NDArray[np.int32]] | None = None,
    ) -> None:
        self._task, self._tokens, self._options, self._copies = task, tokens, options, copies
        self._loss = loss
        self._device = model.device
        self._max_steps = options.steps or model.config.halt_max_steps
        self._logit = (
            math.inf if options.halt is None else math.log(options.halt / (1 - options.halt))
        )
        inputs = copies.apply(tokens) if guesses is None else guesses
        shape = (len(inputs) * options.samples, len(tokens))
        own_rule = options.uses_own_rule(model.config)
        self._rollouts = Rollouts(model, math.prod(shape), noise, own_rule=own_rule)
        rows = iter(np.arange(math.prod(shape)).reshape(shape))
        for given in inputs:
            for sample in range(options.samples):
                self._rollouts.start(next(rows), given, identifiers, sample)
        #: For each rollout of the remaining puzzles: the board, the tokens that come second, the
        #: probability of its cells, the halting logit, and whether the rollout has ended.
        self._boards = np.zeros((*shape, tokens.shape[1]), np.int32)
        self._seconds = np.zeros_like(self._boards)
        self._confidence = np.zeros(self._boards.shape, np.float32)
        self._logits, self._ended = np.zeros(shape, np.float32), np.zeros(shape, bool)
        #: The numbers of the remaining puzzles.
        self._remaining = np.arange(len(tokens))

    def steps(self) -> Iterator[dict[int, SolutionStep]]:
        """After each supervision step, the board of each remaining puzzle, by its number."""
        for step in range(1, self._max_steps + 1):
            self._step()
            found = self._solution_steps(step)
            numbers = self._remaining.tolist()
            done = np.array([one.num_valid > 0 for one in found])
            done |= (self._logits > self._logit).any(axis=0) & (self._options.choose == "first")
            done |= self._ended.all(axis=0)
            if done.any():
                self._remove(done)
            yield dict(zip(numbers, found, strict=True))
            if not len(self._remaining):
                return

    def open_answers(self) -> dict[int, list[SolutionStep]]:
        """The last step of every rollout of the puzzles that have no answer yet."""
        probabilities = 1 / (1 + np.exp(-self._logits.astype(np.float64)))
        return {
            number: [
                SolutionStep(self._max_steps, board, float(probability), 0, confidence, second)
                for board, probability, confidence, second in zip(
                    self._boards[:, place], probabilities[:, place],
                    self._confidence[:, place], self._seconds[:, place], strict=True,
                )
            ]
            for place, number in enumerate(self._remaining.tolist())
        }  # fmt: skip

    def _step(self) -> None:
        """Take one supervision step. Rollouts that have ended keep their boards."""
        options, running = self._options, ~self._ended
        with torch.inference_mode():
            logits, halt_logits, decision = self._rollouts.step()
            best = logits.argmax(-1)
            second = logits.scatter(-1, best[..., None], -math.inf).argmax(-1)
            confidence = answer_probabilities(logits, self._loss).cpu().numpy()
        shape = self._boards.shape
        boards, seconds = (
            one.to(torch.int32).cpu().numpy().reshape(shape) for one in (best, second)
        )
        confidence = confidence.reshape(shape)
        for rollout in range(options.samples, options.rollouts):
            copy = self._copies.batch_transforms(rollout // options.samples, len(boards[rollout]))
            boards[rollout] = self._copies.undo(boards[rollout], copy)
            seconds[rollout] = self._copies.undo(seconds[rollout], copy)
            confidence[rollout] = self._copies.undo_moves(confidence[rollout], copy)
        new_logits = halt_logits.float().cpu().numpy().reshape(self._logits.shape)
        self._boards[running], self._logits[running] = boards[running], new_logits[running]
        self._seconds[running], self._confidence[running] = seconds[running], confidence[running]
        if decision is not None:
            self._ended |= (decision > 0).cpu().numpy().reshape(self._ended.shape)
        elif options.choose != "first":  # which ends all rollouts of a puzzle together
            self._ended |= self._logits > self._logit

    def _solution_steps(self, step: int) -> list[SolutionStep]:
        """The chosen board of each remaining puzzle."""
        chosen = winners(self._options.choose or "vote", self._boards, self._logits)
        valid = [self._valid_rollouts(place) for place in range(len(self._remaining))]
        for place, rollouts in enumerate(valid):
            if rollouts:  # choose the most confident one, the first if several are
                chosen[place] = [rollouts[int(self._logits[rollouts, place].argmax())]]
        means = [self._logits[rollouts, place].mean() for place, rollouts in enumerate(chosen)]
        logits = torch.from_numpy(np.array(means, np.float32)).to(self._device)
        boards = [self._boards[rollouts[0], place].copy() for place, rollouts in enumerate(chosen)]
        seconds = [self._seconds[own[0], place].copy() for place, own in enumerate(chosen)]
        cells = [self._confidence[own, place].mean(axis=0) for place, own in enumerate(chosen)]
        return [
            SolutionStep(
                step, board, probability, len(rollouts), confidence, second, len(self._boards)
            )
            for board, probability, rollouts, confidence, second in zip(
                boards, logits.sigmoid().tolist(), valid, cells, seconds, strict=True
            )
        ]

    def _valid_rollouts(self, place: int) -> list[int]:
        """The rollouts whose board is valid; none without ``until_valid``."""
        if not self._options.until_valid:
            return []
        puzzle: Tokens = self._tokens[self._remaining[place]]
        boards = self._boards[:, place]
        distinct = {board.tobytes(): board for board in boards}
        valid = {key: self._task.is_valid(puzzle, board) for key, board in distinct.items()}
        return [number for number, board in enumerate(boards) if valid[board.tobytes()]]

    def _remove(self, done: NDArray[np.bool_]) -> None:
        """Remove the puzzles that have their answer."""
        kept = np.flatnonzero(~done)
        if len(kept):
            rows = np.arange(len(self._boards))[:, None] * len(done) + kept
            self._rollouts.keep(rows.ravel())
        self._boards, self._logits = self._boards[:, kept], self._logits[:, kept]
        self._seconds, self._confidence = self._seconds[:, kept], self._confidence[:, kept]
        self._ended, self._remaining = self._ended[:, kept], self._remaining[kept]
