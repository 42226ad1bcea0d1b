"""Several processes train with the same examples, losses and weights as one process."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from trm import settings
from trm.data import write
from trm.errors import ConfigError
from trm.runs import layout
from trm.runtime.process_group import (
    SINGLE_PROCESS,
    ProcessGroup,
    process_group_from_env,
    slurm_rendezvous,
)
from trm.tasks.registry import get_task

#: What is trained, as assignments. All runs take eight steps.
RUNS = {
    "float64": ("model.forward_dtype=float64",),
    "float32": ("model.forward_dtype=float32",),
    "online": ("model.forward_dtype=float64", "data.augment=online"),
    "many": ("model.forward_dtype=float64", "DATA=many"),
    "sharded": ("model.forward_dtype=float64", "DATA=many", "train.shard_puzzle_embedding=true"),
    "recipe": (
        "model.forward_dtype=float64",
        "model.swiglu=normed",
        "model.num_latents=2",
        "model.damping=0.9",
        "train.depth_curriculum=[[0.5,1,1]]",
        "train.supervision_decay=0.7",
        "optim.grad_clip=0.1",
    ),
    "accumulated": ("model.forward_dtype=float64", "train.accumulate=2"),
    "frozen": (
        "model.forward_dtype=float64",
        "DATA=many",
        "train.freeze_core_share=0.5",
        "train.init_from=SHARDED",
    ),
    "resumed": ("model.forward_dtype=float64", "DATA=many"),
    "resharded": ("model.forward_dtype=float64", "DATA=many", "train.shard_puzzle_embedding=true"),
}


@pytest.fixture(scope="module")
def many(mini_data: Path, make_once: Callable[..., Path]) -> Path:
    """The puzzles of ``mini_data``, each copy with one of 37 identifiers."""

    def fill(folder: Path) -> None:
        data = get_task("sudoku").open_data([str(mini_data)])
        names = np.array([b"p%d" % number for number in range(37)])
        splits = {}
        for name in ("train", "test"):
            split = data.split(name)
            identifiers = (np.arange(split.num_puzzles) % 37).astype(np.int32)
            splits[name] = replace(split, identifiers=identifiers, names=names)
        write(folder, data.meta.model_copy(update={"num_puzzle_identifiers": 37}), splits)

    return make_once("many-puzzles", fill)


@pytest.fixture(scope="module")
def trained(
    mini_data: Path, many: Path, make_once: Callable[..., Path]
) -> Callable[[str, int], Path]:
    """The run folder of a run by its name and number of processes."""
    folder = make_once("ranks", lambda folder: train_all(folder, mini_data, many))
    return lambda name, size: folder / "sudoku" / f"{name}-{size}"


def train_all(folder: Path, mini_data: Path, many: Path) -> None:
    """Train the runs with one, two and four processes."""
    folder.mkdir()
    data = {"mini": mini_data, "many": many}

    def job(name: str, size: int, *more: str, **job: Any) -> dict[str, Any]:
        start_from = str(folder / "sudoku" / "sharded-4")
        given = [a.replace("SHARDED", start_from) for a in RUNS[name] if a != "DATA=many"]
        where = data["many" if "DATA=many" in RUNS[name] else "mini"]
        return {
            "config": config_of(where, *given, *more).model_dump(),
            "folder": str(folder / "sudoku" / f"{name}-{size}"),
            **job,
        }

    resumed = ("resumed", "resharded")
    whole = [name for name in RUNS if name not in resumed]
    start(4, [job("sharded", 4), job("resharded", 4, stop_after=3)], folder)
    # The run of four processes resumes with one, whose table is whole.
    unsharded = job("resharded", 4, "train.shard_puzzle_embedding=false")
    cut = [job(name, 1, stop_after=2) for name in resumed]
    start(1, [*(job(name, 1) for name in whole), *cut, unsharded], folder)
    # The runs of one process resume with two.
    for name in resumed:
        source = folder / "sudoku" / f"{name}-1"
        shutil.copytree(source, folder / "sudoku" / f"{name}-2", symlinks=True)
    start(2, [job(name, 2) for name in RUNS], folder)


def config_of(data: Path, *assignments: str) -> Any:
    """Settings of a run of seconds."""
    task = get_task("sudoku")
    small = (
        "model.hidden_size=32", "model.num_heads=2", "model.h_cycles=2", "model.l_cycles=2",
        "model.halt_max_steps=3", "model.halt_exploration_prob=0.5", "train.batch_size=16",
        "train.max_steps=8", "train.log_every_steps=1", "train.eval_every_steps=4",
        "train.device=cpu", "optim.lr_warmup_steps=2", "optim.lr=0.001", "optim.ema_rate=0.9",
        "eval.max_examples=21", f"data.paths=['{data}']",
    )  # fmt: skip
    return settings.load(
        "sudoku",
        defaults=task.defaults,
        preset=task.presets["mini"].settings,
        assignments=[*small, *assignments],
    ).config


def start(size: int, jobs: list[dict[str, Any]], folder: Path) -> None:
    """Train the jobs, one after the other, in so many processes."""
    file = folder / "jobs.json"
    file.write_text(json.dumps(jobs))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = [
        subprocess.Popen(
            [sys.executable, Path(__file__).with_name("ranks.py"), file],
            env={
                **os.environ, "RANK": str(rank), "WORLD_SIZE": str(size), "OMP_NUM_THREADS": "1",
                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]  # fmt: skip
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * size, errors


def records(run: Path, event: str) -> Iterator[dict[str, Any]]:
    timed = ("samples_per_s", "tflops", "mfu", "input_share", "eta_s", "elapsed_s", "path")
    for record in map(json.loads, (run / layout.METRICS_FILE).read_text().splitlines()):
        if record["event"] == event:
            yield {name: value for name, value in record.items() if name not in timed}


def assert_alike(run: Path, other: Path, tolerance: float) -> None:
    """Whether two runs logged the same steps, with the same numbers."""
    for ours, theirs in zip(records(run, "train"), records(other, "train"), strict=True):
        assert ours["step"] == theirs["step"]
        numbers = {name for name, value in theirs.items() if isinstance(value, int | float)}
        assert {name for name in ours if name not in numbers and ours[name] is not None} == {
            "event"
        }
        for name in numbers:
            near = pytest.approx(theirs[name], rel=tolerance, abs=1e-15)
            assert ours[name] == near, (ours["step"], name)


def tensors(run: Path) -> dict[str, torch.Tensor]:
    """Every number of the last checkpoint."""
    last = run / layout.LAST
    files = sorted(last.rglob("*.safetensors"))
    return {f"{f.relative_to(last)}/{n}": t for f in files for n, t in load_file(f).items()}


@pytest.mark.parametrize(
    ("name", "like", "size", "tolerance"),
    [
        ("float64", "float64", 2, 1e-9),
        ("float32", "float32", 2, 1e-4),
        ("online", "online", 2, 1e-9),
        ("recipe", "recipe", 2, 1e-9),
        ("accumulated", "float64", 2, 1e-9),
        ("many", "many", 2, 1e-9),
        ("frozen", "frozen", 2, 1e-9),
        ("sharded", "many", 2, 1e-9),
        ("sharded", "many", 4, 1e-9),
        ("resumed", "many", 2, 1e-9),
        ("resharded", "many", 2, 1e-9),
        ("resharded", "many", 4, 1e-9),
    ],
)
def test_any_number_of_processes_computes_the_same(
    trained: Callable[[str, int], Path], name: str, like: str, size: int, tolerance: float
) -> None:
    one, several = trained(like, 1), trained(name, size)
    assert_alike(several, one, tolerance)
    evaluations = list(records(several, "eval"))
    assert len(evaluations) >= 1
    for ours, theirs in zip(evaluations, records(one, "eval"), strict=True):
        losses = {"answer_loss", "halting_loss"}
        assert losses <= ours.keys()
        for loss in losses:
            assert ours.pop(loss) == pytest.approx(theirs.pop(loss), rel=tolerance)
        assert ours == theirs
    weights, same = tensors(several), tensors(one)
    assert weights.keys() == same.keys()
    for key, tensor in weights.items():  # the carried-over rows too
        torch.testing.assert_close(tensor, same[key], rtol=1e-3, atol=tolerance * 10, msg=key)


@pytest.mark.parametrize(("name", "like"), [("accumulated", "float64"), ("sharded", "many")])
def test_one_process_may_take_parts_and_have_one_shard(
    trained: Callable[[str, int], Path], name: str, like: str
) -> None:
    assert_alike(trained(name, 1), trained(like, 1), 1e-9)


def test_the_start_record_has_the_number_of_processes(trained: Callable[[str, int], Path]) -> None:
    starts = [(r["step"], r["processes"]) for r in records(trained("resharded", 4), "start")]
    assert starts == [(0, 4), (3, 1)]


def test_shares_are_in_order_and_everything_is_in_one() -> None:
    for count in range(20):
        for size in range(1, 6):
            shares = [ProcessGroup(rank, size).shard(count) for rank in range(size)]
            rows = [row for share in shares for row in range(count)[share]]
            assert rows == list(range(count))


@pytest.mark.parametrize(
    ("environment", "group"),
    [
        ({}, None),
        ({"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}, ProcessGroup(3, 8, 1)),
        ({"RANK": "1", "WORLD_SIZE": "2"}, ProcessGroup(1, 2, 0)),
        (
            {"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "1"},
            ProcessGroup(5, 8, 1),
        ),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, None),  # sbatch itself, before srun
    ],
)
def test_launchers_are_known_by_their_environment(
    environment: dict[str, str], group: ProcessGroup | None
) -> None:
    assert process_group_from_env(environment) == group


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK = 2 is not below WORLD_SIZE = 2"),
        ({"RANK": "one", "WORLD_SIZE": "2"}, "RANK = 'one', .* have to be numbers"),
    ],
)
def test_contradictory_environments_are_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        process_group_from_env(environment)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu7", "gpu7"),
        ("gpu[003-010,12],x1", "gpu003"),
        ("a-b,c", "a-b"),
        ("rack1-node[2,4]", "rack1-node2"),
    ],
)
def test_srun_processes_connect_at_the_first_machine(nodes: str, first: str) -> None:
    found = slurm_rendezvous({"SLURM_STEP_NODELIST": nodes, "SLURM_JOB_ID": "41234"})
    assert found == {"MASTER_ADDR": first, "MASTER_PORT": "21234"}


def test_a_single_process_exchanges_nothing() -> None:
    rows = torch.arange(6).view(3, 2)
    assert SINGLE_PROCESS.all_gather(rows) is rows
    assert SINGLE_PROCESS.any_process(True, False) == (True, False)
    collected = SINGLE_PROCESS.gather_to_first(rows, 3)
    assert torch.equal(collected, rows)
    assert collected is not rows
