"""The published evaluator's numbers and submission for made-up answers, exactly.

The tasks are third-party and no part of the repository: ``pytest tests/parity --reference DIR``
finds them in ``DIR/arc``, and the folder of shared material is looked at, too.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.eval_batches import eval_batches
from trm.data import Dataset
from trm.tasks.arc.evaluator import ArcEvaluator
from trm.tasks.arc.task import Arc1
from trm.tasks.metrics import EvalBatch

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def arc(request: pytest.FixtureRequest) -> Path:
    """The folder of tasks, answers and what the published evaluator made of them."""
    given = request.config.getoption("--reference", None)
    places = [HERE / "data", HERE.parents[2] / "shared" / "reference"]
    for place in [given, *places] if given else places:
        if (place / "arc" / "predictions.npz").is_file():
            return place / "arc"
    pytest.skip("no folder arc of reference vectors")


@pytest.fixture(scope="module")
def dataset(arc: Path) -> Dataset:
    return Arc1().open_data([arc / "built"])


def evaluated(arc: Path, dataset: Dataset, batch_size: int) -> ArcEvaluator:
    """The evaluator after all answers, given in batches."""
    found, split = np.load(arc / "predictions.npz"), dataset.split("test")
    examples = np.arange(len(found["inputs"]))
    puzzles = np.searchsorted(split.example_offsets, examples, side="right") - 1
    assert split.identifiers is not None
    assert (found["puzzle_identifiers"] == split.identifiers[puzzles]).all()
    assert (found["inputs"] == split.inputs).all()
    evaluator = ArcEvaluator(split)
    for start in range(0, len(examples), batch_size):
        rows = slice(start, start + batch_size)
        batch = split.make_batch(examples[rows], puzzles[rows])
        evaluator.update(
            EvalBatch(
                inputs=batch.inputs,
                labels=batch.labels,
                answers=found["predictions"][rows].astype(np.int32),
                halt_logits=found["halt_logits"][rows],
                halt_steps=np.ones(len(batch), np.int32),
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
    assert {f"ARC/{n}": m.value for n, m in result.items() if n.startswith("pass@")} == expected


def test_the_submission_is_the_published_one(arc: Path, dataset: Dataset) -> None:
    expected = json.loads((arc / "submission.json").read_text())
    found = evaluated(arc, dataset, 32).submission()
    assert found == expected
    assert list(found) == list(expected)


def test_pass_at_k_is_the_mean_over_the_tasks(arc: Path, dataset: Dataset) -> None:
    evaluator = evaluated(arc, dataset, 32)
    per_task = evaluator.per_task()
    assert list(per_task) == list(json.loads((arc / "built" / "test_puzzles.json").read_text()))
    for name, metric in evaluator.result().items():
        if name.startswith("pass@"):
            mean = np.mean([of_task[name] for of_task in per_task.values()])
            assert metric.value == pytest.approx(mean)


def test_the_truth_is_that_of_the_tasks(arc: Path, dataset: Dataset) -> None:
    """Judged by the solutions in ``test_puzzles.json``, as the published evaluator does."""
    evaluator = evaluated(arc, dataset, 32)
    handed_in, solved = evaluator.submission(), evaluator.per_task()
    for name, task in json.loads((arc / "built" / "test_puzzles.json").read_text()).items():
        right = [
            pair["output"] in attempts.values()
            for pair, attempts in zip(task["test"], handed_in[name], strict=True)
        ]
        assert sum(right) / len(right) == solved[name]["pass@2"]


def test_our_own_build_holds_the_same_tasks(arc: Path, tmp_path: Path) -> None:
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
    ours = Arc1().open_data([tmp_path / "d"])
    assert ours.names is not None
    assert [name.decode() for name in ours.names] == json.loads(
        (arc / "built" / "identifiers.json").read_text()
    )
    for mine, theirs in zip(
        eval_batches(ours.split("test"), 512), eval_batches(dataset.split("test"), 512),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(mine.inputs, theirs.inputs)
        np.testing.assert_array_equal(mine.labels, theirs.labels)
        np.testing.assert_array_equal(mine.puzzle_identifiers, theirs.puzzle_identifiers)
