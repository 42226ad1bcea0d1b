"""Checkpoints: complete, exact, and refused if they are damaged or do not fit."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from trm.checkpoints import tensors
from trm.checkpoints.open_checkpoint import open_checkpoint
from trm.errors import CheckpointError, StorageError
from trm.models import TinyRecursiveModel
from trm.runs import checkpoint, layout
from trm.runs.lock import LOCK_FILE
from trm.training.checkpoint_snapshot import restore, take_snapshot
from trm.training.step import TrainState


@pytest.fixture
def copy(trained_run: Path, tmp_path: Path) -> Path:
    """A checkpoint that a test may damage; its checksums do not give it away."""
    folder = shutil.copytree((trained_run / layout.LAST).resolve(), tmp_path / "checkpoint")
    (folder / layout.CHECKSUMS_FILE).unlink()
    return Path(folder)


def load(folder: Path) -> tuple[TinyRecursiveModel, checkpoint.CheckpointConfig]:
    opened = open_checkpoint(folder)
    return opened.model(), opened.config


def change_config(folder: Path, *path: str, value: object) -> None:
    file = folder / layout.CONFIG_FILE
    config = json.loads(file.read_text())
    inner = config
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    file.write_text(json.dumps(config))


def test_a_checkpoint_is_enough_to_use_the_model(copy: Path) -> None:
    shutil.rmtree(copy / layout.STATE_FOLDER)
    model, config = load(copy)
    assert config.run.task == "sudoku"
    assert config.data.vocabulary == ("<pad>", ".", "1", "2", "3", "4")
    stored = load_file(copy / layout.WEIGHTS_FILE)
    assert all(torch.equal(stored[name], tensor) for name, tensor in model.state_dict().items())


def test_nothing_is_pickled(trained_run: Path) -> None:
    files = [path for path in trained_run.rglob("*") if path.is_file()]
    others = {path.name for path in files if path.suffix not in (".safetensors", ".json", ".jsonl")}
    assert others == {layout.CHECKSUMS_FILE, LOCK_FILE}


def test_cut_short(copy: Path) -> None:
    file = copy / layout.WEIGHTS_FILE
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged or cut short"):
        load(copy)


@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_a_pickle_is_refused_and_not_run(copy: Path, tmp_path: Path, kind: str) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (tmp_path.joinpath("exploded").mkdir, ())  # type: ignore[return-value]

    file = copy / layout.WEIGHTS_FILE
    if kind == "torch":
        torch.save({"w": torch.zeros(1)}, file)
    else:
        file.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match=r"is a pickle, which could run code"):
        load(copy)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            ("run", "model", "hidden_size"),
            32,
            r"is \(64,\), but config\.json makes it \(32,\)",
        ),
        (("run", "model", "l_layers"), 3, r"lacks the tensor core\.layers\.2"),
        (("run", "model", "l_layers"), 1, r"has the tensor core\.layers\.1.* no place"),
        (("format_version",), 99, r"has format 99, this trm reads up to 1\. Upgrade"),
        (("run", "model", "hidden_size"), "wide", r"config\.json is damaged: .*hidden_size"),
        (("run", "surprise"), 1, r"config\.json is damaged: .*surprise"),
    ],
)
def test_a_configuration_that_does_not_fit(
    copy: Path, path: tuple[str, ...], value: object, message: str
) -> None:
    change_config(copy, *path, value=value)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [layout.WEIGHTS_FILE, layout.CONFIG_FILE])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=rf"{name}(: no such file| is missing)"):
        load(copy)


def test_a_bare_array_is_no_configuration(copy: Path) -> None:
    (copy / layout.CONFIG_FILE).write_text("[]")
    with pytest.raises(CheckpointError, match=r"config\.json is damaged"):
        load(copy)


def test_training_cannot_resume_without_its_state(copy: Path) -> None:
    model, config = load(copy)
    shutil.rmtree(copy / layout.STATE_FOLDER)
    with pytest.raises(CheckpointError, match="has no training_state"):
        restore(copy, TrainState.create(model, config.run))


def test_a_full_disk_leaves_what_was_there(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import safetensors

    model, config = load(copy)
    state = TrainState.create(model, config.run)
    before = sorted(path.name for path in tmp_path.iterdir())

    def full(*_: object) -> None:
        raise safetensors.SafetensorError("Error: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(tensors, "save_file", full)
    progress = checkpoint.Progress(step=1, position=checkpoint.Position())
    snapshot = take_snapshot(state, config, progress)
    assert snapshot is not None
    with pytest.raises(StorageError, match="no space left on the disk"):
        snapshot.write(tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_an_extra_tensor_is_refused(copy: Path) -> None:
    file = copy / layout.WEIGHTS_FILE
    save_file({**load_file(file), "intruder": torch.zeros(1)}, file)
    with pytest.raises(CheckpointError, match="has the tensor intruder"):
        load(copy)
