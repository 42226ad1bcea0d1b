"""Votes over answers to several builds of the same ARC tasks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trm
from trm.data import eval_indices, eval_rows
from trm.errors import InputError, TrmWarning
from trm.evaluation.predictions import Predictions, PredictionsInfo
from trm.evaluation.vote import vote
from trm.tasks.arc.evaluator import ArcEvaluator
from trm.tasks.arc.votes import Votes
from trm.tasks.metrics import EvalBatch

IDS, TESTS = ("one", "three", "two"), (1, 2, 3)


def grid(rng: np.random.Generator) -> list[list[int]]:
    rows, columns = rng.integers(2, 6, 2)
    cells: list[list[int]] = rng.integers(0, 10, (rows, columns)).tolist()
    return cells


def source(
    folder: Path, *, seed: int = 0, flip: bool = False, twice: bool = False, solved: bool = True
) -> Path:
    """Kaggle's files of three tasks, with one, two and three test inputs."""
    rng = np.random.default_rng(seed)
    tasks: dict[str, Any] = {}
    outputs = {}
    for name, count in zip(("train", *IDS), (1, *TESTS), strict=True):
        pairs = [{"input": grid(rng), "output": grid(rng)} for _ in range(2 + count)]
        test = pairs[2:][::-1] if flip else pairs[2:]
        test = test[:1] * count if twice else test
        tasks[name] = {"train": pairs[:2], "test": [{"input": pair["input"]} for pair in test]}
        outputs[name] = [pair["output"] for pair in test]
    folder.mkdir()
    for part, names in (("training", ["train"]), ("evaluation", IDS)):
        for kind, content in (("challenges", tasks), ("solutions", outputs)):
            if kind == "challenges" or solved or part == "training":
                file = folder / f"arc-agi_{part}_{kind}.json"
                file.write_text(json.dumps({name: content[name] for name in names}))
    return folder


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Path]:
    """Build data of these tasks, which differ in the seed or the options."""

    def make(name: str, **how: Any) -> Path:
        options = {"num_aug": 4, "seed": 0, "no_concept": True} | how.pop("options", {})
        raw = source(tmp_path / f"{name}-source", **how)
        trm.build_data("arc1", source=raw, out=tmp_path / name, **options)
        return tmp_path / name

    return make


def answered(data: Path, file: Path, seed: int, copies: int = 9, **about: Any) -> ArcEvaluator:
    """Save answers, some of them right; returns the evaluator of the data that has seen them."""
    dataset = trm.open_data(data)
    split, rng = dataset.split("test"), np.random.default_rng(seed)
    info = PredictionsInfo(
        task="arc1", data=(str(data),), digest=dataset.meta.digest, checkpoint="a", step=1, **about
    )
    rows = eval_rows(split, copies=copies)
    ((examples, puzzles),) = eval_indices(split, 999, rows)
    batch = split.make_batch(examples, puzzles)
    answers = np.where(batch.labels < 0, 0, batch.labels)
    wrong = (rng.random((len(rows), 1)) < 0.4) & (answers >= 2) & (rng.random(answers.shape) < 0.2)
    count = len(rows)
    given = EvalBatch(
        inputs=batch.inputs,
        labels=batch.labels,
        answers=np.where(wrong, 5, answers).astype(np.int32),
        halt_logits=rng.normal(size=count).astype(np.float32),
        halt_steps=np.full(count, 3, np.int32),
        steps=np.full(count, 4, np.float32),
        puzzle_identifiers=batch.puzzle_identifiers,
        examples=examples,
        puzzles=puzzles,
    )
    Predictions.of(info, [given]).save(file, split.names)
    evaluator = ArcEvaluator(split)
    evaluator.update(given)
    return evaluator


def counted(tally: Votes) -> dict[Any, Any]:
    """The votes for each grid, without those of a mark for ties."""
    return {
        where: {key: sorted(votes) for key, votes in grids.items()}
        for where, grids in tally.given.items()
    }


def tally_of(*args: Any, **more: Any) -> dict[Any, Any]:
    evaluator = vote(*args, **more)
    assert isinstance(evaluator, ArcEvaluator)
    return counted(evaluator.tally)


def test_answers_to_another_build_have_the_numbers_of_their_own(
    build: Callable[..., Path], tmp_path: Path
) -> None:
    first, second = build("first"), build("second", options={"seed": 1, "num_aug": 6})
    own = answered(second, tmp_path / "b.npz", seed=0)
    found = vote(tmp_path / "b.npz", data=first)
    assert {n: m.value for n, m in found.result().items()} == pytest.approx(
        {n: m.value for n, m in own.result().items()}
    )
    assert found.submission() == own.submission()
    assert 0.2 < float(found.result()["exact_accuracy"]) < 0.9


