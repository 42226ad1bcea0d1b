"""``trm train``: invalid options, launchers, the dry run and trackers."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trm.storage import Memory

Trm = Callable[..., Any]
Fails = Callable[..., str]
TINY = (
    "--preset", "mini", "--device", "cpu", "--batch-size", "8",
    "--set", "model.hidden_size=16", "--set", "model.num_heads=1", "--set", "eval.max_examples=4",
    "--set", "model.l_cycles=1", "--set", "model.halt_max_steps=2", "--max-steps", "4",
)  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            "--nproc 3 --oversubscribe",
            r"a batch of 8 does not divide by 3 processes\. Use --batch-size 6 or 9, or another "
            r"--nproc\.",
        ),
        (
            "--nproc 2 --accumulate 3",
            r"a batch of 8 does not divide by 2 processes times --accumulate 3\. Use --batch-size "
            r"6 or 12, or another --accumulate\.",
        ),
        (
            "--nproc 16 --oversubscribe",
            r"a batch of 8 does not divide by 16 processes\. Use --batch-size 16, .*",
        ),
        (
            "--nproc 5000",
            r"--nproc 5000, but the number of CPU cores here is (\d+)\. Use --nproc \1, or "
            r"--oversubscribe for several processes on one core\.",
        ),
        (
            "--nnodes 2 --run-name a",
            r"--nnodes 2 needs an address to connect to\. .* --rdzv-endpoint .*",
        ),
        (
            "--nnodes 2 --rdzv-endpoint h:1",
            r"--nnodes 2 needs --run-name NAME, the same on all machines\.",
        ),
        (
            "--nnodes 2 --rdzv-endpoint h:1 --run-name a --node-rank 2",
            r"--node-rank 2 is not below --nnodes 2\. Give 0 to 1\.",
        ),
        (
            "--nproc 2 --set train.device=cpu:0",
            r"--nproc 2 on the one device cpu:0\. Use --device cuda or cpu\.",
        ),
        (
            "--save-every often",
            r"--save-every 'often' is neither steps, such as 500, nor minutes, such as 10m\. .*",
        ),
        (
            "--accumulate 3",
            r"a batch of 8 does not divide by --accumulate 3 parts\. Use --batch-size 6 or 9, or "
            r"another --accumulate\.",
        ),
        ("--node-rank 1", r"--node-rank 1 is not below --nnodes 1\. Give 0 to 0\."),
        (
            "--nnodes 2 --rdzv-endpoint nonsense",
            r"--rdzv-endpoint 'nonsense' is not HOST:PORT\. Name the machine of --node-rank 0, .*",
        ),
        ("--nnodes 2 --rdzv-endpoint host:99999", r"--rdzv-endpoint 'host:99999' is not .*"),
        ("--resume absent", r"absent: no such run\. See what is in runs/\."),
        ("--resume runs --run-name a", r"--resume runs names a run, so does --run-name\. .*"),
        ("--save-every 0", r"--save-every: train\.save_every_steps .*greater than 0.*"),
        ("--log-to wandbb", r"unknown tracker 'wandbb'\. Did you mean 'wandb'\? .*"),
    ],
)
def test_invalid_options_are_refused_before_anything_starts(
    fails: Fails, mini_data: Path, tmp_path: Path, flags: str, message: str
) -> None:
    text = fails("train", "sudoku", *TINY, "--data", mini_data, *flags.split())
    assert re.fullmatch(message, text), text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("environment", "flags", "message"),
    [
        (
            {"LOCAL_WORLD_SIZE": "4"},
            ("--nproc", "2"),
            "--nproc 2, but the launcher started 4 processes here. Leave --nproc out.",
        ),
        (
            {"TORCHELASTIC_MAX_RESTARTS": "2"},
            (),
            "processes that may be restarted need --run-name NAME to resume.",
        ),
    ],
)
def test_a_launcher_that_contradicts_the_flags(
    mini_data: Path,
    tmp_path: Path,
    environment: dict[str, str],
    flags: tuple[str, ...],
    message: str,
) -> None:
    """In a process of its own, as it then asks the system to end with its parent."""
    file = tmp_path / "error.json"
    elastic = {"TORCHELASTIC_RUN_ID": "x", "TORCHELASTIC_ERROR_FILE": str(file)}
    done = subprocess.run(
        [sys.executable, "-m", "trm", "train", "sudoku", *TINY, "--data", mini_data, *flags],
        env={**os.environ, **elastic, **environment},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"trm: error: {message}\n"
    recorded = json.loads(file.read_text())["message"]["message"]
    assert recorded == f"ConfigError: {message}"


def test_an_attempt_that_ended_with_a_trm_error_is_not_repeated(
    fails: Fails, mini_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before, now = (tmp_path / f"attempt_{n}" / "0" / "error.json" for n in (0, 1))
    before.parent.mkdir(parents=True)
    now.parent.mkdir(parents=True)
    before.write_text(json.dumps({"message": {"message": "DataError: no such: thing. Do so."}}))
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(now))
    text = fails("train", "sudoku", *TINY, "--data", mini_data, "--run-name", "a")
    assert text == "no such: thing. Do so."
    assert now.read_text() == before.read_text()


def test_dry_run_shows_the_examples_of_each_process(
    trm: Callable[..., object], mini_data: Path, tmp_path: Path
) -> None:
    def lines(*flags: str) -> dict[str, str]:
        done = trm("train", "sudoku", *TINY, "--data", mini_data, "--dry-run", *flags)
        return {line[:18].strip(): line[18:] for line in done.out.splitlines()}  # type: ignore[attr-defined]

    alone, four, parts = lines(), lines("--nproc", "4"), lines("--accumulate", "4")
    assert alone["steps"] == "4 of 8 examples"
    assert four["steps"] == "4 of 8 examples, 2 on each of 4 devices"

    def activations(found: dict[str, str]) -> float:
        return float(found["memory a device"].split(" carried over, ")[1].split(" ")[0])

    assert activations(parts) < activations(alone) / 2
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_cannot_fit_is_refused_before_anything_is_made(
    trm: Callable[..., Any], mini_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trm.runtime.device.machine_memory", lambda: Memory(100_000, 100_000))
    command = ("train", "sudoku", *TINY, "--data", mini_data)
    refused = trm(*command)
    assert refused.code == 1
    needs = r"a training step needs about [\d.]+ [KM]iB of memory, there are 97\.7 KiB\. Use .*\n"
    assert re.fullmatch("trm: error: " + needs, refused.err)
    assert list(tmp_path.iterdir()) == []
    planned = trm(*command, "--dry-run")  # perhaps for another machine
    assert (planned.code, "memory a device" in planned.out) == (0, True)
    assert re.fullmatch("trm: warning: " + needs, planned.err)


def test_a_run_logs_to_trackers(
    trm: Callable[..., object], mini_data: Path, tmp_path: Path
) -> None:
    flags = ("--log-to", "tensorboard", "--run-name", "a", "--set", "train.log_every_steps=1")
    done = trm("train", "sudoku", *TINY, "--data", mini_data, *flags)
    assert done.code == 0  # type: ignore[attr-defined]
    events = EventAccumulator(str(tmp_path / "runs/sudoku/a/tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4]
    assert [event.step for event in events.Scalars("eval/exact_accuracy")] == [4]


def test_a_quiet_run_says_how_it_ended(trm: Callable[..., Any], mini_data: Path) -> None:
    done = trm("train", "sudoku", *TINY, "--data", str(mini_data), "-q")
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(r"done: best \w+ \d\.\d{4} at step \d+\n", done.out)


def test_a_resumed_run_takes_settings_of_a_file_without_a_task(
    trm: Trm, trained_run: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained_run, tmp_path / "runs" / "sudoku" / "a", symlinks=True)
    (tmp_path / "more.toml").write_text("train.max_steps = 190\n")
    done = trm("train", "--resume", "a", "--config", "more.toml", "--dry-run")
    assert done.code == 0, done.err
    assert re.search(r"max_steps *190 *file more\.toml", done.out)


def test_an_unfinished_run_is_mentioned_when_a_new_one_starts(
    trm: Trm, mini_data: Path, trained_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "runs" / "sudoku" / "cut"
    shutil.copytree(trained_run, run, symlinks=True)
    command = ("train", "sudoku", *TINY, "--data", mini_data, "--dry-run")
    assert "to resume" not in trm(*command).out  # it is finished
    end = {"event": "end", "step": 2, "finished": False, "error": None}
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(end) + "\n")
    assert trm(*command).out.startswith(
        "this is a new run; to resume the one stopped before: trm train --resume runs/sudoku/cut\n"
    )
    assert "to resume" not in trm(*command, "--run-name", "b").out
