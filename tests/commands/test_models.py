"""The models that come with the package: listed, loaded by name, taken if there is no run."""

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import wrap
from typing import Any

import pytest

import trm as api
from trm.runs.shipped import FOLDER, shipped_models

Trm = Callable[..., Any]
NINE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
NINE_SOLVED = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
MAZE = (
    "..#.#.....#.#..##.....#####..#....##.....#...#..#####...#...#...#.......#.."
    "..##.#.#.#...#.#.....#..#.#.#...##S.##..###.........#.#....#.#.#...#...#.#."
    "..#.####........#..##..##.#..#..##...#...G.##..#...#..#.##.#.###.###.#..###"
)
NAMES = ["maze-15x15", "maze-30x30", "sudoku-6x6", "sudoku-9x9"]
SIX = "6.1523.326..4....2...15.3.....1542.."


def test_they_are_listed(trm: Trm) -> None:
    shown = trm("models").out
    found = json.loads(trm("models", "--json").out)
    assert [model["name"] for model in found] == list(shipped_models()) == NAMES
    for model in found:
        assert model["name"] in shown
        assert 0.5 < model["value"] <= 1
        assert api.load(model["name"]).network.num_parameters == model["num_parameters"]
    assert [model.name for model in api.list_models()] == [model["name"] for model in found]


def test_they_are_small_and_say_nothing_of_the_machine() -> None:
    files = [file for file in FOLDER.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 4_000_000
    for file in files:
        if file.suffix == ".json":
            raw = file.read_text()
            assert '"/' not in raw
            assert "../" not in raw


def test_they_are_loaded_without_the_compiler_of_torch() -> None:
    """Importing it takes a second, as long as everything else together."""
    program = (
        "import sys, trm; [trm.load(one.name, device='cpu') for one in trm.list_models()]; "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.parametrize(
    ("puzzle", "name"),
    [
        (NINE, "sudoku-9x9"),
        (SIX, "sudoku-6x6"),
        (MAZE, "maze-15x15"),
        ("\n".join(wrap(MAZE, 15)), "maze-15x15"),
    ],
)
def test_without_a_run_the_one_that_fits_solves(trm: Trm, puzzle: str, name: str) -> None:
    done = trm("solve", puzzle)
    assert done.code == 0, done.err
    assert done.err == f"{name}, which comes with trm (there is no run in runs/)\n"
    assert ": valid; the model considered it correct" in done.out


def test_files_and_standard_input_choose_too(
    trm: Trm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "p.txt").write_text(f"{NINE}\n{NINE}\n")
    assert trm("solve", "p.txt", "--json").out.count(f'"answer": "{NINE_SOLVED}"') == 2
    (tmp_path / "p.csv").write_text(f"question\n{NINE}\n")
    done = trm("solve", "p.csv", "--out", "o.csv")
    assert "1 valid" in done.out, done.err
    assert NINE_SOLVED in (tmp_path / "o.csv").read_text()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SIX.encode())))
    assert "sudoku-6x6" in trm("solve", "-").err


def test_a_long_text_with_invalid_lines_chooses_too(
    trm: Trm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trm.reading.MAX_TEXT_BYTES", 100_000)
    monkeypatch.setattr("trm.commands.stdin.MAX_TEXT_BYTES", 100_000)
    text = f"question\nnonsense\n{NINE}\n" + "x\n" * 100_000
    (tmp_path / "p.csv").write_text(text)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    for source, out in (("p.csv", "a.csv"), ("-", "b.csv")):
        done = trm("solve", source, "--out", out, "--skip-invalid")
        assert "100,001 invalid and not solved, 1 valid (100.0%)" in done.out, done.err
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


def test_a_puzzle_that_fits_none_is_one_line(fails: Callable[..., str]) -> None:
    assert fails("solve", NINE[:-1]) == (
        "there is no run in runs/, and of the models that come with trm "
        f"({', '.join(NAMES)}; --ckpt names another), "
        "sudoku-9x9 comes nearest: the puzzle has 80 characters, not 81. Give 9 rows of 9, '.' for "
        "a blank, on one line or drawn."
    )


def test_a_run_goes_before_them(trm: Trm, trained_run: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_run, tmp_path / "runs/sudoku/sudoku-9x9", symlinks=True)
    assert trm("solve", "1.3.341221434.21").err.startswith("runs/sudoku/sudoku-9x9, step")
    assert api.load("sudoku-9x9").checkpoint.data.seq_len == 16
    shutil.rmtree(tmp_path / "runs")
    assert api.load("sudoku-9x9").checkpoint.data.seq_len == 81


def test_they_can_be_trained_further(trm: Trm) -> None:
    built = trm("build-data", "sudoku", "--source", "generate", "--size", "6", "--num-train", "20",
                "--num-test", "5", "--num-aug", "0")  # fmt: skip
    assert built.code == 0
    done = trm(
        "train", "--config", Path(__file__).parents[2] / "recipes/sudoku-6x6.toml", "--max-steps",
        "1", "--init-from", "sudoku-6x6", "--batch-size", "4", "--no-compile", "--run-name", "more",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert Path("runs/sudoku/more").is_dir()
