"""The training loop: batches in, steps, records, evaluations and checkpoints out."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from trm.config import RunConfig
from trm.data import Dataset, Position, TrainStream, exploration_min_steps, num_eval_examples
from trm.errors import PluginError, StorageError, TrainingError, did_you_mean
from trm.evaluation.evaluate import evaluate
from trm.inference.options import InferenceOptions
from trm.runs import checkpoint
from trm.runs.layout import METRICS_FILE
from trm.runs.metrics_file import Listener, MetricsFile, Record
from trm.runs.run_folder import last_checkpoint
from trm.runtime.device import compile_network, copy_to, to_device
from trm.runtime.process_group import SINGLE_PROCESS, ProcessGroup
from trm.tasks.base import Task
from trm.tasks.metrics import Metric
from trm.trackers import TrackerGroup, open_trackers
from trm.training.best import has_ended_early, judged
from trm.training.checkpoint_writer import CheckpointWriter
from trm.training.initial_model import begin_with, build_model
from trm.training.optim.ema import averaged
from trm.training.profiler import profiled
from trm.training.schedule import Schedule, eval_examples, total_steps
from trm.training.snapshot import restore, take_snapshot
from trm.training.step import Trainer, TrainState
from trm.training.step_metrics import StepMetrics


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        finished: whether it went to its end, the last evaluation included.
        ended_early: whether that came before the last step, for want of a new best.
        split: what ``best`` was measured on, ``test`` or ``validation``.
    """

    run: Path
    step: int
    finished: bool
    best: float | None
    best_step: int | None
    ended_early: bool = False
    split: str = "test"


