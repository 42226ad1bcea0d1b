"""What each part of a recipe does to the accuracy of small Sudokus, all trained for equal time.

    python benchmarks/recipes.py --json benchmarks/recipes-cpu.json --processes 2

The preset ``mini`` of sudoku with the MLP mixer, one thread a run. First the processor time of a
step with each part is measured, in turns; then each part is trained for so many steps as take as
long as those of the preset as it is. Every run is written as it ends, and is not run again.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch

import trm
from trm import settings
from trm.config import RunConfig
from trm.data import Dataset, TrainStream
from trm.models import PuzzleBatch
from trm.runtime.device import resolve_dtype
from trm.tasks.registry import get_task
from trm.training.model_init import build_model
from trm.training.run_plan import plan_run
from trm.training.step import TrainState, TrainStep

BASE = "preset mini"
WSD = ("optim.lr_schedule=wsd", "optim.lr_min_ratio=0")
MUON = ("optim.optimizer=muon",)
CURRICULUM = ("train.depth_curriculum=[[0.3, 1, 1], [0.6, 1, 2]]",)
EQR = ("model.state_init=random", "train.state_noise=0.01", "model.damping=0.95")
#: Each part alone, then those that belong together.
PARTS: dict[str, tuple[str, ...]] = {
    BASE: (),
    "online augmentation": ("data.augment=online",),
    "softmax": ("train.loss=softmax",),
    "label smoothing 0.2": ("train.label_smoothing=0.2",),
    "halting weight 0.05": ("train.halting_weight=0.05",),
    "clipping at 1": ("optim.grad_clip=1",),
    "cosine to 0": ("optim.lr_min_ratio=0",),
    "constant rate, as published": ("optim.lr_schedule=constant",),
    "warm-up, stable, decay": WSD,
    "depth curriculum": CURRICULUM,
    "supervision decay 0.7": ("train.supervision_decay=0.7",),
    "depth curriculum, supervision decay (CGAR)": (*CURRICULUM, "train.supervision_decay=0.7"),
    "normed SwiGLU": ("model.swiglu=normed",),
    "Muon": MUON,
    "Muon, normed SwiGLU": (*MUON, "model.swiglu=normed"),
    "2 latents": ("model.num_latents=2",),
    "4 latents": ("model.num_latents=4",),
    "random states": EQR[:1],
    "state noise 0.01": EQR[1:2],
    "damping 0.95": EQR[2:],
    "random states, noise, damping, no puzzle embedding (EqR)": (*EQR, "model.puzzle_emb_dim=0"),
    "Muon, normed SwiGLU, label smoothing, halting weight, clipping, cosine to 0, online": (
        *MUON, "model.swiglu=normed", "train.label_smoothing=0.2", "train.halting_weight=0.05",
        "optim.grad_clip=1", "optim.lr_min_ratio=0", "data.augment=online",
    ),
    "warm-up, stable, decay; halting weight": (*WSD, "train.halting_weight=0.05"),
    "warm-up, stable, decay; halting weight; depth curriculum": (
        *WSD, "train.halting_weight=0.05", *CURRICULUM,
    ),
    "warm-up, stable, decay; halting weight; Muon, normed SwiGLU": (
        *WSD, "train.halting_weight=0.05", *MUON, "model.swiglu=normed",
    ),
}  # fmt: skip
ROUNDS, STEPS_A_ROUND = 5, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", type=Path, required=True, help="the results; gone on with")
    parser.add_argument("--steps", type=int, default=400, help="of the preset as it is")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--test", type=int, default=1000, help="unseen boards")
    parser.add_argument("--only", nargs="*", help="these parts")
    parser.add_argument("--processes", type=int, default=1, help="runs at once")
    parser.add_argument("--keep", type=Path, help="keep data and runs in this folder")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    arguments = parser.parse_args()
    found = begin(arguments)
    if not arguments.table:
        with tempfile.TemporaryDirectory() as folder:
            measure(arguments, found, arguments.keep or Path(folder))
    print(f"{found['machine']}; {found['steps']} steps of the preset, {found['test']} boards\n")
    print(table(found))


def begin(arguments: argparse.Namespace) -> dict[str, Any]:
    """What is there already, if it was measured in the same way."""
    same = {"machine": machine.cpu(), "torch": torch.__version__}
    same |= {"steps": arguments.steps, "test": arguments.test}
    if not arguments.json.is_file():
        return {**same, "cost": {}, "runs": {}}
    found: dict[str, Any] = json.loads(arguments.json.read_text())
    changed = ", ".join(name for name, value in same.items() if found[name] != value)
    if changed and not arguments.table:
        sys.exit(f"{arguments.json}: measured with another {changed}. Move it away to begin anew.")
    return found


def measure(arguments: argparse.Namespace, found: dict[str, Any], folder: Path) -> None:
    """Fill in what is not known yet."""
    torch.set_num_threads(1)
    data = build(folder / "data", arguments.test)
    wanted = dict.fromkeys([BASE, *(arguments.only or PARTS)])
    new = [name for name in wanted if name not in found["cost"]]
    if new:
        seconds = step_seconds(
            {name: config(name, data, 0, 30) for name in {BASE: None, **dict.fromkeys(new)}}
        )
        found["cost"] |= {name: seconds[name] / seconds[BASE] for name in new}
    jobs = {}
    for seed in arguments.seeds:
        for name in wanted:
            key = f"{name} / {seed}"
            if key not in found["runs"]:
                jobs[key] = config(name, data, seed, round(arguments.steps / found["cost"][name]))
    with ProcessPoolExecutor(arguments.processes) as pool:
        pending = {
            pool.submit(train, c, folder, key.replace("/", "-")): key for key, c in jobs.items()
        }
        for done in as_completed(pending):
            found["runs"][pending[done]] = done.result()
            arguments.json.write_text(json.dumps(found, indent=1) + "\n")
            print(pending[done], done.result(), flush=True)


def build(folder: Path, num_test: int) -> Path:
    """The preset's boards, with more of them to test on."""
    task = get_task("sudoku")
    options = task.options("mini", num_test=num_test)
    task.build_data(folder, options, np.random.default_rng(options.seed))
    return folder


