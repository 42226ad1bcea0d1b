"""Evaluation: every example thinks, then the task's evaluator counts."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from trm.data import Batch, Drawn, Split, eval_rows, num_eval_examples
from trm.engine.device import to_device
from trm.engine.distributed import ALONE, Group
from trm.engine.halting import HaltingPool
from trm.engine.optim import WeightAverage
from trm.errors import ConfigError
from trm.models import LatentState, Puzzles, TinyRecursiveModel
from trm.tasks.metrics import EvalBatch, Evaluator, Metric
from trm.tasks.predictions import majority


def supervision_steps(
    model: TinyRecursiveModel,
    inputs: Int[Tensor, "batch seq"],
    identifiers: Int[Tensor, " batch"],
) -> Iterator[tuple[Int[Tensor, "batch seq"], Float[Tensor, " batch"]]]:
    """The answer (batch, seq) and halting logits (batch,) after each supervision step."""
    with torch.inference_mode():
        embedded = model.embed(inputs, model.puzzle_rows(identifiers))
        # Contiguous as the states after it are, or a compiled step would be compiled twice.
        state = LatentState(*(part.contiguous() for part in model.initial_state(len(inputs))))
    for _ in range(model.config.halt_max_steps):
        with torch.inference_mode():  # not across the yield, where the caller's code runs
            state, logits, halt_logits = model(state, embedded)
            answers = logits.argmax(-1).to(torch.int32)
        yield answers, halt_logits


def evaluate(
    model: TinyRecursiveModel,
    evaluator: Evaluator,
    split: Split,
    *,
    batch_size: int,
    max_examples: int | None = None,
    votes: int = 1,
    halt: float | None = None,
    on_batch: Callable[[EvalBatch], None] | None = None,
    on_steps: Callable[[int], None] = lambda count: None,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    group: Group = ALONE,
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
        votes: solve so many symmetric copies of each example, and take the majority's answer.
        halt: an example ends at the first step whose halting probability is above this, instead of
            after all.
        on_batch: also given each batch of answers.
        on_steps: told, for each batch, how many supervision steps this process took for it: the
            sum over its examples and their copies.
        on_progress: called with examples done and examples in all.
        should_stop: asked before each batch; true ends the evaluation without a result. All
            processes have to give the same answer.
        group: the processes that evaluate together; the first one has the result.
    """
    copies = _symmetric_copies(split, votes)
    total, done = num_eval_examples(split, max_examples), 0
    size = -(-batch_size // group.size)
    asked = _asked(split, batch_size, max_examples, copies, group)
    answered = (
        HaltingPool(model, asked, size, halt).answered()
        if halt is not None
        else ((batch, answer(model, batch, size)) for batch in asked)
    )
    for examples, puzzles in eval_rows(split, batch_size, max_examples):
        if should_stop():
            return None
        (_, first), *rest = (next(answered) for _ in range(1 + len(copies)))
        others = [_turned_back(split, first, *copy) for copy in rest]
        on_steps(sum(_steps_taken(model, found, halt) for found in (first, *others)))
        answers = _collected(majority([first, *others]), split, examples, puzzles, group)
        done += len(examples)
        if group.is_first:
            evaluator.update(answers)
            if on_batch:
                on_batch(answers)
            if on_progress:
                on_progress(done, total)
    return evaluator.result() if group.is_first else {}


def _steps_taken(model: TinyRecursiveModel, found: EvalBatch, halt: float | None) -> int:
    if halt is None:
        return len(found.answers) * model.config.halt_max_steps
    return int(found.halt_steps.sum())


def _asked(
    split: Split,
    batch_size: int,
    max_examples: int | None,
    copies: Iterable[Drawn],
    group: Group,
) -> Iterator[Batch]:
    """This process's share of each batch, followed by its symmetric copies."""
    for examples, puzzles in eval_rows(split, batch_size, max_examples):
        own = _own_rows(len(examples), group)
        yield split.gather(examples[own], puzzles[own])
        for symmetry, permutation in copies:
            drawn = (np.repeat(symmetry, len(own)), np.repeat(permutation, len(own), axis=0))
            yield split.gather(examples[own], puzzles[own], drawn)


def _own_rows(count: int, group: Group) -> NDArray[np.int64]:
    """Which rows of a batch this process answers: equally many in all of them.

    Where they cannot be dealt evenly some answer a row in vain, the last one of their share or of
    the batch, for in all processes the network has to be asked equally often.
    """
    share = group.share(count)
    places = share.start + np.arange(-(-count // group.size))
    last: int = min(max(share.stop, share.start + 1), count) - 1
    return np.asarray(np.minimum(places, last))


def _collected(
    own: EvalBatch,
    split: Split,
    examples: NDArray[np.int64],
    puzzles: NDArray[np.int64],
    group: Group,
) -> EvalBatch:
    """The answers of all processes to a batch, in the first one."""
    if group.size == 1:
        return own
    share, count = group.share(len(examples)), len(examples)
    answered = {
        name: group.collect_on_first(
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
    batch = split.gather(examples, puzzles)
    return EvalBatch(
        inputs=batch.inputs,
        labels=batch.labels,
        puzzle_identifiers=batch.puzzle_identifiers,
        examples=examples,
        puzzles=puzzles,
        **answered,
    )


def answer(model: TinyRecursiveModel, batch: Batch, size: int | None = None) -> EvalBatch:
    """The model's answers to a batch after all supervision steps.

    For a compiled model the batch is filled up to ``size`` rows, so that all have one shape.
    """
    puzzles = to_device(batch, model.device)
    if model.is_compiled and size is not None:
        rows = torch.arange(size, device=model.device).clamp_max(len(batch) - 1)
        puzzles = Puzzles(*(tensor[rows] for tensor in puzzles))
    max_steps = model.config.halt_max_steps
    halt_steps = torch.full_like(puzzles.identifiers, max_steps)
    steps = supervision_steps(model, puzzles.inputs, puzzles.identifiers)
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


def _symmetric_copies(split: Split, votes: int) -> list[Drawn]:
    """How the copies beside the original are made: the same for every example and evaluation."""
    if votes == 1:
        return []
    copied = split.identifiers is not None or split.symmetry is not None
    if split.augmentation is None or copied:
        why = "are augmented copies already" if copied else "have none"
        raise ConfigError(
            f"--votes {votes} needs symmetries, but these puzzles {why}. Leave it out."
        )
    # Of few symmetries all have to come up: so many draws leave out one of eight never.
    drawn = split.augmentation.draw(100 * votes, np.random.default_rng(0))
    kinds = np.column_stack(drawn)
    original = np.concatenate(([0], np.arange(drawn[1].shape[1])))
    _, first = np.unique(np.concatenate((original[None], kinds)), axis=0, return_index=True)
    places = np.sort(first)[1:votes] - 1
    if len(places) < votes - 1:
        raise ConfigError(
            f"--votes {votes}: these puzzles have only {1 + len(places)} symmetric copies. "
            "Ask for fewer."
        )
    return [(drawn[0][i : i + 1], drawn[1][i : i + 1]) for i in places]


def _turned_back(split: Split, first: EvalBatch, copy: Batch, found: EvalBatch) -> EvalBatch:
    """The answers to a symmetric copy of a batch, as answers to the batch itself."""
    assert split.augmentation is not None
    assert copy.rows is not None
    back = split.augmentation.undo(found.answers, copy.rows).astype(np.int32)
    return replace(found, inputs=first.inputs, labels=first.labels, answers=back)


@contextlib.contextmanager
def averaged(model: TinyRecursiveModel, average: WeightAverage | None) -> Iterator[None]:
    """The model with its averaged weights inside the block; nothing is copied."""
    if average is None:
        yield
        return
    parameters = dict(model.named_parameters())
    own = {name: p.data for name, p in parameters.items()}
    try:
        for name, parameter in parameters.items():
            parameter.data = average.average[name]
        yield
    finally:
        for name, parameter in parameters.items():
            parameter.data = own[name]
