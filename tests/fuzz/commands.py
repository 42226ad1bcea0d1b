"""The commands that read files, and damages to their command lines."""

import functools
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

from tests.fuzz import hostile
from trm.cli import app
from trm.config import RunConfig
from trm.tasks.registry import list_tasks

#: Flags that start processes, use the network or a compiler, or are meant to show tracebacks.
_LEFT_OUT = {"--nproc", "--nnodes", "--rdzv-endpoint", "--max-restarts", "--push-to", "--log-to",
             "--compile", "--debug", "--device", "--format", "--host"}  # fmt: skip
#: Settings that make a run legitimately long.
_LONG = {"--max-steps", "--epochs", "--set", "--profile", "--config", "--preset"}


@dataclass(frozen=True)
class Command:
    """A command line, the inputs that it reads and the outputs that it may write.

    Attributes:
        line: its words. The names of inputs stand for themselves.
        inputs: by name in the folder where it runs, the path in BASE. ``STDIN`` is standard input.
            ``fixed.toml``, which keeps a run short, is not damaged.
        outputs: names of files and folders that it writes.
        weight: how often it is drawn: slow commands are drawn less.
    """

    line: str
    inputs: str
    outputs: str = ""
    weight: int = 4

    @property
    def sources(self) -> dict[str, str]:
        pairs = (pair.partition("=") for pair in self.inputs.split())
        return {name: source for name, _, source in pairs}

    @property
    def words(self) -> list[str]:
        return self.line.split()


