"""Evaluation: every example thinks, then the task's evaluator counts."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from trm.data import Batch, Split, Transforms, eval_indices, num_eval_examples
from trm.inference.choice import chosen
from trm.inference.halting_pool import HaltingPool
from trm.inference.latent_noise import LatentNoise
from trm.inference.options import PUBLISHED, InferenceOptions
from trm.inference.rollouts import Answered, Asked, split_copies, supervision_steps, turned_back
from trm.models import PuzzleBatch, TinyRecursiveModel
from trm.runtime.device import to_device
from trm.runtime.process_group import SINGLE_PROCESS, ProcessGroup
from trm.tasks.metrics import EvalBatch, Evaluator, Metric


def evaluate(
    model: TinyRecursiveModel,
    evaluator: Evaluator,
    split: Split,
    *,
    batch_size: int,
    max_examples: int | None = None,
    thinking: InferenceOptions = PUBLISHED,
    on_batch: Callable[[EvalBatch], None] | None = None,
    on_steps: Callable[[int], None] = lambda count: None,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Mapping[str, Metric] | None:
    """Answer the examples of a split, and let the evaluator judge.

    Several processes answer a share of each batch. The first one collects the answers batch by
    batch, and its evaluator sees what that of a single process would see, in the same order.

    Args:
        model: with the weights to evaluate.
        evaluator: a fresh one of the task's.
        split: the examples.
        batch_size: examples at a time, over all processes.
        max_examples: look at so many, chosen once and for all, instead of all.
        thinking: for how long, in how many ways.
        on_batch: also given each batch of answers.
        on_steps: told, for each batch, how many supervision steps this process took for it: the
            sum over its examples and their rollouts.
        on_progress: called with examples done and examples in all.
        should_stop: asked before each batch; true ends the evaluation without a result. All
            processes have to give the same answer.
        group: the processes that evaluate together; the first one has the result.
    """
    thinking = thinking.settled
    asked = _asked(split, eval_indices(split, batch_size, max_examples), thinking, group)
    total, done = num_eval_examples(split, max_examples), 0
    answered = _answered(model, asked, -(-batch_size // group.size), thinking)
    for examples, puzzles in eval_indices(split, batch_size, max_examples):
        if should_stop():
            return None
        parts = [next(answered) for _ in range(1 if _together(thinking) else thinking.rollouts)]
        on_steps(sum(_steps_taken(model, part, thinking) for part in parts))
        original = parts[0].asked.batches[0]
        ballots = [turned_back(split, original, part) for part in parts]
        own = chosen(thinking.choose or "vote", ballots)
        answers = _collected(own, split, examples, puzzles, group)
        done += len(examples)
        if group.is_first:
            evaluator.update(answers)
            if on_batch:
                on_batch(answers)
            if on_progress:
                on_progress(done, total)
    return evaluator.result() if group.is_first else {}


def _together(thinking: InferenceOptions) -> bool:
    """Whether the rollouts of an example end together, and not each for itself."""
    return thinking.choose == "first"


def _answered(
    model: TinyRecursiveModel, asked: Iterator[Asked], size: int, thinking: InferenceOptions
) -> Iterator[Answered]:
    """The answers to all that is asked, in its order; on so many rows of the device."""
    noise = LatentNoise(model, thinking.noise) if thinking.noise else None
    if thinking.halt is not None:
        rollouts = thinking.rollouts if _together(thinking) else 1
        yield from HaltingPool(
            model, asked, size, thinking.halt,
            max_steps=thinking.steps, rollouts=rollouts, noise=noise,
        ).answered()  # fmt: skip
        return
    for one in asked:
        (batch,), (sample,) = one.batches, one.samples
        found = answer(model, batch, size, thinking.steps, sample, noise)
        yield Answered(one, found, np.zeros(len(batch), np.int64))


def _steps_taken(model: TinyRecursiveModel, part: Answered, thinking: InferenceOptions) -> int:
    if thinking.halt is None:
        return len(part.rollout) * (thinking.steps or model.config.halt_max_steps)
    return int(part.found.halt_steps.sum()) * len(part.asked.batches)


def _asked(
    split: Split,
    rows: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]],
    thinking: InferenceOptions,
    group: ProcessGroup,
) -> Iterator[Asked]:
    """This process's share of each batch, by each of its rollouts."""
    copies, samples = split_copies(split, thinking.votes), range(thinking.samples)
    for examples, puzzles in rows:
        own = _own_rows(len(examples), group)
        batches = [split.make_batch(examples[own], puzzles[own])]
        for symmetry, permutation in copies:
            drawn = Transforms(
                np.repeat(symmetry, len(own)), np.repeat(permutation, len(own), axis=0)
            )
            batches.append(split.make_batch(examples[own], puzzles[own], drawn))
        each = [(batch, sample) for batch in batches for sample in samples]
        if _together(thinking):
            yield Asked(*zip(*each, strict=True))
        else:
            yield from (Asked((batch,), (sample,)) for batch, sample in each)


