"""The benchmarks run, and what they write agrees with itself; not how fast anything is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(*arguments: str) -> str:
    """What a benchmark prints."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=BENCHMARKS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_counted_operations_of_the_published_models() -> None:
    rows = run("flops.py").splitlines()[2:]
    cells = {row.split(" | ")[0].removeprefix("| "): row.split(" | ") for row in rows}
    assert list(cells) == ["sudoku-mlp", "sudoku-att", "maze-att", "arc-att"]
    _, parameters, tokens, application, training, evaluation, *_ = cells["sudoku-mlp"]
    assert (parameters, tokens) == ("5.03 M", "97")
    assert application == "1.22 GFLOP"
    assert training == "42.7 GFLOP"
    assert evaluation == "25.6 GFLOP"


def test_speed_of_a_tiny_model(tmp_path: Path) -> None:
    file = tmp_path / "speed.json"
    command = ("speed.py", "--tiny", "--rounds", "1", "--only", "sudoku-mlp", "--dtype", "float32",
               "--json", str(file))  # fmt: skip
    printed = run(*command)
    found = json.loads(file.read_text())
    assert (found["size"], found["device"], found["reference"]) == ("tiny", "cpu", False)
    assert [(row["model"], row["phase"]) for row in found["rows"]] == [
        ("sudoku-mlp", "train"),
        ("sudoku-mlp", "eval"),
    ]
    for row in found["rows"]:
        own = row["trm"]
        assert "reference" not in row
        assert own["rounds_ms"] == [own["ms"]]
        assert own["samples_per_s"] * own["ms"] == pytest.approx(1e3 * row["batch"], rel=0.01)
        share = own["tflops"] / found["ceilings"]["float32"]
        assert own["share_of_ceiling"] == pytest.approx(share, rel=0.01)
        assert own["peak_bytes"] > 50e6  # the interpreter with PyTorch
        assert own["first_s"] > 0
        assert f"{own['samples_per_s']:,.1f}" in printed
    assert run(*command, "--resume") == printed  # nothing is measured again
    assert run("speed.py", "--table", str(file)) == printed
