"""Two codes that train side by side, from equal weights and with equal batches, step by step.

The comparison keeps the largest difference of each kind of tensor.
"""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from paired_sides import PUZZLE_TABLE, OwnSide, PublishedSide, Record, Side
from published import Batch, PublishedTrainer
from torch import Tensor

from trm.config import RunConfig
from trm.data import Dataset, eval_indices, exploration_min_steps
from trm.models import create_model
from trm.runs.checkpoint import puzzle_spec


@dataclass
class Differences:
    """The largest difference of each kind so far.

    A difference is relative: the largest one in a tensor, divided by the largest number in it.

    Attributes:
        first: in the first step.
        largest: in any step.
        at: the step of the largest one, and the tensor.
    """

    first: dict[str, float] = field(default_factory=dict)
    largest: dict[str, float] = field(default_factory=dict)
    at: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, step: int, ours: Record, theirs: Record) -> None:
        """Compare what both sides computed in a step.

        Raises:
            ValueError: if they do not have the same kinds and names.
        """
        if _names(ours) != _names(theirs):
            different = sorted(_names(ours) ^ _names(theirs))
            raise ValueError(f"only one side has {', '.join(different)}")
        for kind, tensors in ours.items():
            each = {name: difference(t, theirs[kind][name]) for name, t in tensors.items()}
            name = max(each, key=lambda name: each[name])
            self.first.setdefault(kind, each[name])
            if each[name] > self.largest.get(kind, -1.0):
                self.largest[kind], self.at[kind] = each[name], (step, name)


def _names(record: Record) -> set[str]:
    return {f"{kind}: {name}" for kind, tensors in record.items() for name in tensors}


def difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to the largest number; infinite if one is not finite."""
    ours, theirs = ours.detach().double(), theirs.detach().double()
    if ours.shape != theirs.shape:
        raise ValueError(f"shapes {tuple(ours.shape)} and {tuple(theirs.shape)} differ")
    largest = float((ours - theirs).abs().max())
    if largest == 0:
        return 0.0
    relative = largest / float(torch.maximum(ours.abs(), theirs.abs()).max())
    return relative if math.isfinite(relative) else math.inf


@dataclass
class Pairing:
    """The result of a paired run.

    Attributes:
        steps: the number of training steps.
        halted_early: rows that halted before their last step, over all steps.
        differences: see :class:`Differences`.
    """

    steps: int
    halted_early: int
    differences: Differences


def compare(
    ours: Side,
    theirs: Side,
    batches: Iterable[Batch],
    run: RunConfig,
    steps: int,
    evaluated: Batch | None = None,
) -> Pairing:
    """Train both sides with the same batches, exploration draws and initial weights.

    Args:
        ours, theirs: the two codes, with equal weights.
        batches: at least ``steps`` of them.
        run: the settings.
        steps: the number of steps.
        evaluated: a batch to answer at the end.
    """
    found, early, model = Differences(), 0, run.model
    for step, batch in zip(range(1, steps + 1), batches, strict=False):
        draws = exploration_min_steps(
            run.train.seed, step, run.train.batch_size, model.halt_exploration_prob,
            model.halt_max_steps,
        )  # fmt: skip
        min_steps = torch.from_numpy(draws)
        record = ours.step(batch, min_steps)
        found.add(step, record, theirs.step(batch, min_steps))
        halting = record["halting"]
        early += int((halting["halted"] & (halting["steps"] < model.halt_max_steps)).sum())
    if evaluated is not None:
        found.add(steps, ours.evaluate(evaluated), theirs.evaluate(evaluated))
    return Pairing(steps, early, found)


def initial_weights(run: RunConfig, dataset: Dataset) -> dict[str, Tensor]:
    """Weights to start from, in float64.

    The halting head and the puzzle embedding, which start at constants, hold random numbers. So
    rows halt early from the first step on, and no gradient is zero only because the head is.
    """
    generator = torch.Generator().manual_seed(run.train.seed)
    wide = run.model.model_copy(update={"forward_dtype": "float64"})
    model = create_model(wide, puzzle_spec(dataset.meta, wide), generator=generator)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name in ("halt_head.weight", PUZZLE_TABLE):
        if name in weights:
            weights[name].normal_(0.0, run.model.hidden_size**-0.5, generator=generator)
    weights["halt_head.bias"].copy_(torch.tensor([1.0, 0.0]))  # most rows want to halt
    return weights


@dataclass
class PairedRun:
    """The comparison with the published code.

    Attributes:
        pairing: this package and the published code.
        control: this package and itself, from initial weights changed by a rounding error. A
            difference between the codes that is not larger may be rounding alone.
        patched: what was changed in the published code to run it.
    """

    pairing: Pairing
    control: Differences
    patched: str


def pair_with_published(folder: Path, run: RunConfig, dataset: Dataset, steps: int) -> PairedRun:
    """Compare this package with the published code in float64. The published loader makes batches.

    Args:
        folder: a checkout of the published code.
        run: the settings; the type of the activations has no effect.
        dataset: in the published layout.
        steps: the number of training steps.
    """
    wide = run.model.model_copy(update={"forward_dtype": "float64"})
    run = run.model_copy(update={"model": wide})
    trainer = PublishedTrainer(folder, run, dataset, steps, wide=True)
    sides = OwnSide(run, dataset, steps), PublishedSide(trainer)
    weights = initial_weights(run, dataset)
    for side in sides:
        side.load(weights)
    np.random.seed(run.train.seed)  # for the published loader
    batches = list(itertools.islice(published_batches(trainer, steps), steps))
    _, evaluated, _ = next(iter(trainer.loader("test", 1)))
    found = compare(*sides, batches, run, steps, evaluated)
    rows = evaluation_rows(trainer, dataset, run.train.batch_size)
    found.differences.add(steps, {"evaluation rows": rows[0]}, {"evaluation rows": rows[1]})

    controls = OwnSide(run, dataset, steps), OwnSide(run, dataset, steps)
    controls[0].load(weights)
    controls[1].load({name: rounded_up(tensor) for name, tensor in weights.items()})
    control = compare(*controls, batches, run, steps, evaluated)
    return PairedRun(found, control.differences, trainer.patched)


def rounded_up(tensor: Tensor) -> Tensor:
    """The next larger float64 numbers, which changes each by a rounding error."""
    return torch.nextafter(tensor, torch.full_like(tensor, math.inf))


def published_batches(trainer: PublishedTrainer, steps: int) -> Iterable[Batch]:
    """The batches of one long epoch of the published loader, as many as needed or more."""
    meta = trainer.metadata
    examples = meta.total_groups * meta.mean_puzzle_examples
    epochs = math.ceil(2 * (steps + 1) * trainer.batch_size / examples)
    return (batch for _, batch, _ in trainer.loader("train", epochs))


def evaluation_rows(
    trainer: PublishedTrainer, dataset: Dataset, batch_size: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """All rows of an evaluation, as this package and as the published loader read them."""
    split = dataset.split("test")
    batches = [split.make_batch(*indices) for indices in eval_indices(split, batch_size)]
    names = ("inputs", "labels", "puzzle_identifiers")
    ours = {n: torch.from_numpy(np.concatenate([getattr(b, n) for b in batches])) for n in names}
    read = [batch for _, batch, _ in trainer.loader("test", 1)]
    count = len(ours["inputs"])  # the published loader pads its last batch
    theirs = {name: torch.cat([batch[name] for batch in read])[:count] for name in names}
    return ours, theirs


def gradient_differences(folder: Path, run: RunConfig, dataset: Dataset) -> dict[str, Any]:
    """How much the gradients of the first step differ in float32 and bfloat16.

    The difference of two gradients is the norm of the difference, relative to the norm of the
    published float64 gradient, over all weights of the network.
    """
    weights = initial_weights(run, dataset)
    found: dict[tuple[str, str], Tensor] = {}
    for dtype in ("float64", "float32", "bfloat16"):
        model = run.model.model_copy(update={"forward_dtype": dtype})
        settings = run.model_copy(update={"model": model})
        trainer = PublishedTrainer(folder, settings, dataset, 1, wide=dtype == "float64")
        np.random.seed(run.train.seed)
        batch = next(iter(published_batches(trainer, 1)))
        no_draws = torch.zeros(run.train.batch_size, dtype=torch.int32)
        for name, side in {
            "ours": OwnSide(settings, dataset, 1),
            "published": PublishedSide(trainer),
        }.items():
            side.load(weights)
            gradients = side.step(batch, no_draws)["gradients"]
            flat = [gradients[key].double().flatten() for key in sorted(gradients)]
            found[dtype, name] = torch.cat(flat)
    exact = found["float64", "published"]

    def distance(a: Tensor, b: Tensor) -> float:
        return float((a - b).norm() / exact.norm())

    return {
        dtype: {
            "between": distance(found[dtype, "ours"], found[dtype, "published"]),
            "ours to float64": distance(found[dtype, "ours"], exact),
            "published to float64": distance(found[dtype, "published"], exact),
        }
        for dtype in ("float32", "bfloat16")
    }
