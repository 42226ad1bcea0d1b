"""Puzzles that think side by side, in one way or several, until each has its answer."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray

from trm.data import BatchTransforms
from trm.data.augmentation import Augmentation, Transforms
from trm.inference.choice import winners
from trm.inference.latent_noise import LatentNoise
from trm.inference.options import Solving
from trm.inference.rollouts import Lockstep
from trm.inference.solution import Thought
from trm.models import TinyRecursiveModel
from trm.tasks.base import Task, Tokens


class Copies:
    """Symmetric copies of puzzles, the first of which are the puzzles themselves.

    Args:
        augmentation: what copies them; None where there are no copies.
        kinds: how each copy beside the original is made.
    """

    def __init__(self, augmentation: Augmentation | None, kinds: Sequence[Transforms]) -> None:
        self._augmentation, self._kinds = augmentation, kinds

    def of(self, tokens: NDArray[np.int32]) -> list[NDArray[np.int32]]:
        """Every copy of puzzles (batch, seq_len)."""
        copies = [tokens]
        for kind in self._kinds:
            assert self._augmentation is not None
            copy, _ = self._augmentation.apply(tokens, tokens, _rows(kind, len(tokens)))
            copies.append(copy.astype(np.int32))
        return copies

    def turn_back(self, boards: NDArray[np.int32]) -> NDArray[np.int32]:
        """Boards (copies, samples, batch, seq_len) as those of the puzzles themselves."""
        turned = boards.copy()
        for number, kind in enumerate(self._kinds, start=1):
            assert self._augmentation is not None
            flat = boards[number].reshape(-1, boards.shape[-1])
            back = self._augmentation.undo(flat, _rows(kind, len(flat)))
            turned[number] = back.reshape(boards[number].shape)
        return turned


def _rows(kind: Transforms, count: int) -> BatchTransforms:
    symmetry, permutation = np.repeat(kind[0], count), np.repeat(kind[1], count, axis=0)
    alone = np.zeros(count, np.int64)
    return BatchTransforms(symmetry, permutation, np.arange(count), alone, alone + 1)


class Search:
    """Puzzles at work.

    A puzzle that has its answer leaves, so that none waits for another.

    Args:
        model: what thinks.
        task: whose rules tell a valid board.
        tokens: (batch, seq_len), the puzzles.
        identifiers: (batch,), of their embeddings.
        how: for how long, in how many ways; settled.
        copies: as many as ``how.votes``.
        noise: what disturbs all samples but the first.
    """

    def __init__(
        self,
        model: TinyRecursiveModel,
        task: Task,
        tokens: NDArray[np.int32],
        identifiers: Int[torch.Tensor, " batch"],
        how: Solving,
        copies: Copies,
        noise: LatentNoise | None,
    ) -> None:
        self._task, self._tokens, self._how, self._copies = task, tokens, how, copies
        self._device = model.device
        self._max_steps = how.steps or model.config.halt_max_steps
        self._logit = math.inf if how.halt is None else math.log(how.halt / (1 - how.halt))
        inputs = np.concatenate([copy for copy in copies.of(tokens) for _ in range(how.samples)])
        self._lockstep = Lockstep(
            model, torch.from_numpy(inputs).to(self._device), identifiers.repeat(how.rollouts),
            list(range(how.samples)) * how.votes, noise,
        )  # fmt: skip
        shape = (how.rollouts, len(tokens))
        #: Of each rollout of the puzzles that are left: its board, how sure it is, if it has ended.
        self._boards = np.zeros((*shape, tokens.shape[1]), np.int32)
        self._logits, self._ended = np.zeros(shape, np.float32), np.zeros(shape, bool)
        self._left = np.arange(len(tokens))

    def thoughts(self) -> Iterator[dict[int, Thought]]:
        """After each supervision step what is thought of the puzzles that were left, by number."""
        for step in range(1, self._max_steps + 1):
            self._advance()
            found = self._found(step)
            left = self._left
            done = np.array([thought.num_valid > 0 for thought in found])
            done |= (self._logits > self._logit).any(axis=0) & (self._how.choose == "first")
            done |= self._ended.all(axis=0)
            self._leave(done)
            yield dict(zip(left.tolist(), found, strict=True))
            if not len(self._left):
                return

    def _advance(self) -> None:
        """One supervision step of the rollouts that have not ended."""
        how, live = self._how, ~self._ended
        answers, halt_logits = self._lockstep.step()
        boards = answers.cpu().numpy().reshape(how.votes, how.samples, len(self._left), -1)
        boards = self._copies.turn_back(boards).reshape(self._boards.shape)
        logits = halt_logits.float().cpu().numpy().reshape(self._logits.shape)
        self._boards[live], self._logits[live] = boards[live], logits[live]
        if how.choose != "first":  # which ends all of them together
            self._ended |= self._logits > self._logit

    def _found(self, step: int) -> list[Thought]:
        """What is thought of each puzzle that is left."""
        taken = winners(self._how.choose or "vote", self._boards, self._logits)
        valid = [self._valid(place) for place in range(len(self._left))]
        for place, good in enumerate(valid):
            if good:  # of several the surest, of equals the first
                taken[place] = [good[int(self._logits[good, place].argmax())]]
        means = [self._logits[ones, place].mean() for place, ones in enumerate(taken)]
        sure = torch.from_numpy(np.array(means, np.float32)).to(self._device)
        boards = [self._boards[ones[0], place].copy() for place, ones in enumerate(taken)]
        return [
            Thought(step, board, chance, len(good))
            for board, chance, good in zip(boards, sure.sigmoid().tolist(), valid, strict=True)
        ]

    def _valid(self, place: int) -> list[int]:
        """The rollouts whose board is valid, where one is looked for."""
        if not self._how.until_valid:
            return []
        puzzle: Tokens = self._tokens[self._left[place]]
        boards = self._boards[:, place]
        told = {board.tobytes(): self._task.is_valid(puzzle, board) for board in boards}
        return [number for number, board in enumerate(boards) if told[board.tobytes()]]

    def _leave(self, done: NDArray[np.bool_]) -> None:
        """Go on without the puzzles that have their answer."""
        if not done.any() or done.all():
            self._left = self._left[~done]
            return
        kept = np.flatnonzero(~done)
        rows = np.arange(self._how.rollouts)[:, None] * len(done) + kept
        self._lockstep.keep(rows.ravel())
        self._boards, self._logits = self._boards[:, kept], self._logits[:, kept]
        self._ended, self._left = self._ended[:, kept], self._left[kept]
