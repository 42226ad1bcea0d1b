"""Draw every picture of the documentation, from small files in ``docs/pictures``.

::

    python docs/pictures.py            # write the pictures; those of the page need Chromium
    python docs/pictures.py --check    # exit with 1 if a picture is not current

Nothing is trained. ``pictures/runs`` has the settings and some metrics of the tutorial's runs,
``eval.json`` the result of ``trm eval --json``, ``solve.json`` a recorded solution; each was made
with the commands that the tutorial shows, and ``solve.json`` names its own. The time at the start
of the run was estimated later, while the machine had more other work. ``ablations-6x6.json`` is the
``table.json`` of the comparison that its page shows.
"""

import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

WIDTH = 80
# Before trm is imported, whose consoles look at the environment once.
for _name in ("NO_COLOR", "COLUMNS", "TERMINAL_WIDTH", "GITHUB_ACTIONS", "TTY_COMPATIBLE"):
    os.environ.pop(_name, None)
os.environ |= {
    "FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "TERMINAL_WIDTH": str(WIDTH),
    "TERM": "xterm-256color", "COLORTERM": "truecolor",
}  # fmt: skip

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from rich._export_format import CONSOLE_SVG_FORMAT  # noqa: E402
from rich.terminal_theme import MONOKAI  # noqa: E402
from rich.text import Text  # noqa: E402
from screenshots import is_current, photograph  # noqa: E402

from trm import cli  # noqa: E402
from trm.comparison.grid import Budget  # noqa: E402
from trm.comparison.picture import draw_comparison  # noqa: E402
from trm.comparison.report import Comparison, RowResult, RunResult  # noqa: E402
from trm.inference.effort import Attempt  # noqa: E402
from trm.inference.solution import Solution, SolutionStep  # noqa: E402
from trm.runs.layout import METRICS_FILE  # noqa: E402
from trm.runs.listing import list_runs  # noqa: E402
from trm.runs.metrics_file import oldest_first  # noqa: E402
from trm.show import plots  # noqa: E402
from trm.show.progress import TrainingView  # noqa: E402
from trm.show.solution import show_solution, solution_summary  # noqa: E402
from trm.show.tables import metrics_table, runs_table  # noqa: E402
from trm.show.text import Terminal  # noqa: E402
from trm.tasks.metrics import Metric  # noqa: E402
from trm.tasks.registry import get_task  # noqa: E402

PICTURES = Path(__file__).parent / "pictures"
RUNS = PICTURES / "runs"
#: Fonts of the reader's system: a picture cannot load others.
SVG_FORMAT = CONSOLE_SVG_FORMAT.replace("Fira Code, monospace", "ui-monospace, monospace")
SVG_FORMAT = (
    SVG_FORMAT[: SVG_FORMAT.index("@font-face")]
    + SVG_FORMAT[SVG_FORMAT.index(".{unique_id}-matrix") :]
)


def recorder(clock: Callable[[], float] = lambda: 0.0) -> Terminal:
    """A colour terminal that records what is printed.

    Args:
        clock: gives the time in seconds.
    """
    return Terminal(
        record=True, width=WIDTH, file=io.StringIO(), force_terminal=True,
        color_system="truecolor", legacy_windows=False, get_time=clock,
    )  # fmt: skip


def save_terminal(console: Terminal, path: Path, title: str) -> None:
    """Save what was recorded."""
    console.print()  # rich cuts off what hangs below the last line, such as an underscore
    svg = console.export_svg(
        title=title, theme=MONOKAI, code_format=SVG_FORMAT, unique_id=f"trm-{path.stem}"
    )
    path.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")


