"""Votes over symmetric copies: they are solved as other puzzles; their answers are restored."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trm
from tests.eval_batches import eval_batches
from trm.config import TRMConfig
from trm.data import Batch, Split
from trm.errors import ConfigError
from trm.evaluation import loop as module
from trm.evaluation.evaluate import evaluate
from trm.evaluation.loop import run_evaluation
from trm.inference.options import InferenceOptions
from trm.inference.rollout_pool import Request, Response
from trm.models import PuzzleSpec, TinyRecursiveModel
from trm.tasks.metrics import AccuracyEvaluator, EvalBatch
from trm.tasks.sudoku.task import Sudoku

#: From the number of the call for a batch, 0 for the originals, to what is wrong with its answers.
Errors = Callable[[int, np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def split(mini_data: Path) -> Split:
    return Sudoku().open_data([mini_data]).split("test")


@pytest.fixture(scope="module")
def network() -> TinyRecursiveModel:
    """A model that is not asked anything."""
    return TinyRecursiveModel(TRMConfig(hidden_size=8, num_heads=2), PuzzleSpec(6, 16))


@pytest.fixture
def solver(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Batch]]:
    """Put in the model's place one that answers by the labels; returns the batches it is given.

    Its answers are changed by ``spoil``, which gets the number of the copy.
    """

    def install(votes: int = 1, spoil: Errors = lambda copy, labels: labels) -> list[Batch]:
        given: list[Batch] = []

        class Pool:
            def __init__(self, *_: Any, **__: Any) -> None:
                pass

            def answer(self, requests: Iterable[Request]) -> Iterator[Response]:
                for request in requests:
                    (batch,) = request.batches
                    copy = len(given) % votes
                    given.append(batch)
                    answers = EvalBatch(
                        inputs=batch.inputs,
                        labels=batch.labels,
                        answers=spoil(copy, batch.labels.copy()),
                        halt_logits=np.full(len(batch), 1.0 - copy, np.float32),
                        halt_steps=np.full(len(batch), 1 + copy, np.int32),
                        steps=np.full(len(batch), 8, np.float32),
                        puzzle_identifiers=batch.puzzle_identifiers,
                        examples=batch.examples,
                        puzzles=batch.puzzles,
                    )
                    yield Response(request, answers, np.zeros(len(batch), np.int64))

        monkeypatch.setattr(module, "RolloutPool", Pool)
        return given

    return install


def judged(network: TinyRecursiveModel, split: Split, **more: Any) -> tuple[float, list[EvalBatch]]:
    """Exact accuracy, and the answers that were judged."""
    seen: list[EvalBatch] = []
    options = InferenceOptions(votes=more.pop("votes", 1))
    more = {"batch_size": 32, "max_examples": 50, "options": options, **more}
    metrics = run_evaluation(network, AccuracyEvaluator(), split, on_batch=seen.append, **more)
    assert metrics is not None
    return metrics["exact_accuracy"].value, seen


def test_the_answers_to_copies_are_restored(
    network: TinyRecursiveModel, split: Split, solver: Callable[..., list[Batch]]
) -> None:
    """Of a solver that errs on the original, the copies' votes still give the labels."""

    def spoil(copy: int, labels: np.ndarray) -> np.ndarray:
        return np.full_like(labels, 2) if copy == 0 else labels

    solver(spoil=spoil)
    assert judged(network, split)[0] == 0
    solver(4, spoil)
    accuracy, seen = judged(network, split, votes=4)
    assert accuracy == 1
    for answers, batch in zip(seen, eval_batches(split, 32, 50), strict=True):
        assert (answers.answers == batch.labels).all()
        assert (answers.inputs == batch.inputs).all()
        assert (answers.examples == batch.examples).all()
        assert (answers.halt_steps == 2).all()  # the fewest of those that won
        assert answers.halt_logits == pytest.approx(-1.0)


def test_what_most_copies_say_stands_though_the_original_knew_better(
    network: TinyRecursiveModel, split: Split, solver: Callable[..., list[Batch]]
) -> None:
    solver(3, lambda copy, labels: np.ones_like(labels) if copy else labels)
    accuracy, seen = judged(network, split, votes=3)
    assert accuracy == 0
    assert all((batch.answers == 1).all() for batch in seen)


def test_copies_are_other_puzzles_and_the_same_for_every_batch(
    network: TinyRecursiveModel, split: Split, solver: Callable[..., list[Batch]]
) -> None:
    given = solver(3)
    judged(network, split, votes=3)
    originals = list(eval_batches(split, 32, 50))
    assert len(given) == 3 * len(originals)
    for number, original in enumerate(originals):
        first, *copies = given[3 * number : 3 * number + 3]
        assert (first.inputs == original.inputs).all()
        for copy in copies:
            assert (copy.inputs != original.inputs).any(axis=1).mean() > 0.9
            assert (copy.examples == original.examples).all()
    for place in (1, 2):
        batches = [batch.transforms for batch in given[place::3]]
        drawn = {(rows.symmetry[row], rows.permutation[row].tobytes())
                 for rows in batches if rows for row in range(len(rows.symmetry))}  # fmt: skip
        assert len(drawn) == 1


def test_copies_do_not_depend_on_the_batch_size(
    network: TinyRecursiveModel, split: Split, solver: Callable[..., list[Batch]]
) -> None:
    given = solver(3)
    judged(network, split, votes=3)
    again = solver(3)
    judged(network, split, votes=3, batch_size=10)
    first, second = (
        {(*batch.examples[row : row + 1].tolist(), batch.inputs[row].tobytes())
         for batch in batches for row in range(len(batch))}
        for batches in (given, again)
    )  # fmt: skip
    assert first == second


def test_progress_counts_examples_and_not_copies(
    network: TinyRecursiveModel, split: Split, solver: Callable[..., list[Batch]]
) -> None:
    solver(3)
    seen: list[tuple[int, int]] = []
    judged(network, split, votes=3, on_progress=lambda *numbers: seen.append(numbers))
    assert seen == [(0, 50), (32, 50), (50, 50)]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"augmentation": None}, "have none"),
        ({"identifiers": np.arange(100, dtype=np.int32)}, "are augmented copies already"),
        ({"symmetry": np.arange(100, dtype=np.int32)}, "are augmented copies already"),
    ],
)
def test_puzzles_without_symmetries_to_draw_are_refused(
    network: TinyRecursiveModel, split: Split, change: dict[str, Any], why: str
) -> None:
    message = f"^--votes 3 needs symmetries, but these puzzles {why}\\. Leave it out\\.$"
    with pytest.raises(ConfigError, match=message):
        judged(network, replace(split, **change), votes=3)


def test_a_vote_of_one_asks_for_no_symmetries(
    network: TinyRecursiveModel, split: Split, solver: Callable[..., list[Batch]]
) -> None:
    solver()
    assert judged(network, replace(split, augmentation=None), votes=1)[0] == 1


def test_numbers_do_not_depend_on_the_batch_size(trained_run: Path) -> None:
    model = trm.load(trained_run, device="cpu")
    first, second = (
        evaluate(model, batch_size=n, max_examples=20, votes=3).metrics for n in (20, 7)
    )
    assert {n: m.value for n, m in first.items()} == pytest.approx(
        {n: m.value for n, m in second.items()}
    )
    one = evaluate(model, max_examples=20, votes=1).metrics
    assert one == evaluate(model, max_examples=20).metrics
