"""Evaluating a trained model on a dataset: what ``trm eval`` and ``trm.evaluate`` do."""

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trm.checkpoints.tensors import weights_digest
from trm.data import (
    VALIDATION,
    Batch,
    Dataset,
    Split,
    eval_rows,
    with_validation_split,
)
from trm.errors import ConfigError, InputError
from trm.evaluation.loop import run_evaluation
from trm.evaluation.predictions import PredictionsInfo
from trm.evaluation.provenance import Provenance, provenance_of
from trm.evaluation.report import Report
from trm.evaluation.report_page import page_in, write_page
from trm.evaluation.time_limit import TimeLimit
from trm.evaluation.unfinished import UnfinishedEvaluation
from trm.inference.model import BATCH_SIZE, Model, load
from trm.inference.options import SolveOptions
from trm.inference.solution import Solution
from trm.models.flops import eval_step_flops
from trm.models.puzzle_embedding import mean_puzzle_embedding
from trm.runtime.device import compile_network, device_errors
from trm.runtime.peak_flops import DevicePeak
from trm.runtime.process_group import SINGLE_PROCESS, ProcessGroup
from trm.storage import Paths, as_paths, check_writable
from trm.tasks.base import Puzzle
from trm.tasks.build_command import check_folders


def evaluate(
    checkpoint: Model | str | Path | None = None,
    data: Paths = (),
    *,
    split: str = "test",
    task: str | None = None,
    batch_size: int | None = None,
    max_examples: int | None = None,
    copies: int | None = None,
    max_minutes: float | None = None,
    reset_puzzle_embedding: bool = False,
    save_predictions: str | Path | None = None,
    overwrite: bool = False,
    report: str | Path | None = None,
    extras: Sequence[str] = (),
    device: str = "auto",
    compile: bool | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
    began: float | None = None,
    **options: Any,
) -> Report:
    """Measure a trained model on the puzzles of a dataset: ``trm eval``.

    Args:
        checkpoint: what :func:`trm.load` takes or gives.
        data: a data folder, or several; by default those that the model was trained on.
        split: ``test``, or ``validation`` for the training puzzles that the run held out.
        task: the task of a published checkpoint that does not name it.
        batch_size: examples at a time; by default that of the run.
        max_examples: evaluate only this many, always the same. By default all of the test split,
            and as many of the validation split as training did.
        copies: answer each example as this many of the puzzles of its group: the original and the
            first augmented copies of it. By default as all. Not with ``max_examples``.
        max_minutes: end in this time, with the answers so far; at least one batch is answered. The
            first puzzles of all groups come first, then the second ones, and so on, so that all
            groups have nearly the same number of answers.
        reset_puzzle_embedding: give every puzzle the mean of the puzzle embeddings.
        save_predictions: write every answer to this ``.npz`` file. Answers that are in it, or that
            an interrupted evaluation left beside it, are not computed again; see
            :mod:`trm.evaluation.unfinished`.
        overwrite: start that file again.
        report: write a page of HTML with the answers to each task into this folder (ARC), see
            :mod:`trm.evaluation.report_page`.
        extras: files that the evaluator will be asked for, see
            :meth:`trm.tasks.metrics.Evaluator.check_has`.
        device: the device, for a model that is not loaded yet.
        compile: use torch.compile; None: on CUDA.
        on_progress: called before the first and after each batch, with the examples done and the
            examples in all.
        group: the processes that evaluate together. The first one has the metrics, and writes.
        began: when ``max_minutes`` began, by ``time.monotonic``; by default now.
        options: the flags of ``trm eval``, such as ``samples=4``; see
            :class:`trm.inference.options.SolveOptions`. Without ``effort``, ``guesses`` and
            ``until_valid`` the rules are not asked.

    Raises:
        ConfigError: if an option is unknown or out of range, or they contradict each other.
        DataError: if there is no such data.
        CheckpointError: if there is no such checkpoint, or the model does not fit the data.
        InputError: if the run held no puzzles out, or not of this data; if the puzzles have no
            copies; if the task has no rules to search by; or if the file of predictions is of
            another evaluation.
        StorageError: if the predictions cannot be written.
        HubError: if the checkpoint cannot be downloaded.
    """
    began = time.monotonic() if began is None else began
    checked = SolveOptions.of(**options).resolved
    if checked.effort == 0:  # a single pass
        checked = checked.model_copy(update={"effort": None})
    if checked.searches and compile:
        raise ConfigError(
            f"--compile is not for {checked.flags}, whose batches shrink. Leave it out."
        )
    for name, number in (("batch_size", batch_size), ("max_examples", max_examples),
                         ("copies", copies)):  # fmt: skip
        if number is not None and number < 1:
            raise InputError(f"{name} is {number}. Give 1 or more.")
    if copies is not None and max_examples is not None:
        raise ConfigError("--copies and --max-examples exclude each other. Give one of them.")
    if max_minutes is not None and not 0 < max_minutes < math.inf:
        raise InputError(f"max_minutes is {max_minutes}. Give more than 0.")
    model = (
        checkpoint if isinstance(checkpoint, Model) else load(checkpoint, task=task, device=device)
    )
    if copies is None:
        max_examples = max_examples or default_max_examples(model, split)
    paths = data_folders(model, data)
    dataset = model.task.open_data(paths)
    model.trained_on.check(dataset)
    chosen = _choose_split(model, dataset, split)
    if not reset_puzzle_embedding:
        chosen = model.trained_on.with_identifiers(chosen, dataset)
    if checked.searches:
        model.solver.levels(chosen.inputs[0], checked)  # an error before anything is written
    rows = eval_rows(chosen, max_examples, copies=copies, by_copy=max_minutes is not None)
    remarks = [] if copies is None else _few_copies(chosen, copies, dataset)
    evaluator = model.task.evaluator(dataset.meta, chosen)
    evaluator.check_has([*extras, *(["report"] if report else [])])
    if report:
        check_writable(page_in(report))
    batch_size = batch_size or model.config.eval_batch_size
    network, steps = model.network, list[int]()
    unfinished = None
    if save_predictions:
        if dataset.meta.vocab_size > 256:
            raise InputError(
                f"{dataset.path} has {dataset.meta.vocab_size} symbols, a file of predictions at "
                "most 256. Leave --save-predictions out."
            )
        info = PredictionsInfo(
            task=model.task.name,
            data=paths,
            split=split,
            validation_share=model.config.data.validation_share if split == VALIDATION else 0.0,
            digest=dataset.meta.digest,
            checkpoint=model.name,
            step=model.checkpoint.step,
            weights=weights_digest(model.network) if group.is_first else "",
            reset_puzzle_embedding=reset_puzzle_embedding,
            **checked.model_dump(),
        )
        unfinished = UnfinishedEvaluation(Path(save_predictions), info, chosen)

    def resume() -> NDArray[np.int64]:
        """Give the evaluator the known answers, and return the rows that are missing."""
        assert unfinished is not None
        unfinished.open(overwrite=overwrite)
        known = np.isin(rows, unfinished.rows)
        if others := len(unfinished.rows) - int(known.sum()):
            remarks.append(f"{save_predictions} keeps {others:,} answers to other examples")
        for batch in unfinished.batches(rows[known], batch_size):
            evaluator.update(batch)
        return rows[~known]

    with contextlib.ExitStack() as stack:
        missing = rows
        if unfinished:
            stack.callback(unfinished.close)
            missing = group.broadcast_from_first(resume)
        stack.enter_context(device_errors())
        stack.enter_context(_mean_embedding(model, dataset, reset_puzzle_embedding))
        if not checked.searches:
            compile_network(network, compile)
        # An evaluation before this one may have compiled it.
        if network.is_compiled and (checked.searches or compile is False):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        peak = DevicePeak(network.device, network.dtype)
        started = time.perf_counter()
        each = 3 * dataset.meta.seq_len if unfinished else 0  # bytes of an answer in its file
        num_known = len(rows) - len(missing)
        limit = TimeLimit(max_minutes, began, num_known * each, batch_size * each)
        metrics = run_evaluation(
            network,
            evaluator,
            chosen,
            batch_size=batch_size,
            rows=missing,
            num_known=num_known,
            options=checked,
            search=_search(model, checked) if checked.searches else None,
            loss=None if unfinished else model.config.train.loss,  # a file keeps no losses
            on_batch=unfinished.append if unfinished else None,
            on_steps=steps.append,
            on_progress=on_progress,
            is_over=lambda: limit.is_over(group),
            group=group,
        )
        seconds = time.perf_counter() - started
        assert metrics is not None  # nothing stopped it
        if unfinished and group.is_first:
            unfinished.finish()
    num_new, num_steps = min(len(steps) * batch_size, len(missing)), sum(steps)
    num_examples = num_known + num_new
    if num_examples < len(rows):
        remarks.append(
            f"answered {num_examples:,} of {len(rows):,} examples: the {max_minutes:g} minutes are "
            "over"
        )
    if report and group.is_first:
        facts = {
            "step": f"{model.checkpoint.step:,}",
            "inference": checked.flags or "as trained",
            "answers": f"{num_examples:,} of {len(rows):,}",
        }
        write_page(report, evaluator, dataset, split, model.name, facts)
    step_flops = eval_step_flops(network.config, network.spec)
    speed = {
        "seconds": seconds,
        "samples_per_s": num_new / seconds,
        **peak.utilization(num_steps / seconds, step_flops),
    }
    provenance: Provenance | None = None
    if group.is_first:
        provenance = provenance_of(
            model,
            dataset,
            chosen,
            split,
            paths,
            np.concatenate([np.setdiff1d(rows, missing), missing[:num_new]]),
            complete=num_examples == len(rows),
            options=checked,
            batch_size=batch_size,
            max_examples=max_examples,
            max_copies=copies,
            reset_puzzle_embedding=reset_puzzle_embedding,
            processes=group.size,
        )
    return Report(
        checkpoint=model.name,
        step=model.checkpoint.step,
        task=model.task.name,
        data=dataset.path,
        digest=dataset.meta.digest,
        metrics=metrics,
        evaluator=evaluator,
        speed=speed,
        num_examples=num_examples,
        num_steps=num_steps,
        split=split,
        options=checked,
        remarks=tuple(remarks),
        provenance=provenance,
    )