def config(part: str, data: Path, seed: int, steps: int) -> RunConfig:
    """The preset's settings with those of a part."""
    task = get_task("sudoku")
    common = (
        "model.mlp_t=true", "model.pos_encodings=none", "train.device=cpu", f"train.seed={seed}",
        f"train.max_steps={steps}", f"train.eval_every_steps={steps}", "eval.max_examples=100000",
        "eval.batch_size=500", f"data.paths=['{data}']",
    )  # fmt: skip
    resolved = settings.load(
        task.name,
        defaults=task.defaults,
        preset=task.presets["mini"].settings,
        assignments=[*common, *PARTS[part]],
    )
    return resolve_dtype(resolved.config, torch.device("cpu"))


def step_seconds(configs: Mapping[str, RunConfig]) -> dict[str, float]:
    """Processor seconds of a step of each: the least of rounds in which all take their turn."""
    first = next(iter(configs.values()))
    dataset = get_task(first.task).open_data(first.data_paths)
    steps = {name: stepper(config, dataset) for name, config in configs.items()}
    taken: dict[str, list[float]] = {name: [] for name in configs}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            began = time.process_time()
            step()
            taken[name].append((time.process_time() - began) / STEPS_A_ROUND)
    return {name: min(rounds) for name, rounds in taken.items()}


def stepper(config: RunConfig, dataset: Dataset) -> Any:
    """Something to call that takes the steps of a round: a short run, with every depth in it."""
    device = torch.device("cpu")
    state = TrainState.create(build_model(config, dataset, device), config)
    train = config.train
    online = config.data.augment == "online"
    stream = TrainStream(dataset.split("train"), train.batch_size, train.seed, online=online)
    train_step = TrainStep(state, config, STEPS_A_ROUND)

    def steps() -> None:
        state.step = 0  # the depth and the learning rate of a run that begins
        for _ in range(STEPS_A_ROUND):
            batch = next(stream)
            tensors = (batch.inputs, batch.labels, batch.puzzle_identifiers)
            train_step(PuzzleBatch(*map(torch.from_numpy, tensors)), None)

    return steps


def train(config: RunConfig, runs: Path, name: str) -> dict[str, Any]:
    """One run, and what its evaluation found in the end."""
    torch.set_num_threads(1)
    # By its steps too: a run of another length is gone on with else.
    name = f"{name}, {config.train.max_steps} steps"
    plan = plan_run(config, runs=runs, name=name)
    records: list[Any] = []
    began = time.process_time()
    trm.train(config, plan=plan, listen=records.append)
    (evaluated,) = [record for record in records if record["event"] == "eval"]
    return {
        "steps": config.train.max_steps,
        "exact_accuracy": evaluated["exact_accuracy"],
        "seconds": round(time.process_time() - began, 1),
        "commit": machine.commit(),
    }


def table(found: Mapping[str, Any]) -> str:
    """A row for each part: time of a step, steps, and the accuracy of its seeds."""
    rows = [
        "| part | time of a step | steps | exact accuracy | of each seed |",
        "|---|---:|---:|---:|---|",
    ]
    for name in PARTS:
        runs = [run for key, run in found["runs"].items() if key.rsplit(" / ", 1)[0] == name]
        if not runs:
            continue
        values = [run["exact_accuracy"] for run in runs]
        each = ", ".join(f"{value:.3f}" for value in values)
        mean = statistics.mean(values)
        rows.append(
            f"| {name} | {found['cost'][name]:.2f} | {runs[0]['steps']} | {mean:.3f} | {each} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