def run_command(*arguments: str) -> str:
    """What a command prints to a terminal."""
    sys.argv = ["trm"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = cli.run(list(arguments))
    assert code == 0, f"trm {' '.join(arguments)} ended with {code}"
    return printed.getvalue()


def draw_command(path: Path, *arguments: str) -> None:
    """A command with the colours that it prints."""
    console = recorder()
    console.print(Text.from_ansi(run_command(*arguments).strip("\n")))
    save_terminal(console, path, f"trm {' '.join(arguments)}")


def read_solution(path: Path) -> Solution:
    """The recorded solution."""
    record = json.loads(path.read_text(encoding="utf-8"))
    task, solved = get_task(record["task"]), record["solution"]
    text = "\n".join([solved["puzzle"], *solved["boards"]])
    puzzle, *boards = task.parse(text, record["properties"], check=False)
    steps = [
        SolutionStep(number, board.tokens, halt)
        for number, (board, halt) in enumerate(
            zip(boards, solved["halt_probabilities"], strict=True), 1
        )
    ]
    solution = Solution(task, puzzle, tuple(steps))
    assert solution.as_json() == solved, f"{path} is not what trm solve --json prints"
    return solution


def draw_moving_solution(path: Path) -> None:
    """The recorded solution, step by step."""
    read_solution(PICTURES / "solve.json").save(path)


def draw_solution(path: Path) -> None:
    """What ``trm solve`` leaves on the terminal, of the recorded solution."""
    solution = read_solution(PICTURES / "solve.json")
    task, puzzle, steps = solution.task, solution.puzzle, solution.steps
    console = recorder()
    show_solution(console, task, puzzle, [Attempt(steps, len(steps))], delay=None)
    console.print(Text(solution_summary(solution)))  # wrapped, as a terminal does
    save_terminal(console, path, f"trm solve {task.format(puzzle.tokens)}")


def draw_dataset(path: Path) -> None:
    """``trm inspect-data`` of the tutorial's data."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        run_command("build-data", "sudoku", "--preset", "mini")
        draw_command(path, "inspect-data", "data/sudoku", "--boards", "1")


def draw_training(path: Path) -> None:
    """``trm train`` in the middle of the tutorial's run."""
    records = list(oldest_first(RUNS / "sudoku" / "first" / METRICS_FILE))
    seconds = 0.0
    console = recorder(lambda: seconds)
    view = TrainingView(console, records[0]["total_steps"])
    for record in records:
        view.listen(record)
        if record["step"] == 450:
            seconds = record["elapsed_s"]
            break
    assert view._bar is not None
    console.print(*view._bar.get_renderables())
    save_terminal(console, path, "trm train sudoku --preset mini --run-name first")


def draw_evaluation(path: Path) -> None:
    """``trm eval`` of the tutorial's run."""
    result = json.loads((PICTURES / "eval.json").read_text(encoding="utf-8"))
    metrics = {name: Metric(**fields) for name, fields in result["metrics"].items()}
    console = recorder()
    console.print(f"{result['checkpoint']} on {result['data']}")
    console.print(metrics_table(metrics))
    save_terminal(console, path, "trm eval")


def draw_runs(path: Path) -> None:
    """``trm runs``, some minutes after the last of the runs. The age of a file is not kept."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with contextlib.chdir(PICTURES):
        runs = [
            replace(run, updated=now - timedelta(minutes=5 + 15 * number))
            for number, run in enumerate(sorted(list_runs("runs"), key=lambda run: run.task))
        ]
    console = recorder()
    console.print(runs_table(runs, now))
    save_terminal(console, path, "trm runs")


def draw_plot(path: Path) -> None:
    """``trm plot`` of the tutorial's run."""
    plots.plot([RUNS / "sudoku" / "first"], out=path, metric="train/exact_accuracy")


def draw_ablations(path: Path) -> None:
    """The picture of ``trm compare recipes/ablations-6x6.toml``, from its ``table.json``."""
    found = json.loads((PICTURES / "ablations-6x6.json").read_text(encoding="utf-8"))
    rows = tuple(
        RowResult(
            row["name"],
            row["preset"],
            row["settings"],
            row["parameters"],
            row["gflop_per_puzzle"],
            tuple(
                RunResult(
                    label=row["name"],
                    run=Path(run["run"]),
                    seed=run["seed"],
                    value=Metric(**run["value"]),
                    steps=run["steps"],
                    seconds=run["seconds"],
                    training_flops=run["training_flops"],
                    scores=np.empty(0),
                )
                for run in row["runs"]
            ),
        )
        for row in found["rows"]
    )
    ((unit, amount),) = found["budget"].items()
    draw_comparison(
        path,
        Comparison(
            grid=Path(found["grid"]),
            out=PICTURES,
            task=found["task"],
            metric=found["metric"],
            data=tuple(found["data"]),
            digest=found["digest"],
            budget=Budget(unit, amount),
            seeds=tuple(found["seeds"]),
            rows=rows,
            failures=found["failures"],
        ),
    )


def draw_equivalence(path: Path) -> None:
    """The picture of ``benchmarks/equivalence.py``, from its numbers."""
    benchmarks = Path(__file__).parents[1] / "benchmarks"
    sys.path.append(str(benchmarks))
    from equivalence import plot

    plot(json.loads((benchmarks / "equivalence.json").read_text(encoding="utf-8")), path)


DRAWINGS: dict[str, Callable[[Path], None]] = {
    "help.svg": lambda path: draw_command(path, "--help"),
    "inspect-data.svg": draw_dataset,
    "train.svg": draw_training,
    "eval.svg": draw_evaluation,
    "runs.svg": draw_runs,
    "plot.png": draw_plot,
    "ablations-6x6.png": draw_ablations,
    "equivalence.png": draw_equivalence,
    "solve.svg": draw_solution,
    "solve.gif": draw_moving_solution,
    "web.png": lambda path: photograph(path, colors="light", width=1280, height=1230, step=4),
    "web-narrow.png": lambda path: photograph(path, colors="dark", width=400, height=1060, step=4),
}
#: Pictures of the page of ``trm web``, which need a browser.
OF_THE_PAGE = ("web.png", "web-narrow.png")


def frames(path: Path) -> Iterator[np.ndarray]:
    """The pictures in a file, each (height, width, 3)."""
    with Image.open(path) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            yield np.asarray(image.convert("RGB"), np.int16)


def is_same(path: Path, other: Path) -> bool:
    """Whether two pictures look the same. Fonts may be drawn a little differently elsewhere."""
    if path.suffix == ".svg":
        return path.read_text(encoding="utf-8") == other.read_text(encoding="utf-8")
    here, there = list(frames(path)), list(frames(other))
    return len(here) == len(there) and all(
        one.shape == two.shape and np.abs(squares(one) - squares(two)).max() < 48
        for one, two in zip(here, there, strict=True)
    )


def squares(picture: np.ndarray, side: int = 8) -> np.ndarray:
    """The mean colour of each square of ``side`` pixels: a point that has moved changes some."""
    height, width = (length // side for length in picture.shape[:2])
    cut = picture[: height * side, : width * side]
    return cut.reshape(height, side, width, side, 3).mean((1, 3))


def main(arguments: list[str]) -> int:
    """Write the pictures, or check that they are current."""
    stale = []
    with tempfile.TemporaryDirectory() as folder:
        for name, draw in DRAWINGS.items():
            new, path = Path(folder) / name, PICTURES / name
            if name in OF_THE_PAGE:
                if is_current(path):
                    continue
                if "--check" not in arguments:
                    draw(new)
            else:
                draw(new)
                if path.is_file() and is_same(new, path):
                    continue
            stale.append(path)
            if "--check" not in arguments:
                path.write_bytes(new.read_bytes())
                print(f"wrote {path}")
    if "--check" not in arguments:
        return 0
    for path in stale:
        print(f"{path} is not current. Run: python docs/pictures.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
