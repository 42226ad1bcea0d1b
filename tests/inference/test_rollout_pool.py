"""A pool of slots: each answer is that of the step at which its example ends."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trm
from tests.inference.halting_model import MAX_STEPS, SEQ, by_hand, halting_model
from trm.config import RunConfig
from trm.data import Batch
from trm.evaluation.evaluate import evaluate
from trm.evaluation.predictions import Predictions
from trm.inference.rollout_pool import Request, RolloutPool
from trm.models import TinyRecursiveModel


@pytest.fixture(scope="module")
def model() -> TinyRecursiveModel:
    return halting_model()


def requests(*sizes: int) -> list[Request]:
    """Batches, each by one rollout."""
    return [Request((batch,)) for batch in batches(sizes)]


def batches(sizes: tuple[int, ...]) -> list[Batch]:
    rng, total = np.random.default_rng(1), sum(sizes)
    tokens = rng.integers(1, 7, (2, total, SEQ)).astype(np.int32)
    identifiers = rng.integers(0, 4, total).astype(np.int32)
    made, start = [], 0
    for size in sizes:
        rows = slice(start, start + size)
        number = np.arange(rows.start, rows.stop)
        made.append(Batch(tokens[0, rows], tokens[1, rows], identifiers[rows], number, number))
        start += size
    return made


@pytest.mark.parametrize("sizes", [(1,), (8, 8, 8, 8, 3), (30, 1, 5)], ids=str)
@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize("threshold", [0.5, None])
def test_each_row_has_the_answer_of_the_step_at_which_it_ends(
    model: TinyRecursiveModel, sizes: tuple[int, ...], size: int, threshold: float | None
) -> None:
    given = requests(*sizes)
    found = list(RolloutPool(model, size, threshold=threshold).answer(iter(given)))
    assert [response.request for response in found] == given
    for request, answered, rollouts, _ in found:
        (batch,) = request.batches
        assert rollouts.tolist() == [0] * len(batch)
        steps = by_hand(model, batch, MAX_STEPS)
        halted = np.array([halt_logits > 0 for _, halt_logits in steps])
        first = np.where(halted.any(axis=0), halted.argmax(axis=0) + 1, MAX_STEPS)
        assert answered.halt_steps.tolist() == first.tolist()
        taken = first.tolist() if threshold else [MAX_STEPS] * len(batch)
        assert answered.steps.tolist() == taken
        for row, step in enumerate(taken):
            answers, halt_logits = steps[step - 1]
            assert answered.answers[row].tolist() == answers[row].tolist()
            assert answered.halt_logits[row] == pytest.approx(halt_logits[row])
        assert answered.examples.tolist() == batch.examples.tolist()
        assert answered.labels is batch.labels


@pytest.mark.parametrize("compiled", [False, True])
def test_without_a_threshold_batches_are_not_mixed(
    model: TinyRecursiveModel, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    monkeypatch.setattr(model, "is_compiled", compiled)
    hook = model.register_forward_pre_hook(lambda _, given: rows.append(len(given[1])))
    list(RolloutPool(model, 8).answer(requests(8, 3, 5)))
    hook.remove()
    shapes = (8, 8, 8) if compiled else (8, 3, 5)  # one shape is compiled
    assert rows == [shape for shape in shapes for _ in range(MAX_STEPS)]


def test_a_higher_threshold_halts_later(model: TinyRecursiveModel) -> None:
    steps = []
    for threshold in (0.01, 0.5, 0.999999):
        ((_, found, *_),) = RolloutPool(model, 8, threshold=threshold).answer(requests(40))
        steps.append(found.halt_steps)
    assert all((early <= late).all() for early, late in pairwise(steps))
    assert steps[0].sum() < steps[1].sum() < steps[2].sum()


def test_rows_halt_at_different_steps(model: TinyRecursiveModel) -> None:
    ((_, found, *_),) = RolloutPool(model, 8, threshold=0.5).answer(requests(40))
    assert len(set(found.halt_steps.tolist())) > 2


@pytest.mark.parametrize("compiled", [False, True])
def test_no_example_pays_for_the_steps_of_another(
    model: TinyRecursiveModel, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    monkeypatch.setattr(model, "is_compiled", compiled)
    hook = model.register_forward_pre_hook(lambda _, given: rows.append(len(given[1])))
    ((_, found, *_),) = RolloutPool(model, 8, threshold=0.5).answer(requests(40))
    hook.remove()
    needed = int(found.halt_steps.sum())
    if compiled:
        assert set(rows) == {8}  # one shape is compiled
        assert needed <= sum(rows) <= needed + 8 * MAX_STEPS
    else:
        assert sum(rows) == needed


@pytest.mark.parametrize(("threshold", "most"), [(0.5, 2 + MAX_STEPS * 2), (None, 1)])
def test_a_request_is_taken_when_a_slot_is_idle(
    model: TinyRecursiveModel, threshold: float | None, most: int
) -> None:
    taken = []

    def endless() -> Iterator[Request]:
        for number in range(1000):
            taken.append(number)
            yield requests(4)[0]

    next(RolloutPool(model, 8, threshold=threshold).answer(endless()))
    assert len(taken) <= most


@pytest.mark.parametrize("votes", [1, 3])
def test_a_report_that_halts(trained_run: Path, votes: int) -> None:
    model = trm.load(trained_run, device="cpu")
    whole, halted = (
        evaluate(model, batch_size=16, votes=votes, halt=halt) for halt in (None, 0.002)
    )
    taken, sure = (
        [report.metrics[name].value for report in (whole, halted)]
        for name in ("mean_steps", "would_halt_at")
    )
    assert taken[0] == model.config.model.halt_max_steps > taken[1]
    assert taken[1] == sure[1] or votes > 1
    for report, mean in zip((whole, halted), taken, strict=True):
        assert report.num_steps == pytest.approx(mean * report.num_examples * votes)
    assert halted.as_json()["halt"] == 0.002
    assert halted.metrics["exact_accuracy"].count == whole.metrics["exact_accuracy"].count


def test_predictions_say_that_they_halted(trained_run: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    trm.evaluate(trained_run, halt=0.9, save_predictions=file, device="cpu")
    assert Predictions.load(file).info.halt == 0.9


@pytest.mark.parametrize(
    "settings",
    [{"eval": {"halt": 0.5}}, {"model": {"kind": "transformer", "act_inference": True}}],
    ids=str,
)
def test_processes_that_share_a_table_cannot_halt_apart(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"cannot be used with train\.shard_puzzle_embedding"):
        RunConfig.model_validate(
            {"task": "arc1", "train": {"shard_puzzle_embedding": True}, **settings}
        )
