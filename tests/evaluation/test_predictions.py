"""Saved answers and votes over them."""

import json
import math
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trm.errors import InputError
from trm.evaluation.predictions import Predictions, PredictionsInfo, compact
from trm.inference.choice import majority
from trm.tasks.metrics import EvalBatch

Make = Callable[..., EvalBatch]
INFO = PredictionsInfo(task="toy", data=("data/toy",), digest="d" * 64, checkpoint="runs/a", step=3)
FIELDS = [field.name for field in fields(EvalBatch)]


def equal(first: EvalBatch, second: EvalBatch) -> bool:
    return all(
        np.array_equal(getattr(first, name), getattr(second, name))
        and getattr(first, name).dtype == getattr(second, name).dtype
        for name in FIELDS
    )


def elected(rollouts: list[EvalBatch], row: int) -> tuple[list[int], float, int]:
    """The winner of one example in plain words: its answer, mean logit and fewest steps."""
    given = [
        (
            rollout.answers[row].tolist(),
            float(rollout.halt_logits[row]),
            int(rollout.halt_steps[row]),
        )
        for rollout in rollouts
    ]
    counts = Counter(str(answer) for answer, _, _ in given)

    def rank(answer: list[int]) -> tuple[int, float]:
        chances = [1 / (1 + math.exp(-logit)) for other, logit, _ in given if other == answer]
        return counts[str(answer)], round(sum(chances) / len(chances), 12)

    best = max((answer for answer, _, _ in given), key=rank)  # the first of equals
    logits, steps = zip(*((x, n) for answer, x, n in given if answer == best), strict=True)
    return best, sum(logits) / len(logits), min(steps)


@given(st.data(), st.integers(1, 5), st.integers(1, 3))
@settings(deadline=None, derandomize=True, max_examples=80)
def test_the_majority_is_that_of_a_count(
    batch: Make, data: st.DataObject, voters: int, rows: int
) -> None:
    def several(one: st.SearchStrategy[Any]) -> list[Any]:
        return data.draw(st.lists(one, min_size=rows, max_size=rows))

    answer = st.lists(st.integers(1, 2), min_size=2, max_size=2)
    logit = st.sampled_from([-4.0, -0.5, 0.0, 1.0, 1.5, 3.0])
    rollouts = [
        batch(several(answer), several(logit), several(st.integers(1, 4))) for _ in range(voters)
    ]
    found = majority(rollouts)
    for row in range(rows):
        answer_of, logit_of, steps_of = elected(rollouts, row)
        assert found.answers[row].tolist() == answer_of
        assert found.halt_logits[row] == pytest.approx(logit_of)
        assert found.halt_steps[row] == steps_of
    for name in FIELDS:
        assert getattr(found, name).dtype == getattr(rollouts[0], name).dtype
        if name not in ("answers", "halt_logits", "halt_steps", "steps"):
            assert np.array_equal(getattr(found, name), getattr(rollouts[0], name))


def test_a_vote_of_one_is_the_batch_itself(batch: Make) -> None:
    only = batch([[1, 2], [2, 2]], [0.5, -0.5])
    assert majority([only]) is only


def test_the_rollouts_do_not_change(batch: Make) -> None:
    rollouts = [batch([[1, 2]], [0.5]), batch([[2, 2]], [1.5]), batch([[2, 2]], [2.5])]
    before = [
        replace(b, answers=b.answers.copy(), halt_logits=b.halt_logits.copy()) for b in rollouts
    ]
    majority(rollouts)
    assert all(map(equal, rollouts, before))


def test_in_a_tie_the_more_confident_answer_wins(batch: Make) -> None:
    assert majority([batch([[1, 1]], [0.1]), batch([[2, 2]], [0.2])]).answers.tolist() == [[2, 2]]
    assert majority([batch([[1, 1]], [0.1]), batch([[2, 2]], [0.1])]).answers.tolist() == [[1, 1]]


def test_a_model_may_be_as_sure_as_numbers_go(batch: Make) -> None:
    rollouts = [batch([[1, 1]], [-1e30]), batch([[2, 2]], [1e30]), batch([[1, 2]], [-2e4])]
    assert majority(rollouts).answers.tolist() == [[2, 2]]


def test_what_is_saved_is_read_back(batch: Make, tmp_path: Path) -> None:
    batches = [batch([[1, 2], [2, 100]], [0.5, -3.5], [2, 7]), batch([[0, 2]])]
    Predictions.of(INFO, [compact(one) for one in batches]).save(tmp_path / "deep" / "p.npz")
    found = Predictions.load(tmp_path / "deep" / "p.npz")
    assert found.info == INFO
    (again,) = found.batches()
    for name in FIELDS:
        expected = np.concatenate([getattr(one, name) for one in batches])
        assert np.array_equal(getattr(again, name), expected)
        assert getattr(again, name).dtype == expected.dtype
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["p.npz"]


