"""Checkpoints of the published trainer in, and out again, as calls."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import trm
from tests.made_checkpoints import files_of
from trm.errors import CheckpointError, InputError, PluginError
from trm.runs.checkpoint import read_config, verify_checksums

Checkpoint = Callable[..., Path]
PUBLISHED = Path(__file__).parents[1] / "parity" / "data" / "published_checkpoint"
#: As the published code rounds widths.
WIDE = "model.swiglu_multiple=256"


def test_an_import_is_a_whole_checkpoint_that_names_its_origin(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "mine"
    found = trm.import_checkpoint(PUBLISHED, out=out)
    assert found.file == PUBLISHED / "step_65104"
    assert found.notes[0].startswith("task sudoku, from ")
    verify_checksums(out)
    config = read_config(out)
    assert config == found.config
    assert config.data.source == f"published checkpoint {PUBLISHED}"
    model, published = (trm.load(name, device="cpu") for name in (out, PUBLISHED))
    puzzle = "." * 80 + "1"
    solved = [one.solve(puzzle, effort=0) for one in (model, published)]
    assert solved[0].boards == solved[1].boards
    assert model.notes == ()
    assert published.notes == found.notes


def test_the_task_may_be_given(tmp_path: Path) -> None:
    file = PUBLISHED / "step_65104"
    found = trm.import_checkpoint(file, out=tmp_path / "mine", task="sudoku")
    assert not any("task sudoku" in note for note in found.notes)
    with pytest.raises(CheckpointError, match="these are not puzzles of task maze"):
        trm.import_checkpoint(file, out=tmp_path / "maze", task="maze")
    with pytest.raises(PluginError, match="unknown task 'mazes'"):
        trm.import_checkpoint(file, out=tmp_path / "maze", task="mazes")
    assert {path.name for path in tmp_path.iterdir()} == {"mine"}


def test_what_is_there_is_not_replaced(checkpoint: Checkpoint, tmp_path: Path) -> None:
    native = checkpoint("native", WIDE)
    before = files_of(native)
    with pytest.raises(InputError, match=r"native exists already\."):
        trm.import_checkpoint(PUBLISHED, out=native)
    for format in ("published", "onnx", "torch-export"):
        with pytest.raises(InputError, match=r"native exists already\.|native exists\."):
            trm.export_checkpoint(native, format=format, out=native)
    assert files_of(native) == before


def test_a_trm_checkpoint_is_not_imported_nor_a_published_one_exported(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    native, out = checkpoint("native"), tmp_path / "out"
    with pytest.raises(CheckpointError, match=r"native is already a checkpoint of trm\. Use it as"):
        trm.import_checkpoint(native, out=out)
    for format in ("published", "onnx", "torch-export"):
        with pytest.raises(
            CheckpointError, match=r"trainer\. Import it first: trm import .* --out imported$"
        ):
            trm.export_checkpoint(PUBLISHED, format=format, out=out)
    assert not out.exists()


def test_the_newest_run_is_exported(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"^no run in runs/\."):
        trm.export_checkpoint(format="published", out="out")
    native = checkpoint("runs/sudoku/a/checkpoints/step-000007", WIDE, names=["<blank>", "p1"])
    (native.parents[1] / "last").symlink_to("checkpoints/step-000007")
    assert trm.export_checkpoint(format="published", out="out") is None
    assert trm.export_checkpoint(trm.load(), format="published", out="same") is None
    assert files_of(tmp_path / "same") == files_of(tmp_path / "out")
    assert set(files_of(tmp_path / "out")) == {"step_7", "all_config.yaml", "identifiers.json"}
    back = trm.import_checkpoint("out", out="back")
    assert back.names is not None
    assert np.asarray(back.names).tolist() == [b"<blank>", b"p1"]
    first, second = (trm.load(name, device="cpu").network.state_dict() for name in (native, "back"))
    assert all(torch.equal(first[name], second[name]) for name in first)
