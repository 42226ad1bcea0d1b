"""BASE: a folder with small data, runs and files of each task, which the inputs start from.

======================  ==========================================================================
data/sudoku, maze       4x4 Sudokus and 6x6 mazes
data/arc1               the tasks of ``arc``
data/published          Sudokus in the published layout
runs/sudoku/sud ...     a run of two steps for each of them, with a tiny network
published               the Sudoku run's checkpoint as the published trainer writes it
sud.csv, maze.csv       puzzles with answers; ``sud.txt``: one puzzle a line
sud.npz, arc.npz        saved predictions of the run
sud.json, sweep.json    results of ``trm eval --json`` and ``trm sweep-eval --out``
answers.csv             answers to ``sud.txt``
tiny.toml               the settings of those runs
recipe.toml, all.toml   other settings, and a manifest of checkpoints
======================  ==========================================================================
"""

import json
from pathlib import Path

import numpy as np

from tests.fuzz.sandbox import Sandbox

TINY = """\
[model]
hidden_size = 16
num_heads = 1
h_cycles = 1
l_cycles = 1
l_layers = 1
halt_max_steps = 2
swiglu_multiple = 256
puzzle_emb_len = 16
forward_dtype = "float32"

[train]
batch_size = 8
max_steps = 2
eval_every_steps = 2
device = "cpu"
compile = false

[eval]
max_examples = 4
"""
SUDOKU = "build-data sudoku --source generate --size 4 --num-train 20 --num-test 6 --num-aug 3"
MAZE = "build-data maze --source generate --size 6 --min-path 17 --num-train 40 --num-test 10"
COMMANDS = f"""\
{SUDOKU} --out data/sudoku
{SUDOKU} --layout published --out data/published
{MAZE} --out data/maze
build-data arc1 --source arc --no-concept --num-aug 2 --out data/arc1
train sudoku --preset mini --config tiny.toml --run-name sud --data data/sudoku
train maze --preset mini --config tiny.toml --run-name maze --data data/maze
train arc1 --preset mini --config tiny.toml --run-name arc --data data/arc1
export --ckpt runs/sudoku/sud --format published --out published
eval --ckpt runs/sudoku/sud --data data/sudoku --device cpu --save-predictions sud.npz
eval --ckpt runs/arc1/arc --data data/arc1 --device cpu --save-predictions arc.npz
sweep-eval --ckpt runs/sudoku/sud --data data/sudoku --samples 1,2 --device cpu --out sweep.json
solve --ckpt runs/sudoku/sud sud.txt --steps 1 --device cpu --out answers.csv
eval --ckpt runs/sudoku/sud --data data/sudoku --device cpu --json
"""
RECIPE = """\
task = "sudoku"
preset = "mini"

[model]
hidden_size = 16
num_heads = 1

[train]
max_steps = 1
"""
MANIFEST = """\
[[checkpoint]]
ckpt = "runs/sudoku/sud"
data = ["data/sudoku"]
max_examples = 2

[[checkpoint]]
ckpt = "runs/maze/maze"
data = ["data/maze"]
max_examples = 2
"""


def build_base(folder: Path) -> None:
    """Make BASE; takes some seconds."""
    folder.mkdir()
    _write_arc_tasks(folder / "arc")
    (folder / "tiny.toml").write_text(TINY)
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "all.toml").write_text(MANIFEST)
    (folder / "sud.txt").write_text(".1...24114322.1.\n....14323..141..\n1...............\n")
    with Sandbox(folder, seconds=300) as sandbox:
        for line in COMMANDS.splitlines():
            done = sandbox.run(line.split())
            assert (done.code, done.problems) == (0, []), (line, done)
            (folder / "sud.json").write_text(done.out)  # of the last command
    _write_csv(folder / "data/sudoku", folder / "sud.csv")
    _write_csv(folder / "data/maze", folder / "maze.csv")


def _write_arc_tasks(folder: Path) -> None:
    """Three training and two evaluation tasks of small random grids."""
    rng = np.random.default_rng(0)
    for number, part in enumerate(["training"] * 3 + ["evaluation"] * 2):
        shapes = rng.integers(1, 6, (3, 2))
        pairs = [{side: rng.integers(0, 10, shape).tolist() for side in ("input", "output")}
                 for shape in shapes]  # fmt: skip
        file = folder / part / f"{number:08x}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"train": pairs[:2], "test": pairs[2:]}))


def _write_csv(data: Path, file: Path) -> None:
    """Write the training puzzles of a data folder in the format of the Hub."""
    vocabulary = json.loads((data / "dataset.json").read_text())["vocabulary"]
    columns = [np.load(data / "train" / f"{name}.npy") for name in ("inputs", "labels")]
    rows = ["source,question,answer,rating"]
    for boards in zip(*columns, strict=True):
        question, answer = ("".join(vocabulary[token] for token in board) for board in boards)
        rows.append(f"made,{question},{answer},3")
    file.write_text("\n".join(rows) + "\n")