def test_a_file_is_plain_arrays_with_a_byte_a_token(batch: Make, tmp_path: Path) -> None:
    names = np.array([b"<blank>", b"a1"])
    Predictions.of(INFO, [batch([[1, 2], [2, 2]])]).save(tmp_path / "p", names)
    with np.load(tmp_path / "p", allow_pickle=False) as saved:
        assert saved["names"].tolist() == [b"<blank>", b"a1"]
        assert {saved[name].dtype for name in ("inputs", "labels", "answers")} == {np.dtype("u1")}
        assert saved["labels"].tolist() == [[1, 0], [1, 0]]


def test_a_compact_batch_takes_one_byte_a_token(batch: Make) -> None:
    small = compact(batch([[1, 2]]))
    assert {getattr(small, name).itemsize for name in ("inputs", "labels", "answers")} == {1}
    assert small.labels.tolist() == [[1, 0]]


@pytest.fixture
def file(batch: Make, tmp_path: Path) -> Path:
    """A file of predictions."""
    answers = np.random.default_rng(0).integers(1, 9, (50, 40)).tolist()
    Predictions.of(INFO, [batch(answers)]).save(tmp_path / "p.npz")
    return tmp_path / "p.npz"


def test_a_file_of_an_older_version_does_not_say_the_steps(file: Path) -> None:
    with np.load(file) as saved:
        np.savez(file, **{name: saved[name] for name in saved if name != "steps"})
    assert np.isnan(Predictions.load(file).answers.steps).all()


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        Predictions.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    assert message.endswith(". Name a file of trm eval --save-predictions.")
    return message.removeprefix(str(path))


@pytest.mark.parametrize("cut", [0, 1, 3, 200, -1])
def test_a_file_that_was_cut_is_refused(file: Path, cut: int) -> None:
    file.write_bytes(file.read_bytes()[:cut])
    assert refused(file).startswith(" holds no predictions: it is not an .npz file, or cut short")


def test_a_file_with_changed_bytes_is_refused(file: Path) -> None:
    whole = file.read_bytes()
    for place in (60, 500, len(whole) // 2):
        changed = bytes(255 - byte for byte in whole[place : place + 9])
        file.write_bytes(whole[:place] + changed + whole[place + 9 :])
        assert refused(file).startswith(" holds no predictions: ")


def about(change: bytes) -> dict[str, Any]:
    """The description of a file, with some changes; or other bytes."""
    if change.startswith(b"{") and len(change) > 2:
        known = json.loads(INFO.model_dump_json())
        change = json.dumps({**known, **json.loads(change)}).encode()
    return {"about": np.frombuffer(change, np.uint8)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"about": None}, "holds no predictions: it has no about. Name"),
        ({"answers": None}, "holds no predictions: it has no answers. Name"),
        ({"puzzles": np.arange(3)}, "holds no predictions: its arrays differ in length"),
        ({"puzzles": np.array(3)}, "holds no predictions: its puzzles are int64 of shape ()"),
        ({"answers": np.ones((50, 4, 10), "u1")}, "its answers are uint8 of shape (50, 4, 10)"),
        ({"answers": np.ones((50, 41), "u1")}, "its answers and labels differ in length"),
        ({"labels": np.ones((50, 40))}, "its labels are float64 of shape (50, 40)"),
        ({"halt_logits": np.array(["x"] * 50)}, "its halt_logits are <U1 of shape (50,)"),
        ({"puzzles": np.array({}, object)}, "its header is not that of a plain array"),
        ({"answers": np.full((50, 40), 256)}, "its answers go from 256 to 256"),
        ({"halt_steps": np.full(50, -1)}, "its halt_steps go from -1 to -1"),
        ({"steps": np.full(50, -1.0)}, "its steps go from -1.0 to -1.0"),
        ({"puzzles": np.full(50, 2**63, "u8")}, f"its puzzles go from {2**63} to {2**63}"),
        ({"halt_logits": np.full(50, np.nan, "f4")}, "its halt_logits go from nan to nan"),
        (about(b"{"), "holds no predictions: it is not JSON: "),
        (about(b"{}"), "holds no predictions: task: Field required"),
        (about(b"[" * 100_000), "holds no predictions: it is nested too deeply"),
        (about(b'{"validation_share": Infinity}'), "validation_share: Input should be "),
        (about(b'{"validation_share": 1.0}'), "validation_share: Input should be less than 1"),
        (about(b'{"split": "train"}'), "split: String should match pattern"),
        (about(b'{"samples": 1e300}'), "holds no predictions: samples: "),
    ],
)
def test_a_file_with_other_arrays_is_refused(
    file: Path, change: Mapping[str, Any], message: str
) -> None:
    with np.load(file) as before:
        arrays = {name: before[name] for name in before.files} | change
    np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
    assert message in refused(file)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    np.save(tmp_path / "array.npy", np.arange(3))
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("about.npy", "hello")
    for name in ("text", "array.npy", "z.zip"):
        assert " holds no predictions: " in refused(tmp_path / name)
    with pytest.raises(InputError, match=r"/absent: no such file\. Name a file of trm eval --save"):
        Predictions.load(tmp_path / "absent")


def test_a_file_that_could_not_be_written_is_not_there(
    batch: Make, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file.read_bytes()

    def fail(*_: Any) -> None:
        raise RuntimeError("a crash")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RuntimeError):
        Predictions.of(INFO, [batch([[1, 2]])]).save(file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]
