"""The summary of a run, from complete and from damaged files."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trm.errors import InputError
from trm.runs.listing import BestEvaluation, list_runs, read_run
from trm.runs.lock import run_lock

Write = Callable[..., Path]
START = {"event": "start", "step": 0, "total_steps": 100, "processes": 1, "device": "cpu"}


def train(step: int) -> dict[str, Any]:
    return {"event": "train", "step": step, "loss": 0.5, "exact_accuracy": 0.99}


def evaluated(step: int, **metrics: float) -> dict[str, Any]:
    return {"event": "eval", "step": step, "examples": 9, "elapsed_s": 1.5, **metrics}


def ended(step: int, finished: bool = False, error: str | None = None) -> dict[str, Any]:
    return {"event": "end", "step": step, "finished": finished, "error": error}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A run folder with these records."""

    def make(*records: dict[str, Any], more: str = "", **config: Any) -> Path:
        folder = tmp_path / "runs" / "toy" / "a"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"task": "toy", **config}))
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / "metrics.jsonl").write_text(lines + more)
        return folder

    return make


def write_best(run: Path, step: int, **evaluation: Any) -> Path:
    """Write the evaluation of a checkpoint, and point ``best`` to it."""
    folder = run / "checkpoints" / f"step-{step:06d}"
    folder.mkdir(parents=True)
    for name in ("model.safetensors", "config.json"):
        (folder / name).touch()
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    (run / "best").symlink_to(folder.relative_to(run))
    return folder


@pytest.mark.parametrize(
    ("records", "state", "error"),
    [
        ([], "broken off", None),
        ([START], "broken off", None),
        ([START, train(5)], "broken off", None),
        ([START, train(5), ended(5)], "stopped", None),
        ([START, train(100), ended(100, True)], "finished", None),
        ([START, train(5), ended(5, False, "loss nan. Lower optim.lr.")], "failed", "loss nan. "),
        ([START, train(5), ended(5, False, "full"), {**START, "step": 5}], "broken off", None),
        ([START, train(5), ended(5), {**START, "step": 5}, train(6)], "broken off", None),
        ([START, ended(5), START, train(100), ended(100, True)], "finished", None),
        ([START, ended(5), {"event": "warning", "step": 5, "message": "m"}], "stopped", None),
    ],
)
def test_how_a_run_ended(write: Write, records: Any, state: str, error: str | None) -> None:
    run = write(*records)
    found = read_run(run)
    assert (found.state, found.problems) == (state, ())
    assert (found.error or "").startswith(error or "")
    assert (found.error is None) == (error is None)
    with run_lock(run):
        held = read_run(run)
        assert (held.state, held.error) == ("running", None)


def test_how_far_it_came(write: Write) -> None:
    """A checkpoint is reported when it is written, some steps later."""
    checkpoint_of_20 = {"event": "checkpoint", "step": 20, "path": "p"}
    more = {**START, "step": 10, "total_steps": 300}
    found = read_run(write(START, train(10), more, train(20), train(23), checkpoint_of_20))
    assert (found.step, found.total_steps) == (23, 300)
    assert (found.task, found.name) == ("toy", "a")


def test_how_far_it_was_to_go_where_no_start_says_so(write: Write) -> None:
    assert read_run(write(train(4), train={"max_steps": 50})).total_steps == 50
    assert read_run(write(train(4), train={"max_steps": None})).total_steps is None
    assert read_run(write(train(4), train=3)).total_steps is None


def test_a_long_run(write: Write) -> None:
    run = write(START, evaluated(1, exact_accuracy=0.5), *map(train, range(2, 20_000)))
    found = read_run(run)
    assert (found.step, found.total_steps) == (19_999, 100)
    assert found.best == BestEvaluation("exact_accuracy", 0.5, 1)


def test_the_best_is_what_the_best_checkpoint_says(write: Write) -> None:
    run = write(START, evaluated(10, solved=0.5, exact_accuracy=0.75), train(20))
    assert read_run(run).best == BestEvaluation("exact_accuracy", 0.75, 10)
    best = write_best(run, 10, headline="solved", best=0.5, best_step=10)
    assert read_run(run).best == BestEvaluation("solved", 0.5, 10)
    (best / "evaluation.json").write_text('{"headline": "sol')
    found = read_run(run)
    assert found.best == BestEvaluation("exact_accuracy", 0.75, 10)
    assert found.problems == ("evaluation.json is damaged",)


def test_the_best_of_the_records(write: Write) -> None:
    assert read_run(write(START, evaluated(10, solved=0.5))).best is None
    run = write(
        START,
        evaluated(10, **{"pass@2": 0.25, "exact_accuracy": 0.9}),
        {"event": "eval", "step": 20, "pass@2": None},
        {"event": "eval", "pass@2": 1.0},
        evaluated(30, **{"pass@2": 0.5, "exact_accuracy": 0.1}),
        {**START, "step": 30},
        evaluated(40, **{"pass@2": 0.5}),
        evaluated(50, **{"pass@2": 0.25}),
    )
    assert read_run(run).best == BestEvaluation("pass@2", 0.5, 40)


