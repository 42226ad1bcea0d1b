"""Comparing settings: what ``trm compare`` and ``trm.compare`` do."""

import contextlib
import importlib.util
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from trm.comparison.grid import read_grid
from trm.comparison.picture import draw_comparison
from trm.comparison.plan import Plan, PlannedRun, plan_rows
from trm.comparison.processes import Job, Places, Step, find_places, run_jobs
from trm.comparison.report import Comparison, RowResult, RunResult
from trm.comparison.results import TEST_FILE, evaluation_command, read_result
from trm.comparison.table import table_page
from trm.errors import ConfigError, InputError, TrmError
from trm.runs.lock import is_locked, locked_file
from trm.settings import train_command
from trm.storage import check_writable, write_text

#: The results in the folder of a comparison.
TABLE, TABLE_JSON, PICTURES = "table.md", "table.json", ("accuracy.svg", "accuracy.png")
#: Processes of a comparison that was killed may need some seconds to save and end.
_ENDING_S = 15.0

#: Called with the comparison so far, and the run that has just ended, such as
#: ``base, seed 0``.
OnRun = Callable[[Comparison, str], None]


def compare(
    grid: str | Path,
    *,
    out: str | Path | None = None,
    jobs: int | None = None,
    device: str = "auto",
    on_run: OnRun | None = None,
) -> Comparison:
    """Train and compare the rows of a grid file with several seeds: ``trm compare``.

    Each run is trained by ``trm train`` in a process of its own, and its last checkpoint is
    evaluated on all test puzzles, in a single pass. If ``out`` has runs of this grid already, those
    that are finished are kept, and one that was cut short is resumed. The results are written into
    ``out``: ``table.md`` and ``table.json`` after each run, and with matplotlib ``accuracy.svg``
    and ``accuracy.png`` at the end.

    Args:
        grid: a TOML file, see ``docs/how-to/compare.md``.
        out: the folder of the runs and the results; by default ``runs/compare/NAME`` with the name
            of the grid file.
        jobs: runs that are trained at the same time; by default one for each GPU, or on a CPU as
            many as its cores allow with ``OMP_NUM_THREADS`` threads (by default 1) each.
        device: ``auto``, ``cpu``, ``cuda`` for all GPUs, ``cuda:1`` or ``mps``.
        on_run: called before the first and after each run with the results so far, and with the
            label of the run that ended; empty before the first.

    Returns:
        The results. Runs that failed are in its ``failures``.

    Raises:
        ConfigError: if the grid is invalid, if a row has changed since its runs were trained, or if
            another process works in ``out``.
        DataError: if there is no such data.
        InputError, CheckpointError: if a file in ``out`` is damaged.
        StorageError: if ``out`` cannot be written.
    """
    opened = _plan(grid, out)
    timed = opened.plan.grid.budget.unit == "minutes"
    places = find_places(device, jobs, is_timed=timed)
    check_writable(opened.out / TABLE)
    held = f"{opened.out} is in use by"
    with locked_file(opened.out / ".compare.lock", held, "Wait for it, or name another --out."):
        _wait_for_ending(opened.plan.runs)
        opened.read_results()
        try:
            _run_missing(opened, places, on_run)
        except KeyboardInterrupt:
            with contextlib.suppress(TrmError):
                _draw(opened.comparison)
            raise
        _draw(opened.comparison)  # not after each run, which would take time from the others
    return opened.comparison


def _run_missing(opened: "OpenedComparison", places: Places, on_run: OnRun | None) -> None:
    """Train and evaluate what is missing, and write the table after each run."""
    plan = opened.plan
    missing = {run.label: run for run in plan.runs if run.label not in opened.results}

    def report(label: str) -> None:
        comparison = opened.comparison
        _write(comparison)
        if on_run:
            on_run(comparison, label)

    def end(label: str, reason: str | None) -> None:
        found = read_result(plan, missing[label]) if reason is None else None
        if found is not None:
            opened.results[label] = found
        else:
            opened.failures[label] = reason or "it left no evaluation. Start the command again."
        report(label)

    report("")
    run_jobs([_job(plan, run, opened.out) for run in missing.values()], places, end)


