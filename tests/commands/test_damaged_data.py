"""A data folder that is damaged or was changed is refused by every command that uses it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Trm = Callable[..., Any]
Fails = Callable[..., str]


@pytest.fixture
def folder(mini_data: Path, tmp_path: Path) -> Path:
    """A copy of the data; the commands run next to it."""
    return shutil.copytree(mini_data, tmp_path / "d")


@pytest.fixture
def commands(trm: Trm, folder: Path, trained_run: Path) -> list[tuple[Any, ...]]:
    """The commands that use a data folder; the first only shows it."""
    saved = trm(
        "eval", "--ckpt", trained_run, "--data", "d", "--max-examples", "4",
        "--save-predictions", "p.npz",
    )  # fmt: skip
    assert saved.code == 0, saved
    return [
        ("inspect-data", "d"),
        ("train", "sudoku", "--preset", "mini", "--data", "d", "--device", "cpu"),
        ("eval", "--ckpt", trained_run, "--data", "d"),
        ("vote", "p.npz"),
        ("sweep-eval", "--ckpt", trained_run, "--data", "d"),
    ]


def change_meta(file: Path, change: Callable[[Any], None]) -> None:
    found = json.loads(file.read_text())
    change(found)
    file.write_text(json.dumps(found))


def test_a_value_that_it_may_not_have(
    folder: Path, commands: list[tuple[Any, ...]], fails: Fails
) -> None:
    labels = np.load(folder / "test" / "labels.npy")
    labels[7, 3] = 6
    np.save(folder / "test" / "labels.npy", labels)
    expected = "d/test/labels.npy is damaged: row 7 has token 6, not one of 0 to 5. Build the data"
    for command in commands:
        assert fails(*command) == f"{expected} again.", command


def test_a_flipped_label(
    folder: Path, commands: list[tuple[Any, ...]], fails: Fails, trm: Trm
) -> None:
    labels = np.load(folder / "train" / "labels.npy")
    labels[7, 3] = 2 if labels[7, 3] != 2 else 3
    np.save(folder / "train" / "labels.npy", labels)
    show, *others = commands
    assert "the files have changed since" in trm(*show).out
    for command in others:
        assert fails(*command).startswith("d has changed since it was built: its digest"), command


@pytest.mark.parametrize(
    ("size", "problem"),
    [
        ("abc", "properties.size is 'abc', not a size of its boards"),
        (True, "properties.size is True, not a size of its boards"),
        (None, "properties.size is None, not a size of its boards"),
        (6, "seq_len is 16, but boards of size 6 have 36 cells"),
    ],
)
def test_a_property_of_another_type(
    folder: Path, trained_run: Path, fails: Fails, tmp_path: Path, size: Any, problem: str
) -> None:
    change_meta(folder / "dataset.json", lambda meta: meta["properties"].update(size=size))
    expected = f"d/dataset.json is damaged: {problem}. Build the data again."
    assert fails("inspect-data", "d") == expected
    # A checkpoint has the properties too.
    copy = shutil.copytree((trained_run / "best").resolve(), tmp_path / "c")
    (copy / "SHA256SUMS").unlink()
    change_meta(copy / "config.json", lambda c: c["data"]["properties"].update(size=size))
    said = fails("solve", "123434122143.321", "--ckpt", "c")
    assert said == f"c: the data in config.json are damaged: {problem}. Use another checkpoint."


#: Runs a command line for which no array is small enough to be read into memory.
MAPPED = """
import sys
from trm.data import array_files
array_files.MAX_IN_MEMORY = 0
from trm.cli import run
sys.exit(run(sys.argv[1:]))
"""


def test_a_file_that_is_cut_short_while_a_run_trains(folder: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-c", MAPPED, "train", "sudoku", "--preset", "mini", "--mlp-t",
        "--data", "d", "--device", "cpu", "--batch-size", "8", "--max-steps", "2000",
        "--run-name", "a",
        "--set", "train.eval_every_steps=2000", "--set", "train.log_every_steps=1",
        "--set", "model.hidden_size=16", "--set", "model.num_heads=1",
        "--set", "model.halt_max_steps=2",
    ]  # fmt: skip
    with subprocess.Popen(
        command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert any(line.startswith("train step 2/") for line in process.stdout)
        os.truncate(folder / "train" / "labels.npy", 200)
        _, errors = process.communicate()
    assert process.returncode == 1
    assert errors.startswith("trm: error: d/train/labels.npy was cut short from 16,128 to 200 byt")
    assert errors.count("\n") == 1


CUT_WHILE_EVALUATING = """
import os, sys
import trm
from trm.data import array_files
array_files.MAX_IN_MEMORY = 0
def cut(done, total):
    os.truncate("d/test/inputs.npy", 200)
try:
    trm.evaluate(sys.argv[1], data=["d"], batch_size=10, device="cpu", on_progress=cut)
except trm.TrmError as error:
    print(error)
"""


def test_a_file_that_is_cut_short_while_a_model_is_evaluated(
    folder: Path, trained_run: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CUT_WHILE_EVALUATING, trained_run],
        cwd=tmp_path, text=True, capture_output=True, check=True,
    )  # fmt: skip
    expected = "d/test/inputs.npy was cut short from 1,728 to 200 bytes while it was in use."
    assert done.stdout == f"{expected} Build the data again.\n"
