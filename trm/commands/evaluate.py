"""The commands that measure models: ``eval``, ``vote`` and ``score``."""

import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trm.commands import options as opt
from trm.commands.help import Command
from trm.commands.options import PerTask, Submission
from trm.commands.processes import join_processes, processes_to_start
from trm.commands.resume_hint import resume_hint
from trm.errors import InputError, TrmError
from trm.inference.options import SolveOptions
from trm.runtime.worker import elastic_worker, is_elastic_worker
from trm.show.text import notes, out
from trm.storage import check_writable, write_text

if TYPE_CHECKING:
    import torch

    from trm.evaluation.checkpoint_manifest import ManifestEntry
    from trm.evaluation.report import Report
    from trm.runtime.launcher import LaunchOptions
    from trm.runtime.process_group import ProcessGroup
    from trm.tasks.metrics import Evaluator, Metric

app = typer.Typer()
#: Seconds that a process of an evaluation may take to end after Ctrl-C: it has nothing to save.
_GRACE_S = 30
#: The environment variable that tells the processes when the command began.
_BEGAN = "EVALUATION_BEGAN"

EXAMPLES = """
trm eval                                          # the newest run's best
trm eval --ckpt runs/sudoku/a --ckpt runs/sudoku/b --markdown
trm eval --samples 4 --max-examples 1000 --save-predictions a.npz
trm eval --copies 512 --max-minutes 120 --submission submission.json
"""
VOTE_EXAMPLES = """
trm vote a.npz b.npz                              # two models vote
trm vote arc.npz --submission submission.json
trm vote arc.npz --report report                  # a page to look at
trm vote arc.npz --solutions arc-agi_test_solutions.json
"""
#: Of a submission with more problems, only these are shown.
_MAX_PROBLEMS = 50