_SUD, _MAZE, _ARC = "R=runs/sudoku/sud", "R=runs/maze/maze", "R=runs/arc1/arc"
_TWO = "--max-examples 2 --device cpu"
_TRAIN = "--config fixed.toml --device cpu --no-compile --max-steps 1 --run-name new"
COMMANDS = (
    Command("config --config C.toml", "C.toml=recipe.toml", weight=8),
    Command("config sudoku --set model.h_cycles=2 --set optim.lr=0.1", "", weight=4),
    Command("inspect-data D", "D=data/sudoku", weight=6),
    Command("inspect-data D --text --boards 3", "D=data/maze", weight=6),
    Command("inspect-data D --split test", "D=data/arc1", weight=6),
    Command("inspect-data D", "D=data/published", weight=6),
    Command("inspect-data D --boards 1", "D=data/parc", weight=3),
    Command("inspect-data D --save o.svg --boards 1", "D=data/sudoku", "o.svg", 1),
    Command("build-data sudoku --source P.csv --num-train 8 --num-test 4 --num-aug 2 --out o",
            "P.csv=sud.csv", "o", 3),
    Command("build-data maze --source P.csv --num-train 8 --num-test 4 --out o",
            "P.csv=maze.csv", "o", 3),
    Command("build-data arc1 --source A --no-concept --num-aug 2 --out o", "A=arc", "o", 3),
    Command("build-data sudoku --source S --num-train 8 --num-test 4 --num-aug 2 --out o",
            "S=csv", "o", 2),
    Command("build-data arc2 --source A --no-concept --num-aug 2 --layout published --out o",
            "A=kaggle", "o", 3),
    Command("build-data arc1 --source A --no-concept --num-aug 2 --out D --overwrite",
            "A=arc D=data/arc1", "D", 1),
    Command(f"eval --ckpt R --data D {_TWO} --json", f"{_SUD} D=data/sudoku", weight=5),
    Command(f"eval --ckpt R --data D {_TWO} --save-predictions o.npz", f"{_MAZE} D=data/maze",
            "o.npz", 4),
    Command(f"eval --ckpt R --data D {_TWO} --submission o.json --per-task p.json",
            f"{_ARC} D=data/arc1", "o.json p.json", 2),
    Command("vote P.npz --data D --report o", "P.npz=arc.npz D=data/arc1", "o", 3),
    Command("inspect-data D --boards 1 --predictions P.npz", "P.npz=arc.npz D=data/arc1", weight=3),
    Command("solve --ckpt R P.txt --copies 2 --device cpu", f"{_ARC} P.txt=arc.txt", weight=2),
    Command(f"eval --ckpt R --data D {_TWO}", f"{_SUD} D=data/published", weight=2),
    Command("eval --ckpt R --data D --max-examples 1 --device cpu", f"{_ARC} D=data/parc", "", 1),
    Command(f"eval --ckpt K --data D {_TWO}", "K=published D=data/sudoku", weight=5),
    Command("eval --ckpt R --data D --batch-size 2 --device cpu --save-predictions o.npz",
            f"{_SUD} D=data/sudoku o.npz.partial=cut.npz.partial", "o.npz o.npz.partial", 4),
    Command("eval --all M.toml --device cpu",
            "M.toml=all.toml runs/sudoku/sud=runs/sudoku/sud data/sudoku=data/sudoku "
            "runs/maze/maze=runs/maze/maze data/maze=data/maze", weight=3),
    Command(f"sweep-eval --ckpt R --data D --samples 1 {_TWO} --out o.json",
            f"{_SUD} D=data/sudoku o.json=sweep.json", "o.json", 2),
    Command("vote P.npz --data D", "P.npz=sud.npz D=data/sudoku", weight=6),
    Command("vote P.npz Q.npz --data D", "P.npz=sud.npz Q.npz=sud.npz D=data/sudoku", weight=2),
    Command("vote P.npz --data D --submission o.json", "P.npz=arc.npz D=data/arc1", "o.json", 4),
    Command("vote P.npz --data D --solutions S.json",
            "P.npz=arc.npz D=data/arc1 S.json=kaggle/arc-agi_evaluation_solutions.json", weight=4),
    Command("vote P.npz --data D", "P.npz=arc.npz D=data/parc", weight=3),
    Command("score P.json --solutions S.json",
            "P.json=submission.json S.json=kaggle/arc-agi_evaluation_solutions.json", weight=3),
    Command("eval --ckpt R --data D --copies 3 --max-minutes 1 --device cpu "
            "--save-predictions o.npz",
            f"{_ARC} D=data/arc1 o.npz=arc.npz", "o.npz o.npz.partial", 2),
    Command("solve --ckpt R P.txt --steps 1 --device cpu", f"{_SUD} P.txt=sud.txt", weight=4),
    Command("solve --ckpt R P.csv --steps 1 --device cpu --out o.csv",
            f"{_SUD} P.csv=sud.csv", "o.csv o.csv.about.json", 4),
    Command("solve --ckpt R P.txt --steps 1 --device cpu --out o.csv",
            f"{_SUD} P.txt=sud.txt o.csv=answers.csv o.csv.about.json=answers.csv.about.json",
            "o.csv o.csv.about.json", 5),
    Command("solve --ckpt R P.csv --steps 1 --device cpu", f"{_SUD} P.csv=sud.csv", weight=2),
    Command("solve --ckpt R P.txt --steps 1 --device cpu --out o.csv --skip-invalid",
            f"{_SUD} P.txt=drawn.txt", "o.csv o.csv.about.json", 3),
    Command("solve --ckpt R - --json --device cpu", f"{_MAZE} STDIN=maze.txt", weight=3),
    Command("solve --ckpt R - --steps 1 --device cpu", f"{_SUD} STDIN=sud.txt", weight=4),
    Command("solve --ckpt R P.txt --steps 1 --device cpu", f"{_ARC} P.txt=arc.txt", weight=2),
    Command("solve --ckpt R 1............... --steps 1 --device cpu", _SUD, weight=3),
    Command("web --ckpt R --no-browser --device cpu", _SUD, weight=2),
    Command("compare G.toml --out o --dry-run", "G.toml=grid.toml data/sudoku=data/sudoku", "o", 6),
    Command("compare fixed.toml --out C --dry-run",
            "fixed.toml=grid.toml C=comparison data/sudoku=data/sudoku", "C", 4),
    Command("leaderboard add E.json --folder o", "E.json=eval.json", "o", 3),
    Command("leaderboard show B --no-shipped", "B=board", weight=3),
    Command("leaderboard verify B --no-shipped --ckpt R --data D --device cpu",
            f"B=board {_SUD} D=data/sudoku", weight=1),
    Command("runs X", "X=runs", weight=6),
    Command("runs R --json", _SUD, weight=6),
    Command("plot R --out o.svg", _SUD, "o.svg", 1),
    Command("plot E.json --out o.svg --pass-at-k", "E.json=vote.json", "o.svg", 3),
    Command("push-hub --ckpt R --repo a/b --dry-run --out o", f"{_SUD} D=data/sudoku", "o", 2),
    Command("import K --out o", "K=published", "o", 4),
    Command("export --ckpt R --format published --out o", _SUD, "o", 3),
    Command("export --ckpt R --format web --onnxruntime . --out o", _SUD, "o", 1),
    Command(f"train sudoku {_TRAIN} --data D", "fixed.toml=tiny.toml D=data/sudoku", "runs", 2),
    Command(f"train maze {_TRAIN} --data D", "fixed.toml=tiny.toml D=data/maze", "runs", 1),
    Command(f"train arc1 {_TRAIN} --data D", "fixed.toml=tiny.toml D=data/arc1", "runs", 1),
    Command(f"train sudoku {_TRAIN} --data D", "fixed.toml=tiny.toml D=data/published", "runs", 1),
    Command(f"train sudoku {_TRAIN} --data D --init-from R",
            f"fixed.toml=tiny.toml D=data/sudoku {_SUD}", "runs", 2),
    Command(f"train sudoku {_TRAIN} --data D --data E",
            "fixed.toml=tiny.toml D=data/sudoku E=data/more", "runs", 1),
    Command(f"train sudoku {_TRAIN} --data D --dry-run", "fixed.toml=tiny.toml D=data/sudoku", "",
            3),
    Command("train sudoku --resume R --data D --max-steps 3", f"{_SUD} D=data/sudoku", "R", 3),
    Command("train maze --resume R --data D --max-steps 3", f"{_MAZE} D=data/maze", "R", 1),
)  # fmt: skip


