"""The training loop: a step for each batch; logs, evaluates and saves on schedule."""

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch

from trm.data import Position, TrainStream, exploration_min_steps, num_eval_examples
from trm.errors import StorageError, TrainingError, TrmWarning
from trm.evaluation.loop import run_evaluation
from trm.inference.options import InferenceOptions
from trm.models import PuzzleBatch
from trm.runs import checkpoint
from trm.runs.best_and_last import last_checkpoint
from trm.runs.layout import METRICS_FILE
from trm.runs.metrics_file import Listener, MetricsFile, Record
from trm.runs.run_folder import check_still_there
from trm.runtime.device import compile_network, copy_to, to_device
from trm.runtime.process_group import SINGLE_PROCESS, ProcessGroup
from trm.runtime.worker import allow_last_save
from trm.tasks.metrics import Metric
from trm.trackers import TrackerGroup, open_trackers
from trm.training.checkpoint_snapshot import restore, take_snapshot
from trm.training.checkpoint_writer import CheckpointWriter
from trm.training.clock import RunClock
from trm.training.evaluated import evaluation_of
from trm.training.model_init import build_model, load_initial_weights
from trm.training.optim.ema import ema_weights
from trm.training.profiler import profile
from trm.training.run_plan import RunPlan
from trm.training.schedule import eval_examples, is_out_of_patience
from trm.training.step import TrainState, TrainStep
from trm.training.step_metrics import StepMetrics
from trm.training.time_estimate import estimate_run
from trm.training.train_result import TrainResult


