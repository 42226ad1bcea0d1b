"""BASE: a folder with small data, runs and files of each task, which the inputs start from.

======================  ==========================================================================
data/sudoku, more       4x4 Sudokus, and others
data/maze               6x6 mazes
data/arc1               the tasks of ``arc``
data/published          Sudokus in the published layout; ``data/parc``: ARC tasks
csv, kaggle             puzzles with answers in ``train.csv`` and ``test.csv``; Kaggle's ARC files
runs/sudoku/sud ...     a run of two steps for each of them, with a tiny network
published               the Sudoku run's checkpoint as the published trainer writes it
sud.csv, maze.csv       puzzles with answers
sud.txt, maze.txt ...    one puzzle a line; ``drawn.txt``: Sudokus that are drawn
sud.npz, arc.npz        saved predictions of the run; ``cut.npz.partial``: of half an evaluation
submission.json         of ``trm vote``
grid.toml               two rows of that run; ``comparison``: of ``trm compare``
eval.json, vote.json    results with ``--json``; ``sweep.json``: of ``trm sweep-eval --out``
board                   of ``trm leaderboard add eval.json``
answers.csv             answers to ``sud.txt``
tiny.toml               the settings of those runs
recipe.toml, all.toml   other settings, and a manifest of checkpoints
======================  ==========================================================================
"""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.sandbox import Sandbox
from trm import compare, evaluate

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
_DRAWN = """\
test 0:
 . 1 | . .
 . 2 | 4 1
-----+-----
 1 4 | 3 2
 2 . | 1 .

+-----+-----+
| 1 _ | * 0 |      1 2 | 3 4

| . . | . . |      3 4 | 1 2
"""
SUDOKU = "build-data sudoku --source generate --size 4 --num-train 20 --num-test 6 --num-aug 3"
MAZE = "build-data maze --source generate --size 6 --min-path 17 --num-train 40 --num-test 10"
SUD = "--ckpt runs/sudoku/sud --data data/sudoku --device cpu"
COMMANDS = f"""\
{SUDOKU} --out data/sudoku
{SUDOKU} --layout published --out data/published
{SUDOKU} --seed 1 --out data/more
{MAZE} --out data/maze
build-data arc1 --source arc --no-concept --num-aug 2 --out data/arc1
build-data arc1 --source arc --no-concept --num-aug 2 --layout published --out data/parc
train sudoku --preset mini --config tiny.toml --run-name sud --data data/sudoku
train maze --preset mini --config tiny.toml --run-name maze --data data/maze
train arc1 --preset mini --config tiny.toml --run-name arc --data data/arc1
export --ckpt runs/sudoku/sud --format published --out published
eval {SUD} --save-predictions sud.npz
eval --ckpt runs/arc1/arc --data data/arc1 --device cpu --save-predictions arc.npz
sweep-eval {SUD} --samples 1 --max-examples 2 --out sweep.json
solve --ckpt runs/sudoku/sud sud.txt --steps 1 --device cpu --out answers.csv
vote arc.npz --data data/arc1 --json > vote.json
vote arc.npz --data data/arc1 --submission submission.json
inspect-data data/maze --text --boards 2 --split test > maze.txt
inspect-data data/arc1 --text --boards 1 --split test > arc.txt
eval {SUD} --json > eval.json
leaderboard add eval.json --folder board
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
#: Without the length of the run and what follows.
_TINY_START = TINY.partition("\nmax_steps")[0]
GRID = f"""\
task = "sudoku"
preset = "mini"
seeds = 0
budget = {{ steps = 1 }}
{_TINY_START}
[[rows]]
name = "base"

[[rows]]
name = "other"
optim.lr = 0.5
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
    (folder / "grid.toml").write_text(GRID)
    (folder / "sud.txt").write_text(".1...24114322.1.\n....14323..141..\n1...............\n")
    (folder / "drawn.txt").write_text(_DRAWN)
    with Sandbox(folder, seconds=300) as sandbox:
        for line in COMMANDS.splitlines():
            done = sandbox.run(line.split(" >")[0].split())
            assert (done.code, done.problems) == (0, []), (line, done)
            if ">" in line:
                (folder / line.split("> ")[1]).write_text(done.out)
        with contextlib.suppress(KeyboardInterrupt):
            evaluate("runs/sudoku/sud", data=["data/sudoku"], batch_size=2, device="cpu",
                     save_predictions="cut.npz", on_progress=_interrupt)  # fmt: skip
        compare("grid.toml", out="comparison", device="cpu")
    _write_csv(folder / "data/sudoku", folder / "sud.csv")
    for name in ("train", "test"):
        _write_csv(folder / "data/sudoku", folder / "csv" / f"{name}.csv")
    _write_csv(folder / "data/maze", folder / "maze.csv")


def _interrupt(done: int, total: int) -> None:
    if done == 4:
        raise KeyboardInterrupt


def _write_arc_tasks(folder: Path) -> None:
    """Three training and two evaluation tasks of small random grids, also in Kaggle's files."""
    rng = np.random.default_rng(0)
    parts: dict[str, Any] = {}
    for number, part in enumerate(["training"] * 3 + ["evaluation"] * 2):
        shapes = rng.integers(1, 6, (3, 2))
        pairs = [{side: rng.integers(0, 10, shape).tolist() for side in ("input", "output")}
                 for shape in shapes]  # fmt: skip
        file = folder / part / f"{number:08x}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        task = {"train": pairs[:2], "test": pairs[2:]}
        file.write_text(json.dumps(task))
        parts.setdefault(part, {})[file.stem] = task
    kaggle = folder.with_name("kaggle")
    kaggle.mkdir()
    for part, tasks in parts.items():
        solutions = {
            name: [pair.pop("output") for pair in task["test"]] for name, task in tasks.items()
        }
        for kind, content in (("challenges", tasks), ("solutions", solutions)):
            (kaggle / f"arc-agi_{part}_{kind}.json").write_text(json.dumps(content))


def _write_csv(data: Path, file: Path) -> None:
    """Write the training puzzles of a data folder in the format of the Hub."""
    file.parent.mkdir(exist_ok=True)
    vocabulary = json.loads((data / "dataset.json").read_text())["vocabulary"]
    columns = [np.load(data / "train" / f"{name}.npy") for name in ("inputs", "labels")]
    rows = ["source,question,answer,rating"]
    for boards in zip(*columns, strict=True):
        question, answer = ("".join(vocabulary[token] for token in board) for board in boards)
        rows.append(f"made,{question},{answer},3")
    file.write_text("\n".join(rows) + "\n")
