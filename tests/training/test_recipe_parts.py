"""The parts of other recipes than the published one: in a run, interrupted, and turned off."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.test_train import fit, records, tensors
from trm.config import RunConfig, TrainConfig, TRMConfig
from trm.models import Depth
from trm.runs import layout
from trm.training import step
from trm.training.schedule import depth_at, eval_examples

Tiny = Callable[..., RunConfig]

#: Each with settings that turn it on.
PARTS = {
    "muon": ("optim.optimizer=muon",),
    "normed SwiGLU": ("model.swiglu=normed",),
    "latents": ("model.num_latents=3",),
    "random states": ("model.state_init=random",),
    "random states of latents": ("model.state_init=random", "model.num_latents=2"),
    "state noise": ("train.state_noise=0.1",),
    "damping": ("model.damping=0.8",),
    "grid positions": ("model.pos_encodings=grid",),
    "continue loss": ("model.act_continue=true",),
    "separate networks": ("model.separate_networks=true",),
    "one-step gradient": ("model.gradient=one_step",),
    "depth curriculum": ("train.depth_curriculum=[[0.3, 1, 1], [0.6, 1, 2]]",),
    "supervision decay": ("train.supervision_decay=0.5",),
    "label smoothing": ("train.label_smoothing=0.2",),
    "halting weight": ("train.halting_weight=0.05",),
    "clipping": ("optim.grad_clip=0.01",),
    "schedule": ("optim.lr_schedule=wsd", "optim.lr_min_ratio=0"),
}
PARTS["all at once"] = tuple(
    setting
    for name, settings in PARTS.items()
    if name not in ("latents", "continue loss")  # one has other latents, the other needs one
    for setting in settings
)
#: Each with settings by which it comes to the published recipe, though it is on.
NEUTRAL = {
    "depth curriculum": ("train.depth_curriculum=[[0.5, 2, 2]]",),
    "clipping": ("optim.grad_clip=1e9",),
    "schedule": ("optim.lr_schedule=constant",),
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("published")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_changes_the_run_and_can_be_interrupted(
    tiny: Tiny, tmp_path: Path, published: Path, part: str
) -> None:
    config = tiny(*PARTS[part], "optim.lr_min_ratio=0.5", *PARTS[part])
    if not (published / "sudoku/a").is_dir():
        fit(tiny("optim.lr_min_ratio=0.5"), published)
    whole, cut = fit(config, tmp_path / "whole"), fit(config, tmp_path / "cut", stop_after=4)
    assert fit(config, tmp_path / "cut") == cut
    expected, found = tensors(whole), tensors(cut)
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert records(cut, "train") == records(whole, "train")
    assert records(whole, "train") != records(published / "sudoku/a", "train")


@pytest.mark.parametrize("part", NEUTRAL)
def test_a_part_that_amounts_to_nothing_is_the_published_recipe(
    tiny: Tiny, tmp_path: Path, part: str
) -> None:
    steady = "optim.lr_min_ratio=1"
    plain = fit(tiny(steady), tmp_path / "plain")
    with_part = fit(tiny(steady, *NEUTRAL[part]), tmp_path / "part")
    expected, found = tensors(plain), tensors(with_part)
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert records(with_part, "train") == records(plain, "train")


def test_off_is_what_every_part_is_unless_set() -> None:
    """What the published numbers are held against (tests/parity) is this configuration."""
    config = RunConfig(task="sudoku")
    model, optim, train = config.model, config.optim, config.train
    assert (model.swiglu, model.num_latents, model.state_init, model.damping) == (
        "silu", 1, "fixed", 1.0,
    )  # fmt: skip
    assert (optim.optimizer, optim.grad_clip, optim.lr_min_ratio) == ("adam_atan2", None, 1.0)
    assert (train.label_smoothing, train.halting_weight, train.supervision_decay) == (0, 0.5, 1)
    assert (train.depth_curriculum, train.state_noise) == ((), 0)


def test_the_depth_rises_with_the_run() -> None:
    stages = ((0.3, 1, 2), (0.6, 2, 4))
    found = [depth_at(done / 10, stages) for done in range(10)]
    assert found == [Depth(1, 2)] * 3 + [Depth(2, 4)] * 3 + [None] * 4
    assert depth_at(0.0, ()) is None


def test_shallow_steps_are_counted_as_such(tiny: Tiny, tmp_path: Path) -> None:
    """The share of the limit that a step reaches would be too large else."""
    stages = "train.depth_curriculum=[[0.5, 1, 1]]"
    run = fit(tiny(stages, "model.h_cycles=3"), tmp_path)
    lines = map(json.loads, (run / layout.METRICS_FILE).read_text().splitlines())
    train = [line for line in lines if line["event"] == "train"]
    flops = [line["tflops"] / line["samples_per_s"] for line in train]
    assert flops[:3] == pytest.approx([flops[0]] * 3)
    assert flops[3:] == pytest.approx([flops[-1]] * 3)
    assert flops[-1] > 2 * flops[0]


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([(0.6, 1, 1), (0.3, 1, 2)], "must increase"),
        ([(1.0, 1, 1)], "between 0 and 1"),
        ([(0.3, 0, 1)], "at least one cycle"),
        ([(0.3, 1)], r"list \[share, h_cycles, l_cycles\]"),
        (0.3, r"list \[share, h_cycles, l_cycles\]"),
    ],
)
def test_invalid_curricula(stages: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig(depth_curriculum=stages)


@pytest.mark.parametrize("stage", [(0.5, 4, 1), (0.5, 1, 7)])
def test_no_stage_is_deeper_than_the_model(stage: tuple[float, int, int]) -> None:
    with pytest.raises(ValueError, match=r"has more cycles at 0\.5 than model\.h_cycles 3 and"):
        RunConfig(task="sudoku", train=TrainConfig(depth_curriculum=(stage,)))


def test_the_normed_swiglu_is_refused_where_it_overflows() -> None:
    with pytest.raises(ValueError, match="overflows in forward_dtype float16: use bfloat16"):
        TRMConfig(swiglu="normed", forward_dtype="float16")


@pytest.mark.parametrize(
    ("changes", "examples"),
    [
        ({}, 4000),  # the published depth: 24,000 forward passes in 100 steps of 384, 0.6 each
        ({"num_latents": 4}, 12_000),
        ({"h_cycles": 1}, 7200),
    ],
)
def test_an_evaluation_looks_at_as_many_as_training_would_take(
    changes: dict[str, int], examples: int
) -> None:
    model = TRMConfig.model_validate(changes)
    config = RunConfig(task="sudoku", model=model, train=TrainConfig(batch_size=384))
    assert eval_examples(config, 100) == examples


def test_a_row_with_a_nonfinite_latent_starts_anew(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervision_step, calls = step.supervision_step, []

    def spoil(*arguments: Any) -> Any:
        done = supervision_step(*arguments)
        calls.append(done.carry)
        if len(calls) == 2:
            done.carry.latent_state.latent[2, 1] = float("nan")
            return done._replace(loss=done.loss._replace(total=done.loss.total * float("nan")))
        return done

    monkeypatch.setattr(step, "supervision_step", spoil)
    run = fit(tiny("model.num_latents=2", "train.skip_nonfinite=1"), tmp_path)
    assert all(tensor.isfinite().all() for tensor in tensors(run).values())
    assert calls[2].steps.tolist() == [3, 3, 1, 3, 3, 3, 3, 3]
