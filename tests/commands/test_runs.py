"""The commands ``runs`` and ``plot``: what they print, write and refuse."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trm.runs.lock import run_lock

Trm = Callable[..., Any]
Fails = Callable[..., str]


def write_run(folder: Path, *records: dict[str, Any], age_s: float = 0.0, **train: Any) -> Path:
    """A run folder with a configuration and these records, which were written so long ago."""
    folder.mkdir(parents=True)
    config = {"task": folder.parent.name, "train": train}
    (folder / "config.json").write_text(json.dumps(config))
    file = folder / "metrics.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    written = file.stat().st_mtime - age_s
    os.utime(file, (written, written))
    return folder


START = {"event": "start", "step": 0, "total_steps": 2000, "processes": 1, "device": "cpu"}
EVAL = {"event": "eval", "step": 1000, "examples": 8, "exact_accuracy": 0.875}


def ended(step: int, finished: bool, error: str | None = None) -> dict[str, Any]:
    return {"event": "end", "step": step, "finished": finished, "error": error}


@pytest.fixture
def some_runs(tmp_path: Path) -> Path:
    """Five runs of all states, and what is no run."""
    runs = tmp_path / "runs"
    write_run(runs / "sudoku" / "done", START, EVAL, ended(2000, True), age_s=300)
    write_run(runs / "sudoku" / "dead", START, EVAL, age_s=7300)
    write_run(runs / "maze" / "asked", START, EVAL, ended(1001, False), age_s=200_000)
    write_run(runs / "maze" / "full [x]", START, ended(1, False, "loss nan. " + "Lower " * 99))
    write_run(runs / "maze" / "now", START, {"event": "train", "step": 7})
    (runs / "maze" / "notes").mkdir()
    (runs / "README").touch()
    return runs


def test_runs_are_listed_newest_first(trm: Trm, some_runs: Path) -> None:
    with run_lock(some_runs / "maze" / "now"):
        os.utime(some_runs / "maze" / "now" / "metrics.jsonl", (2e10, 2e10))  # a clock that is off
        done = trm("runs")
    assert (done.code, done.err) == (0, "")
    lines = [re.split(r" {2,}", line.strip()) for line in done.out.splitlines() if line.strip()]
    best = ["0.8750", "1,000", "exact_accuracy"]
    assert lines[0] == ["name", "task", "state", "step", "best", "at", "metric", "updated"]
    assert lines[2] == ["now", "maze", "running", "7/2,000", "-", "-", "-", "0 s ago"]
    assert lines[3][:5] == ["full [x]", "maze", "failed", "1/2,000", "-"]
    assert lines[4:7] == [
        ["done", "sudoku", "finished", "2,000/2,000", *best, "5 min ago"],
        ["dead", "sudoku", "broken off", "1,000/2,000", *best, "2 h ago"],
        ["asked", "maze", "stopped", "1,001/2,000", *best, "2 days ago"],
    ]
    (trouble,) = lines[7:]
    assert trouble[0].startswith("runs/maze/full [x] failed: loss nan. Lower Lower ")
    assert trouble[0].endswith(" Lower...")


def test_runs_as_json(trm: Trm, some_runs: Path) -> None:
    found = json.loads(trm("runs", some_runs, "--json").out)
    by_name = {run["name"]: run for run in found}
    assert len(found) == 5
    dead = by_name["dead"]
    assert dead.pop("num_bytes") > 100
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", dead.pop("updated"))
    assert dead == {
        "run": str(some_runs / "sudoku" / "dead"),
        "task": "sudoku",
        "name": "dead",
        "state": "broken off",
        "step": 1000,
        "total_steps": 2000,
        "best": {"metric": "exact_accuracy", "value": 0.875, "step": 1000, "split": "test"},
        "error": None,
        "problems": [],
    }
    assert by_name["full [x]"]["error"] == "loss nan. " + "Lower " * 99
    assert by_name["full [x]"]["best"] is None


@pytest.mark.parametrize(("folder", "count"), [("runs/maze", 3), ("runs/maze/now", 1)])
def test_runs_of_a_task_and_one_run(trm: Trm, some_runs: Path, folder: str, count: int) -> None:
    assert len(json.loads(trm("runs", folder, "--json").out)) == count


def test_a_damaged_run_is_listed_with_what_is_wrong(trm: Trm, some_runs: Path) -> None:
    run = some_runs / "maze" / "now"
    (run / "config.json").write_text('{"task"')
    (run / "metrics.jsonl").unlink()
    (run / "best").symlink_to("checkpoints/step-000007")
    done = trm("runs", run)
    assert done.code == 0
    assert re.search(r"^now +maze +broken off +- +- +- +- +\d+ s ago$", done.out, flags=re.M)
    assert done.out.splitlines()[-3:] == [
        f"{run}: config.json is damaged",
        f"{run}: best points to no checkpoint",
        f"{run}: metrics.jsonl is missing",
    ]


def test_no_runs(trm: Trm, fails: Fails, tmp_path: Path) -> None:
    message = (
        "runs: no such folder. Name a folder of runs, or train one, such as: trm train sudoku "
        "--preset mini"
    )
    assert fails("runs") == message
    (tmp_path / "runs").mkdir()
    assert trm("runs").out == (
        "no run in runs. Train one, such as: trm train sudoku --preset mini\n"
    )
    assert trm("runs", "--json").out == "[]\n"


PNG = b"\x89PNG"


def test_a_run_is_drawn(trm: Trm, trained_run: Path, tmp_path: Path) -> None:
    assert trm("plot", trained_run).out == "wrote exact_accuracy.png\n"
    assert (tmp_path / "exact_accuracy.png").read_bytes().startswith(PNG)
    done = trm("plot", trained_run, "--metric", "mean_steps", "--out", "deep/steps.svg")
    assert done.out == "wrote deep/steps.svg\n"
    assert "mean steps" in (tmp_path / "deep" / "steps.svg").read_text()


def test_the_newest_run_is_drawn_under_its_name(trm: Trm, fails: Fails, tmp_path: Path) -> None:
    assert fails("plot").startswith("no run in runs/. Name one, or train one, such as: trm train")
    write_run(tmp_path / "runs" / "sudoku" / "old", START, EVAL, age_s=99)
    write_run(tmp_path / "runs" / "sudoku" / "new", START, EVAL)
    assert trm("plot", "--out", "a.svg").code == 0
    text = (tmp_path / "a.svg").read_text()
    assert "<!-- new -->" in text
    assert "<!-- exact accuracy -->" in text
    assert trm("plot", "old", "--out", "b.svg").code == 0
    assert "<!-- old -->" in (tmp_path / "b.svg").read_text()
    hint = " Did you mean runs/sudoku/new or runs/sudoku/old?"
    assert fails("plot", "runs/sudoku").endswith(hint)
    assert fails("plot", "olt").endswith(" Did you mean runs/sudoku/old?")


def fake_run(folder: Path, **metrics: float) -> Path:
    folder.mkdir()
    record = {"event": "eval", "step": 1, **metrics}
    (folder / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    return folder


def test_pass_at_k_is_drawn_of_runs_and_of_saved_evaluations(trm: Trm, tmp_path: Path) -> None:
    run = fake_run(tmp_path / "run", **{"pass@1": 0.25, "pass@100": 0.5})
    metrics = {"pass@1": {"value": 0.5}, "pass@2": {"value": 0.75}}
    (tmp_path / "e.json").write_text(json.dumps({"metrics": metrics}))
    assert trm("plot", run, "e.json").out == "wrote pass_at_k.png\n"
    assert trm("plot", run, "--pass-at-k", "--out", "p.png").out == "wrote p.png\n"
    assert (tmp_path / "p.png").read_bytes().startswith(PNG)


def test_the_training_of_several_runs_is_drawn(trm: Trm, tmp_path: Path) -> None:
    for name, steps in (("a", 900), ("b", 3)):
        lines = [{"event": "train", "step": n, "loss": 1 / n} for n in range(1, steps)]
        write_run(tmp_path / "runs" / "t" / name, START, *lines, ended(steps, True))
    command = ("plot", "runs/t/a", "runs/t/b", "--metric", "loss", "--out", "l.svg")
    assert trm(*command).out == "wrote l.svg\n"
    text = (tmp_path / "l.svg").read_text()
    assert "<!-- a -->" in text
    assert "<!-- b -->" in text


def test_a_run_without_evaluations_says_what_can_be_drawn(fails: Fails, tmp_path: Path) -> None:
    run = write_run(tmp_path / "t" / "a", START, {"event": "train", "step": 1, "loss": 0.5})
    assert fails("plot", "t/a").endswith("Wait for one, or draw --metric loss.")
    assert fails("plot", "t/a", "--metric", "los").endswith("Did you mean 'loss'? Known: loss.")
    assert run.is_dir()


def test_pass_at_k_of_a_list_of_evaluations_is_drawn(trm: Trm, tmp_path: Path) -> None:
    reports = [
        {"name": name, "checkpoint": "c", "metrics": {"pass@1": {"value": value}}}
        for name, value in (("first", 0.25), ("second", 0.5))
    ]
    (tmp_path / "all.json").write_text(json.dumps(reports))
    assert trm("plot", "all.json", "--out", "p.svg").out == "wrote p.svg\n"
    text = (tmp_path / "p.svg").read_text()
    assert "<!-- first -->" in text
    assert "<!-- second -->" in text


@pytest.mark.parametrize("arguments", ["e.json", "runs/a --pass-at-k"])
def test_pass_at_k_is_no_metric_over_steps(fails: Fails, tmp_path: Path, arguments: str) -> None:
    (tmp_path / "e.json").touch()
    assert fails("plot", *arguments.split(), "--metric", "loss") == (
        "--metric works with runs only, not with files or --pass-at-k. Leave it out."
    )


def test_runs_are_drawn_by_the_same_metric(trm: Trm, fails: Fails, tmp_path: Path) -> None:
    arc = fake_run(tmp_path / "arc", **{"pass@2": 0.25, "exact_accuracy": 0.125})
    sudoku = fake_run(tmp_path / "sudoku", exact_accuracy=0.5)
    message = fails("plot", arc, sudoku)
    assert message.endswith("sudoku has no metric 'pass@2'. Known: exact_accuracy.")
    assert trm("plot", sudoku, arc).out == "wrote exact_accuracy.png\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("absent", r"^absent is not a run: it has no metrics\.jsonl\. See what is in runs/\.$"),
        ("RUN --metric exact", r" has no metric 'exact'\. .*Known: .*exact_accuracy"),
        ("RUN --out p.gif", r"^cannot draw to p\.gif: unknown file extension\. Use \.png"),
        ("RUN --pass-at-k", r" has no pass@k: its task has no voting\. Give an ARC run or file\.$"),
        (
            "RUN/config.json",
            r"config\.json holds no evaluation: metrics: Field required\. Give a run, or a file",
        ),
    ],
)
def test_what_cannot_be_drawn(
    fails: Fails, trained_run: Path, tmp_path: Path, arguments: str, message: str
) -> None:
    chosen = [argument.replace("RUN", str(trained_run)) for argument in arguments.split()]
    assert re.search(message, fails("plot", *chosen))
    assert list(tmp_path.iterdir()) == []