def _search(model: Model, options: SolveOptions) -> Callable[[Batch], list[Solution]]:
    """Solves the puzzles of a batch, as many at a time as ``trm solve``."""

    def solve(batch: Batch) -> list[Solution]:
        puzzles = [Puzzle(tokens) for tokens in batch.inputs]
        identifiers = batch.puzzle_identifiers.tolist()
        parts = [slice(n, n + BATCH_SIZE) for n in range(0, len(puzzles), BATCH_SIZE)]
        solved = (model.solver.solve(puzzles[p], identifiers[p], options) for p in parts)
        return list(itertools.chain.from_iterable(solved))

    return solve


def _few_copies(split: Split, copies: int, dataset: Dataset) -> list[str]:
    """What to say of groups with fewer puzzles than this.

    Raises:
        InputError: if no group has more than one puzzle.
    """
    counts = np.diff(split.puzzle_offsets)
    if (counts == 1).all():
        raise InputError(
            f"--copies {copies}: the puzzles of {dataset.path} have no augmented copies. Leave it "
            "out."
        )
    short = int((counts < copies).sum())
    if not short:
        return []
    return [
        f"{short:,} of {len(counts):,} puzzles have fewer than {copies:,} copies: all are taken"
    ]


def data_folders(model: Model, data: Paths) -> tuple[str, ...]:
    """The folders to evaluate a model on; by default those that it was trained on.

    Raises:
        DataError: if one is missing.
    """
    paths = tuple(map(str, as_paths(data))) or model.config.data_paths
    check_folders(model.task, paths, built=model.trained_on.data)
    return paths


