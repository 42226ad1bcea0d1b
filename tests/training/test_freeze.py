"""``train.freeze_core_share``: at first, only the puzzle embedding is trained."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.made_checkpoints import write_checkpoint, write_named_data
from tests.training.test_train import fit, records, tensors
from trm.checkpoints.tensors import PUZZLE_EMBEDDING
from trm.config import RunConfig
from trm.data import read_meta
from trm.errors import ConfigError
from trm.models import PuzzleBatch, TinyRecursiveModel
from trm.runs.best_and_last import checkpoint_path
from trm.runs.checkpoint import puzzle_spec, read_progress
from trm.training.run_plan import plan_run
from trm.training.step import TrainState, TrainStep

Tiny = Callable[..., RunConfig]
FROZEN = ("train.freeze_core_share=0.5", "train.save_every_steps=1", "train.keep_checkpoints=10")


@pytest.fixture
def frozen(tiny: Tiny, mini_data: Path, tmp_path: Path) -> Callable[..., RunConfig]:
    """Settings of a run of six steps, three of them frozen."""
    names = ["<blank>", "a", "bb", "ccc", "d"]
    data = write_named_data(tmp_path / "named", mini_data, names)
    source = write_checkpoint(tmp_path / "c", tiny(), read_meta(data), names=names)
    where = (f"train.init_from={source}", f"data.paths=['{data}']")
    return lambda *more: tiny(*where, *FROZEN, *more)


def parts(run: Path, step: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The puzzle embedding of a checkpoint, and everything else that is trained."""
    path = checkpoint_path(run, step)
    averaged = load_file(path / "model.safetensors")
    table = averaged.pop(PUZZLE_EMBEDDING)
    state = path / "training_state"
    files = {"averaged": averaged}
    files |= {name: load_file(state / f"{name}.safetensors") for name in ("weights", "optimizer")}
    return table, {f"{f}/{n}": tensor for f, named in files.items() for n, tensor in named.items()}


@pytest.mark.parametrize("optimizer", ["adam_atan2", "muon"])
def test_only_the_puzzle_embedding_is_trained_at_first(
    frozen: Callable[..., RunConfig], tmp_path: Path, optimizer: str
) -> None:
    config = frozen(f"optim.optimizer={optimizer}", "optim.weight_decay=0.5")
    run = fit(config, tmp_path)
    source = load_file(Path(str(config.train.init_from)) / "model.safetensors")
    start = source.pop(PUZZLE_EMBEDDING)
    table, core = parts(run, 3)
    assert not torch.equal(table, start)
    for name, tensor in source.items():
        assert torch.equal(core[f"averaged/{name}"], tensor)
        assert torch.equal(core.get(f"weights/{name}", tensor), tensor)
    moments = [tensor for name, tensor in core.items() if name.startswith("optimizer/")]
    assert moments
    assert not any(moment.any() for moment in moments)
    later, trained = parts(run, 4)
    assert not torch.equal(later, table)
    for kind in ("averaged", "weights", "optimizer"):
        names = [n for n in core if n.startswith(kind) and not n.endswith("_init")]
        moved = [name for name in names if not torch.equal(core[name], trained[name])]
        assert len(moved) == len(names), set(names) - set(moved)
    steps = [read_progress(checkpoint_path(run, n)).optimizer_steps for n in (3, 4, 6)]
    assert steps == [0, 1, 3]
    norms = [record["grad_norm"] for record in records(run, "train")]
    assert norms[:3] == [0, 0, 0]
    assert min(norms[3:]) > 0


@pytest.mark.parametrize("k", [2, 4])
def test_it_resumes_bit_for_bit(frozen: Callable[..., RunConfig], tmp_path: Path, k: int) -> None:
    whole, cut = fit(frozen(), tmp_path / "whole"), fit(frozen(), tmp_path / "cut", stop_after=k)
    assert fit(frozen(), tmp_path / "cut") == cut
    expected, found = tensors(whole), tensors(cut)
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert records(cut, "train") == records(whole, "train")


def test_a_frozen_step_moves_the_embedding_like_any_other(tiny: Tiny, mini_data: Path) -> None:
    tables, losses = [], []
    for share in ("0.5", "0"):
        config = tiny(f"train.freeze_core_share={share}", "train.init_from=c")
        model = TinyRecursiveModel(
            config.model, puzzle_spec(read_meta(mini_data), config.model),
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
        step = TrainStep(TrainState.create(model, config), config, total_steps=6)
        tokens = torch.ones(8, 16, dtype=torch.int32)
        metrics = step(PuzzleBatch(tokens, tokens, torch.zeros(8, dtype=torch.int32)), None)
        assert metrics is not None
        assert model.puzzle_embedding is not None
        tables.append(model.puzzle_embedding.weight)
        losses.append(metrics[1])
    assert torch.equal(tables[0], tables[1])
    assert tables[0].any()
    assert torch.equal(losses[0], losses[1])


def test_it_needs_an_embedding_and_weights_to_keep(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="freeze_core_share needs a puzzle embedding"):
        tiny("train.freeze_core_share=0.5", "model.puzzle_emb_dim=0", "train.init_from=c")
    with pytest.raises(
        ConfigError, match=r"^train\.freeze_core_share needs --init-from CHECKPOINT"
    ):
        plan_run(tiny("train.freeze_core_share=0.5"), runs=tmp_path)
