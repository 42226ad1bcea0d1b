"""Evaluation tasks that are training tasks too, by their ID or by their pairs."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trm.data import Dataset, open_dataset
from trm.errors import InputError, TrmWarning
from trm.storage import replacing
from trm.tasks.arc.build import ArcOptions, build
from trm.tasks.registry import get_task

Pairs = list[dict[str, Any]]


def pair(number: int) -> dict[str, Any]:
    return {"input": [[number, 1]], "output": [[number]]}


def tasks(**tested: Pairs) -> dict[str, Any]:
    """Tasks with these test pairs, and demonstrations of their own."""
    return {
        name: {"train": [{"input": [[place], [2]], "output": [[place, 3]]}], "test": pairs}
        for place, (name, pairs) in enumerate(tested.items())
    }


@pytest.fixture
def built(tmp_path: Path) -> Callable[..., tuple[Dataset, list[str]]]:
    """Build the parts of Kaggle's files in the folder, without copies; also gives the warnings."""

    def make(**options: Any) -> tuple[Dataset, list[str]]:
        given = {"source": str(tmp_path), "no_concept": True, "num_aug": 0, **options}
        chosen, rng = ArcOptions.model_validate(given), np.random.default_rng(0)
        with replacing(tmp_path / "data"), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            build(tmp_path / "data", "arc2", chosen, rng)
        assert all(warning.category is TrmWarning for warning in caught)
        return open_dataset(tmp_path / "data"), [str(warning.message) for warning in caught]

    return make


def write(folder: Path, part: str, content: dict[str, Any]) -> None:
    (folder / f"arc-agi_{part}_challenges.json").write_text(json.dumps(content))


def unanswered(content: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {**task, "test": [{"input": pair["input"]} for pair in task["test"]]}
        for name, task in content.items()
    }


def test_a_test_pair_that_is_trained_on_under_another_id_is_said(
    tmp_path: Path, built: Callable[..., tuple[Dataset, list[str]]]
) -> None:
    write(tmp_path, "training", tasks(a=[pair(1)], b=[pair(2)]))
    write(tmp_path, "evaluation", tasks(x=[pair(7), pair(2)], y=[pair(8)], z=[pair(9)]))
    _, said = built()
    assert said == [
        "1 of 4 test pairs, in 1 of 3 evaluation tasks, are trained on with their answers: they "
        "are in tasks of another ID too (x = b). Leave one of each two out."
    ]
    write(tmp_path, "evaluation", tasks(y=[pair(8)]))
    assert built()[1] == []


def test_an_input_with_two_outputs_is_said(
    tmp_path: Path, built: Callable[..., tuple[Dataset, list[str]]]
) -> None:
    write(tmp_path, "training", tasks(a=[pair(1)], b=[pair(2), {**pair(2), "output": [[5]]}]))
    write(tmp_path, "evaluation", tasks(y=[pair(8)]))
    (message,) = built()[1]
    assert message.startswith("1 tasks have one input with two outputs, such as b.")


@pytest.mark.parametrize("training", ["evaluation", "training,evaluation"])
@pytest.mark.parametrize("kept", [False, True])
def test_unsolved_tasks_that_are_training_tasks_too(
    tmp_path: Path, built: Callable[..., tuple[Dataset, list[str]]], training: str, kept: bool
) -> None:
    public = tasks(x=[pair(7)], y=[pair(8)])
    write(tmp_path, "training", tasks(a=[pair(1)]))
    write(tmp_path, "evaluation", public)
    write(tmp_path, "test", unanswered(public))
    data, (message,) = built(
        training=training, evaluation="test", unsolved=True, keep_test_demos=kept
    )
    outcome = (
        "they are trained on with their answers, and are only part of a submission."
        if kept
        else "their answers are left out of training. Keep them with --keep-test-demos."
    )
    assert message == f"2 of 2 evaluation tasks are training tasks too, such as x: {outcome}"
    train, test = data.split("train"), data.split("test")
    others = {b"a": 2} if training != "evaluation" else {}
    counts = dict(
        zip(train.info["name"].tolist(), np.diff(train.example_offsets).tolist(), strict=True)
    )
    assert counts == others | dict.fromkeys((b"x", b"y"), 2 if kept else 1)
    assert test.info["name"].tolist() == [b"x", b"y"]
    assert not test.info["solved"].any()
    arc = get_task("arc1")
    assert (arc.can_measure(train), arc.can_measure(test)) == (True, False)
    assert set(test.identifiers.tolist()) < set(train.identifiers.tolist()) | {0}


def test_a_solved_task_may_not_be_trained_on(
    tmp_path: Path, built: Callable[..., tuple[Dataset, list[str]]]
) -> None:
    write(tmp_path, "training", tasks(a=[pair(1)], x=[pair(7)]))
    write(tmp_path, "evaluation", tasks(x=[pair(7)]))
    with pytest.raises(InputError, match=r"^1 evaluation tasks are also training tasks, such as x"):
        built(unsolved=True)
