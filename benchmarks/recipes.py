"""Measure how each part of a recipe changes the accuracy on small Sudokus in equal time.

    python benchmarks/recipes.py --json benchmarks/recipes-cpu.json --processes 2

All runs use the preset ``mini`` of sudoku with the MLP mixer, and one thread. First the script
measures the processor time of a step with each part, in turns. Then it trains each part for the
number of steps that takes as long as the unchanged preset. It saves each run when the run ends, and
does not repeat it.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
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
#: Each part alone, then parts that belong together.
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
ROUNDS, STEPS_PER_ROUND = 5, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--json", type=Path, required=True, help="the results file; resumed if it exists"
    )
    parser.add_argument("--steps", type=int, default=400, help="steps of the unchanged preset")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--test", type=int, default=1000, help="number of test boards")
    parser.add_argument("--only", nargs="*", help="parts to measure; default: all")
    parser.add_argument("--processes", type=int, default=1, help="runs at the same time")
    parser.add_argument("--keep", type=Path, help="keep data and runs in this folder")
    parser.add_argument("--table", action="store_true", help="only print the results file")
    arguments = parser.parse_args()
    results = load_or_start(arguments)
    if not arguments.table:
        with tempfile.TemporaryDirectory() as folder:
            measure(arguments, results, arguments.keep or Path(folder))
    print(
        f"{results['machine']}; {results['steps']} steps of the preset, {results['test']} boards\n"
    )
    print(table(results))


def load_or_start(arguments: argparse.Namespace) -> dict[str, Any]:
    """The earlier results, or empty ones. Exits with an error if the conditions differ."""
    conditions = {"machine": machine.describe_cpu(), "torch": torch.__version__}
    conditions |= {"steps": arguments.steps, "test": arguments.test}
    if not arguments.json.is_file():
        return {**conditions, "cost": {}, "runs": {}}
    results: dict[str, Any] = json.loads(arguments.json.read_text())
    changed = ", ".join(name for name, value in conditions.items() if results[name] != value)
    if changed and not arguments.table:
        sys.exit(
            f"{arguments.json}: measured with another {changed}. Move the file to start again."
        )
    return results


def measure(arguments: argparse.Namespace, results: dict[str, Any], folder: Path) -> None:
    """Measure the costs and runs that the results do not have."""
    torch.set_num_threads(1)
    data = build_data(folder / "data", arguments.test)
    parts = dict.fromkeys([BASE, *(arguments.only or PARTS)])
    new = [name for name in parts if name not in results["cost"]]
    if new:
        seconds = step_seconds(
            {name: part_config(name, data, 0, 30) for name in {BASE: None, **dict.fromkeys(new)}}
        )
        results["cost"] |= {name: seconds[name] / seconds[BASE] for name in new}
    jobs = {}
    for seed in arguments.seeds:
        for name in parts:
            key = f"{name} / {seed}"
            if key not in results["runs"]:
                steps = round(arguments.steps / results["cost"][name])
                jobs[key] = part_config(name, data, seed, steps)
    with ProcessPoolExecutor(arguments.processes) as pool:
        pending = {
            pool.submit(train, config, folder, key.replace("/", "-")): key
            for key, config in jobs.items()
        }
        for done in as_completed(pending):
            results["runs"][pending[done]] = done.result()
            arguments.json.write_text(json.dumps(results, indent=1) + "\n")
            print(pending[done], done.result(), flush=True)


def build_data(folder: Path, num_test: int) -> Path:
    """Build the preset's data with ``num_test`` test boards."""
    task = get_task("sudoku")
    options = task.options("mini", num_test=num_test)
    task.build_data(folder, options, np.random.default_rng(options.seed))
    return folder


def part_config(part: str, data: Path, seed: int, steps: int) -> RunConfig:
    """The preset's settings, changed by those of a part."""
    task = get_task("sudoku")
    common = (
        "train.device=cpu", f"train.seed={seed}", f"train.max_steps={steps}",
        f"train.eval_every_steps={steps}", "eval.max_examples=100000",
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
    """Processor seconds per step of each configuration: the minimum over alternating rounds."""
    first = next(iter(configs.values()))
    dataset = get_task(first.task).open_data(first.data_paths)
    round_functions = {name: make_round(config, dataset) for name, config in configs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in configs}
    for _ in range(ROUNDS):
        for name, run_round in round_functions.items():
            started = time.process_time()
            run_round()
            seconds[name].append((time.process_time() - started) / STEPS_PER_ROUND)
    return {name: min(rounds) for name, rounds in seconds.items()}


def make_round(config: RunConfig, dataset: Dataset) -> Callable[[], None]:
    """A function that takes the steps of one round: a short run with every depth in it."""
    device = torch.device("cpu")
    state = TrainState.create(build_model(config, dataset, device), config)
    train = config.train
    online = config.data.augment == "online"
    stream = TrainStream(dataset.split("train"), train.batch_size, train.seed, online=online)
    train_step = TrainStep(state, config, STEPS_PER_ROUND)

    def run_round() -> None:
        state.step = 0  # depth and learning rate as at the start of a run
        for _ in range(STEPS_PER_ROUND):
            batch = next(stream)
            tensors = (batch.inputs, batch.labels, batch.puzzle_identifiers)
            train_step(PuzzleBatch(*map(torch.from_numpy, tensors)), None)

    return run_round


def train(config: RunConfig, runs: Path, name: str) -> dict[str, Any]:
    """Train one run. Returns its final accuracy, steps and processor seconds."""
    torch.set_num_threads(1)
    # The name has the steps, so that a run of another length is not resumed.
    name = f"{name}, {config.train.max_steps} steps"
    plan = plan_run(config, runs=runs, name=name)
    records: list[Any] = []
    started = time.process_time()
    trm.train(config, plan=plan, listen=records.append)
    (evaluated,) = [record for record in records if record["event"] == "eval"]
    return {
        "steps": config.train.max_steps,
        "exact_accuracy": evaluated["exact_accuracy"],
        "seconds": round(time.process_time() - started, 1),
        "commit": machine.commit(),
    }


def table(results: Mapping[str, Any]) -> str:
    """A row for each part: time per step, steps, and accuracy for each seed."""
    rows = [
        "| part | time of a step | steps | exact accuracy | of each seed |",
        "|---|---:|---:|---:|---|",
    ]
    for name in PARTS:
        runs = [run for key, run in results["runs"].items() if key.rsplit(" / ", 1)[0] == name]
        if not runs:
            continue
        values = [run["exact_accuracy"] for run in runs]
        each = ", ".join(f"{value:.3f}" for value in values)
        mean = statistics.mean(values)
        rows.append(
            f"| {name} | {results['cost'][name]:.2f} | {runs[0]['steps']} | {mean:.3f} | {each} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
