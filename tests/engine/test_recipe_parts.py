"""The parts of a recipe beside the published one: in a run, interrupted, and when they are off."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.engine.test_train import fit, records, tensors
from trm.config import RunConfig, TrainConfig
from trm.engine import layout
from trm.engine.schedule import depth_at
from trm.models import Depth

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
    "depth curriculum": ("train.depth_curriculum=[[0.3, 1, 1], [0.6, 1, 2]]",),
    "supervision decay": ("train.supervision_decay=0.5",),
    "label smoothing": ("train.label_smoothing=0.2",),
    "halting weight": ("train.halting_weight=0.05",),
    "clipping": ("optim.grad_clip=0.01",),
    "schedule": ("optim.lr_schedule=wsd", "optim.lr_min_ratio=0"),
}
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
        ([(0.6, 1, 1), (0.3, 1, 2)], "have to rise"),
        ([(1.0, 1, 1)], "between 0 and 1"),
        ([(0.3, 0, 1)], "at least one cycle"),
    ],
)
def test_curricula_that_are_none(stages: list[tuple[float, int, int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig(depth_curriculum=stages)
