"""Votes over saved answers, of one evaluation or of several."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trm.data import Dataset, DatasetMeta, Split
from trm.errors import InputError
from trm.evaluation.predictions import Predictions, PredictionsInfo
from trm.evaluation.vote import count_votes
from trm.tasks.base import Task
from trm.tasks.metrics import EvalBatch, Evaluator, Metric

Make = Callable[..., EvalBatch]
INFO = PredictionsInfo(task="toy", data=("data/toy",), digest="d" * 64, checkpoint="runs/a", step=3)


class Counting(Evaluator):
    """Remembers what it was given."""

    votes = True

    def __init__(self) -> None:
        self.seen: list[EvalBatch] = []

    def update(self, batch: EvalBatch) -> None:
        self.seen.append(batch)

    def result(self) -> Mapping[str, Metric]:
        return {}


class Toy(Task):
    name = "toy"
    summary = "For tests."

    def build_data(self, out: Path, options: Any, rng: np.random.Generator) -> DatasetMeta:
        raise NotImplementedError


class VotingToy(Toy):
    def evaluator(self, meta: DatasetMeta, split: Split) -> Counting:
        return Counting()


@pytest.fixture
def dataset() -> Dataset:
    tokens = np.ones((3, 2), np.uint8)
    split = Split.of_single_examples(tokens, tokens)
    meta = DatasetMeta(
        task="toy", source="", seed=0, vocabulary=tuple("_abcde"), seq_len=2, digest=INFO.digest
    )
    return Dataset(Path("data/toy"), meta, {"test": split})


def saved(*batches: EvalBatch) -> Predictions:
    return Predictions.of(INFO, batches)


def test_one_file_gives_the_numbers_of_its_evaluation(batch: Make, dataset: Dataset) -> None:
    answers = batch([[1, 5], [2, 5], [1, 1]], [1.0, 1.0, -1.0], [1, 2, 6])
    found = count_votes(Toy(), dataset, {"p": saved(answers)}).result()
    expected = Toy().evaluator(dataset.meta, dataset.split("test"))
    expected.update(answers)
    assert found == expected.result()
    assert found["exact_accuracy"].value == pytest.approx(2 / 3)
    assert (found["mean_steps"].value, found["would_halt_at"].value) == (6, 3)


def test_several_files_are_judged_by_the_majority(batch: Make, dataset: Dataset) -> None:
    right, wrong = [[1, 5]] * 3, [[2, 5], [1, 5], [2, 2]]
    files = {
        name: saved(batch(answers)) for name, answers in (("a", wrong), ("b", right), ("c", right))
    }
    assert count_votes(Toy(), dataset, files).result()["exact_accuracy"].value == 1
    del files["c"]
    assert count_votes(Toy(), dataset, files).result()["exact_accuracy"].count == 3


def test_an_evaluator_that_votes_gets_every_answer(batch: Make, dataset: Dataset) -> None:
    first, second = batch([[1, 5], [2, 5]]), batch([[2, 2]])
    files = {"a": saved(first), "b": saved(second)}
    evaluator = count_votes(VotingToy(), dataset, files)
    assert isinstance(evaluator, Counting)
    assert [seen.answers.tolist() for seen in evaluator.seen] == [[[1, 5], [2, 5]], [[2, 2]]]


def test_answers_to_other_data_are_refused(batch: Make, dataset: Dataset) -> None:
    info = INFO.model_copy(update={"digest": "e" * 64})
    other = replace(saved(batch([[1, 5]])), info=info)
    message = (
        r"^b has answers to data of digest eeeeeeeeeeee, data/toy has dddddddddddd\. Give the "
    )
    with pytest.raises(InputError, match=message):
        count_votes(Toy(), dataset, {"a": saved(batch([[1, 5]])), "b": other})


@pytest.mark.parametrize("change", ["examples", "puzzles"])
def test_answers_to_other_examples_are_refused(batch: Make, dataset: Dataset, change: str) -> None:
    answers = batch([[1, 5], [1, 5]])
    for other in (replace(answers, **{change: np.array([0, 2])}), batch([[1, 5]])):
        files = {"a": saved(answers), "b": saved(other)}
        with pytest.raises(InputError, match=r"^b and a answer different examples\. Give files"):
            count_votes(Toy(), dataset, files)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("answers", [[1, 2, 3]], "its answers have 3 cells, not 2"),
        ("answers", [[1, 6]], "its answers go from 1 to 6, beyond 6"),
        ("inputs", [[1, 200]], "its inputs go from 1 to 200, beyond 6"),
        ("labels", [[-100, 1]], "its labels go from -100 to 1, beyond 6"),
        ("examples", [3], "its examples go from 3 to 3, beyond 3"),
        ("puzzles", [-1], "its puzzles go from -1 to -1, beyond 3"),
    ],
)
def test_answers_that_do_not_fit_the_data_are_refused(
    batch: Make, dataset: Dataset, name: str, value: Any, message: str
) -> None:
    """A file may be edited by hand; what reads beyond the end of something would crash."""
    fitting = saved(batch([[1, 5]]))
    changed = replace(fitting, answers=replace(fitting.answers, **{name: np.array(value)}))
    for task in (Toy(), VotingToy()):
        with pytest.raises(InputError) as caught:
            count_votes(task, dataset, {"a": fitting, "b": changed})
        assert str(caught.value) == f"b does not fit data/toy: {message}. Write it again."


def test_solutions_are_for_tasks_that_have_such_a_file(
    batch: Make, dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "s.json").write_text("{}")
    with pytest.raises(InputError, match=r"^--solutions \S+/s\.json: this task has no such file\."):
        count_votes(Toy(), dataset, {"a": saved(batch([[1, 5]]))}, tmp_path / "s.json")
