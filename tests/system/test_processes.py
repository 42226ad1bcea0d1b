"""Training on several processes by each way to start them, and on every task."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Records = Callable[..., list[dict[str, Any]]]
RUN = "runs/sudoku/a"
SMALL = (
    "--device", "cpu", "--run-name", "a", "--batch-size", "4",
    "--set", "model.hidden_size=16", "--set", "model.num_heads=1", "--set", "model.h_cycles=1",
    "--set", "model.l_cycles=1", "--set", "model.halt_max_steps=2",
    "--set", "model.forward_dtype=float64", "--set", "train.log_every_steps=1",
    "--set", "train.eval_every_steps=3", "--max-steps", "3",
)  # fmt: skip
#: How to build a little data.
ARC = ("--no-concept", "--num-train", "20", "--num-test", "7", "--num-aug", "2")


def test_two_processes_train_arc_as_one_does(
    trm: Callable[..., Any], start: Callable[..., Any], tmp_path: Path, records: Records
) -> None:
    """For Sudoku, tests/training/test_distributed.py compares more."""
    assert trm("build-data", "arc1", *ARC).code == 0
    command = ("train", "arc1", *SMALL, "--set", "eval.max_examples=5")
    two = start(*command, "--out", "two", "--nproc", "2", "--shard-puzzle-embedding")
    assert trm(*command, "--out", "one").code == 0
    assert two.end() == (0, "")
    first, second = (tmp_path / out / "arc1" / "a" for out in ("one", "two"))
    for ours, theirs in zip(records(second, "train"), records(first, "train"), strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-9)
    evaluated = records(second, "eval")
    assert evaluated == records(first, "eval")
    assert len(evaluated) == 1
    # The whole table is in the checkpoint, for one process to use.
    done = trm("eval", "--ckpt", second, "--max-examples", "5", "--json")
    assert json.loads(done.out)["metrics"]["pass@1"]["value"] == evaluated[0]["pass@1"]


def test_two_machines(
    start: Callable[..., Any],
    tiny_run: tuple[str, ...],
    tmp_path: Path,
    records: Records,
    ports: Iterator[int],
) -> None:
    """Two launchers on one machine, which meet on loopback."""
    command = (
        *tiny_run, "--max-steps", "6", "--run-name", "a", "--nproc", "1", "--nnodes", "2",
        "--rdzv-endpoint", f"127.0.0.1:{next(ports)}",
    )  # fmt: skip
    nodes = [start(*command, "--node-rank", rank) for rank in (1, 0)]
    assert [node.end() for node in nodes] == [(0, ""), (0, "")]
    output = [line for node in nodes for line in node.lines]
    assert output.count(f"run {RUN}, on 2 processes\n") == 1
    assert [record["step"] for record in records(tmp_path / RUN, "train")] == list(range(1, 7))
    assert records(tmp_path / RUN, "end")[-1]["finished"]


def test_torchrun_starts_it_too_and_each_process_has_a_profile(
    tiny_run: tuple[str, ...], tmp_path: Path, records: Records
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "-m", "trm", *tiny_run, "--max-steps", "14", "--run-name", "a", "--profile", "2"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"run {RUN}, on 2 processes\n" in done.stdout
    assert records(tmp_path / RUN, "end")[-1]["finished"]
    for rank in (0, 1):
        trace = tmp_path / RUN / f"profile/rank-{rank}.json.gz"
        found = subprocess.run(["gunzip", "-c", trace], capture_output=True, check=True).stdout
        steps = set(re.findall(rb"ProfilerStep#\d+", found))
        assert steps == {b"ProfilerStep#10", b"ProfilerStep#11"}


def test_srun_starts_it_too(
    srun: Callable[..., Any], tiny_run: tuple[str, ...], tmp_path: Path, records: Records
) -> None:
    tasks = srun(*tiny_run, "--max-steps", "3", "--run-name", "a")
    assert [task.end() for task in tasks] == [(0, ""), (0, "")]
    assert tasks[0].lines[0] == f"run {RUN}, on 2 processes\n"
    assert tasks[1].lines == []  # one process speaks
    assert records(tmp_path / RUN, "end")[-1]["finished"]


def test_a_system_without_locks_and_hangups(tiny_run: tuple[str, ...], tmp_path: Path) -> None:
    """What Windows does not have is taken away."""
    program = (
        "import os, signal, sys; sys.modules['fcntl'] = None;"
        "del signal.SIGHUP, os.sched_getaffinity;"
        "from trm.cli import run; sys.exit(run(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, *tiny_run, "--max-steps", "2", "--run-name", "a"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == (  # before it, a library says what it lacks
        f"trm: warning: {RUN} is on an operating system without file locks. Let no second "
        "process work there."
    )
    assert (tmp_path / RUN / "checkpoints/step-000002").is_dir()


@pytest.mark.parametrize(
    "flags", ["--votes 2 --samples 2", "--samples 2 --choose first --halt 0.6"]
)
def test_two_processes_evaluate_as_one_does(
    trm: Callable[..., Any],
    start: Callable[..., Any],
    trained_run: Path,
    tmp_path: Path,
    flags: str,
) -> None:
    command = ("eval", "--ckpt", trained_run, "--device", "cpu", "--json", "--batch-size", "13")
    command = (*command, *flags.split(), "--save-predictions")
    two = start(*command, "2.npz", "--nproc", "2")
    one = trm(*command, "1.npz")
    assert (one.code, one.err) == (0, "wrote 1.npz\n")
    assert two.end() == (0, "wrote 2.npz\n")
    found = [json.loads(text) for text in (one.out, "".join(two.lines))]
    assert found[0]["metrics"] == found[1]["metrics"]
    first, second = (np.load(tmp_path / f"{processes}.npz") for processes in (1, 2))
    assert len(first["answers"]) == 100
    for name in set(first) - {"halt_logits", "about"}:
        assert np.array_equal(first[name], second[name]), name
    assert np.allclose(first["halt_logits"], second["halt_logits"], rtol=1e-5)


def test_an_evaluation_that_fails_is_one_line(
    start: Callable[..., Any], trained_run: Path, tmp_path: Path
) -> None:
    command = start(
        "eval", "--ckpt", trained_run, "--device", "cpu", "--nproc", "2", "--data", "absent",
        TMPDIR=str(tmp_path),
    )  # fmt: skip
    code, errors = command.end()
    assert code == 1
    assert re.fullmatch(r"trm: error: absent: no such data folder\..*\n", errors), errors
    assert list(tmp_path.iterdir()) == []  # and nothing is left behind
