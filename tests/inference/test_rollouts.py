"""Rollouts: more steps, samples and votes. An answer depends only on its example."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import trm
from tests.inference.halting_model import MAX_STEPS, SEQ, by_hand, halting_model
from tests.inference.test_rollout_pool import batches
from trm.config import TRMConfig
from trm.data import Batch, Split
from trm.evaluation.evaluate import evaluate
from trm.evaluation.loop import restored, run_evaluation
from trm.evaluation.report import Report
from trm.inference.choice import chosen
from trm.inference.latent_noise import LatentNoise
from trm.inference.options import InferenceOptions
from trm.inference.rollout_pool import Request, Response, RolloutPool
from trm.inference.rollouts import Rollouts
from trm.inference.symmetric_copies import SymmetricCopies
from trm.models import PuzzleSpec, TinyRecursiveModel
from trm.tasks.metrics import AccuracyEvaluator, EvalBatch
from trm.tasks.sudoku.task import Sudoku


@pytest.fixture(scope="module")
def model() -> TinyRecursiveModel:
    return halting_model()


def answer(
    model: TinyRecursiveModel, batch: Batch, steps: int | None, sample: int, scale: float
) -> EvalBatch:
    pool = RolloutPool(model, len(batch), max_steps=steps, noise=LatentNoise(model, scale))
    (response,) = pool.answer([Request((batch,), (sample,))])
    return response.answers


@pytest.mark.parametrize("steps", [1, MAX_STEPS, 2 * MAX_STEPS])
@pytest.mark.parametrize("sample", [0, 2])
def test_steps_may_be_more_or_fewer_than_in_training(
    model: TinyRecursiveModel, steps: int, sample: int
) -> None:
    (batch,) = batches((9,))
    found = answer(model, batch, steps, sample, 0.5)
    answers, logits = by_hand(model, batch, steps, sample, 0.5)[-1]
    assert np.array_equal(found.answers, answers)
    assert np.array_equal(found.halt_logits, logits)
    assert (found.halt_steps <= steps).all()
    assert (found.steps == steps).all()


def test_noise_changes_answers_and_is_that_of_its_sample(model: TinyRecursiveModel) -> None:
    (batch,) = batches((60,))
    found = [answer(model, batch, None, sample, 1.0).answers for sample in (0, 1, 2)]
    again = answer(model, batch, None, 1, 1.0).answers
    assert np.array_equal(again, found[1])
    assert np.array_equal(found[0], answer(model, batch, None, 0, 0.0).answers)
    changed = [(found[a] != found[b]).any(axis=1).mean() for a, b in ((0, 1), (0, 2), (1, 2))]
    assert min(changed) > 0.1


def test_noise_is_gaussian_and_leaves_what_it_is_given(model: TinyRecursiveModel) -> None:
    latent = torch.zeros(6, 2 + SEQ, 16, dtype=torch.float64)
    samples, steps = np.array([0, 1, 2, 1, 1, 0]), np.array([0, 0, 0, 1, 0, 7])
    found = LatentNoise(model, 0.3).disturb(latent, samples, steps)
    assert not latent.any()
    assert not found[[0, 5]].any()
    assert torch.equal(found[1], found[4])
    assert not any(torch.equal(found[a], found[b]) for a, b in ((1, 2), (1, 3), (2, 3)))
    rows = np.array([(sample, step) for sample in range(1, 9) for step in range(9)])
    many = LatentNoise(model, 0.3).disturb(
        latent.new_zeros(72, *latent.shape[1:]), rows[:, 0], rows[:, 1]
    )
    assert float(many.mean()) == pytest.approx(0, abs=0.01)
    assert float(many.std()) == pytest.approx(0.3, abs=0.01)


def test_noise_that_does_not_fit_in_the_cache_is_drawn_again(model: TinyRecursiveModel) -> None:
    latent = torch.zeros(4, 2 + SEQ, 16, dtype=torch.float64)
    samples, steps = np.array([1, 2, 3, 1]), np.array([0, 1, 2, 3])
    expected = LatentNoise(model, 0.3).disturb(latent, samples, steps)
    little = LatentNoise(model, 0.3, cache_bytes=1)
    for _ in range(2):
        assert torch.equal(little.disturb(latent, samples, steps), expected)


def test_rows_take_their_steps_together_wherever_they_stand(model: TinyRecursiveModel) -> None:
    (batch,) = batches((5,))
    samples = (0, 1, 3)
    rollouts = Rollouts(model, 15, LatentNoise(model, 0.7))
    for place, sample in enumerate(samples):
        rows = np.arange(5 * place, 5 * place + 5)
        rollouts.start(rows, batch.inputs, batch.puzzle_identifiers, sample)
    for step in range(2):
        answers = rollouts.step()[0].argmax(-1)
        for place, sample in enumerate(samples):
            expected = by_hand(model, batch, step + 1, sample, 0.7)[-1][0]
            assert np.array_equal(answers[5 * place : 5 * place + 5].numpy(), expected)
    rollouts.keep(np.array([1, 6, 13]))
    assert len(rollouts) == 3
    rollouts.start(np.array([1]), batch.inputs[:1], batch.puzzle_identifiers[:1], 1)
    answers = rollouts.step()[0].argmax(-1)
    for row, (sample, place, step) in enumerate(((0, 1, 3), (1, 0, 1), (3, 3, 3))):
        expected = by_hand(model, batch, step, sample, 0.7)[-1][0][place]
        assert np.array_equal(answers[row].numpy(), expected)


@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize("compiled", [False, True])
def test_rollouts_end_with_the_first_of_them(
    model: TinyRecursiveModel, size: int, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "is_compiled", compiled)
    rows: set[int] = set()
    hook = model.register_forward_pre_hook(lambda _, given: rows.add(len(given[1])))
    given = [Request((batch,) * 3, (0, 1, 2)) for batch in batches((30, 1, 12))]
    pool = RolloutPool(
        model, size, threshold=0.5, max_steps=8, rollouts=3, noise=LatentNoise(model, 0.5)
    )
    found = list(pool.answer(given))
    hook.remove()
    assert max(rows) == 3 * max(1, size // 3)
    assert len(rows) == 1 or not compiled
    assert [response.request for response in found] == given
    for request, answered, rollout, _ in found:
        each = [by_hand(model, request.batches[0], 8, sample, 0.5) for sample in range(3)]
        logits = np.array([[halting for _, halting in steps] for steps in each])
        sure = (logits > 0).any(axis=0)  # (steps, batch)
        ends = np.where(sure.any(axis=0), sure.argmax(axis=0), 7)
        assert answered.halt_steps.tolist() == answered.steps.tolist() == (ends + 1).tolist()
        for row, step in enumerate(ends):
            winner = int(logits[:, step, row].argmax())
            assert rollout[row] == winner
            assert np.array_equal(answered.answers[row], each[winner][step][0][row])
            assert answered.halt_logits[row] == pytest.approx(logits[winner, step, row])
    assert len({int(winner) for response in found for winner in response.rollouts}) == 3


@pytest.mark.parametrize("choose", ["vote", "halt"])
def test_each_rollout_of_a_request_of_its_own_halts_alone(
    model: TinyRecursiveModel, choose: Any
) -> None:
    (batch,) = batches((40,))
    given = [Request((batch,), (sample,)) for sample in range(3)]
    pool = RolloutPool(model, 16, threshold=0.5, noise=LatentNoise(model, 0.5))
    found = [response.answers for response in pool.answer(given)]
    for sample, answers in enumerate(found):
        steps = by_hand(model, batch, MAX_STEPS, sample, 0.5)
        for row, step in enumerate(answers.halt_steps):
            assert np.array_equal(answers.answers[row], steps[step - 1][0][row])
    best = chosen(choose, found)
    assert (best.answers != found[0].answers).any()


@pytest.fixture(scope="module")
def split(mini_data: Path) -> Split:
    return Sudoku().open_data([mini_data]).split("test")


@pytest.fixture(scope="module")
def network() -> TinyRecursiveModel:
    """An untrained model of 4x4 boards, whose answers are anything."""
    config = TRMConfig(
        hidden_size=16, num_heads=2, swiglu_multiple=16, h_cycles=1, l_cycles=1,
        halt_max_steps=3, forward_dtype="float64",
    )  # fmt: skip
    random = torch.Generator().manual_seed(1)
    made = TinyRecursiveModel(config, PuzzleSpec(6, 16), generator=random)
    with torch.no_grad():
        made.halt_head.weight.normal_(generator=random)
        made.halt_head.bias.fill_(-4)
    return made.eval()


def answers_of(
    network: TinyRecursiveModel, split: Split, batch_size: int = 20, **how: Any
) -> tuple[EvalBatch, int]:
    """All answers to forty examples, and how many supervision steps they took."""
    seen: list[EvalBatch] = []
    steps: list[int] = []
    run_evaluation(
        network, AccuracyEvaluator(), split, batch_size=batch_size, max_examples=40,
        options=InferenceOptions(**how), on_batch=seen.append, on_steps=steps.append,
    )  # fmt: skip
    names = EvalBatch.__dataclass_fields__
    return EvalBatch(**{n: np.concatenate([getattr(b, n) for b in seen]) for n in names}), sum(
        steps
    )


def same(first: EvalBatch, second: EvalBatch) -> bool:
    names = ("answers", "halt_steps", "examples", "inputs", "labels")
    equal = all(np.array_equal(getattr(first, n), getattr(second, n)) for n in names)
    return equal and np.allclose(first.halt_logits, second.halt_logits, rtol=1e-6)


@pytest.mark.parametrize("votes", [1, 3])
def test_samples_without_noise_agree(network: TinyRecursiveModel, split: Split, votes: int) -> None:
    one, steps = answers_of(network, split, votes=votes)
    choose = "vote" if votes > 1 else "halt"
    for samples in (2, 5):
        found, more = answers_of(
            network, split, votes=votes, samples=samples, noise=0, choose=choose
        )
        assert same(found, one)
        assert more == samples * steps


@pytest.mark.parametrize("choose", ["halt", "vote", "first"])
@pytest.mark.parametrize("votes", [1, 2])
def test_no_answer_depends_on_the_batch(
    network: TinyRecursiveModel, split: Split, choose: str, votes: int
) -> None:
    how = {"samples": 3, "noise": 0.7, "choose": choose, "votes": votes, "halt": 0.1}
    first, steps = answers_of(network, split, **how)
    for batch_size in (7, 40):
        found, same_steps = answers_of(network, split, batch_size, **how)
        assert same(found, first)
        assert steps == same_steps


@pytest.mark.parametrize("choose", ["halt", "vote"])
def test_one_that_is_never_sure_answers_as_without_halting(
    network: TinyRecursiveModel, split: Split, choose: str
) -> None:
    how = {"samples": 3, "noise": 0.7, "choose": choose, "votes": 2}
    whole, steps = answers_of(network, split, **how)
    halted, same_steps = answers_of(network, split, **how, halt=1 - 1e-12)
    assert np.array_equal(whole.answers, halted.answers)
    assert np.allclose(whole.halt_logits, halted.halt_logits, rtol=1e-9)
    assert steps == same_steps == 40 * 6 * network.config.halt_max_steps


def test_the_first_to_halt_is_the_quickest_of_those_that_halt_alone(
    network: TinyRecursiveModel, split: Split
) -> None:
    how = {"samples": 4, "noise": 0.7, "halt": 0.1, "steps": 6}
    first, steps = answers_of(network, split, **how, choose="first")
    _, all_steps = answers_of(network, split, samples=4, noise=0.7, steps=6)
    assert steps == int(first.halt_steps.sum()) * 4 < all_steps == 40 * 4 * 6
    noise, alone = LatentNoise(network, 0.7), []
    for sample in range(4):
        request = Request((split.make_batch(first.examples, first.puzzles),), (sample,))
        pool = RolloutPool(network, 40, threshold=0.1, max_steps=6, noise=noise)
        alone += [response.answers for response in pool.answer([request])]
    quickest = np.min([found.halt_steps for found in alone], axis=0)
    assert first.halt_steps.tolist() == quickest.tolist()
    assert len(set(quickest.tolist())) > 1
    for row, step in enumerate(quickest):
        ends = [found for found in alone if found.halt_steps[row] == step]
        best = max(ends, key=lambda found: float(found.halt_logits[row]))
        assert np.array_equal(first.answers[row], best.answers[row])


def test_answers_to_copies_are_restored(split: Split) -> None:
    examples = np.arange(6)
    copies = SymmetricCopies.of_split(split, 3)
    original, *others = copies.batches(split, examples, examples)
    batches = (original, original, *others)
    rollouts = np.array([0, 1, 2, 3, 2, 0])
    answers = np.stack([batches[number].labels[row] for row, number in enumerate(rollouts)])
    found = EvalBatch(
        inputs=original.inputs, labels=original.labels, answers=answers,
        halt_logits=np.zeros(6, np.float32), halt_steps=np.ones(6, np.int32),
        steps=np.ones(6, np.float32),
        puzzle_identifiers=original.puzzle_identifiers, examples=examples, puzzles=examples,
    )  # fmt: skip
    assert (answers != original.labels).any()
    response = Response(Request(batches, (0, 1, 0, 0)), found, rollouts)
    assert np.array_equal(restored(response, original, copies).answers, original.labels)


def report(run: Path, **how: Any) -> Report:
    model = trm.load(run, device="cpu")
    return evaluate(model, max_examples=20, batch_size=8, **how)


def test_a_report_says_how_its_answers_came_about(trained_run: Path) -> None:
    found = report(trained_run, steps=4, samples=3, choose="first")
    told = {name: found.as_json()[name] for name in InferenceOptions.model_fields}
    assert told == {
        "steps": 4, "samples": 3, "noise": 1.0, "choose": "first", "votes": 1, "halt": 0.9
    }  # fmt: skip
    mean = found.metrics["mean_steps"].value
    assert found.num_steps == round(mean * 20) * 3


def test_one_sample_is_the_published_evaluation_bit_for_bit(trained_run: Path) -> None:
    model = trm.load(trained_run, device="cpu")
    split = model.task.open_data(model.config.data_paths).split("test")
    seen: list[EvalBatch] = []
    run_evaluation(
        model.network, AccuracyEvaluator(), split, batch_size=32, max_examples=32,
        options=InferenceOptions(samples=1), on_batch=seen.append,
    )  # fmt: skip
    batch = split.make_batch(seen[0].examples, seen[0].puzzles)
    answers, logits = by_hand(model.network, batch, 8)[-1]
    assert np.array_equal(seen[0].answers, answers)
    assert np.array_equal(seen[0].halt_logits, logits)
