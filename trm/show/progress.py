"""Progress of training, evaluation and solving: a bar in a terminal, plain lines elsewhere."""

import datetime
import time
from collections.abc import Callable
from typing import Any

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from trm.runs.metrics_file import Record
from trm.show.text import Terminal

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

    def __init__(self, console: Terminal, total: int, start: int = 0) -> None:
        self._console, self._total = console, total
        self._progress: Progress | None = None
        if console.is_terminal and not console.is_quiet:
            self._progress = Progress(
                TextColumn("step {task.completed:.0f}/{task.total:.0f}", markup=False),
                BarColumn(bar_width=None),
                TaskProgressColumn(),
                TextColumn("{task.fields[numbers]}", markup=False),
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
        if record["event"] == "warning" and self._progress is None:
            self._console.print(record_line(record, self._total))
        elif self._progress is None:
            self._console.remark(record_line(record, self._total))
        elif record["event"] == "train":
            numbers = _bar_text(record, self._console.width >= _WIDE_TERMINAL)
            self._progress.update(self._bar, completed=record["step"], numbers=numbers)
        else:
            line = record_line(record, self._total)
            self._progress.console.print(line)


class _CountView:
    """Shows how many puzzles are done: a bar in a terminal, elsewhere a line per minute.

    Args:
        console: where to print, such as stderr: stdout holds the results.
        noun: what is counted.
        clock: gives the time in seconds.
    """

    _SECONDS_PER_LINE = 60.0

    def __init__(
        self, console: Terminal, noun: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console, self._noun, self._clock = console, noun, clock
        self._bar = Progress(
            TextColumn("{task.fields[numbers]}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal or console.is_quiet,
        )
        self._task = self._bar.add_task("", total=None, numbers=f"first {noun}")
        #: The first count and share: what was done before does not count for the speed.
        self._first: tuple[int, float] | None = None
        self._done, self._last_line = 0, clock()

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def _show(self, done: int, share: float | None) -> float | None:
        """Show a count, and its share of all if that is known. Returns the seconds left, if any."""
        now = self._clock()
        if self._first is None or done < self._done:  # of the next evaluation
            self._first, self._started = (done, share or 0.0), now
        self._done = done
        new, new_share = done - self._first[0], (share or 0.0) - self._first[1]
        elapsed, left, numbers = now - self._started, None, f"{done:,} {self._noun}"
        if new:
            speed = new / max(elapsed, 1e-6)
            numbers += f"  {speed:,.{0 if speed > 10 else 2}f} {self._noun}/s"
        if share is not None and new_share > 0:
            left = elapsed * (1 - share) / new_share
            numbers += f"  ETA {duration(left)}"
        total = None if share is None else 1.0
        self._bar.update(self._task, total=total, completed=share or 0.0, numbers=numbers)
        if new and now - self._last_line >= self._SECONDS_PER_LINE:
            self._print_line(("" if share is None else f"{share:.0%}  ") + numbers)
        return left

    def _print_line(self, text: str) -> None:
        """Print a line where there is no bar."""
        if not self._console.is_terminal:
            self._console.remark(text)
        self._last_line = self._clock()


class EvaluationView(_CountView):
    """Shows the progress of one or several evaluations. A context manager: :meth:`update`.

    Elsewhere than in a terminal it also prints a line after the first batch, if the evaluation will
    take more than a minute.

    Args:
        console: where to print, such as stderr: stdout holds the results.
        clock: gives the time in seconds.
    """

    def __init__(self, console: Terminal, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console, "examples", clock=clock)
        self._hinted = False

    def __enter__(self) -> Callable[[int, int], None]:
        self._bar.start()
        return self.update

    def update(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` examples are evaluated."""
        left = self._show(done, done / total)
        if left is not None and not self._hinted:
            self._hinted = True
            if left > self._SECONDS_PER_LINE:
                self._print_line(
                    f"{total:,} examples, {duration(left)} left; --max-examples N takes fewer"
                )


class SolvingView(_CountView):
    """Shows the progress of solving a file. A context manager that gives :meth:`update`.

    Args:
        console: where to print, such as stderr: stdout holds the results.
        clock: gives the time in seconds.
    """

    def __init__(self, console: Terminal, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console, "puzzles", clock=clock)

    def __enter__(self) -> Callable[[int, float | None], None]:
        self._bar.start()
        return self.update

    def update(self, done: int, share: float | None) -> None:
        """Show the number of solved puzzles, and their share of all puzzles if that is known."""
        self._show(done, share)


def _bar_text(record: Record, wide: bool) -> str:
    mfu = f"MFU {record['mfu']:.0%}  " if wide else ""
    return (
        f"loss {_number(record['loss'])}  exact {_number(record['exact_accuracy'])}  "
        f"halts at {_number(record['mean_steps'])}  {record['samples_per_s']:.0f} samples/s  "
        f"{mfu}ETA {duration(record['eta_s'])}"
    )
