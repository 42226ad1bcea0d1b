"""The training loop: batches in, steps, records, evaluations and checkpoints out."""

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trm.config import RunConfig
from trm.data import Dataset, Position, Split, TrainStream, exploration, num_eval_examples
from trm.engine import checkpoint, runs
from trm.engine.device import can_compile, to_device
from trm.engine.evaluate import averaged, compiled_step, evaluate
from trm.engine.step import METRICS, Trainer, TrainState
from trm.engine.track import Listener, MetricsFile, Record
from trm.errors import PluginError, TrainingError, did_you_mean
from trm.models import TinyRecursiveModel
from trm.storage import point_to
from trm.tasks.base import Task


def total_steps(config: RunConfig, split: Split) -> int:
    """The length of the run: as many batches as the epochs fill, or ``max_steps``.

    An epoch is one puzzle of each group, with the mean number of examples, as published.
    """
    examples = config.train.epochs * split.num_groups * split.mean_puzzle_examples
    return config.train.max_steps or max(1, int(examples / config.train.batch_size))


def eval_examples(config: RunConfig, steps: int) -> int:
    """How many examples an evaluation looks at after so many training steps.

    As many as take no longer than so many steps: an example costs ``halt_max_steps`` forward
    passes there, each some 0.6 of a training step's.
    """
    trained = steps * config.train.batch_size
    affordable = math.ceil(trained / (0.6 * config.model.halt_max_steps))
    return config.eval.max_examples or affordable