def test_the_votes_of_builds_add_up_also_if_their_test_inputs_are_in_another_order(
    build: Callable[..., Path], tmp_path: Path
) -> None:
    first, second = build("first"), build("second", flip=True, options={"seed": 1})
    mine = answered(first, tmp_path / "a.npz", seed=0)
    theirs = answered(second, tmp_path / "b.npz", seed=1)
    expected = counted(mine.tally)
    for (group, index), grids in counted(theirs.tally).items():
        place = expected[group, TESTS[group] - 1 - index]
        for key, votes in grids.items():
            place[key] = sorted(place.get(key, []) + votes)
    assert tally_of([tmp_path / "a.npz", tmp_path / "b.npz"]) == expected
    first.rename(tmp_path / "moved")
    again = vote([tmp_path / "a.npz", tmp_path / "b.npz"])  # with the data of the second
    assert again.submission().keys() == set(IDS)


def test_a_copy_in_two_files_of_one_checkpoint_counts_once(
    build: Callable[..., Path], tmp_path: Path
) -> None:
    data = build("first")
    more = build("second", options={"num_aug": 8, "seed": 1})
    a, b, same = (tmp_path / name for name in ("a.npz", "b.npz", "same.npz"))
    answered(data, a, seed=0, copies=2, weights="w")
    answered(data, same, seed=1, copies=3, weights="w")
    with pytest.warns(TrmWarning, match=r"^12 of 18 answers of \S+/same\.npz are in an earlier"):
        tally = tally_of([a, same])
    assert sum(len(votes) for grids in tally.values() for votes in grids.values()) == 18
    answered(more, b, seed=0, copies=2, weights="w")
    with pytest.warns(TrmWarning, match=r"^6 of 12 answers of \S+/b\.npz are in an earlier file"):
        tally = tally_of([a, b])  # the originals
    assert sum(len(votes) for grids in tally.values() for votes in grids.values()) == 18
    answered(data, same, seed=1, copies=3, weights="other")
    tally = tally_of([a, same])
    assert sum(len(votes) for grids in tally.values() for votes in grids.values()) == 30


def test_outputs_that_become_known_later_score_old_answers(
    build: Callable[..., Path], tmp_path: Path
) -> None:
    unsolved = build("unsolved", solved=False, options={"unsolved": True})
    solved, file = build("solved"), tmp_path / "a.npz"
    solutions = tmp_path / "solved-source" / "arc-agi_evaluation_solutions.json"
    answered(solved, file, seed=0)
    expected = vote(file).result()
    saved = Predictions.load(file)
    about = saved.info.model_copy(
        update={"digest": trm.open_data(unsolved).meta.digest, "data": (str(unsolved),)}
    )
    Predictions(about, saved.answers).save(file, trm.open_data(solved).names)
    assert vote(file).result()["pass@2"].count == 0
    assert vote(file, solutions=solutions).result() == expected
    assert vote(file, data=solved).result() == expected
    some = json.loads(solutions.read_text())
    del some["two"]
    (tmp_path / "some.json").write_text(json.dumps(some))
    assert vote(file, solutions=tmp_path / "some.json").result()["pass@2"].count == 2


def test_an_input_that_a_task_has_twice_gets_the_votes_of_both(
    build: Callable[..., Path], tmp_path: Path
) -> None:
    first, second = build("first", twice=True), build("second", twice=True, options={"seed": 1})
    answered(second, tmp_path / "b.npz", seed=0)
    tally = tally_of(tmp_path / "b.npz", data=first)
    counts = [sum(map(len, tally[1, index].values())) for index in (0, 1)]
    assert counts == [5, 5]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"seed": 5}, r"^\S+/b\.npz has a test input of task one that the data do not have: they "),
        ({"options": {"num_test": 1}}, None),
    ],
)
def test_answers_to_other_tasks_are_refused(
    build: Callable[..., Path], tmp_path: Path, how: dict[str, Any], message: str | None
) -> None:
    first, second = build("first"), build("second", **how)
    answered(second, tmp_path / "b.npz", seed=0)
    if message is not None:
        with pytest.raises(InputError, match=message):
            vote(tmp_path / "b.npz", data=first)
        return
    assert set(vote(tmp_path / "b.npz", data=first).per_task()) == {"one"}
    answered(first, tmp_path / "a.npz", seed=0)
    with pytest.raises(InputError, match=r"^\S+/a\.npz has answers to task (two|three), the data"):
        vote(tmp_path / "a.npz", data=second)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "{}",
            r"^s\.json has the outputs of none of the 3 tasks\. Name a file like that of Kaggle",
        ),
        ("[]", r"^s\.json has the outputs of none of the 3 tasks\. Name"),
        ('{"one": [[[1]], [[2]]]}', r"^s\.json has 2 outputs of task one, which has 1 test inputs"),
        ('{"one": 3}', r"^s\.json has no outputs of task one, which has 1 test inputs\. Correct"),
        ('{"one": [[[11]]]}', r"^s\.json: task one, output 1 has 11 in row 1, column 1, not a"),
        ("{", r"^s\.json is damaged: it is not JSON: .* Name a file like Kaggle's"),
    ],
)
def test_solutions_that_are_not_of_the_tasks_are_refused(
    build: Callable[..., Path], trm: Callable[..., Any], tmp_path: Path, content: str, message: str
) -> None:
    answered(build("first"), tmp_path / "a.npz", seed=0)
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(InputError, match=message):
        vote("a.npz", solutions="s.json")
