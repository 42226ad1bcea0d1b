"""``trm train --validation-share`` and what the commands say of such a run."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.commands.test_train import TINY

Trm = Callable[..., Any]
Fails = Callable[..., str]
FLAGS = (
    "--preset", "mini", "--device", "cpu", "--batch-size", "8", "--max-steps", "12",
    "--validation-share", "0.1", "--patience", "1", "--run-name", "a",
    "--set", "model.hidden_size=16", "--set", "model.num_heads=1", "--set", "model.l_cycles=1",
    "--set", "model.halt_max_steps=2", "--set", "optim.ema=false", "--set", "optim.lr=0.01",
    "--set", "train.eval_every_steps=2", "--set", "eval.max_examples=64",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(mini_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run whose second evaluation is its best, and the third the last."""
    folder = tmp_path_factory.mktemp("cli")
    program = (
        "import sys; from tests.training.scripted import Scripted;"
        "from trm.training import run_plan; task = Scripted([0.25, 0.5, 0.25]);"
        "run_plan.get_task = lambda name: task;"
        "from trm.cli import run; sys.exit(run(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "train", "sudoku", *FLAGS, "--data", mini_data],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder / "out").write_text(done.stdout)
    return folder


def test_an_early_end_is_said_plainly(runs: Path) -> None:
    lines = (runs / "out").read_text().splitlines()
    assert lines[-3:] == [
        "ended early at step 6: no evaluation since step 4 was as good",
        "done: best exact_accuracy 0.5000 on held-out training puzzles at step 4",
        "next: trm eval --ckpt runs/sudoku/a",
    ]
    (first, *_) = (line for line in lines if line.startswith("eval "))
    assert first.startswith(
        "eval step 2/12 split validation examples 64/50100 exact_accuracy 0.25 "
    )


def test_the_run_is_listed_with_what_it_was_measured_on(trm: Trm, runs: Path) -> None:
    (line,) = (
        line for line in trm("runs", runs / "runs").out.splitlines() if line.startswith("a ")
    )
    assert re.split(r" {2,}", line.strip())[2:7] == [
        "finished", "6/12", "0.5000", "4", "exact_accuracy, validation"
    ]  # fmt: skip


def test_the_same_command_does_not_train_on(fails: Fails, runs: Path, mini_data: Path) -> None:
    message = fails("train", "sudoku", *FLAGS, "--data", mini_data, "--out", runs / "runs")
    assert re.search(r"/step-000006: the run has ended early, for --patience 1: no", message)


def test_what_it_held_out_is_evaluated_on_demand(trm: Trm, runs: Path) -> None:
    command = ("eval", "--ckpt", runs / "runs/sudoku/a", "--max-examples", "64", "--device", "cpu")
    held_out = trm(*command, "--split", "validation", "--save-predictions", "v.npz")
    assert re.match(r"\S+/step-000004 on \S+, validation\n", held_out.out)
    assert re.match(r"v\.npz: \S+, validation\n", trm("vote", "v.npz").out)
    found = json.loads(trm(*command, "--split", "validation", "--json").out)
    noted = json.loads((runs / "runs/sudoku/a/best/evaluation.json").read_text())["metrics"]
    for name in ("cell_accuracy", "halting_accuracy", "mean_steps", "would_halt_at"):
        assert found["metrics"][name]["value"] == noted[name]
    assert found["split"] == "validation"
    assert (
        " | exact_accuracy, validation | "
        in trm(*command, "--split", "validation", "--markdown").out
    )
    assert json.loads(trm(*command, "--json").out)["split"] == "test"


def test_a_plot_says_what_was_measured(
    trm: Trm, runs: Path, trained_run: Path, tmp_path: Path
) -> None:
    run = runs / "runs/sudoku/a"
    trm("plot", run, "--out", "one.svg")
    assert "exact accuracy (validation)" in (tmp_path / "one.svg").read_text()
    trm("plot", run, trained_run, "--out", "two.svg")
    drawn = (tmp_path / "two.svg").read_text()
    assert "a (validation)" in drawn
    assert "accuracy (validation)" not in drawn


def test_a_checkpoint_without_a_share(fails: Fails, trained_run: Path) -> None:
    message = fails("eval", "--ckpt", trained_run, "--split", "validation", "--device", "cpu")
    assert message.endswith(
        "was trained without holding puzzles out. Train with --validation-share 0.1, or evaluate "
        "on the test split."
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--validation-share 1", "data.validation_share = 1.0: Input should be less than 1. Give"),
        ("--patience 0", "--patience: train.patience = 0: Input should be greater than 0. Give"),
        ("--validation-share 1e-5", "holds none of 1,000 training puzzles out. Give 0, or 0.001"),
    ],
)
def test_values_that_mean_nothing(fails: Fails, mini_data: Path, flags: str, message: str) -> None:
    assert message in fails("train", "sudoku", *TINY, "--data", mini_data, *flags.split())
