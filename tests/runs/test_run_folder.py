"""Run folders, and the checkpoint that a name refers to."""

import datetime
import os
import shutil
from pathlib import Path

import pytest

from trm.config import ModelConfig, RunConfig
from trm.errors import CheckpointError
from trm.runs import layout
from trm.runs.run_folder import (
    checkpoint_path,
    checkpoints_to_remove,
    find_checkpoint,
    new_run_name,
)


def test_a_run_means_its_best_checkpoint(trained_run: Path) -> None:
    assert find_checkpoint(str(trained_run)) == (trained_run / layout.BEST).resolve()


def test_a_checkpoint_means_itself(trained_run: Path) -> None:
    last = trained_run / layout.LAST
    assert find_checkpoint(str(last)).resolve() == last.resolve()
    assert find_checkpoint(str(last / "model.safetensors")).resolve() == last.resolve()


def test_no_name_means_the_newest_run(trained_run: Path, tmp_path: Path) -> None:
    for number, name in enumerate(["b", "a"]):
        copy = shutil.copytree(trained_run, tmp_path / "sudoku" / name, symlinks=True)
        os.utime(Path(copy) / layout.LAST / "config.json", (number, number))
    found = find_checkpoint(None, tmp_path)
    assert found.is_relative_to((tmp_path / "sudoku" / "a").resolve())


def test_a_run_without_best_means_its_last(trained_run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(trained_run, tmp_path / "run", symlinks=True))
    (copy / layout.BEST).unlink()
    assert find_checkpoint(str(copy)) == (copy / layout.LAST).resolve()


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(b"")
    with pytest.raises(CheckpointError, match="is a file; a checkpoint is a folder"):
        find_checkpoint(str(file))
    with pytest.raises(CheckpointError, match="neither a run with a checkpoint nor a checkpoint"):
        find_checkpoint(str(tmp_path))
    with pytest.raises(CheckpointError, match="no such run or checkpoint"):
        find_checkpoint(str(tmp_path / "absent"))
    with pytest.raises(CheckpointError, match=r"no run in .*Train one: trm train"):
        find_checkpoint(None, tmp_path)


def test_a_new_run_never_takes_a_name_that_is_used(tmp_path: Path) -> None:
    config = RunConfig(task="t", model=ModelConfig(mlp_t=True))
    now = datetime.datetime(2026, 1, 2, 3, 4, 5)
    names = []
    for _ in range(3):
        names.append(new_run_name(tmp_path, config, now))
        (tmp_path / "t" / names[-1]).mkdir(parents=True)
    assert names == ["mlp-20260102-030405", "mlp-20260102-030405-2", "mlp-20260102-030405-3"]


def test_prune_keeps_best_last_and_newest(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4, 5):
        checkpoint_path(tmp_path, step).mkdir(parents=True)
    (tmp_path / layout.BEST).symlink_to(checkpoint_path(tmp_path, 2))
    (tmp_path / layout.LAST).symlink_to(checkpoint_path(tmp_path, 5))
    assert [path.name for path in checkpoints_to_remove(tmp_path, 2)] == [
        "step-000001",
        "step-000003",
    ]