@dataclass
class TrainLoop:
    """A training run of one task, as one of its processes sees it.

    Attributes:
        folder: the run folder; the first process writes there.
        dataset: with the split that ``config.eval_split`` names, see :func:`with_validation_split`.
        group: the processes that train together.
        listen: hears every record of the first process, after ``metrics.jsonl``.
        should_stop: asked after each step; true in any process ends the run with a checkpoint.
        profile_steps: write a profiler trace of so many steps.
    """

    folder: Path
    config: RunConfig
    task: Task
    dataset: Dataset
    device: torch.device
    group: ProcessGroup = SINGLE_PROCESS
    listen: Listener = field(default=lambda record: None)
    should_stop: Callable[[], bool] = field(default=lambda: False)
    profile_steps: int = 0

    def fit(self, resume_from: Path | None = None) -> Outcome:
        """Train to the end, or until told to stop; goes on from ``resume_from`` if given."""
        config, split, group = self.config, self.dataset.split("train"), self.group
        model = build_model(config, self.dataset, self.device, group)
        if resume_from is None and config.train.init_from is not None:
            begin_with(model, config, group)
        state = TrainState.create(model, config)
        self.progress = checkpoint.Progress(step=0, position=Position())
        if resume_from is not None:
            self.progress = restore(resume_from, state, group)
        self.schedule = Schedule.of(config, total_steps(config, split))
        compile_network(model, config.train.compile)
        self.trainer = Trainer(state, config, self.schedule.total, group=group)
        self._rows = group.shard(config.train.batch_size)
        self.stream = TrainStream(
            split,
            config.train.batch_size,
            config.train.seed,
            self.progress.position,
            online=config.data.augment == "online",
            rows=self._rows,
        )
        with self._recorded():
            self._train(state)
        finished, progress = self._is_finished, self.progress
        return Outcome(
            self.folder, state.step, finished, progress.best, progress.best_step,
            ended_early=finished and state.step < self.schedule.total, split=config.eval_split,
        )  # fmt: skip

    @contextlib.contextmanager
    def _recorded(self) -> Iterator[None]:
        """Records of how the run begins and ends, and whoever writes in between."""
        state, train = self.trainer.state, self.config.train
        self._saver: CheckpointWriter | None = None
        self._disk_is_full = False
        self._trackers = TrackerGroup(self._warn)
        if self.group.is_first:
            path = self.folder / METRICS_FILE
            self._metrics_file = MetricsFile(path, state.step, evaluated=self._is_evaluated)
            keep, minutes = train.keep_checkpoints, train.save_every_minutes
            self._saver = CheckpointWriter(self.folder, keep, minutes, self._report)
            self._trackers = open_trackers(
                train.log_to, self.folder, self.config, state.step, self._warn
            )
        start = {"event": "start", "step": state.step, "run": str(self.folder)}
        start |= {"total_steps": self.schedule.total, "processes": self.group.size}
        self._report({**start, "device": self.device.type})
        error: str | None = None
        try:
            yield
            self.group.broadcast_from_first(
                self._finish_saving
            )  # nobody leaves before it is written
        except Exception as problem:
            error = " ".join(f"{problem}".split()) or type(problem).__name__
            if self._saver is not None:
                self._saver.wait()
            raise
        finally:
            done = error is None and self._is_finished
            # Without an error where it was told to stop, if need be by a second Ctrl-C.
            self._report({"event": "end", "step": state.step, "finished": done, "error": error})
            self._trackers.close(done)

    def _finish_saving(self) -> None:
        if self._saver is not None:
            self._saver.finish()

    @property
    def _is_evaluated(self) -> bool:
        return self.progress.evaluated_step == self.trainer.state.step

    @property
    def _is_over(self) -> bool:
        """Whether no step is left to take."""
        at_end = self.trainer.state.step >= self.schedule.total
        return at_end or has_ended_early(self.progress, self.config.train.patience)

    @property
    def _is_finished(self) -> bool:
        return self._is_over and self._is_evaluated

    def _train(self, state: TrainState) -> None:
        schedule = self.schedule
        size, elapsed = self.config.train.batch_size, self.progress.elapsed_s
        window = StepMetrics(
            state.model, state.step, elapsed, size, self.group, self.trainer.step_flops
        )
        stop = False
        if state.step and schedule.evaluates(state.step) and not self._is_evaluated:
            self._evaluate(window)  # the run was stopped before or while it did so
            stop, _ = self._asked()
        with profiled(
            self.folder, self.profile_steps, self.group.rank, self._warn
        ) as profiler_step:
            while not (stop or self._is_over):
                window.add(self._step(window))
                profiler_step()
                stop, due = self._asked()
                saves = schedule.saves(state.step) or stop or due
                if saves or state.step % schedule.log_every == 0:
                    self._log(window)  # which also looks for numbers that are none
                if saves:
                    self._save(window.elapsed)
                if schedule.evaluates(state.step) and not stop:
                    self._evaluate(window)
                    stop, _ = self._asked()
                window.resume()

    def _asked(self) -> tuple[bool, bool]:
        """Whether any process was asked to stop, and whether a checkpoint is due."""
        if self._saver is not None:
            self._saver.poll()
        due = self._saver is not None and self._saver.due
        stop, due = self.group.any_process(self.should_stop(), due)
        return stop, due

    def _step(self, window: StepMetrics) -> Tensor | None:
        train, model, state = self.config.train, self.config.model, self.trainer.state
        with window.waiting():
            puzzles = to_device(next(self.stream), self.device)
            stays = exploration_min_steps(
                train.seed, state.step, train.batch_size, model.halt_exploration_prob,
                model.halt_max_steps,
            )[self._rows]  # fmt: skip
            min_steps = copy_to(torch.from_numpy(stays), self.device)
        sums = self.trainer.step(puzzles, min_steps)
        if sums is None:
            self._count_left_out()
        return sums

    def _count_left_out(self) -> None:
        left_out, allowed = self.progress.left_out + 1, self.config.train.skip_nonfinite
        self.progress = self.progress.model_copy(update={"left_out": left_out})
        assert self.trainer.failure is not None
        what = self.trainer.failure.text(self.group, self.dataset.names)
        if left_out > allowed:
            raise TrainingError(f"{what}, after {allowed} others. {self._way_out()}")
        self._warn(f"{what}: left out, {left_out} of {allowed}")
        self.trainer.failure = None

    def _way_out(self) -> str:
        if self._saver is not None:
            self._saver.wait()
        good = last_checkpoint(self.folder)
        return f"Lower optim.lr; the last good checkpoint is {good or 'none'}."

    def _log(self, window: StepMetrics) -> None:
        failure, step = self.trainer.failure, self.trainer.state.step
        averages = window.close(step, self.schedule.total)
        learning_rate = self.trainer.learning_rate
        self._report({"event": "train", "step": step, **averages, "lr": learning_rate})
        if failure is not None and int(failure.step):
            raise TrainingError(
                f"{failure.text(self.group, self.dataset.names)}. Leave such steps out with "
                f"--skip-nonfinite N, or: {self._way_out()}"
            )

    def _evaluate(self, window: StepMetrics) -> None:
        """Measure the checkpoint just saved, and note in it what came out."""
        state, split = self.trainer.state, self.dataset.split(self.config.eval_split)
        evaluator = self.task.evaluator(self.dataset.meta, split)
        examples = num_eval_examples(split, eval_examples(self.config, self.schedule.eval_every))
        with averaged(state.model, state.average):
            metrics = evaluate(
                state.model,
                evaluator,
                split,
                batch_size=self.config.eval_batch_size,
                max_examples=examples,
                thinking=InferenceOptions(halt=self.config.eval.halt),
                should_stop=lambda: self._asked()[0],
                group=self.group,
            )
        if metrics is None:
            return
        elapsed = {"elapsed_s": window.elapsed}
        self.progress = self.group.broadcast_from_first(
            lambda: self._remember(evaluator.headline, metrics, examples, elapsed)
        )

    def _remember(
        self, headline: str, metrics: Mapping[str, Metric], examples: int, elapsed: Record
    ) -> checkpoint.Progress:
        """Note in the checkpoint just saved what came out; what the run has reached now."""
        assert self._saver is not None
        self._saver.wait()  # which reports it
        step, progress = self.trainer.state.step, self.progress
        if headline not in metrics:
            raise PluginError(
                f"the evaluator of task {self.task.name} has no metric {headline!r}, "
                f"its headline. {did_you_mean(headline, metrics)}"
            )
        found = judged(progress, step, self.config.eval_split, examples, headline, metrics)
        ours = {"event": "eval", "step": step, "split": found.split, "examples": examples}
        self._report({**ours, **found.metrics, **ours, **elapsed})
        if not self._saver.note(found):  # there is nothing that could be the best
            return progress.model_copy(update={"evaluated_step": step})
        return progress.with_evaluation(found)

    def _save(self, elapsed: float) -> None:
        step = self.trainer.state.step
        update = {"step": step, "position": self.stream.position, "elapsed_s": elapsed}
        self.progress = self.progress.model_copy(update=update)
        config = checkpoint.CheckpointConfig(step=step, run=self.config, data=self.dataset.meta)
        state, names = self.trainer.state, self.dataset.names
        if self._saver is not None:
            self._saver.wait()  # for two would not fit into memory
        snapshot = take_snapshot(state, config, self.progress, names, self.group)
        if self._saver is not None and snapshot is not None:
            self._saver.save(snapshot)

    def _report(self, record: Record) -> None:
        if not self.group.is_first:
            return
        try:
            self._metrics_file(record)
        except StorageError as error:
            told, self._disk_is_full = self._disk_is_full, True
            if not told:
                self._warn(f"metrics are not written: {error}")
        else:
            self._disk_is_full = False
        self._trackers(record)
        self.listen(record)

    def _warn(self, message: str) -> None:
        self._report({"event": "warning", "step": self.trainer.state.step, "message": message})