def edit_words(
    rng: random.Random, words: Sequence[str], inputs: Sequence[str], folder: Path
) -> list[str]:
    """Give a flag or argument a hostile value, or an input a hostile name."""
    changed = list(words)
    kind = rng.choice(("value", "flag", "flag", "rename"))
    names = [name for name in inputs if name in words and os.path.lexists(folder / name)]
    if kind == "rename" and names:
        old, new = rng.choice(names), rng.choice(_texts(for_files=True))
        if not os.path.lexists(folder / new):
            (folder / new).parent.mkdir(parents=True, exist_ok=True)
            (folder / old).rename(folder / new)
            return [new if word == old else word for word in words]
    flags = _flags(words)
    if kind == "flag" and flags:
        return [*changed, *_flag_and_value(rng, rng.choice(flags))]
    places = [
        place
        for place, word in enumerate(changed)
        if place > 0 and not word.startswith("--") and changed[place - 1] not in _LEFT_OUT
    ]
    if places:
        place = rng.choice(places)
        if words[0] != "train" or changed[place - 1] not in _LONG:
            changed[place] = _any_value(rng)
    return changed


def _flag_and_value(rng: random.Random, flag: Any) -> list[str]:
    name = flag.opts[0]
    if getattr(flag, "is_flag", False):
        return [name]
    if name == "--set":
        return [name, f"{rng.choice(_settings())}={_any_value(rng)}"]
    # Typer's own description of the type; an older Typer has another one.
    kind = getattr(getattr(flag, "type_descriptor", None), "annotation", None)
    values: Sequence[str] = ()
    if get_origin(kind) is Literal:
        values = get_args(kind)
    elif kind is int:
        values = [number for number in hostile.NUMBERS if number.lstrip("-").isdecimal()]
    elif kind is float:
        values = (*hostile.NUMBERS, "nan", "inf", "-inf")
    if values and rng.random() < 0.7:
        return [name, rng.choice(values)]
    return [name, _any_value(rng)]


def _any_value(rng: random.Random) -> str:
    return rng.choice(rng.choice((hostile.NUMBERS, hostile.ODD_NUMBERS, _texts())))


@functools.cache
def _texts(for_files: bool = False) -> list[str]:
    """The hostile texts that the operating system takes as an argument, or as a file's name."""
    found = []
    for text in hostile.TEXTS:
        try:
            length = len(os.fsencode(text))
        except UnicodeEncodeError:
            continue
        is_name = 0 < length < 250 and not text.endswith(("/", ".")) and ".." not in text
        if is_name and text != "~" if for_files else length < 100_000:
            found.append(text)
    return found


@functools.cache
def _settings() -> list[str]:
    """The names of all settings."""
    names = []
    for section, field in RunConfig.model_fields.items():
        inner: Any = getattr(field.annotation, "model_fields", {})
        names += [f"{section}.{name}" for name in inner] or [section]
    return names


def _flags(words: Sequence[str]) -> list[Any]:
    """The flags of a command, as the library of the command line describes them."""
    is_run = words[0] == "train" and "--dry-run" not in words
    left_out = _LEFT_OUT | (_LONG if is_run else set())
    return [flag for flag in _all_flags(*words[:2]) if flag.opts[0] not in left_out]


@functools.cache
def _all_flags(name: str, task: str) -> list[Any]:
    command: Any = typer.main.get_command(app)
    command = command.commands[name]
    if name == "leaderboard":
        command = command.commands.get(task) or command.commands["show"]
    elif name == "build-data":
        command = command.get_command(None, task if task in list_tasks() else "sudoku")
    return [flag for flag in command.params if flag.opts[0].startswith("--")]
