"""Checkpoints by name: a run, a folder, a published file, or a repository on the Hub."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.hub import HubServer
from tests.hub.commands import Online, refused
from trm.checkpoints.open_checkpoint import open_checkpoint
from trm.checkpoints.tensors import PUZZLE_EMBEDDING, weights_digest
from trm.errors import CheckpointError, PluginError

Checkpoint = Callable[..., Path]
Example = Callable[..., Any]
WEIGHTS = "model.safetensors"
MLP = {"mlp_t": True, "pos_encodings": "none"}


@pytest.fixture
def run(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    """A run whose best checkpoint is not its last."""
    folder = tmp_path / "runs" / "sudoku" / "mine"
    for step, link in ((3, "best"), (9, "last")):
        checkpoint(f"runs/sudoku/mine/checkpoints/step-{step:06d}", step=step)
        (folder / link).symlink_to(f"checkpoints/step-{step:06d}")
    return folder


def test_what_a_name_means(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parents[2])
    best = "runs/sudoku/mine/best"
    steps = {
        None: (3, "runs/sudoku/mine/checkpoints/step-000003"),
        "runs/sudoku/mine": (3, "runs/sudoku/mine/checkpoints/step-000003"),
        "runs/sudoku/mine/last": (9, "runs/sudoku/mine/last"),
        best: (3, best),
        f"{best}/{WEIGHTS}": (3, best),
    }
    for name, (step, shown) in steps.items():
        opened = open_checkpoint(name)
        assert (opened.config.step, opened.name) == (step, shown)
    assert open_checkpoint(run).name == f"{run}/checkpoints/step-000003"
    monkeypatch.chdir("/")
    assert open_checkpoint(runs_folder=run.parents[1]).config.step == 3


def test_a_published_checkpoint_is_a_file_or_a_folder(example: Example) -> None:
    made = example(**MLP)
    for name in (made.file, made.folder):
        opened = open_checkpoint(name, task="sudoku")
        assert (opened.name, opened.path, opened.config.step) == (str(name), made.file, 7)
        assert opened.notes
    with pytest.raises(PluginError, match="unknown task 'sudokoo'"):
        open_checkpoint(made.file, task="sudokoo")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", r"^none: no such run or checkpoint\. See what is in runs/\.$"),
        (None, r"^no run in runs/\. .*Give --ckpt, or train one, such as: trm train sudoku"),
        ("empty", r"^empty is neither a run with a checkpoint nor a checkpoint"),
        ("notes.txt", r"^notes\.txt is a file; a checkpoint is a folder with"),
    ],
)
def test_a_name_that_means_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("weights follow")
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(name)


def test_a_checkpoint_of_another_task(checkpoint: Checkpoint) -> None:
    folder = checkpoint("c")
    assert open_checkpoint(folder, task="sudoku").config.run.task == "sudoku"
    with pytest.raises(CheckpointError, match=r"c was trained for task sudoku, not maze\.$"):
        open_checkpoint(folder, task="maze")


def test_a_checkpoint_has_the_numbers_of_its_file(checkpoint: Checkpoint) -> None:
    folder = checkpoint("c", names=["<blank>", "p1", "p2"])
    opened, saved = open_checkpoint(folder), load_file(folder / WEIGHTS)
    assert opened.shapes() == {name: list(tensor.shape) for name, tensor in saved.items()}
    assert opened.names is not None
    assert opened.names.tolist() == [b"<blank>", b"p1", b"p2"]
    assert opened.trained_on.names is opened.names
    table = opened.puzzle_embedding()
    assert table is not None
    assert torch.equal(table, saved[PUZZLE_EMBEDDING])
    network = opened.model().state_dict()
    assert network.keys() == saved.keys()
    assert all(torch.equal(network[name], saved[name]) for name in saved)


def test_a_published_checkpoint_has_the_numbers_of_its_file(example: Example) -> None:
    made = example(rows=5, **MLP)
    opened = open_checkpoint(made.file, task="sudoku")
    network = opened.model().state_dict()
    assert opened.shapes() == {name: list(tensor.shape) for name, tensor in network.items()}
    table = opened.puzzle_embedding()
    assert table is not None
    published = next(tensor for name, tensor in made.tensors.items() if "puzzle_emb" in name)
    assert torch.equal(table, published)
    assert torch.equal(network[PUZZLE_EMBEDDING], published)
    assert sum(map(torch.numel, network.values())) == sum(map(torch.numel, made.tensors.values()))


def test_a_share_of_the_rows(checkpoint: Checkpoint, example: Example) -> None:
    folder = checkpoint("c", names=[str(number) for number in range(5)])
    for name in (folder, example(rows=5, **MLP).file):
        opened = open_checkpoint(name, task="sudoku")
        targets = dict(opened.model().state_dict())
        whole = targets[PUZZLE_EMBEDDING]
        targets[PUZZLE_EMBEDDING] = torch.zeros(2, whole.shape[1])
        opened.load_into(targets, {PUZZLE_EMBEDDING: (5, slice(2, 4))})
        assert torch.equal(targets[PUZZLE_EMBEDDING], whole[2:4])
        with pytest.raises(CheckpointError, match=r"puzzle_embedding\.weight is \(5, 32\), but "):
            opened.load_into(targets, {PUZZLE_EMBEDDING: (6, slice(2, 4))})


def test_a_model_without_puzzle_embedding(checkpoint: Checkpoint) -> None:
    assert open_checkpoint(checkpoint("c", "model.puzzle_emb_dim=0")).puzzle_embedding() is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["answer_init", "output_head.weight", PUZZLE_EMBEDDING])
def test_numbers_that_are_not_finite(checkpoint: Checkpoint, name: str, value: float) -> None:
    folder = checkpoint("c")
    tensors = load_file(folder / WEIGHTS)
    tensors[name].view(-1)[1] = value
    save_file(tensors, folder / WEIGHTS)
    (folder / "SHA256SUMS").unlink()
    message = f"^{re.escape(str(folder))}: {re.escape(name)} has numbers that are not finite\\."
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(folder).model()


def test_no_memory_is_taken_for_a_model_that_is_not_stored(checkpoint: Checkpoint) -> None:
    folder = checkpoint("c")
    text = (folder / "config.json").read_text()
    assert '"num_puzzle_identifiers": 1' in text
    more = text.replace('"num_puzzle_identifiers": 1', '"num_puzzle_identifiers": 10000000000000')
    (folder / "config.json").write_text(more)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(CheckpointError, match=r"puzzle_embedding\.weight is \(1, 32\), but config"):
        open_checkpoint(folder).model()


def test_names_that_are_damaged_are_known_at_once(checkpoint: Checkpoint) -> None:
    folder = checkpoint("c", names=["<blank>", "p1"])
    shutil.copy(folder / "config.json", folder / "identifiers.npy")
    with pytest.raises(CheckpointError, match=r"identifiers\.npy is damaged: "):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (np.arange(3), "is damaged: it is not a list of byte strings. Use another checkpoint."),
        (np.array([[b"a", b"b", b"c"]]), "is damaged: it is not a list of byte strings."),
        (np.array(["a", "b", "c"]), "is damaged: it is not a list of byte strings."),
        (np.array([b"a", b"\xc3", b"\xa9"]), "is damaged: 'utf-8' codec can't decode"),
        (np.array([b"a", b"b"]), "has 2 names, and config.json tells of 3 puzzle identifiers."),
    ],
    ids=["numbers", "a table", "text", "not UTF-8", "too few"],
)
def test_names_that_do_not_fit(checkpoint: Checkpoint, names: Any, message: str) -> None:
    folder = checkpoint("c", names=["<blank>", "é", "p2"])
    assert open_checkpoint(folder).names is not None
    np.save(folder / "identifiers.npy", names)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder)
    assert f"identifiers.npy {message}" in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.float8_e4m3fn, torch.complex64])
def test_weights_of_another_type(checkpoint: Checkpoint, dtype: torch.dtype) -> None:
    folder = checkpoint("c")
    tensors = load_file(folder / WEIGHTS)
    tensors["answer_init"] = tensors["answer_init"].to(dtype)
    save_file(tensors, folder / WEIGHTS)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(
        CheckpointError, match=rf"answer_init is of type {dtype}, not torch\.float32"
    ):
        open_checkpoint(folder).model()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a" * 5000, "File name too long"), ("a\0b", "embedded null byte"),
        (f"{'b/' * 3000}c", "File name too long"), ("loop", "Too many levels of symbolic links"),
    ],
    ids=["long", "null", "deep", "loop"],
)  # fmt: skip
def test_a_path_that_cannot_be_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(name)
    assert str(caught.value).endswith(f": {reason}. Name a run or checkpoint.")
    assert len(str(caught.value)) < 400


def test_a_task_that_no_file_tells_is_asked_for(
    hub: HubServer, online: Online, example: Example
) -> None:
    made = example("arc1", vocab_size=12, seq_len=900, **MLP)
    hub.add_repo("bob/arc", {"step_7": made.file.read_bytes()})
    solve = ("solve", "--device", "cpu", "--ckpt", "bob/arc", "0")
    message = refused(online(*solve))
    assert "could be of task arc1 or arc2. Say which: --task." in message
    program = "import trm; print(trm.load('bob/arc', task='arc2', device='cpu').task.name)"
    assert online.program(program) == "arc2\n"


def test_a_digest_is_of_numbers_of_any_shape() -> None:
    model = torch.nn.Module()
    model.gate = torch.nn.Parameter(torch.zeros(()))
    model.weight = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3).T)
    before = weights_digest(model)
    model.weight = torch.nn.Parameter(model.weight.detach().contiguous())
    assert before == weights_digest(model)
    with torch.no_grad():
        model.gate += 1
    assert weights_digest(model) != before
