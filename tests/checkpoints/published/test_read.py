"""Checkpoints as the published trainer saves them: found and read."""

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.fresh_plugins import forget_plugins
from trm import plugins
from trm.checkpoints.open_checkpoint import open_checkpoint
from trm.checkpoints.published.checkpoint import read_published
from trm.checkpoints.published.find_file import PublishedFile, find_published
from trm.checkpoints.published.tensor_names import trm_name
from trm.config import OptimConfig, TRMConfig
from trm.data import DatasetMeta
from trm.errors import CheckpointError
from trm.plugins import hookimpl
from trm.tasks.base import Task

MLP = {"mlp_t": True, "pos_encodings": "none"}
ARC = {"task": "arc1", "vocab_size": 12, "seq_len": 900}


@pytest.mark.parametrize(
    "name",
    [
        "step_65104", "step_65104.pt", "x_step_21700_y", "model.pt", "a.pth", "a.ckpt",
        "pytorch_model.bin", "deep/down/step_3",
    ],
)  # fmt: skip
def test_a_file_is_found_under_any_name(example: Callable[..., Any], name: str) -> None:
    file = example(name=name).file
    top = next(folder for folder in file.parents if folder.name == "published")
    assert find_published(file) == PublishedFile(file, file.parent)
    assert find_published(top) == PublishedFile(file, top)


def test_the_highest_step_is_meant(example: Callable[..., Any]) -> None:
    made = [example(name=name) for name in ("z.pt", "b/step_900", "a/step_10000", "step_2")]
    shutil.copy(made[2].file, made[2].folder / "step_10000_all_preds.0")
    note = "a/step_10000, the newest of 4 checkpoints"
    assert find_published(made[0].folder) == PublishedFile(made[2].file, made[0].folder, (note,))


def test_nothing_else_is_meant(tmp_path: Path, example: Callable[..., Any]) -> None:
    assert find_published(tmp_path) is None
    assert find_published(tmp_path / "missing") is None
    hidden = example(name=".cache/step_1").file
    np.savez(tmp_path / "step_2.npz", a=np.zeros(3))
    save_file({"a": torch.zeros(3)}, tmp_path / "step_3.safetensors")
    (tmp_path / "step_4").write_text("nothing")
    assert find_published(tmp_path) is None
    with pytest.raises(CheckpointError, match=r"step_4: no file of torch\.save is there"):
        read_published(tmp_path / "step_4")
    assert find_published(hidden) == PublishedFile(hidden, hidden.parent)


def test_only_regular_files_are_read(tmp_path: Path, example: Callable[..., Any]) -> None:
    made = example(name="step_2")
    os.mkfifo(made.folder / "step_3")
    (made.folder / "step_4").symlink_to("/dev/zero")
    (made.folder / "step_5").symlink_to("missing")
    (made.folder / "step_6").touch()
    shutil.copy(made.file, made.folder / "._step_7")
    found = find_published(made.folder)
    assert found is not None
    assert found.path == made.file
    for name in ("step_3", "step_4"):
        message = rf"{name} is neither a regular file nor a folder\. Name a run or checkpoint\."
        with pytest.raises(CheckpointError, match=message):
            open_checkpoint(made.folder / name)


def test_a_large_tree_is_not_searched(tmp_path: Path, example: Callable[..., Any]) -> None:
    too_deep = example(name="a/b/c/step_1")
    assert find_published(tmp_path / "published") is None
    assert find_published(tmp_path / "published/a/b/c") is not None
    for number in range(2000):
        (too_deep.folder / f"{number}.txt").touch()
    message = r"is no checkpoint itself, and has more than 2,000 files and folders in which to "
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(too_deep.folder)


@pytest.mark.parametrize(
    "prefix", ["_orig_mod.model.inner.", "model.inner.", "_orig_mod.", "inner.", ""]
)
def test_prefixes_are_dropped(example: Callable[..., Any], prefix: str) -> None:
    made = example(**MLP, prefix=prefix)
    weights = read_published(made.file).weights
    assert weights.keys() == {trm_name(name) for name in made.tensors}
    assert all(torch.equal(weights[trm_name(n)], t) for n, t in made.tensors.items())


