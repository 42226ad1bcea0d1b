"""What pages take from others: data sets and checkpoints of the Hub, and files."""

import json
import os
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from tests.docs.page_runner import MOST_DATA, SMALL_RUN
from tests.hub import HubServer
from tests.hub.commands import Commands

#: A puzzle and its answer, and another one for the test split.
_SUDOKU = (
    "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79",
    "534678912672195348198342567859761423426853791713924856961537284287419635345286179",
)
_OTHER = (
    ".234567.945678912378.1234562345678.156789123489123456734567891267891.345912345678",
    "123456789456789123789123456234567891567891234891234567345678912678912345912345678",
)
_MLP = "TinyRecursiveModels-Sudoku-Extreme-mlp"
_ARC = "TinyRecursiveModels-ARC-AGI-1"
#: Names of published checkpoints, and how a model of that shape is trained.
_PUBLISHED = {
    "TinyRecursiveModels-Sudoku-Extreme-att": "sudoku",
    _MLP: "sudoku --mlp-t",
    "TinyRecursiveModel-Maze-Hard": "maze",
    _ARC: "arc1",
    "TinyRecursiveModels-ARC-AGI-2": "arc2",
}
_EMBEDDING = "TRM_MODEL__PUZZLE_EMB_LEN"


def add_data(hub: HubServer, folder: Path) -> None:
    """Put two data sets on the Hub: 9x9 Sudokus, one with its digits renamed, and easy mazes.

    They are also in the folder, and the mazes in ``mazes.csv``.
    """
    draw = random.Random(0)
    digits = [str.maketrans("123456789", "".join(draw.sample("123456789", 9))) for _ in range(90)]
    tests, trains = ([[t.translate(d) for t in one] for d in digits] for one in (_OTHER, _SUDOKU))
    sudokus = tests[:30] + trains[30:]
    free, path = [" "] * 900, ["o" if n % 30 == 0 or n >= 870 else " " for n in range(900)]
    mazes = []
    for wall in range(31, 51):
        boards = [free.copy(), path.copy()]
        for board in boards:
            board[0], board[899], board[wall] = "S", "G", "#"
        mazes.append(["".join(board) for board in boards])
    (folder / "mazes.csv").write_bytes(_csv(mazes))
    for name, rows, test in (("sudoku-extreme", sudokus, 30), ("maze-30x30-hard-1k", mazes, 8)):
        files = {"train.csv": _csv(rows[test:]), "test.csv": _csv(rows[:test])}
        hub.add_repo(f"datasets/sapientinc/{name}", files)
        (folder / name).mkdir()
        for file, content in files.items():
            (folder / name / file).write_bytes(content)


def add_published(hub: HubServer, commands: Commands, folder: Path) -> None:
    """Put untrained checkpoints of the published trainer on the Hub, and four files of others."""
    for name, options in _PUBLISHED.items():
        task, _, flags = options.partition(" ")
        concept = ["--preset", "published", "--concept", "ConceptARC"]
        arc = concept if task.startswith("arc") else []
        limits = [word for flag, most in MOST_DATA[task].items() for word in (flag, str(most))]
        run = ["--run-name", name, "--data", f"made/{task}", *flags.split()]
        for call in (
            ["build-data", task, "--out", f"made/{task}", "--overwrite", *arc, *limits],
            ["train", task, "--out", "made", *run],
            ["export", "--ckpt", f"made/{task}/{name}", "--format", "published",
             "--out", f"made/{name}"],
        ):  # fmt: skip
            done = commands.run(call, folder, None, variables=SMALL_RUN | {_EMBEDDING: "16"})
            assert done.code == 0, done.err
        files = {file.name: file.read_bytes() for file in (folder / "made" / name).iterdir()}
        hub.add_repo(f"Sanjin2024/{name}", files)
    (folder / "many").mkdir()
    names = ("step_65104", "many/step_30_att", "many/step_30_mlp")
    for copy, name in {**dict.fromkeys(names, _MLP), "step_2": _ARC}.items():
        (source,) = (folder / "made" / name).glob("step_*")
        shutil.copy(source, folder / copy)
    torch.save({"weight": _Evil()}, folder / "step_9")
    shutil.rmtree(folder / "made")


class _Evil:
    """Runs a program when it is read from a pickle."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("exit",)


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    lines = ["source,question,answer,rating", *(f"x,{ask},{answer},0" for ask, answer in rows)]
    return "\n".join(lines).encode()


_TASK = {
    "train": [
        {"input": [[8, 6], [6, 4]], "output": [[8, 6, 8, 6, 8, 6], [6, 4, 6, 4, 6, 4]]},
        {"input": [[7, 9], [4, 3]], "output": [[7, 9, 7, 9, 7, 9], [4, 3, 4, 3, 4, 3]]},
    ],
    "test": [{"input": [[3, 2], [7, 8]], "output": [[3, 2, 3, 2, 3, 2], [7, 8, 7, 8, 7, 8]]}],
}


def add_concept_arc(folder: Path) -> None:
    """Write ``ConceptARC`` with three tasks."""
    (folder / "ConceptARC/corpus/Above").mkdir(parents=True)
    for number in (1, 2, 3):
        file = folder / f"ConceptARC/corpus/Above/Above{number}.json"
        file.write_text(json.dumps(_TASK))


def add_arc_files(folder: Path) -> None:
    """Write ARC tasks as they are published: by ARC, ConceptARC, RE-ARC, BARC and Kaggle."""
    add_concept_arc(folder)
    for name in ("tasks/00576224.json", "tasks/unknown.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(_TASK))
    (folder / "re_arc/tasks").mkdir(parents=True)
    for name in ("007bbfb7", "00d62c1b", "017c7c7b"):
        (folder / f"re_arc/tasks/{name}.json").write_text(json.dumps(_TASK["train"]))
    pairs = [[pair["input"], pair["output"]] for pair in _TASK["train"]]
    lines = [json.dumps({"source": "def main(): ...", "examples": pairs})] * 3
    (folder / "barc.jsonl").write_text("\n".join(lines))
    for name, (train, test) in {"kaggle": "te", "swapped": "et"}.items():
        kaggle = folder / name
        kaggle.mkdir()
        parts = {"training": (train, 24), "evaluation": (test, 12), "test": ("s", 12)}
        for part, (letter, count) in parts.items():
            names = [f"{letter}{number}" for number in range(count)]
            answers = {name: [pair["output"] for pair in _TASK["test"]] for name in names}
            asked = {"train": _TASK["train"], "test": [{"input": _TASK["test"][0]["input"]}]}
            files = {"challenges": dict.fromkeys(names, asked)}
            files |= {} if part == "test" else {"solutions": answers}
            for kind, content in files.items():
                (kaggle / f"arc-agi_{part}_{kind}.json").write_text(json.dumps(content))
