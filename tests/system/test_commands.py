"""Whole commands, in processes of their own."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TRM = (sys.executable, "-m", "trm")
TINY = (
    "train", "sudoku", "--preset", "mini", "--device", "cpu", "--batch-size", "8",
    "--set", "model.hidden_size=16", "--set", "model.num_heads=1", "--set",
    "train.log_every_steps=1", "--set", "eval.max_examples=4", "--run-name", "a",
)  # fmt: skip


def trm(folder: Path, *arguments: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [*TRM, *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        **more,  # type: ignore[call-overload]
    )


def steps(run: Path) -> list[int]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [r["step"] for r in map(json.loads, lines) if r["event"] == "train"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"]
)
def test_a_signal_saves_and_the_run_goes_on(
    mini_data: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    command = [*TRM, *TINY, "--data", str(mini_data), "--max-steps", "100000"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("train step 3/"):
                process.send_signal(number)
                break
        rest = process.stdout.read()
        assert process.wait() == code
    found = re.search(r"stopped at step (\d+) of 100000\nresume with: trm (.+)$", rest)
    assert found, rest
    stopped = int(found[1])
    assert found[2] == "train sudoku --resume runs/sudoku/a"
    done = trm(tmp_path, *found[2].split(), "--max-steps", str(stopped + 2))
    assert done.returncode == 0, done.stderr
    assert f"run runs/sudoku/a, from step {stopped}" in done.stdout
    assert steps(tmp_path / "runs/sudoku/a") == list(range(1, stopped + 3))


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    """On a real file system of 100 KiB, mounted in a namespace of its own."""
    small = tmp_path / "small"
    small.mkdir()
    mount = f"mount -t tmpfs -o size=100k none {small}"
    namespace = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*namespace, mount], capture_output=True, check=False).returncode:
        pytest.skip("this system does not let a test mount a file system")
    build = " ".join([*TRM, "build-data sudoku --source generate --size 4 --num-test 5"])
    done = subprocess.run(
        [*namespace, f"{mount} && {build} --out {small}/data; code=$?; ls -A {small}; exit $code"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch(
        r"trm: error: .* but the disk of \S+/data has 100\.0 KiB free\..*\n", done.stderr
    )
    assert done.stdout == ""


def test_help_in_a_bare_environment(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    assert "build-data" in trm(tmp_path, "--help", env=env).stdout