def _own_rows(count: int, group: ProcessGroup) -> NDArray[np.int64]:
    """Which rows of a batch this process answers: equally many in all of them.

    Where they cannot be dealt evenly some answer a row in vain, the last one of their share or of
    the batch, for in all processes the network has to be asked equally often.
    """
    share = group.shard(count)
    places = share.start + np.arange(-(-count // group.size))
    last: int = min(max(share.stop, share.start + 1), count) - 1
    return np.asarray(np.minimum(places, last))


def _collected(
    own: EvalBatch,
    split: Split,
    examples: NDArray[np.int64],
    puzzles: NDArray[np.int64],
    group: ProcessGroup,
) -> EvalBatch:
    """The answers of all processes to a batch, in the first one."""
    if group.size == 1:
        return own
    share, count = group.shard(len(examples)), len(examples)
    answered = {
        name: group.gather_to_first(
            torch.from_numpy(array[: share.stop - share.start]), count
        ).numpy()
        for name, array in (
            ("answers", own.answers),
            ("halt_logits", own.halt_logits),
            ("halt_steps", own.halt_steps),
        )
    }
    if not group.is_first:
        return own
    batch = split.make_batch(examples, puzzles)
    return EvalBatch(
        inputs=batch.inputs,
        labels=batch.labels,
        puzzle_identifiers=batch.puzzle_identifiers,
        examples=examples,
        puzzles=puzzles,
        **answered,
    )


def answer(
    model: TinyRecursiveModel,
    batch: Batch,
    size: int | None = None,
    max_steps: int | None = None,
    sample: int = 0,
    noise: LatentNoise | None = None,
) -> EvalBatch:
    """The model's answers to a batch after all supervision steps.

    For a compiled model the batch is filled up to ``size`` rows, so that all have one shape.
    """
    puzzles = to_device(batch, model.device)
    if model.is_compiled and size is not None:
        rows = torch.arange(size, device=model.device).clamp_max(len(batch) - 1)
        puzzles = PuzzleBatch(*(tensor[rows] for tensor in puzzles))
    max_steps = max_steps or model.config.halt_max_steps
    halt_steps = torch.full_like(puzzles.identifiers, max_steps)
    steps = supervision_steps(model, puzzles.inputs, puzzles.identifiers, max_steps, sample, noise)
    last = (puzzles.inputs, torch.zeros(()))  # there is at least one step
    for number, last in enumerate(steps, start=1):
        first = (last[1] > 0) & (halt_steps == max_steps)
        halt_steps = torch.where(first, number, halt_steps)
    answers, halt_logits = last
    return EvalBatch(
        inputs=batch.inputs,
        labels=batch.labels,
        answers=answers[: len(batch)].cpu().numpy(),
        halt_logits=halt_logits[: len(batch)].float().cpu().numpy(),
        halt_steps=halt_steps[: len(batch)].cpu().numpy(),
        puzzle_identifiers=batch.puzzle_identifiers,
        examples=batch.examples,
        puzzles=batch.puzzles,
    )
