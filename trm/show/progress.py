"""Progress of training, evaluation and solving: a bar in a terminal, plain lines elsewhere."""

import datetime
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from typing import Any

from rich.console import RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from trm.runs.metrics_file import Record
from trm.runs.time_estimate import TimeEstimate
from trm.show.text import Terminal

#: What people read of a training step, the most important first. ``--verbose`` shows the rest.
_READ = ("loss", "exact_accuracy", "cell_accuracy", "mean_steps", "samples_per_s", "lr")
_HIDDEN = ("event", "step", "elapsed_s", "num_halted", "eta_s", "all_examples", "time_share")


def record_line(record: Record, total: int, *, verbose: bool = False) -> str:
    """A record as one line of ``name value`` pairs, easy to grep.

    Args:
        record: of ``metrics.jsonl``.
        total: the number of steps of the run.
        verbose: show all numbers of a training step.

    >>> record_line({"event": "checkpoint", "step": 5, "path": "runs/a"}, 10)
    'checkpoint step 5/10 path runs/a'
    """
    if record["event"] == "warning":
        return f"warning: {record['message']}"
    if record["event"] == "start":
        resumed = f", from step {record['step']}" if record["step"] else ""
        several = f", on {record['processes']} processes" if record["processes"] > 1 else ""
        return f"run {record['run']}{resumed}{several}"
    pairs = _pairs(record, verbose)
    if "eta_s" in record:
        pairs.append(f"eta {duration(record['eta_s'])}")
    return " ".join([record["event"], f"step {record['step']}/{total}", *pairs])


def start_lines(record: Record) -> Iterator[str]:
    """What to say of a run that starts: where it is, and how long it will take."""
    yield record_line(record, record["total_steps"])
    if record["step"] < record["total_steps"]:
        names = [field.name for field in fields(TimeEstimate)]
        yield TimeEstimate(**{name: record[name] for name in names}).text
        if (minutes := record.get("max_minutes")) is not None:
            yield f"ends after {minutes:g} minutes at the latest, with a checkpoint"
        if reason := record.get("no_evaluation"):
            yield f"no evaluations: {reason}"
        if record["compiled"]:
            yield "compiling the network: the first steps take longer"


def _pairs(record: Record, verbose: bool) -> list[str]:
    """The numbers of a record, each with its name before it.

    Those of a training step that are not known are left out; those of an evaluation are shown as -.
    """
    names = [name for name in record if name not in _HIDDEN]
    if record["event"] == "train" and not verbose:
        names = [name for name in _READ if name in record]
    if record.get("split") == "test":  # the usual split is not shown
        names.remove("split")
    if record["event"] != "eval":
        names = [name for name in names if record[name] is not None]
    texts = {name: _number(record[name]) for name in names}
    if "all_examples" in record:  # not all were evaluated
        texts["examples"] += f"/{record['all_examples']}"
    return [f"{name} {text}" for name, text in texts.items()]


def _wrapped(parts: Iterable[str], width: int) -> list[str]:
    """Lines of whole parts. A line after the first is indented; a part may be wider."""
    lines = [""]
    for part in parts:
        longer = f"{lines[-1]}  {part}" if lines[-1] else part
        if len(longer) > width and lines[-1]:
            longer = f"  {part}"
            lines.append("")
        lines[-1] = longer
    return lines


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds; from a day on as days and hours.

    >>> duration(3725.4), duration(847.13 * 86400)
    ('1:02:05', '847d03h')
    """
    if seconds >= 86400:
        return f"{seconds // 86400:.0f}d{seconds % 86400 // 3600:02.0f}h"
    return str(datetime.timedelta(seconds=round(seconds)))


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class _TrainingBar(Progress):
    """A bar, and below it the numbers of the newest training step.

    Attributes:
        parts: the numbers. Those that do not fit into a line are left out, unless verbose.
    """

    def __init__(self, console: Terminal) -> None:
        self.parts = ["first steps"]
        self._terminal = console
        super().__init__(
            TextColumn("step {task.fields[step]}/{task.total:.0f}", markup=False),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[eta]}", markup=False),
            console=console,
            expand=True,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bar and the lines below it, for the width that the terminal has now."""
        yield from super().get_renderables()
        lines = _wrapped(self.parts, self._terminal.width)
        if self._terminal.verbosity != "verbose":
            lines = lines[:1]
        yield Text("\n".join(lines))


class TrainingView:
    """Shows the progress of a training run. A context manager that gives :meth:`listen`.

    Args:
        console: where to print.
        total: the number of steps of the run.
        start: the step from which the run resumes.
    """

    def __init__(self, console: Terminal, total: int, start: int = 0) -> None:
        self._console, self._total = console, total
        self._bar: _TrainingBar | None = None
        if console.is_terminal and not console.is_quiet:
            self._bar = _TrainingBar(console)
            self._task = self._bar.add_task(
                "train", total=total, completed=start, step=start, eta=""
            )

    def __enter__(self) -> Callable[[Record], None]:
        if self._bar:
            self._bar.start()
        return self.listen

    def __exit__(self, *error: object) -> None:
        if self._bar:
            self._bar.stop()

    def listen(self, record: Record) -> None:
        """Show a record. The command prints how the run ended, so ``end`` is skipped."""
        event, verbose = record["event"], self._console.verbosity == "verbose"
        if event == "end":
            return
        if event == "warning":
            self._console.print(record_line(record, self._total))
        elif event == "start":
            for line in start_lines(record):
                self._console.remark(line)
        elif self._bar is None:
            self._console.remark(record_line(record, self._total, verbose=verbose))
        elif event == "checkpoint":  # the path says which step
            self._console.print(f"checkpoint {record['path']}")
        elif event == "train":
            self._bar.parts = _pairs(record, verbose)
            eta = f"eta {duration(record['eta_s'])}"
            step = record["step"]
            done = max(step, record.get("time_share", 0) * self._total)
            self._bar.update(self._task, completed=done, step=step, eta=eta)
        else:
            parts = [f"{event} step {record['step']}/{self._total}", *_pairs(record, verbose)]
            self._console.print_parts(*parts)


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