def test_what_the_best_was_measured_on(write: Write) -> None:
    run = write(START, {**evaluated(10, exact_accuracy=0.75), "split": "validation"})
    assert read_run(run).best == BestEvaluation("exact_accuracy", 0.75, 10, "validation")
    found = {"headline": "exact_accuracy", "best": 0.75, "best_step": 10, "split": "validation"}
    write_best(run, 10, **found)
    assert read_run(run).best == BestEvaluation("exact_accuracy", 0.75, 10, "validation")
    assert read_run(run).as_json()["best"]["split"] == "validation"


def test_a_line_cut_short_is_passed_over(write: Write) -> None:
    found = read_run(write(START, train(7), more='{"event": "end", "step": 7, "fini'))
    assert (found.state, found.step, found.problems) == ("broken off", 7, ())


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("config.json", None, "config.json is missing"),
        ("config.json", "", "config.json is damaged"),
        ("config.json", "[]", "config.json is damaged"),
        ("metrics.jsonl", None, "metrics.jsonl is missing"),
    ],
)
def test_what_is_wrong_is_said(write: Write, name: str, content: str | None, problem: str) -> None:
    run = write(START, train(3))
    (run / name).unlink() if content is None else (run / name).write_text(content)
    found = read_run(run)
    assert found.problems == (problem,)
    assert found.task == "toy"


def test_folders_in_the_place_of_files_and_links_that_lead_nowhere(write: Write) -> None:
    run = write()
    for name in ("config.json", "metrics.jsonl"):
        (run / name).unlink()
        (run / name).mkdir()
    (run / "last").symlink_to("checkpoints/step-000003")
    assert read_run(run).problems == (
        "config.json cannot be read: it is not a regular file",
        "last points to no checkpoint",
        "metrics.jsonl cannot be read: it is not a regular file",
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_pipes_in_the_place_of_files(write: Write) -> None:
    run = write(START)
    (run / "checkpoints" / "step-000003").mkdir(parents=True)
    for name in ("config.json", "metrics.jsonl", "best", ".lock"):
        (run / name).unlink(missing_ok=True)
        os.mkfifo(run / name)
    assert read_run(run).problems == (
        "config.json cannot be read: it is not a regular file",
        "best points to no checkpoint",
        "metrics.jsonl cannot be read: it is not a regular file",
    )


def test_a_folder_that_may_not_be_read(write: Write) -> None:
    run = write(START)
    is_root = os.geteuid() == 0
    run.chmod(0)
    if is_root:  # which may read everything
        os.seteuid(65534)
    try:
        found = read_run(run)
    finally:
        if is_root:
            os.seteuid(0)
        run.chmod(0o755)
    assert found.state == "broken off"
    assert found.problems == (
        "config.json cannot be read: Permission denied",
        "checkpoints cannot be read: Permission denied",
        "metrics.jsonl cannot be read: Permission denied",
    )


def test_its_size_is_that_of_all_files(write: Write) -> None:
    run = write()
    before = read_run(run).num_bytes
    (write_best(run, 3) / "model.safetensors").write_bytes(b"x" * 1000)
    assert read_run(run).num_bytes == before + 1000 + len("{}")  # a link's target counts once


def test_which_folders_are_runs(write: Write, tmp_path: Path) -> None:
    run = write(START)
    folder = tmp_path / "runs"
    shutil.copytree(run, folder / "toy" / "b")
    shutil.copytree(run, folder / "toy" / ".b.tmp")
    shutil.copytree(run, folder / "toy" / "b" / "deep")
    (folder / "toy" / "only-locked").mkdir()
    (folder / "toy" / "only-locked" / ".lock").touch()
    (folder / "toy" / "notes").mkdir()
    (folder / "toy" / "file").touch()
    (folder / "copy").mkdir()
    for name in ("config.json", "model.safetensors"):  # a checkpoint
        (folder / "copy" / name).touch()
    assert {found.name for found in list_runs(folder)} == {"a", "b", "only-locked"}
    assert {found.name for found in list_runs(folder / "toy")} == {"a", "b", "only-locked"}
    assert [found.name for found in list_runs(run)] == ["a"]
    assert list_runs(folder / "copy") == []
    for missing in (folder / "absent", folder / "toy" / "file"):
        with pytest.raises(InputError, match=r": no such folder\. Name a folder of runs, or"):
            list_runs(missing)


def test_a_run_of_the_engine(trained_run: Path) -> None:
    """The records and names are those that training writes."""
    (found,) = list_runs(trained_run)
    assert (found.state, found.task, found.name) == ("finished", "sudoku", "trained")
    assert (found.step, found.total_steps, found.problems) == (180, 180, ())
    assert found.best is not None
    assert found.best.metric == "exact_accuracy"
    assert found.best.value > 0.7
