"""Letting examples halt: the answers are those of the step at which the head says so."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

import trm
from tests.inference.halting_model import MAX_STEPS, SEQ, halting_model
from trm.config import RunConfig
from trm.data import Batch
from trm.evaluation.evaluate import answer
from trm.evaluation.predictions import Predictions
from trm.evaluation.report import evaluate_model
from trm.inference.halting_pool import HaltingPool
from trm.inference.options import InferenceOptions
from trm.inference.rollouts import Asked, supervision_steps
from trm.models import TinyRecursiveModel


@pytest.fixture(scope="module")
def model() -> TinyRecursiveModel:
    return halting_model()


def asked(*sizes: int) -> list[Asked]:
    """Batches, each by one rollout."""
    return [Asked((batch,)) for batch in batches(sizes)]


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
@pytest.mark.parametrize("places", [1, 7, 64])
def test_each_row_has_the_answer_of_the_step_at_which_it_halts(
    model: TinyRecursiveModel, sizes: tuple[int, ...], places: int
) -> None:
    given = asked(*sizes)
    found = list(HaltingPool(model, iter(given), places, 0.5).answered())
    assert [one for one, _, _ in found] == given
    for one, answered, rollout in found:
        (batch,) = one.batches
        assert rollout.tolist() == [0] * len(batch)
        whole = answer(model, batch)
        inputs, identifiers = map(torch.from_numpy, (batch.inputs, batch.puzzle_identifiers))
        steps = [(a.numpy(), h.numpy()) for a, h in supervision_steps(model, inputs, identifiers)]
        assert answered.halt_steps.tolist() == whole.halt_steps.tolist()
        for row, step in enumerate(answered.halt_steps):
            answers, halt_logits = steps[step - 1]
            assert answered.answers[row].tolist() == answers[row].tolist()
            assert answered.halt_logits[row] == pytest.approx(halt_logits[row])
        assert answered.examples.tolist() == batch.examples.tolist()
        assert answered.labels is batch.labels


def test_a_higher_threshold_halts_later(model: TinyRecursiveModel) -> None:
    steps = []
    for threshold in (0.01, 0.5, 0.999999):
        ((_, found, _),) = HaltingPool(model, asked(40), 8, threshold).answered()
        steps.append(found.halt_steps)
    assert all((early <= late).all() for early, late in pairwise(steps))
    assert steps[0].sum() < steps[1].sum() < steps[2].sum()


def test_rows_halt_at_different_steps(model: TinyRecursiveModel) -> None:
    ((_, found, _),) = HaltingPool(model, asked(40), 8, 0.5).answered()
    assert len(set(found.halt_steps.tolist())) > 2


@pytest.mark.parametrize("compiled", [False, True])
def test_no_example_pays_for_the_steps_of_another(
    model: TinyRecursiveModel, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    monkeypatch.setattr(model, "is_compiled", compiled)
    hook = model.register_forward_pre_hook(lambda _, given: rows.append(len(given[1])))
    ((_, found, _),) = HaltingPool(model, asked(40), 8, 0.5).answered()
    hook.remove()
    needed = int(found.halt_steps.sum())
    if compiled:
        assert set(rows) == {8}  # one shape is compiled
        assert needed <= sum(rows) <= needed + 8 * MAX_STEPS
    else:
        assert sum(rows) == needed


def test_batches_are_asked_for_as_places_become_free(model: TinyRecursiveModel) -> None:
    begun = []

    def endless() -> Iterator[Asked]:
        for number in range(1000):
            begun.append(number)
            yield asked(4)[0]

    pool = HaltingPool(model, endless(), 8, 0.5).answered()
    next(pool)
    assert len(begun) <= 2 + MAX_STEPS * 2


@pytest.mark.parametrize("votes", [1, 3])
def test_a_report_that_halts(trained_run: Path, votes: int) -> None:
    model = trm.load(trained_run, device="cpu")
    whole, halted = (
        evaluate_model(model, batch_size=16, thinking=InferenceOptions(votes=votes, halt=halt))
        for halt in (None, 0.5)
    )
    steps = [report.metrics["mean_steps"].value for report in (whole, halted)]
    assert steps[0] == pytest.approx(steps[1]) or votes > 1
    assert halted.as_json()["halt"] == 0.5
    assert halted.metrics["exact_accuracy"].count == whole.metrics["exact_accuracy"].count


def test_predictions_say_that_they_halted(trained_run: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    trm.evaluate(trained_run, halt=0.9, save_predictions=file, device="cpu")
    assert Predictions.load(file).about.halt == 0.9


def test_processes_that_share_a_table_cannot_halt_apart() -> None:
    with pytest.raises(ValueError, match=r"eval\.halt cannot be used with train\.shard_puzzle"):
        RunConfig.model_validate(
            {"task": "arc1", "eval": {"halt": 0.5}, "train": {"shard_puzzle_embedding": True}}
        )
