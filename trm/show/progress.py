"""Progress of training, evaluation and solving: a bar in a terminal, plain lines elsewhere."""

import datetime
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from trm.runs.metrics_file import Record

#: From this width on, a terminal has room for the bar and all metrics of a training step.
_WIDE_TERMINAL = 130


def record_line(record: Record, total: int) -> str:
    """A record as one line of ``name value`` pairs, easy to grep.

    >>> record_line({"event": "checkpoint", "step": 5, "path": "runs/a"}, 10)
    'checkpoint step 5/10 path runs/a'
    """
    hidden: tuple[str, ...] = ("event", "step", "elapsed_s", "num_halted", "eta_s")
    if record["event"] == "warning":
        return f"warning: {record['message']}"
    if record["event"] == "start":
        resumed = f", from step {record['step']}" if record["step"] else ""
        several = f", on {record['processes']} processes" if record["processes"] > 1 else ""
        return f"run {record['run']}{resumed}{several}"
    if record.get("split") == "test":  # the usual split is not shown
        hidden += ("split",)
    pairs = [f"{name} {_number(value)}" for name, value in record.items() if name not in hidden]
    if "eta_s" in record:
        pairs.append(f"eta {duration(record['eta_s'])}")
    return " ".join([record["event"], f"step {record['step']}/{total}", *pairs])


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds.

    >>> duration(3725.4)
    '1:02:05'
    """
    return str(datetime.timedelta(seconds=round(seconds)))


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class TrainingView:
    """Shows the progress of a training run. A context manager that gives :meth:`listen`.

    Args:
        console: where to print.
        total: the number of steps of the run.
        start: the step from which the run resumes.
    """

    def __init__(self, console: Console, total: int, start: int = 0) -> None:
        self._console, self._total = console, total
        self._progress: Progress | None = None
        if console.is_terminal:
            self._progress = Progress(
                TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
                BarColumn(bar_width=None),
                TaskProgressColumn(),
                TextColumn("{task.fields[numbers]}"),
                TimeElapsedColumn(),
                console=console,
            )
            self._bar = self._progress.add_task(
                "train", total=total, completed=start, numbers="compiling and first steps"
            )

    def __enter__(self) -> Callable[[Record], None]:
        if self._progress:
            self._progress.start()
        return self.listen

    def __exit__(self, *error: object) -> None:
        if self._progress:
            self._progress.stop()

    def listen(self, record: Record) -> None:
        """Show a record. The command prints how the run ended, so ``end`` is skipped."""
        if record["event"] == "end":
            return
        if self._progress is None:
            self._console.print(record_line(record, self._total), soft_wrap=True, highlight=False)
        elif record["event"] == "train":
            numbers = _bar_text(record, self._console.width >= _WIDE_TERMINAL)
            self._progress.update(self._bar, completed=record["step"], numbers=numbers)
        else:
            line = record_line(record, self._total)
            self._progress.console.print(line, soft_wrap=True, highlight=False)


class EvaluationView:
    """Shows the progress of an evaluation. A context manager that gives :meth:`update`.

    In a terminal it is a bar. Elsewhere it is one line after the first batch, if the evaluation
    will take more than a minute.

    Args:
        console: where to print, such as stderr: stdout holds the results.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("evaluating")
        self._started, self._first_batch = time.monotonic(), True

    def __enter__(self) -> Callable[[int, int], None]:
        self._bar.start()
        return self.update

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def update(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` examples are evaluated."""
        self._bar.update(self._task, completed=done, total=total)
        remaining = (time.monotonic() - self._started) * (total - done) / done
        if not self._console.is_terminal and self._first_batch and remaining > 60:
            line = f"{total:,} examples, {duration(remaining)} left; --max-examples N takes fewer"
            self._console.print(line, soft_wrap=True, highlight=False)
        self._first_batch = False


class SolvingView:
    """Shows the progress of solving a file. A context manager that gives :meth:`update`.

    In a terminal it is a bar, elsewhere one line per minute.

    Args:
        console: where to print, such as stderr: stdout holds the results.
    """

    _SECONDS_PER_LINE = 60.0

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.fields[numbers]}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("solving", total=None, numbers="first puzzles")
        self._first: tuple[int, float] | None = None

    def __enter__(self) -> Callable[[int, float | None], None]:
        self._bar.start()
        return self.update

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def update(self, done: int, share: float | None) -> None:
        """Show the number of solved puzzles, and their share of all puzzles if that is known."""
        now = time.monotonic()
        if self._first is None:  # puzzles of an earlier session do not count for the speed
            self._first, self._started, self._last_line = (done, share or 0.0), now, now
        numbers = f"{done:,} puzzles"
        solved, elapsed = done - self._first[0], now - self._started
        if solved:
            speed = solved / max(elapsed, 1e-6)
            numbers += f"  {speed:,.{0 if speed > 10 else 2}f} puzzles/s"
        if solved and share is not None:
            new = share - self._first[1]
            numbers += f"  ETA {duration(elapsed * (1 - share) / new)}" if new > 0 else ""
        total = None if share is None else 1.0
        self._bar.update(self._task, total=total, completed=share or 0.0, numbers=numbers)
        if not self._console.is_terminal and now - self._last_line >= self._SECONDS_PER_LINE:
            percent = "" if share is None else f"{share:.0%}  "
            self._console.print(percent + numbers, soft_wrap=True, highlight=False)
            self._last_line = now


def _bar_text(record: Record, wide: bool) -> str:
    mfu = f"MFU {record['mfu']:.0%}  " if wide else ""
    return (
        f"loss {_number(record['loss'])}  exact {_number(record['exact_accuracy'])}  "
        f"halts at {_number(record['mean_steps'])}  {record['samples_per_s']:.0f} samples/s  "
        f"{mfu}ETA {duration(record['eta_s'])}"
    )
