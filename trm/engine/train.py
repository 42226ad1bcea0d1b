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
from trm.engine.device import to_device
from trm.engine.evaluate import averaged, evaluate
from trm.engine.step import METRICS, Trainer, TrainState
from trm.engine.track import Listener, MetricsFile, Record
from trm.errors import PluginError, TrainingError, did_you_mean
from trm.models import TinyRecursiveModel
from trm.storage import point_to
from trm.tasks.base import Task


def total_steps(config: RunConfig, split: Split) -> int:
    """The length of the run: as many batches as the epochs fill, or ``max_steps``."""
    steps = config.train.epochs * len(split.inputs) // config.train.batch_size
    return config.train.max_steps or max(1, steps)


def eval_examples(config: RunConfig, steps: int) -> int:
    """How many examples an evaluation looks at after so many training steps.

    As many as take no longer than those steps: an example costs ``halt_max_steps`` forward
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
    """How a run ended."""

    run: Path
    step: int
    total_steps: int
    best: float | None
    best_step: int | None

    @property
    def finished(self) -> bool:
        """Whether it went to its end, and was not stopped on the way."""
        return self.step >= self.total_steps


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
        compiled = config.train.compile and self.device.type == "cuda"
        self.trainer = Trainer(state, config, self.total, compiled=compiled)
        self._eval_step = torch.compile(model) if compiled else None
        self.stream = TrainStream(
            split, config.train.batch_size, config.train.seed, self.progress.position
        )
        self._metrics_file = MetricsFile(self.folder / runs.METRICS_FILE, state.step)
        self._train(state)
        best, best_step = self.progress.best, self.progress.best_step
        return Outcome(self.folder, state.step, self.total, best, best_step)

    def _train(self, state: TrainState) -> None:
        train = self.config.train
        eval_every = train.eval_every_steps or max(math.ceil(self.total / 10), 100)
        save_every = train.save_every_steps or eval_every
        window = _Window(state.step, self.progress.elapsed_s)
        saved = self._evaluated = state.step
        while state.step < self.total:
            window.add(self._step())
            step, last = state.step, state.step == self.total
            stop = self.should_stop()
            if step % train.log_every_steps == 0 or last or stop:
                self._log(window)
            evaluates = step % eval_every == 0 or last
            if evaluates:
                self._evaluate(window)
            if evaluates or stop or step % save_every == 0:
                self._save(window.elapsed)
                saved = step
                window.resume()
            if stop:
                break
        assert saved == state.step  # every way out of the loop has saved

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
        state, split = self.trainer.state, self.dataset.split("test")
        evaluator = self.task.evaluator(self.dataset.meta, split)
        wanted = eval_examples(self.config, state.step - self._evaluated)
        examples = num_eval_examples(split, wanted)
        with averaged(state.model, state.average):
            metrics = evaluate(
                state.model,
                evaluator,
                split,
                batch_size=self.config.eval_batch_size,
                max_examples=examples,
                step=self._eval_step,
            )
        self._evaluated = state.step
        values = {name: metric.value for name, metric in metrics.items()}
        if evaluator.headline not in values:
            raise PluginError(
                f"the evaluator of task {self.task.name} has no metric {evaluator.headline!r}, "
                f"its headline. {did_you_mean(evaluator.headline, values)}"
            )
        ours = {"event": "eval", "step": state.step, "elapsed_s": window.elapsed}
        self._report({"event": "eval", "step": state.step, "examples": examples, **values, **ours})
        headline = values[evaluator.headline]
        if self.progress.best is None or headline >= self.progress.best:
            update = {"best": headline, "best_step": state.step}
            self.progress = self.progress.model_copy(update=update)

    def _save(self, elapsed: float) -> None:
        step = self.trainer.state.step
        path = runs.checkpoint_path(self.folder, step)
        update = {"step": step, "position": self.stream.position, "elapsed_s": elapsed}
        self.progress = self.progress.model_copy(update=update)
        config = checkpoint.CheckpointConfig(step=step, run=self.config, data=self.dataset.meta)
        checkpoint.save(path, config, self.trainer.state, self.progress)
        point_to(self.folder / runs.LAST, path)
        if self.progress.best_step == step:
            point_to(self.folder / runs.BEST, path)
        for old in runs.prune(self.folder, self.config.train.keep_checkpoints):
            shutil.rmtree(old)
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
