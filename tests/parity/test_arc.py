"""ARC evaluation gives exactly the numbers and submission of the published evaluator.

The ARC tasks are third-party data, not in the repository. ``pytest tests/parity --reference DIR``
finds them in ``DIR/arc``; otherwise the tests look in the shared folder.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.eval_batches import eval_batches
from trm.data import Dataset
from trm.tasks.arc.closeness import InputVotes
from trm.tasks.arc.evaluator import ArcEvaluator
from trm.tasks.arc.task import Arc1
from trm.tasks.arc.votes import grid_from_key
from trm.tasks.metrics import EvalBatch, Rows

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def arc(request: pytest.FixtureRequest) -> Path:
    """The folder of tasks, answers and results of the published evaluator."""
    option = request.config.getoption("--reference", None)
    folders = [HERE / "data", HERE.parents[2] / "shared" / "reference"]
    for folder in [option, *folders] if option else folders:
        if (folder / "arc" / "predictions.npz").is_file():
            return folder / "arc"
    pytest.skip("no folder arc of reference vectors")


@pytest.fixture(scope="module")
def dataset(arc: Path) -> Dataset:
    return Arc1().open_data([arc / "built"])


def evaluated(arc: Path, dataset: Dataset, batch_size: int) -> ArcEvaluator:
    """The evaluator after all answers, in batches of this size."""
    saved, split = np.load(arc / "predictions.npz"), dataset.split("test")
    examples = np.arange(len(saved["inputs"]))
    puzzles = np.searchsorted(split.example_offsets, examples, side="right") - 1
    assert split.identifiers is not None
    assert (saved["puzzle_identifiers"] == split.identifiers[puzzles]).all()
    assert (saved["inputs"] == split.inputs).all()
    evaluator = ArcEvaluator(split)
    for start in range(0, len(examples), batch_size):
        rows = slice(start, start + batch_size)
        batch = split.make_batch(examples[rows], puzzles[rows])
        evaluator.update(
            EvalBatch(
                inputs=batch.inputs,
                labels=batch.labels,
                answers=saved["predictions"][rows].astype(np.int32),
                halt_logits=saved["halt_logits"][rows],
                halt_steps=np.ones(len(batch), np.int32),
                steps=np.ones(len(batch), np.float32),
                puzzle_identifiers=batch.puzzle_identifiers,
                examples=batch.examples,
                puzzles=batch.puzzles,
            )
        )
    return evaluator


@pytest.mark.parametrize("batch_size", [117, 10])
def test_pass_at_k_is_the_published_one(arc: Path, dataset: Dataset, batch_size: int) -> None:
    expected = json.loads((arc / "expected_pass_at_k.json").read_text())
    result = evaluated(arc, dataset, batch_size).result()
    found = {f"ARC/{name}": metric.value for name, metric in result.items()}
    assert {name: found[name] for name in expected} == expected


def published_attempts(inputs: list[InputVotes]) -> list[dict[str, Rows]]:
    """The two best candidates for each test input, empty grids too."""
    best = [[grid_from_key(candidate.key) for candidate in voted.ranking[:2]] for voted in inputs]
    return [{"attempt_1": grids[0], "attempt_2": grids[-1]} for grids in best]


def test_the_best_candidates_are_the_published_submission(arc: Path, dataset: Dataset) -> None:
    expected = json.loads((arc / "submission.json").read_text())
    voted = evaluated(arc, dataset, 32).voted_tasks()
    assert {name: published_attempts(inputs) for name, inputs in voted.items()} == expected
    assert list(voted) == list(expected)


def test_the_submission_is_the_published_one_without_empty_grids(
    arc: Path, dataset: Dataset
) -> None:
    expected = json.loads((arc / "submission.json").read_text())
    found = evaluated(arc, dataset, 32).submission()
    with_empty = {n for n, inputs in expected.items() if any([] in a.values() for a in inputs)}
    assert 0 < len(with_empty) < len(expected)
    for name, inputs in found.items():
        assert all([] not in attempts.values() for attempts in inputs)
        assert (inputs == expected[name]) == (name not in with_empty)


def test_pass_at_k_is_the_mean_over_the_tasks(arc: Path, dataset: Dataset) -> None:
    evaluator = evaluated(arc, dataset, 32)
    per_task = evaluator.per_task()
    assert list(per_task) == list(json.loads((arc / "built" / "test_puzzles.json").read_text()))
    for name, metric in evaluator.result().items():
        if name in next(iter(per_task.values())):
            mean = np.mean([of_task[name] for of_task in per_task.values()])
            assert metric.value == pytest.approx(mean)


def test_answers_are_judged_by_the_solutions_in_the_file(arc: Path, dataset: Dataset) -> None:
    """The published evaluator uses the solutions in ``test_puzzles.json``."""
    evaluator = evaluated(arc, dataset, 32)
    voted, solved = evaluator.voted_tasks(), evaluator.per_task()
    for name, task in json.loads((arc / "built" / "test_puzzles.json").read_text()).items():
        correct = [
            pair["output"] in attempts.values()
            for pair, attempts in zip(task["test"], published_attempts(voted[name]), strict=True)
        ]
        assert sum(correct) / len(correct) == solved[name]["pass@2"]


def test_build_data_writes_the_same_tasks(arc: Path, tmp_path: Path) -> None:
    task = Arc1()
    options = task.options(source=str(arc), no_concept=True, num_aug=2)
    task.build_data(tmp_path / "data", options, np.random.default_rng(0))
    written = task.published_files(task.open_data([tmp_path / "data"]))
    expected = json.loads((arc / "built" / "test_puzzles.json").read_text())
    assert written == {"test_puzzles.json": expected}


def test_copies_and_identifiers_are_those_of_the_published_builder(
    arc: Path, dataset: Dataset, tmp_path: Path
) -> None:
    options = Arc1().options("published", source=str(arc), no_concept=True, num_aug=8, seed=0)
    Arc1().build_data(tmp_path / "d", options, np.random.default_rng(0))
    built = Arc1().open_data([tmp_path / "d"])
    assert built.names is not None
    assert [name.decode() for name in built.names] == json.loads(
        (arc / "built" / "identifiers.json").read_text()
    )
    for batch, published in zip(
        eval_batches(built.split("test"), 512), eval_batches(dataset.split("test"), 512),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(batch.inputs, published.inputs)
        np.testing.assert_array_equal(batch.labels, published.labels)
        np.testing.assert_array_equal(batch.puzzle_identifiers, published.puzzle_identifiers)