def default_max_examples(model: Model, split: str) -> int | None:
    """The examples that an evaluation looks at by default; None for all.

    The validation split holds all augmented copies. Training evaluates only some of them.
    """
    return model.config.eval.max_examples if split == VALIDATION else None


def _choose_split(model: Model, dataset: Dataset, split: str) -> Split:
    """The puzzles of a dataset to evaluate a model on."""
    if split == "test":
        return dataset.split(split)
    if split != VALIDATION:
        raise InputError(f"split {split!r} is neither test nor {VALIDATION}. Give one of them.")
    share, trained_on = model.config.data.validation_share, model.checkpoint.data.digest
    if not share:
        raise InputError(
            f"{model.name} was trained without holding puzzles out. Train with "
            "--validation-share 0.1, or evaluate on the test split."
        )
    if dataset.meta.digest != trained_on:
        raise InputError(
            f"{dataset.path} has digest {dataset.meta.digest[:12]}, {model.name} held puzzles out "
            f"of data of digest {trained_on[:12]}. Give the data that it was trained on."
        )
    return with_validation_split(dataset, share).split(split)


@contextlib.contextmanager
def _mean_embedding(model: Model, dataset: Dataset, reset: bool) -> Iterator[None]:
    """Inside the block, each puzzle of the dataset has the mean puzzle embedding."""
    table = model.network.puzzle_embedding
    if not reset or table is None:
        yield
        return
    weight = table.weight
    table.weight = mean_puzzle_embedding(weight, dataset.meta.num_puzzle_identifiers)
    try:
        yield
    finally:
        table.weight = weight