KINDS: dict[str, dict[str, Any]] = {
    "mlp": MLP,
    "mlp with 1 token for the puzzle": {**MLP, "puzzle_emb_len": 1},
    "mlp with 5 tokens for the puzzle": {**MLP, "puzzle_emb_len": 5},
    "mlp with learned positions": {**MLP, "pos_encodings": "learned"},
    "mlp without puzzle embedding": {**MLP, "puzzle_emb_dim": 0},
    "attention": {},
    "learned positions": {"pos_encodings": "learned"},
    "expansion of 8": {"hidden_size": 384, "expansion": 8.0},
    "three layers": {"l_layers": 3},
    "narrow puzzle embedding": {"puzzle_emb_dim": 20},
    "bfloat16": {"forward_dtype": "bfloat16"},
    "6x6": {**MLP, "vocab_size": 8, "seq_len": 36},
    "6x6, attention": {"vocab_size": 8, "seq_len": 36},
    "maze": {"task": "maze", "vocab_size": 6, "seq_len": 900},
    "small maze": {**MLP, "task": "maze", "vocab_size": 6, "seq_len": 49},
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_no_file_says_is_inferred(example: Callable[..., Any], kind: str) -> None:
    made = example(**KINDS[kind])
    found = read_published(made.file)
    assert found.config.run.model == made.model
    assert found.config.run.task == KINDS[kind].get("task", "sudoku")
    assert found.config.data.seq_len == KINDS[kind].get("seq_len", 81)
    assert found.config.step == 7
    assert all(tensor.dtype == torch.float32 for tensor in found.weights.values())


@pytest.mark.parametrize(("expansion", "near"), [(2.5, 2), (0.7, 1), (33.3, 34.5)])
def test_an_expansion_is_inferred_up_to_rounding(
    example: Callable[..., Any], expansion: float, near: float
) -> None:
    found = read_published(example(hidden_size=256, expansion=expansion).file)
    assert found.config.run.model.expansion == pytest.approx(near, abs=0.1)


def test_notes_say_what_is_inferred(example: Callable[..., Any]) -> None:
    assert read_published(example(**MLP).file).notes == (
        "vocabulary of 11 tokens: sudoku",
        "81 cells from the MLP's width 97 less 16 for the puzzle embedding",
        "trm: 2 layers of width 32 with an MLP, from the tensors",
        "pos_encodings: none, the usual with an MLP",
        "expansion: 4, from the widths of the SwiGLUs",
        "puzzle embedding of width 32, from the tensors",
        "forward_dtype: float32, as the initial answer is stored",
        "h_cycles: 3, l_cycles: 6, halt_max_steps: 16, task default",
        "training settings: task default",
    )
    notes = read_published(
        example(**ARC, rows=3, name="model.pt").folder / "model.pt", "arc1"
    ).notes
    for note in (
        "900 cells, as the published puzzles of task arc1 have",
        "puzzle_emb_len: 16, task default",
        "heads: 8, task default",
        "no identifiers.json: the 3 puzzle embeddings have no names",
        "step 0, as the file is not called step_N but 'model.pt'",
    ):
        assert note in notes


@pytest.mark.parametrize(
    ("hint", "task"),
    [
        ("data/arc1concept-aug-1000", "arc1"),
        ("data/arc2concept-aug-1000", "arc2"),
        ("/home/maze/ARC-AGI-2", "arc2"),
        ("arc_agi_1-aug", "arc1"),
        ("data/arc-1-aug-1000", "arc1"),
        ("data/arc-aug-1000", None),
        ("data/arc-1000", None),
        ("data/arc12", None),
    ],
)
def test_the_task_by_what_its_data_is_called(
    example: Callable[..., Any], hint: str, task: str | None
) -> None:
    made = example(**ARC, rows=2)
    for settings in ({"data_paths": [hint]}, {"data_paths": ["data/x"], "project_name": hint}):
        made.write_yaml(**settings)
        if task is None:
            with pytest.raises(CheckpointError, match=r"of task arc1 or arc2\. Say which: --task"):
                read_published(made.file)
        else:
            found = read_published(made.file)
            assert found.config.run.task == found.config.data.task == task
            assert found.notes[0] == f"task {task}, from {hint!r}"


def test_the_task_that_is_given(example: Callable[..., Any]) -> None:
    made = example(**ARC, rows=2)
    made.write_yaml(data_paths=["data/arc1concept-aug-1000"])
    assert read_published(made.file, "arc2").config.run.task == "arc2"
    with pytest.raises(CheckpointError, match=r"12 kinds of tokens.*not puzzles of task sudoku"):
        read_published(made.file, "sudoku")


class Rows(Task):
    """Puzzles of 5 cells with 20 kinds of tokens, and of 6 or 7 cells with 30 kinds."""

    name = "rows"
    summary = "For tests."
    defaults = {"model": {"num_heads": 4, "h_cycles": 2, "swiglu_multiple": 16}}

    def build_data(self, out: Path, options: Any, rng: np.random.Generator) -> DatasetMeta:
        raise NotImplementedError

    def published_data_meta(self, vocab_size: int, seq_len: int) -> DatasetMeta | None:
        if (vocab_size, seq_len) not in ((20, 5), (30, 6), (30, 7)):
            return None
        words = tuple(map(str, range(vocab_size)))
        return DatasetMeta(task="rows", source="", seed=0, vocabulary=words, seq_len=seq_len)

    @hookimpl
    def trm_register_tasks(self, register: Callable[[Task], None]) -> None:
        register(self)


@pytest.fixture
def _rows(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The task above is installed."""
    dist = SimpleNamespace(name="rows", version="1")
    entry = SimpleNamespace(name="rows", dist=dist, load=Rows)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry])
    forget_plugins()
    yield
    forget_plugins()


@pytest.mark.usefixtures("_rows")
def test_a_task_of_a_plugin(example: Callable[..., Any]) -> None:
    for settings in (MLP, {}):
        made = example("rows", 20, 5, **settings, swiglu_multiple=256)
        found = read_published(made.file)
        assert (found.config.run.task, found.config.data.seq_len) == ("rows", 5)
        assert found.config.run.model == made.model
    made = example("rows", 30, 7, swiglu_multiple=256)
    with pytest.raises(CheckpointError, match=r"no file says how many cells.*write seq_len: CELLS"):
        read_published(made.file)
    made.write_yaml(seq_len=7)
    assert read_published(made.file).config.data.seq_len == 7


def test_settings_come_from_all_config_yaml(example: Callable[..., Any]) -> None:
    made = example(**MLP, expansion=3.0)
    said = {
        "arch": {
            "name": "recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1",
            "loss": {"name": "losses@ACTLossHead", "loss_type": "softmax_cross_entropy"},
            "H_cycles": 2, "L_cycles": 5, "H_layers": 0, "L_layers": 2, "hidden_size": 32,
            "num_heads": 4, "expansion": 3, "mlp_t": True, "pos_encodings": "none",
            "puzzle_emb_ndim": 32, "puzzle_emb_len": 16, "halt_max_steps": 9,
            "halt_exploration_prob": 0.25, "forward_dtype": "bfloat16", "rope_theta": 500,
            "rms_norm_eps": 1e-6, "no_ACT_continue": False, "own_idea": True,
        },
        "data_paths": ["a", "b"], "global_batch_size": 11, "epochs": 12, "lr": "1e-3",
        "lr_min_ratio": 0.5, "lr_warmup_steps": 13, "beta1": 0.8, "beta2": 0.85,
        "weight_decay": 0.3, "puzzle_emb_lr": 0.4, "puzzle_emb_weight_decay": 0.5, "ema": False,
        "ema_rate": 0.6, "seed": 14, "eval_interval": 3,
    }  # fmt: skip
    made.write_yaml(**said)
    found = read_published(made.file)
    run = found.config.run
    assert run.model == TRMConfig(
        h_cycles=2, l_cycles=5, hidden_size=32, num_heads=4, expansion=3, **MLP,
        halt_max_steps=9, halt_exploration_prob=0.25, rope_theta=500, rms_norm_eps=1e-6,
        act_continue=True,
    )  # fmt: skip
    assert run.optim == OptimConfig(
        lr=1e-3, lr_min_ratio=0.5, lr_warmup_steps=13, beta1=0.8, beta2=0.85, weight_decay=0.3,
        puzzle_emb_lr=0.4, puzzle_emb_weight_decay=0.5, ema=False, ema_rate=0.6,
    )  # fmt: skip
    train = run.train
    assert (train.batch_size, train.epochs, train.seed, train.loss) == (11, 12, 14, "softmax")
    assert run.data_paths == ("data/sudoku",)  # not where it was there
    assert found.notes == (
        "vocabulary of 11 tokens: sudoku",
        "81 cells from the MLP's width 97 less 16 for the puzzle embedding",
        "arch has 'own_idea': ignored, as the published code does",
    )


def test_settings_may_stand_above_but_not_outside(example: Callable[..., Any]) -> None:
    made = example(name="inner/step_7")
    top = made.folder.parent
    (top / "all_config.yaml").write_text("seed: 5")
    assert read_published(top).config.run.train.seed == 5
    assert read_published(made.folder).config.run.train.seed == 0
    assert read_published(made.file).config.run.train.seed == 0


def test_a_file_of_before_torch_1_6(example: Callable[..., Any]) -> None:
    made = example(**MLP)
    torch.save(made.tensors, made.file, _use_new_zipfile_serialization=False)
    assert find_published(made.folder) == PublishedFile(made.file, made.folder)
    weights = read_published(made.file).weights
    assert all(torch.equal(weights[trm_name(n)], t) for n, t in made.tensors.items())


def test_a_file_that_was_saved_on_a_gpu(example: Callable[..., Any]) -> None:
    made = example(**MLP)
    with zipfile.ZipFile(made.file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(made.file, "w") as archive:
        for name, part in parts.items():
            on_gpu = part.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
            assert (on_gpu != part) is name.endswith("data.pkl")
            archive.writestr(name, on_gpu)
    weights = read_published(made.file).weights
    assert all(torch.equal(weights[trm_name(n)], t) for n, t in made.tensors.items())