def build_model(config: RunConfig, dataset: Dataset, device: torch.device) -> TinyRecursiveModel:
    """A new model for these puzzles; the seed alone decides its weights."""
    generator = torch.Generator().manual_seed(config.train.seed)
    spec = checkpoint.puzzle_spec(dataset.meta)
    return TinyRecursiveModel(config.model, spec, generator=generator).to(device)


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        finished: whether it went to its end, the last evaluation included.
    """

    run: Path
    step: int
    finished: bool
    best: float | None
    best_step: int | None


@dataclass
class Run:
    """A training run of one task on one device.

    Attributes:
        folder: the run folder; it exists once there is something to keep.
        listen: hears every record, after ``metrics.jsonl``.
        should_stop: asked after each step; true ends the run with a checkpoint.
    """

    folder: Path
    config: RunConfig
    task: Task
    dataset: Dataset
    device: torch.device
    listen: Listener = field(default=lambda record: None)
    should_stop: Callable[[], bool] = field(default=lambda: False)

    def fit(self, resume_from: Path | None = None) -> Outcome:
        """Train to the end, or until told to stop; goes on from ``resume_from`` if given."""
        config, split = self.config, self.dataset.split("train")
        model = build_model(config, self.dataset, self.device)
        state = TrainState.create(model, config)
        self.progress = checkpoint.Progress(step=0, position=Position())
        if resume_from is not None:
            self.progress = checkpoint.restore(resume_from, state)
        self.total = total_steps(config, split)
        compiles = can_compile(self.device) and config.train.compile
        self.trainer = Trainer(state, config, self.total, compiled=compiles)
        self._eval_step = compiled_step(model, config.train.compile)
        self.stream = TrainStream(
            split,
            config.train.batch_size,
            config.train.seed,
            self.progress.position,
            online=config.data.augment == "online",
        )
        self._metrics_file = MetricsFile(self.folder / runs.METRICS_FILE, state.step)
        self._train(state)
        progress = self.progress
        finished = state.step >= self.total and progress.evaluated_step == state.step
        return Outcome(self.folder, state.step, finished, progress.best, progress.best_step)

    def _train(self, state: TrainState) -> None:
        train = self.config.train
        eval_every = train.eval_every_steps or max(math.ceil(self.total / 10), 100)
        eval_every = min(eval_every, self.total)
        save_every = train.save_every_steps or min(eval_every, 1000)
        self._num_eval = eval_examples(self.config, eval_every)
        window = _Window(state.step, self.progress.elapsed_s)

        def evaluates() -> bool:
            return state.step % eval_every == 0 or state.step == self.total

        stop = False
        if state.step and evaluates() and self.progress.evaluated_step != state.step:
            self._evaluate(window)  # the run was stopped before or while it did so
            stop = self.should_stop()
        while state.step < self.total and not stop:
            window.add(self._step())
            stop = self.should_stop()
            saves = evaluates() or stop or state.step % save_every == 0
            if saves or state.step % train.log_every_steps == 0:
                self._log(window)  # which also looks for numbers that are none
            if saves:
                self._save(window.elapsed)
            if evaluates() and not stop:
                self._evaluate(window)
                stop = self.should_stop()
            window.resume()

    def _step(self) -> Tensor:
        config, state = self.config, self.trainer.state
        puzzles = to_device(next(self.stream), self.device)
        model = config.model
        min_steps = exploration(
            config.train.seed,
            state.step,
            config.train.batch_size,
            model.halt_exploration_prob,
            model.halt_max_steps,
        )
        return self.trainer.step(puzzles, torch.from_numpy(min_steps).to(self.device))

    def _log(self, window: "_Window") -> None:
        step = self.trainer.state.step
        record = {
            "event": "train",
            "step": step,
            **window.close(step, self.config.train.batch_size, self.total),
            "lr": self.trainer.learning_rate,
        }
        self._report(record)
        if not math.isfinite(record["loss"]) or not math.isfinite(record["grad_norm"]):
            good = runs.last_checkpoint(self.folder)
            raise TrainingError(
                f"loss {record['loss']} and gradient norm {record['grad_norm']} at step {step}. "
                f"Lower optim.lr; the last good checkpoint is {good or 'none'}."
            )

    def _evaluate(self, window: "_Window") -> None:
        """Measure the checkpoint just saved, and note in it what came out."""
        state, split = self.trainer.state, self.dataset.split("test")
        evaluator = self.task.evaluator(self.dataset.meta, split)
        examples = num_eval_examples(split, self._num_eval)
        with averaged(state.model, state.average):
            metrics = evaluate(
                state.model,
                evaluator,
                split,
                batch_size=self.config.eval_batch_size,
                max_examples=examples,
                step=self._eval_step,
                should_stop=self.should_stop,
            )
        if metrics is None:
            return
        values = {name: metric.value for name, metric in metrics.items()}
        if evaluator.headline not in values:
            raise PluginError(
                f"the evaluator of task {self.task.name} has no metric {evaluator.headline!r}, "
                f"its headline. {did_you_mean(evaluator.headline, values)}"
            )
        ours = {"event": "eval", "step": state.step, "elapsed_s": window.elapsed}
        self._report({"event": "eval", "step": state.step, "examples": examples, **values, **ours})
        self._remember(state.step, values[evaluator.headline])

    def _remember(self, step: int, headline: float) -> None:
        update: dict[str, Any] = {"evaluated_step": step}
        path = runs.checkpoint_path(self.folder, step)
        if self.progress.best is None or headline >= self.progress.best:
            update |= {"best": headline, "best_step": step}
            point_to(self.folder / runs.BEST, path)
        self.progress = self.progress.model_copy(update=update)
        checkpoint.save_progress(path, self.progress)
        self._prune()

    def _prune(self) -> None:
        for old in runs.prune(self.folder, self.config.train.keep_checkpoints):
            shutil.rmtree(old, ignore_errors=True)

    def _save(self, elapsed: float) -> None:
        step = self.trainer.state.step
        path = runs.checkpoint_path(self.folder, step)
        update = {"step": step, "position": self.stream.position, "elapsed_s": elapsed}
        self.progress = self.progress.model_copy(update=update)
        config = checkpoint.CheckpointConfig(step=step, run=self.config, data=self.dataset.meta)
        checkpoint.save(path, config, self.trainer.state, self.progress, self.dataset.names)
        point_to(self.folder / runs.LAST, path)
        self._prune()
        self._report({"event": "checkpoint", "step": step, "path": str(path)})

    def _report(self, record: Record) -> None:
        self._metrics_file(record)
        self.listen(record)


class _Window:
    """The steps since the last logged one: sums on the device, read only when logged."""

    def __init__(self, step: int, elapsed: float) -> None:
        self._began = time.perf_counter() - elapsed
        self._open(step)

    def _open(self, step: int) -> None:
        self._sums: Tensor | None = None
        self._first = step
        self._since = self._stepped = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds of training and evaluation, those before an interruption included."""
        return time.perf_counter() - self._began

    def resume(self) -> None:
        """Do not count the time since the last step: it went into evaluation and saving."""
        self._since += time.perf_counter() - self._stepped

    def add(self, sums: Tensor) -> None:
        """Take in one step's sums."""
        self._stepped = time.perf_counter()
        self._sums = sums if self._sums is None else self._sums + sums

    def close(self, step: int, batch_size: int, total: int) -> dict[str, Any]:
        """The averages since the last call; a new window begins."""
        assert self._sums is not None
        sums = dict(zip(METRICS, self._sums.tolist(), strict=True))
        steps, seconds = step - self._first, time.perf_counter() - self._since
        count = sums.pop("count")
        shares = ("exact_accuracy", "cell_accuracy", "halting_accuracy", "mean_steps")
        averages = {
            name: (value / count if count else None) if name in shares else value / steps
            for name, value in sums.items()
        }
        self._open(step)
        return {
            **averages,
            "num_halted": int(count),
            "samples_per_s": steps * batch_size / seconds,
            "eta_s": (total - step) * seconds / steps,
            "elapsed_s": self.elapsed,
        }
