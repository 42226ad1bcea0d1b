"""The evaluation loop: the model answers batch after batch, and the evaluator judges them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from trm.data import IGNORE_LABEL, Batch, Split, eval_indices, eval_rows
from trm.inference.choice import chosen
from trm.inference.latent_noise import LatentNoise
from trm.inference.options import InferenceOptions
from trm.inference.rollout_pool import Request, Response, RolloutPool
from trm.inference.symmetric_copies import SymmetricCopies
from trm.models import RecursiveModel
from trm.runtime.process_group import SINGLE_PROCESS, ProcessGroup
from trm.tasks.metrics import EvalBatch, Evaluator, Metric

if TYPE_CHECKING:
    from trm.inference.solution import Solution

#: The numbers of examples and of their puzzles, batch after batch.
_Indices = Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]]


class _Answered(NamedTuple):
    """The answers of this process to its share of a batch.

    Attributes:
        num_steps: the supervision steps for all rows and their rollouts.
        losses: (rows,), those of the answers; None if they were not computed.
    """

    answers: EvalBatch
    num_steps: int
    losses: NDArray[np.float64] | None = None


def run_evaluation(
    model: RecursiveModel,
    evaluator: Evaluator,
    split: Split,
    *,
    batch_size: int,
    max_examples: int | None = None,
    rows: NDArray[np.int64] | None = None,
    num_known: int = 0,
    options: InferenceOptions = InferenceOptions(),  # noqa: B008
    search: "Callable[[Batch], Sequence[Solution]] | None" = None,
    loss: str | None = None,
    on_batch: Callable[[EvalBatch], None] | None = None,
    on_steps: Callable[[int], None] = lambda count: None,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    is_over: Callable[[], bool] = lambda: False,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Mapping[str, Metric] | None:
    """Answer the examples of a split, and let the evaluator judge the answers.

    Each process answers a share of each batch. The first process collects the answers batch by
    batch. Its evaluator sees the same batches in the same order as that of a single process.

    Args:
        model: with the weights to evaluate.
        evaluator: a fresh one of the task's.
        split: the examples.
        batch_size: examples at a time, over all processes.
        max_examples: evaluate only this many, always the same.
        rows: the examples to evaluate instead, in order; see :func:`trm.data.eval_rows`.
        num_known: how many examples the evaluator has seen already, for ``on_progress``.
        options: the inference options.
        search: solves the puzzles of a batch, in place of the rollouts.
        loss: that of the metric ``answer_loss``, a key of :data:`trm.models.LOSSES`; None to leave
            the metric out, as with several rollouts or a search.
        on_batch: called with each batch of answers.
        on_steps: called after each batch with the supervision steps that this process took for it:
            the sum over all examples and their rollouts.
        on_progress: called before the first and after each batch, with the examples done and the
            examples in all.
        should_stop: called before each batch. True ends the evaluation without a result. It has to
            return the same in all processes.
        is_over: called before each batch but the first. True ends the evaluation with the answers
            so far. It has to return the same in all processes.
        group: the processes that evaluate together.

    Returns:
        The metrics; an empty mapping in all processes but the first; None if stopped.
    """
    options = options.resolved
    copies = SymmetricCopies.of_split(split, options.votes)
    rows = eval_rows(split, max_examples) if rows is None else rows
    indices, again = (eval_indices(split, batch_size, rows) for _ in range(2))
    loss = loss if options.rollouts == 1 and search is None else None
    if search is not None:
        answered = _searched(search, split, _shares(indices, group))
    else:
        size = -(-batch_size // group.size)
        answered = _rolled_out(model, split, _shares(indices, group), copies, options, size, loss)
    losses = np.zeros(2)  # the sum over this process's rows, and their number
    done, total = num_known, num_known + len(rows)
    if on_progress and group.is_first:
        on_progress(done, total)
    for number, (examples, puzzles) in enumerate(again):
        if should_stop():
            return None
        if number and is_over():
            break
        own = next(answered)
        on_steps(own.num_steps)
        losses += _loss_and_count(own, group.shard(len(examples)))
        batch = _gathered(own.answers, split, examples, puzzles, group)
        done += len(examples)
        if group.is_first:
            evaluator.update(batch)
            if on_batch:
                on_batch(batch)
            if on_progress:
                on_progress(done, total)
    mean = {}
    if loss is not None:
        of_all = torch.from_numpy(losses)
        group.all_reduce_(of_all)
        total, count = of_all.tolist()
        mean["answer_loss"] = Metric(total / max(count, 1), int(count))
    return {**evaluator.result(), **mean} if group.is_first else {}


def _rolled_out(
    model: RecursiveModel,
    split: Split,
    shares: _Indices,
    copies: SymmetricCopies,
    options: InferenceOptions,
    size: int,
    loss: str | None,
) -> Iterator[_Answered]:
    """Answer batches by rollouts; ``size`` examples of this process at a time."""
    together = options.choose == "first"  # the rollouts of an example end together
    pool = RolloutPool(
        model,
        size,
        threshold=options.halt,
        max_steps=options.steps,
        rollouts=options.rollouts if together else 1,
        noise=LatentNoise(model, options.noise) if options.noise else None,
        loss=loss,
    )
    responses = pool.answer(_requests(split, shares, copies, options))
    while parts := list(islice(responses, 1 if together else options.rollouts)):
        original = parts[0].request.batches[0]
        answers = [restored(part, original, copies) for part in parts]
        yield _Answered(
            chosen(options.choose or "vote", answers),
            sum(_num_steps(part) for part in parts),
            parts[0].losses,
        )


def _searched(
    search: "Callable[[Batch], Sequence[Solution]]", split: Split, shares: _Indices
) -> Iterator[_Answered]:
    """Answer batches by a search."""
    for examples, puzzles in shares:
        batch = split.make_batch(examples, puzzles)
        found = search(batch)
        steps = [one.num_steps for one in found]
        halting = np.array([one.steps[-1].halt_probability for one in found])
        answers = EvalBatch(
            inputs=batch.inputs,
            labels=batch.labels,
            answers=np.stack([one.steps[-1].board for one in found]).astype(np.int32),
            halt_logits=_logits(halting),
            halt_steps=np.array([one.halt_step or len(one.steps) for one in found], np.int32),
            steps=np.array(steps, np.float32),
            puzzle_identifiers=batch.puzzle_identifiers,
            examples=batch.examples,
            puzzles=batch.puzzles,
        )
        yield _Answered(answers, sum(steps))


def _shares(indices: _Indices, group: ProcessGroup) -> _Indices:
    """This process's share of each batch.

    All processes get the same number of rows, so that without a search the network runs equally
    often in all of them. If the rows of a batch cannot be divided evenly, some processes answer one
    row twice.
    """
    for examples, puzzles in indices:
        count = len(examples)
        share = group.shard(count)
        last = min(max(share.stop, share.start + 1), count) - 1
        own = np.minimum(share.start + np.arange(-(-count // group.size)), last)
        yield examples[own], puzzles[own]


def _requests(
    split: Split, shares: _Indices, copies: SymmetricCopies, options: InferenceOptions
) -> Iterator[Request]:
    """A request for each rollout of each share, or one for those that end together."""
    for examples, puzzles in shares:
        batches = copies.batches(split, examples, puzzles)
        each = [(batch, sample) for batch in batches for sample in range(options.samples)]
        if options.choose == "first":
            yield Request(*zip(*each, strict=True))
        else:
            yield from (Request((batch,), (sample,)) for batch, sample in each)


def _logits(probabilities: NDArray[np.float64]) -> NDArray[np.float32]:
    """The logits of float32 probabilities; finite where rounding has made them 0 or 1."""
    kept = np.clip(probabilities, 1e-12, 1 - 2**-25)
    return np.log(kept / (1 - kept)).astype(np.float32)


def _loss_and_count(own: _Answered, share: slice) -> NDArray[np.float64]:
    """The sum of the losses of the rows that only this process has, and their number."""
    if own.losses is None:
        return np.zeros(2)
    rows = slice(share.stop - share.start)
    scored = (own.answers.labels[rows] != IGNORE_LABEL).any(axis=1)
    return np.array([own.losses[rows][scored].sum(), scored.sum()])


def _num_steps(part: Response) -> int:
    """The supervision steps that all rollouts of a batch took together."""
    return int(part.answers.steps.sum(dtype=np.float64)) * len(part.request.batches)


def restored(response: Response, original: Batch, copies: SymmetricCopies) -> EvalBatch:
    """The answers to symmetric copies of a batch, as answers to the batch itself."""
    found = response.answers
    answers = found.answers
    for number, batch in enumerate(response.request.batches):
        own = response.rollouts == number
        if batch is not original and own.any():
            assert batch.transforms is not None
            answers = np.where(own[:, None], copies.undo(found.answers, batch.transforms), answers)
    return replace(found, inputs=original.inputs, labels=original.labels, answers=answers)


def _gathered(
    own: EvalBatch,
    split: Split,
    examples: NDArray[np.int64],
    puzzles: NDArray[np.int64],
    group: ProcessGroup,
) -> EvalBatch:
    """The answers of all processes to a batch, in the first process."""
    if group.size == 1:
        return own
    share, count = group.shard(len(examples)), len(examples)
    gathered = {
        name: group.gather_to_first(
            torch.from_numpy(getattr(own, name)[: share.stop - share.start]), count
        ).numpy()
        for name in ("answers", "halt_logits", "halt_steps", "steps")
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
        **gathered,
    )