@dataclass
class TrainLoop:
    """A training run, as one of its processes sees it.

    Attributes:
        plan: the run, from :func:`trm.training.run_plan.plan_run`.
        device: of this process.
        group: the processes that train together. The first one writes into the run folder.
        listen: called with every record in the first process, after ``metrics.jsonl`` has it.
        should_stop: called after each step. True in any process ends the run with a checkpoint.
        profile_steps: write a profiler trace of this many steps.
    """

    plan: RunPlan
    device: torch.device
    group: ProcessGroup = SINGLE_PROCESS
    listen: Listener = field(default=lambda record: None)
    should_stop: Callable[[], bool] = field(default=lambda: False)
    profile_steps: int = 0

    def run(self) -> TrainResult:
        """Train to the end, or until the run is asked to stop."""
        plan, group, config = self.plan, self.group, self.plan.config
        model = build_model(config, plan.dataset, self.device, group)
        if plan.checkpoint is None and config.train.init_from is not None:
            load_initial_weights(model, config, plan.dataset, group)
        state = TrainState.create(model, config)
        self.progress = checkpoint.Progress(step=0, position=Position())
        if plan.checkpoint is not None:
            self.progress = restore(plan.checkpoint, state, group)
        size = sum(tensor.nbytes for tensor in model.state_dict().values())
        self.clock = RunClock.of_run(config.train.max_minutes, plan.began, size)
        self.estimate = estimate_run(plan, self.device, group.size, state.step)
        message = self.estimate.warning(self.device.type, plan.task.presets)
        if message and group.is_first:
            warnings.warn(message, TrmWarning, stacklevel=3)
        compile_network(model, config.train.compile)
        self.schedule = plan.schedule
        self._first_step = state.step
        self.train_step = TrainStep(state, config, plan.total_steps, group=group)
        self.stream = TrainStream(
            plan.dataset.split("train"),
            config.train.batch_size,
            config.train.seed,
            self.progress.position,
            online=config.data.augment == "online",
            rows=group.shard(config.train.batch_size),
            max_pairs=config.data.max_pairs,
        )
        with self._recording():
            self._train(state)
        finished, progress = self._is_finished, self.progress
        return TrainResult(
            run=plan.folder,
            step=state.step,
            total_steps=plan.total_steps,
            finished=finished,
            headline=progress.headline,
            best=progress.best,
            best_step=progress.best_step,
            ended_early=finished and self._is_out_of_patience and state.step < plan.total_steps,
            out_of_time=finished and self.clock.is_over and state.step < plan.total_steps,
            split=config.eval_split,
        )

    def _train(self, state: TrainState) -> None:
        config, schedule = self.plan.config, self.schedule
        self.step_metrics = StepMetrics(
            state.model, state.step, self.progress.elapsed_s, config.train.batch_size, self.group,
            self.train_step.step_flops,
        )  # fmt: skip
        stop, _ = self._poll() if self.clock.minutes else (False, False)
        if state.step and schedule.evaluates(state.step) and not self._is_evaluated:
            self._evaluate()  # the run was stopped before or during this evaluation
            self.step_metrics.exclude_pause()
            stop, _ = self._poll()
        folder, rank = self.plan.folder, self.group.rank
        with profile(folder, self.profile_steps, rank, self._warn) as end_profiled_step:
            while not (stop or self._is_over):
                with self.step_metrics.waiting():
                    puzzles, min_steps = self._next_batch()
                with self.clock.timing_step():
                    sums = self.train_step(puzzles, min_steps)
                if sums is None:
                    self._count_skipped_step()
                self.step_metrics.add(sums)
                end_profiled_step()
                stop, save_is_due = self._poll()
                if stop or self._is_over:
                    allow_last_save()
                saves = schedule.saves(state.step) or stop or save_is_due or self._is_over
                if saves or state.step % schedule.log_every == 0 or self._log_is_due:
                    self._log()  # raises if a step was not finite, so nothing broken is saved
                if saves:
                    self._save()
                if self._evaluates_now and not stop:
                    self._evaluate()
                    stop, _ = self._poll()
                    if self.clock.is_over and self.progress.ended_minutes is None:
                        self._note_end_of_time()
                self.step_metrics.exclude_pause()

    def _note_end_of_time(self) -> None:
        """Note in the checkpoint just saved that its evaluation used up the time."""
        if self._is_evaluated:
            if self._writer is not None:
                self._writer.note_end(self.progress.step, self.clock.minutes)
        elif self.clock.is_late:  # time ended the evaluation, not a request to stop
            self._save()

    def _next_batch(self) -> tuple[PuzzleBatch, torch.Tensor]:
        """This process's rows of the next batch, and the steps before which each may not halt."""
        train, model = self.plan.config.train, self.plan.config.model
        puzzles = to_device(next(self.stream), self.device)
        min_steps = exploration_min_steps(
            train.seed, self.train_step.state.step, train.batch_size, model.halt_exploration_prob,
            model.halt_max_steps,
        )[self.group.shard(train.batch_size)]  # fmt: skip
        return puzzles, copy_to(torch.from_numpy(min_steps), self.device)

    @property
    def _is_evaluated(self) -> bool:
        return self.progress.evaluated_step == self.train_step.state.step

    @property
    def _is_finished(self) -> bool:
        """Whether no step is left to take, and no evaluation."""
        lacks = self.schedule.evaluates(self.train_step.state.step) and not self._is_evaluated
        return self._is_over and (self.clock.is_over or not lacks)

    @property
    def _is_over(self) -> bool:
        """Whether no step is left to take. Each start of a run takes at least one."""
        step = self.train_step.state.step
        is_over = self.clock.is_over and step > self._first_step
        return step >= self.schedule.total or is_over or self._is_out_of_patience

    @property
    def _is_out_of_patience(self) -> bool:
        return is_out_of_patience(self.progress, self.plan.config.train.patience)

    @property
    def _evaluates_now(self) -> bool:
        """Whether an evaluation is due, or training ends here, and it would end in time."""
        is_last = self.clock.is_over and self.schedule.eval_every > 0
        is_due = is_last or self.schedule.evaluates(self.train_step.state.step)
        return is_due and self.clock.may_evaluate

    def _poll(self) -> tuple[bool, bool]:
        """Whether any process was asked to stop, and whether a checkpoint is due."""
        if self._writer is not None:
            self._writer.poll()
        is_due = self._writer is not None and self._writer.due
        reading = self.clock.reading(is_first=self.group.is_first)
        logs = self.step_metrics.is_due
        found = self.group.largest(self.should_stop(), is_due, logs, *reading)
        self._log_is_due = bool(found[2])
        self.clock.agree(found[3:])
        self.train_step.time_share = self.clock.share
        return bool(found[0]), bool(found[1])

    def _count_skipped_step(self) -> None:
        num_skipped, allowed = self.progress.left_out + 1, self.plan.config.train.skip_nonfinite
        self.progress = self.progress.model_copy(update={"left_out": num_skipped})
        assert self.train_step.nonfinite is not None
        what = self.train_step.nonfinite.describe(self.group, self.plan.dataset.names)
        if num_skipped > allowed:
            raise TrainingError(f"{what}, after {allowed} others. Lower optim.lr. {self._hint()}")
        self._warn(f"{what}: skipped, {num_skipped} of {allowed}")
        self.train_step.nonfinite = None

    def _hint(self) -> str:
        if self._writer is not None:
            self._writer.wait()
        good = last_checkpoint(self.plan.folder)
        return f"The last good checkpoint is {good}." if good else "There is no checkpoint yet."

    def _log(self) -> None:
        nonfinite, step = self.train_step.nonfinite, self.train_step.state.step
        averages = self.step_metrics.summarize(step, self.schedule.total)
        learning_rate = self.train_step.learning_rate
        if self.clock.minutes is not None:
            averages["eta_s"] = min(averages["eta_s"], self.clock.left)
            averages["time_share"] = self.clock.share
        self._report({"event": "train", "step": step, **averages, "lr": learning_rate})
        if nonfinite is not None and int(nonfinite.step):
            raise TrainingError(
                f"{nonfinite.describe(self.group, self.plan.dataset.names)}. Skip such steps with "
                f"--skip-nonfinite N, or lower optim.lr. {self._hint()}"
            )

    def _save(self) -> None:
        """Copy the state, and write it in the background."""
        state, plan = self.train_step.state, self.plan
        update = {"step": state.step, "position": self.stream.position}
        update |= {"elapsed_s": self.step_metrics.elapsed}
        update |= {"optimizer_steps": state.optimizer.num_steps, "wall_s": self.clock.elapsed}
        update |= {"ended_minutes": self.clock.minutes if self.clock.is_over else None}
        self.progress = self.progress.model_copy(update=update)
        config = checkpoint.CheckpointConfig(
            step=state.step, run=plan.config, data=plan.dataset.meta
        )
        if self._writer is not None:
            self._writer.wait()  # two copies might not fit into memory
        snapshot = take_snapshot(state, config, self.progress, plan.dataset.names, self.group)
        if self._writer is not None and snapshot is not None:
            self._writer.save(snapshot)

    def _evaluate(self) -> None:
        """Evaluate the checkpoint that was just saved, and write the result into it."""
        plan, state = self.plan, self.train_step.state
        config, split = plan.config, plan.dataset.split(plan.config.eval_split)
        evaluator = plan.task.evaluator(plan.dataset.meta, split)
        examples = num_eval_examples(split, eval_examples(config, self.schedule.eval_every))
        with self.clock.timing_evaluation(), ema_weights(state.model, state.ema):
            metrics = run_evaluation(
                state.model,
                evaluator,
                split,
                batch_size=config.eval_batch_size,
                max_examples=examples,
                options=InferenceOptions(halt=config.eval.halt),
                loss=config.train.loss,
                should_stop=lambda: self._poll()[0] or self.clock.is_late,
                group=self.group,
            )
        if metrics is None:
            return
        elapsed = self.step_metrics.elapsed
        self.progress = self.group.broadcast_from_first(
            lambda: self._record_evaluation(evaluator.headline, metrics, examples, elapsed)
        )

    def _record_evaluation(
        self, headline: str, metrics: Mapping[str, Metric], examples: int, elapsed: float
    ) -> checkpoint.Progress:
        """Write an evaluation into the checkpoint just saved. Returns the new progress."""
        assert self._writer is not None
        self._writer.wait()  # which reports the checkpoint
        progress, step = self.progress, self.train_step.state.step
        split = self.plan.config.eval_split
        evaluation = evaluation_of(
            self.plan.task, progress, step, split, examples, headline, metrics
        )
        fixed = {"event": "eval", "step": step, "split": split, "examples": examples}
        total = num_eval_examples(self.plan.dataset.split(split))
        if examples < total:
            fixed["all_examples"] = total
        self._report({**fixed, **evaluation.metrics, **fixed, "elapsed_s": elapsed})
        if not self._writer.record_evaluation(evaluation):  # the checkpoint was not saved
            return progress.model_copy(update={"evaluated_step": step})
        return progress.with_evaluation(evaluation)

    @contextlib.contextmanager
    def _recording(self) -> Iterator[None]:
        """Open what records the run, and report its start and end."""
        state, config, folder = self.train_step.state, self.plan.config, self.plan.folder
        self._writer: CheckpointWriter | None = None
        self._disk_is_full = False
        self._trackers = TrackerGroup(self._warn)
        if self.group.is_first:
            path = folder / METRICS_FILE
            self._metrics_file = MetricsFile(path, state.step, evaluated=self._is_evaluated)
            keep, minutes = config.train.keep_checkpoints, config.train.save_every_minutes
            self._writer = CheckpointWriter(
                folder, keep, minutes, self._report, self.clock.saved_in
            )
            self._trackers = open_trackers(
                config.train.log_to, folder, config, state.step, self._warn
            )
            for message in self.plan.warnings:
                self.listen({"event": "warning", "step": state.step, "message": message})
        start = {"event": "start", "step": state.step, "run": str(folder)}
        start |= {"total_steps": self.schedule.total, "processes": self.group.size}
        start |= {"device": self.device.type, "compiled": state.model.is_compiled}
        start |= {"no_evaluation": self.plan.no_evaluation, "max_minutes": self.clock.minutes}
        self._report({**start, **dataclasses.asdict(self.estimate)})
        error: str | None = None
        interrupted = False
        try:
            yield
            # No process may leave before the last checkpoint is written.
            self.group.broadcast_from_first(
                lambda: None if self._writer is None else self._writer.finish()
            )
        except KeyboardInterrupt:  # the end is not recorded: nothing was saved, and nothing failed
            interrupted = True
            raise
        except Exception as problem:
            error = " ".join(f"{problem}".split()) or type(problem).__name__
            if self._writer is not None:
                self._writer.wait()
            raise
        finally:
            finished = error is None and self._is_finished
            if not interrupted:
                end = {"event": "end", "step": state.step, "finished": finished, "error": error}
                self._report(end)
            self._trackers.close(finished)

    def _report(self, record: Record) -> None:
        """Write a record to ``metrics.jsonl``, and pass it on."""
        if not self.group.is_first:
            return
        try:
            check_still_there(self.plan.folder)
            self._metrics_file(record)
        except TrainingError:
            if record["event"] != "end":  # that is recorded also after this error
                raise
        except StorageError as error:
            is_known, self._disk_is_full = self._disk_is_full, True
            if not is_known:
                self._warn(f"metrics are not written: {error}")
        else:
            self._disk_is_full = False
        self._trackers(record)
        self.listen(record)

    def _warn(self, message: str) -> None:
        step = self.train_step.state.step
        self._report({"event": "warning", "step": step, "message": message})