@dataclass
class OpenedComparison:
    """A grid and what its folder has of it.

    Attributes:
        out: the folder.
        results: of the finished runs, by their labels.
        failures: why a run failed, by its label.
    """

    plan: Plan
    out: Path
    results: dict[str, RunResult] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def read_results(self) -> None:
        """Read the results of the runs that are finished.

        Raises:
            ConfigError: if a row has changed since its runs were trained.
            InputError, CheckpointError: if a file is damaged.
        """
        for run in self.plan.runs:
            run.check_unchanged()
            if (found := read_result(self.plan, run)) is not None:
                self.results[run.label] = found

    @property
    def comparison(self) -> Comparison:
        """The results so far.

        Raises:
            InputError: if runs answered different numbers of puzzles.
        """
        plan, results = self.plan, self.results
        rows = tuple(
            RowResult(
                name=planned.row.name,
                preset=planned.preset,
                settings=planned.row.values,
                num_parameters=planned.num_parameters,
                gflop_per_puzzle=planned.answer_flops / 1e9,
                runs=tuple(results[run.label] for run in planned.runs if run.label in results),
            )
            for planned in plan.rows
        )
        sizes = {len(run.scores) for row in rows for run in row.runs}
        if len(sizes) > 1:
            raise InputError(
                f"the runs in {self.out} have answers to {' and '.join(map(str, sorted(sizes)))} "
                "puzzles. Name another --out."
            )
        return Comparison(
            grid=plan.grid.path,
            out=self.out,
            task=plan.task.name,
            metric=plan.metric,
            data=plan.data,
            digest=plan.digest,
            budget=plan.grid.budget,
            seeds=plan.grid.seeds,
            rows=rows,
            failures=dict(self.failures),
        )


def open_comparison(grid: str | Path, out: str | Path | None) -> OpenedComparison:
    """Read a grid, and the results that its folder has. Nothing is written.

    Args:
        grid, out: as for :func:`compare`, with the same errors.
    """
    opened = _plan(grid, out)
    opened.read_results()
    return opened


def _plan(grid: str | Path, out: str | Path | None) -> OpenedComparison:
    path = Path(grid)
    folder = Path(out) if out is not None else Path("runs") / "compare" / path.stem
    return OpenedComparison(plan_rows(read_grid(path), folder), folder)


def _job(plan: Plan, run: PlannedRun, out: Path) -> Job:
    """The commands that are missing of a run."""
    steps = []
    if not run.is_trained:
        presets = {name: preset.settings for name, preset in plan.task.presets.items()}
        command = train_command(run.config, plan.task.defaults, presets)[1:]
        where = ["--out", str(out), "--run-name", run.folder.name, "--resume", "auto"]
        steps.append(Step([*command, *where]))
    steps.append(Step(evaluation_command(plan, run), result=run.folder / TEST_FILE))
    return Job(run.label, out / "logs" / f"{run.folder.name}.log", steps)


def _wait_for_ending(runs: Iterable[PlannedRun]) -> None:
    """Wait for processes of a comparison that was killed.

    Raises:
        ConfigError: if something else trains one of the runs.
    """
    began = time.monotonic()
    for run in runs:
        while is_locked(run.folder):
            if time.monotonic() - began > _ENDING_S:
                raise ConfigError(
                    f"{run.folder} is being trained by another process. Wait for it, or name "
                    "another --out."
                )
            time.sleep(0.2)


def _write(comparison: Comparison) -> None:
    """Write the results so far."""
    out = comparison.out
    write_text(out / TABLE, table_page(comparison))
    write_text(out / TABLE_JSON, json.dumps(comparison.as_json(), indent=2) + "\n")


def _draw(comparison: Comparison) -> None:
    """Draw the results, if there are any and matplotlib is installed."""
    if comparison.num_finished and importlib.util.find_spec("matplotlib") is not None:
        for name in PICTURES:
            draw_comparison(comparison.out / name, comparison)