@app.command("eval", cls=Command, epilog=EXAMPLES)
@opt.with_verbosity
@opt.with_inference_flags(SolveOptions)
def evaluate(
    context: typer.Context,
    ckpt: opt.Checkpoints = None,
    manifest: Annotated[
        Path | None, opt.option(opt.BASICS, "--all F", "All checkpoints of a TOML file.")
    ] = None,
    data: opt.Data = None,
    split: opt.Split = None,
    task: opt.PublishedTask = None,
    reset_puzzles: opt.ResetPuzzles = False,
    batch_size: opt.EvalBatchSize = None,
    max_examples: opt.MaxExamples = None,
    copies: opt.Copies = None,
    max_minutes: Annotated[
        float | None,
        opt.option(opt.DATA, "--max-minutes M", "End in M minutes, with the answers so far."),
    ] = None,
    *,
    options: dict[str, Any],
    device: opt.Device = None,
    num_processes: opt.NumProcesses = None,
    oversubscribe: opt.Oversubscribe = False,
    compile: opt.Compile = None,
    as_json: opt.AsJson = False,
    as_markdown: opt.AsMarkdown = False,
    save_predictions: Annotated[
        Path | None,
        opt.option(
            opt.OUTPUT,
            "--save-predictions F",
            "Write every answer to this .npz file, or resume it.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, opt.option(opt.OUTPUT, "--overwrite", "Start that file again, do not resume it.")
    ] = False,
    submission: Submission = None,
    per_task: PerTask = None,
    report: opt.Report = None,
) -> int:
    """Measure trained models on a dataset's test split, on all GPUs."""
    began = float(os.environ.get(_BEGAN, time.monotonic()))
    entries = _entries(ckpt, manifest)
    one = len(entries) == 1 and manifest is None
    files = {"--save-predictions": save_predictions, "--submission": submission,
             "--per-task": per_task, "--report": report}  # fmt: skip
    for flag, file in files.items():
        if file is not None and not one:
            raise InputError(f"{flag} is for one checkpoint. Name it with --ckpt.")
    if max_minutes is not None and not one:
        raise InputError("--max-minutes is for one checkpoint. Name it with --ckpt.")
    given = {"batch_size": batch_size, "max_examples": max_examples, "copies": copies,
             "split": split, "task": task,
             "data": tuple(data) if data else None,
             "reset_puzzle_embedding": reset_puzzles or None}  # fmt: skip
    update = options | {name: value for name, value in given.items() if value is not None}
    entries = [entry.of(**entry.model_dump() | update) for entry in entries]
    if overwrite and save_predictions is None:
        raise InputError("--overwrite is for --save-predictions. Add it, or leave this one out.")
    _check_files(save_predictions, submission, per_task, folder=report)
    launch_options = processes_to_start(
        device or "auto", num_processes, max_restarts=0, oversubscribe=oversubscribe
    )
    hint = resume_hint(save_predictions, "--save-predictions" if one else None, overwrite)
    if launch_options is not None:
        with hint:
            return _launch(context.obj or [], launch_options, {_BEGAN: str(began)})
    where = {"save_predictions": save_predictions, "overwrite": overwrite, "compile": compile,
             "max_minutes": max_minutes, "began": began, "report": report,
             "extras": _extras(submission, per_task)}  # fmt: skip
    with contextlib.ExitStack() as stack:
        if not is_elastic_worker(os.environ):
            stack.enter_context(hint)
        stack.enter_context(elastic_worker(os.environ))
        own_device, group = stack.enter_context(join_processes(device or "auto"))
        reports: list[Report] = []
        try:
            for entry in entries:
                reports += [_report(entry, own_device, group, where)]
        except (TrmError, KeyboardInterrupt):
            if reports and group.is_first:  # they may have taken hours
                _show(entries[: len(reports)], reports, one, as_json, as_markdown)
            raise
    if not group.is_first:
        return 0
    try:
        _write_extras(reports[-1].evaluator, submission, per_task)
    finally:
        _show(entries, reports, one, as_json, as_markdown)
    _note_written(save_predictions, submission, per_task, report=report)
    return 0


def _launch(arguments: list[str], options: "LaunchOptions", environment: Mapping[str, str]) -> int:
    """Run this command line in several processes, whose logs go to a temporary folder."""
    from trm.runtime.launcher import launch

    folder = Path(tempfile.mkdtemp(prefix="trm-eval-"))
    try:
        code = launch(
            arguments, options, folder,
            hint=lambda: "Read it, and evaluate again.", grace_s=_GRACE_S, shows_errors=True,
            environment=environment,
        )  # fmt: skip
    except TrmError as error:
        if str(folder) not in str(error):  # otherwise the message names a log in it
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    if code == 128 + signal.SIGINT:
        raise KeyboardInterrupt
    return code


def _show(
    entries: "Sequence[ManifestEntry]",
    reports: "Sequence[Report]",
    one: bool,
    as_json: bool,
    as_markdown: bool,
) -> None:
    from trm.show.fitted_table import markdown
    from trm.show.tables import metrics_table, results_table, speed_text, split_text

    rows, results = [], []
    for entry, report in zip(entries, reports, strict=True):
        row = report.row(entry.name, entry.metric, entry.reported)
        named = {"name": row.name, "metric": row.metric, "reported": row.reported}
        rows.append(row)
        results.append(({} if one else named) | report.as_json())
    if as_json:
        out.print_json(data=results[0] if one else results)
    elif as_markdown:
        for line in markdown(results_table(rows)).splitlines():
            out.print(line)
    elif one:
        how = split_text(report.split) + report.options.text
        out.print_parts(report.checkpoint, f"on {report.data}{how}")
        out.print(metrics_table(report.metrics))
        _remark_unmeasured(report.metrics)
    else:
        out.print(results_table(rows))
    for report in reports:
        for remark in report.remarks:
            notes.remark(remark if one else f"{report.checkpoint}: {remark}")
    if not as_json:
        for row, report in zip(rows, reports, strict=True):
            notes.detail(f"{row.name}: {speed_text(report.speed)}")


def _remark_unmeasured(metrics: "Mapping[str, Metric]") -> None:
    if all(metric.count == 0 for metric in metrics.values()):
        notes.remark("no output of these puzzles is known, so nothing is measured")


def _note_written(*files: Path | None, report: Path | None) -> None:
    from trm.evaluation.report_page import page_in

    for file in (*files, report and page_in(report)):
        if file is not None:
            notes.remark(f"wrote {file}")


def _check_files(*files: Path | None, folder: Path | None) -> None:
    """Refuse files that cannot be written, before the evaluation rather than after it."""
    given = [path for path in (*files, folder) if path is not None]
    for number, path in enumerate(given):
        if path is not folder:  # that is checked when the task is known to have a report
            check_writable(path)
        if path.resolve() in [other.resolve() for other in given[:number]]:
            raise InputError(f"{path} is named for two outputs. Name two files.")


def _entries(ckpt: Sequence[str] | None, manifest: Path | None) -> "list[ManifestEntry]":
    from trm.evaluation.checkpoint_manifest import ManifestEntry, read_manifest

    if manifest is not None:
        if ckpt:
            raise InputError("--all and --ckpt exclude each other. Give one of them.")
        return read_manifest(manifest)
    names: Sequence[str | None] = ckpt or [None]
    return [ManifestEntry(ckpt=name) for name in names]


def _report(
    entry: "ManifestEntry",
    device: "torch.device",
    group: "ProcessGroup",
    where: Mapping[str, Any],
) -> "Report":
    from trm.evaluation.evaluate import evaluate as evaluate_checkpoint
    from trm.inference.model import load
    from trm.show.progress import EvaluationView

    model = load(entry.ckpt, task=entry.task, device=device)
    if group.is_first and model.notes:
        notes.remark(f"{model.name}: inferred {'; '.join(model.notes)}")
    with EvaluationView(notes) as progress:
        return evaluate_checkpoint(
            model,
            data=entry.data,
            split=entry.split,
            batch_size=entry.batch_size,
            max_examples=entry.max_examples,
            copies=entry.copies,
            reset_puzzle_embedding=entry.reset_puzzle_embedding,
            on_progress=progress,
            group=group,
            **where,
            **entry.options.model_dump(),
        )


def _extras(submission: Path | None, per_task: Path | None) -> list[str]:
    """The files that the evaluator has to make."""
    files = {"submission": submission, "per_task": per_task}
    return [name for name, file in files.items() if file is not None]


def _write_extras(evaluator: "Evaluator", submission: Path | None, per_task: Path | None) -> None:
    if submission is not None:
        write_text(submission, json.dumps(evaluator.submission()) + "\n")
    if per_task is not None:
        write_text(per_task, json.dumps(evaluator.per_task()) + "\n")


@app.command(cls=Command, epilog=VOTE_EXAMPLES)
@opt.with_verbosity
def vote(
    predictions: Annotated[
        list[Path],
        typer.Argument(
            metavar="PREDICTIONS...",
            help="Files of trm eval --save-predictions.",
            rich_help_panel=opt.BASICS,
        ),
    ],
    data: opt.Data = None,
    solutions: Annotated[
        Path | None,
        opt.option(
            opt.DATA, "--solutions F", "Score with the outputs in a file of the competition."
        ),
    ] = None,
    as_json: opt.AsJson = False,
    submission: Submission = None,
    per_task: PerTask = None,
    report: opt.Report = None,
) -> None:
    """Vote again over saved predictions; several make an ensemble."""
    from trm.evaluation.predictions import Predictions
    from trm.evaluation.vote import vote_saved
    from trm.show.tables import metrics_table, split_text

    _check_files(submission, per_task, folder=report)
    files = {str(path): Predictions.load(path) for path in predictions}
    evaluator = vote_saved(files, data or (), solutions, report)
    evaluator.check_has(_extras(submission, per_task))
    metrics = evaluator.result()
    _write_extras(evaluator, submission, per_task)
    if as_json:
        values = {name: metric.as_json() for name, metric in metrics.items()}
        info = next(iter(files.values())).info
        result = {"predictions": list(files), "split": info.split, "metrics": values}
        out.print_json(data=result)
    else:
        for path, saved in files.items():
            info = saved.info
            out.print_parts(f"{path}:", f"{info.checkpoint}{split_text(info.split)}{info.text}")
        out.print(metrics_table(metrics))
        _remark_unmeasured(metrics)
    _note_written(submission, per_task, report=report)


@app.command(cls=Command)
def score(
    submission: Annotated[
        Path,
        typer.Argument(
            metavar="SUBMISSION",
            help="A file of trm eval or vote --submission.",
            rich_help_panel=opt.BASICS,
        ),
    ],
    solutions: Annotated[
        Path, opt.option(opt.BASICS, "--solutions F", "The outputs, a file of the competition.")
    ],
    as_json: opt.AsJson = False,
) -> None:
    """Check a submission to the ARC Prize, and score it by the competition's rule."""
    from trm.show.tables import metrics_table, scored_table
    from trm.tasks.arc.score import score as score_submission

    found = score_submission(submission, solutions=solutions)
    if as_json:
        metrics = {name: metric.as_json() for name, metric in found.metrics.items()}
        tasks = {name: list(solved) for name, solved in found.solved.items()}
        out.print_json(data={"metrics": metrics, "tasks": tasks, "problems": list(found.problems)})
    else:
        out.print(scored_table(found.solved))
        out.print(metrics_table(found.metrics))
    count = len(found.problems)
    for problem in found.problems[:_MAX_PROBLEMS]:
        notes.remark(problem)
    if count > _MAX_PROBLEMS:
        notes.remark(f"and {count - _MAX_PROBLEMS:,} more")
    if count:
        raise InputError(
            f"{submission} has {count:,} problem{'s' * (count > 1)}, so the competition would "
            "refuse it. Write it again with trm vote --submission."
        )
