"""What a run of a comparison leaves in its folder, and the result that is read from it.

================  ==================================================================================
``test.json``     the evaluation of the last checkpoint, as ``trm eval --json`` prints it. It is
                  written last: a run that has it is finished
``test.npz``      the answers to all test puzzles, of ``trm eval --save-predictions``
``scores.json``   instead, where answers vote (ARC): the scores of ``trm eval --per-task``
================  ==================================================================================
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from trm.comparison.plan import Plan, PlannedRun
from trm.comparison.report import RunResult
from trm.errors import CheckpointError, ConfigError, InputError
from trm.evaluation.predictions import Predictions
from trm.reading import FileReader, finite_number
from trm.runs.best_and_last import last_checkpoint
from trm.runs.checkpoint import read_progress
from trm.runs.layout import LAST, METRICS_FILE
from trm.runs.metrics_file import oldest_first
from trm.tasks.metrics import Metric

TEST_FILE = "test.json"
_READER = FileReader(InputError, "Remove it: the same command evaluates again.")


class _Evaluation(BaseModel):
    """The part of ``test.json`` that is used."""

    step: int
    digest: str
    metrics: dict[str, Metric]


def read_result(plan: Plan, run: PlannedRun) -> RunResult | None:
    """The result of a run; None if it is not finished.

    Raises:
        ConfigError: if it was evaluated on other data, or another checkpoint was.
        InputError, CheckpointError: if a file is damaged or missing.
    """
    file, answers = run.folder / TEST_FILE, run.folder / _answers_file(plan)
    if not (file.exists() and answers.exists()):
        return None
    found = _READER.model(file, _Evaluation)
    checkpoint = last_checkpoint(run.folder)
    if checkpoint is None:
        raise CheckpointError(f"{run.folder} has lost its last checkpoint. Remove that folder.")
    progress = read_progress(checkpoint)
    then = now = ""
    if found.step != progress.step:
        then, now = f"at step {found.step:,}", f"its last checkpoint is of step {progress.step:,}"
    elif found.digest != plan.digest:
        then = f"on data of digest {found.digest[:12]}"
        now = f"{', '.join(plan.data)} has {plan.digest[:12]}"
    if then:
        raise ConfigError(
            f"{run.folder} was evaluated {then}, {now}. Name another --out, or remove its "
            f"{TEST_FILE} and {answers.name}: the same command evaluates again."
        )
    if plan.metric not in found.metrics:
        raise _READER.damaged(file, f"it has no {plan.metric}")
    return RunResult(
        label=run.label,
        run=run.folder,
        seed=run.seed,
        value=found.metrics[plan.metric],
        steps=progress.step,
        seconds=progress.wall_s,
        training_flops=_training_flops(run),
        scores=_scores_by_task(answers, plan.metric) if plan.by_task else _exact(answers),
    )


def _answers_file(plan: Plan) -> str:
    return "scores.json" if plan.by_task else "test.npz"


def _exact(file: Path) -> NDArray[np.float64]:
    """Whether each test puzzle is solved, in the order of the data."""
    predictions = Predictions.load(file, _READER.advice)
    exact = np.concatenate([batch.exact for batch in predictions.batches()])
    order = np.lexsort((predictions.answers.puzzles, predictions.answers.examples))
    return exact[order].astype(np.float64)


def _scores_by_task(file: Path, metric: str) -> NDArray[np.float64]:
    """The headline metric of each task, in the order of their names."""
    raw = _READER.json(file)
    with _READER.parsing(file):
        if not isinstance(raw, dict) or not all(isinstance(task, dict) for task in raw.values()):
            raise ValueError("it is not a JSON object of tasks")
        scores = [finite_number(raw[name].get(metric)) for name in sorted(raw)]
        if None in scores:
            raise ValueError(f"a task has no {metric}")
    return np.array(scores, np.float64)


def _training_flops(run: PlannedRun) -> float:
    """The counted operations of all training steps, from the speeds in the records of the run."""
    total, last = 0.0, 0
    for record in oldest_first(run.folder / METRICS_FILE):
        step, speed, rate = (record.get(k) for k in ("step", "tflops", "samples_per_s"))
        numbers = [finite_number(value) for value in (speed, rate)]
        if record.get("event") != "train" or not isinstance(step, int) or None in numbers:
            continue
        each = 1e12 * float(numbers[0] or 0) / float(numbers[1] or 1)
        total += (step - last) * run.config.train.batch_size * each
        last = step
    return float(f"{total:.6g}")  # a speed is a quotient of measured times: the rest is rounding


def evaluation_command(plan: Plan, run: PlannedRun) -> list[str]:
    """The arguments of ``trm`` that evaluate the last checkpoint and write the scores."""
    scores, answers = "trm eval --json --per-task", "trm eval --json --save-predictions"
    _, *words = (scores if plan.by_task else answers).split()
    data = [part for path in plan.data for part in ("--data", path)]
    return [*words, str(run.folder / _answers_file(plan)), "--ckpt", str(run.folder / LAST), *data]
