"""Voted answers: by solving copies of a puzzle, and in what shows saved answers."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trm as package
from tests.made_checkpoints import write_checkpoint
from trm import settings
from trm.data import Dataset
from trm.errors import ConfigError, InputError
from trm.evaluation.evaluate import evaluate
from trm.evaluation.voted_solution import VotedSolution, solve_copies
from trm.inference.model import Model, load
from trm.tasks.arc.task import Arc1

Trm = Callable[..., Any]
Fails = Callable[..., str]
TESTS = [{"input": [[1, 2], [3, 4]], "output": [[4, 3]]}, {"input": [[5]], "output": [[6]]}]


@pytest.fixture(scope="module")
def folder(make_once: Callable[..., Path]) -> Path:
    """``data`` of a training and an evaluation task, and an untrained ``model`` of them."""

    def fill(folder: Path) -> None:
        other = [{"input": [[7]], "output": [[7, 7]]}]
        for part, name, tests in (("training", "a", other), ("evaluation", "b", TESTS)):
            (folder / part).mkdir(parents=True)
            demonstration = {"input": [[1, 2, 3]], "output": [[len(tests) - 1]]}
            content = json.dumps({"train": [demonstration], "test": tests})
            (folder / part / f"{name}.json").write_text(content)
        task = Arc1()
        options = task.options(source=str(folder), no_concept=True, num_aug=5)
        meta = task.build_data(folder / "data", options, np.random.default_rng(0))
        small = {"hidden_size": 16, "num_heads": 1, "h_cycles": 1, "l_cycles": 1,
                 "puzzle_emb_len": 1, "halt_max_steps": 1, "forward_dtype": "float32"}  # fmt: skip
        assignments = [f"model.{name}={value}" for name, value in small.items()]
        run = settings.load(
            "arc1", defaults=task.defaults,
            assignments=[*assignments, f"data.paths=['{folder / 'data'}']"],
        ).config  # fmt: skip
        names = task.open_data([folder / "data"]).split("test").names
        assert names is not None
        write_checkpoint(folder / "model", run, meta, names=[n.decode() for n in names.tolist()])

    return make_once("arc-votes", fill)


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return load(folder / "model", device="cpu")


@pytest.fixture(scope="module")
def dataset(folder: Path) -> Dataset:
    return Arc1().open_data([folder / "data"])


def task_json(tests: list[dict[str, Any]] = TESTS) -> dict[str, Any]:
    return {"b": {"test": tests}}


def shown(solution: VotedSolution) -> list[tuple[Any, ...]]:
    return [(a.answer.tolist(), *a.facts) for a in solution.attempts]


def test_solving_all_copies_gives_the_votes_of_the_evaluation(model: Model) -> None:
    report = evaluate(model)
    solved = solve_copies(model, puzzles=task_json(), copies=6, batch_size=4)
    assert [one.num_copies for one in solved] == [6, 6]
    for example, solution in enumerate(solved):
        expected = report.evaluator.attempts(example)
        assert shown(solution) == [(a.answer.tolist(), *a.facts) for a in expected]
        assert solution.attempts[0].all_votes == 6


def test_the_first_copies_answer_and_an_unknown_solution_stays_unknown(model: Model) -> None:
    seen: list[tuple[int, int]] = []
    puzzles = json.dumps(task_json([{"input": [[1, 2], [3, 4]]}]))
    (found,) = solve_copies(
        model, puzzles=puzzles, copies=2, batch_size=1, on_progress=lambda *n: seen.append(n)
    )
    assert seen == [(0, 2), (1, 2), (2, 2)]
    assert (found.num_copies, found.attempts[0].all_votes) == (2, 2)
    assert {attempt.verdict for attempt in found.attempts} == {""}
    assert found.as_json()["solution"] is None
    (more,) = package.solve_copies(model, puzzles=puzzles, copies=1000)
    assert more.num_copies == 6
    page = more._repr_html_()
    assert page.count("<svg") == 1 + len(more.attempts)
    assert "6 copies; attempt 1: " in page


def test_what_cannot_be_voted_on(model: Model, trained_run: Path) -> None:
    with pytest.raises(InputError, match=r"^copies is 0\. Give 1 or more\.$"):
        solve_copies(model, puzzles=task_json(), copies=0)
    with pytest.raises(InputError, match="not trained on a puzzle named 'c'"):
        solve_copies(model, puzzles={"c": {"test": TESTS}}, copies=2)
    with pytest.raises(ConfigError, match="there is no option 'until_valid' here"):
        solve_copies(model, puzzles=task_json(), copies=2, until_valid=True)
    assert model.names is not None
    copy = model.names[-1].decode()
    with pytest.raises(
        InputError, match=rf"^{re.escape(repr(copy))} is the name of a copy\. .*'b'"
    ):
        solve_copies(model, puzzles={copy: {"test": TESTS}}, copies=2)
    sudokus = load(trained_run, device="cpu")
    with pytest.raises(InputError, match=r"^`?copies`?=2: this model of task sudoku knows no cop"):
        package.solve_copies(sudokus, puzzles="1" + "." * 15, copies=2)


def test_the_command_shows_attempts_beside_the_solution(
    trm: Trm, fails: Fails, folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "b.json").write_text(json.dumps({"test": TESTS}))
    command = ("solve", "b.json", "--ckpt", folder / "model", "--copies", "3")
    done = trm(*command, "--save", "b.png")
    assert done.out.startswith("puzzle b, 3 copies\npuzzle ")
    assert re.search(r"^1 2 +4 3 +\d", done.out, flags=re.M)
    assert re.search(r"^ +\d of 3 votes", done.out, flags=re.M)
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    lines = trm(*command, "--json").out.splitlines()
    first, second = map(json.loads, lines)
    assert (first["puzzle"], first["solution"], first["copies"]) == ("[[1,2],[3,4]]", "[[4,3]]", 3)
    assert second["attempts"][0]["votes"] <= 3
    assert fails(*command, "--delay", "1").startswith("--copies shows no steps, --delay is for")
    assert fails(*command, "--save", "b.gif").startswith("cannot draw to b.gif")
    assert "--copies shows answers, --out writes them" in fails(*command, "--out", "a.csv")


def test_a_report_and_the_attempts_of_saved_predictions(
    trm: Trm, folder: Path, tmp_path: Path
) -> None:
    saved = ("--save-predictions", "p.npz", "--report", "page", "--per-task", "t.json")
    done = trm("eval", "--ckpt", folder / "model", "--device", "cpu", *saved)
    assert done.err.endswith("wrote page/index.html\n")
    assert (done := trm("vote", "p.npz", "--report", "again")).code == 0
    pages = [(tmp_path / name / "index.html").read_text() for name in ("page", "again")]
    first, second = (json.loads(re.findall(r'json">(.*?)</script>', page)[0]) for page in pages)
    assert first["tasks"] == second["tasks"]
    assert [task["id"] for task in first["tasks"]] == ["b"]
    assert first["tasks"][0]["demos"] == [["123", "1"]]
    votes = json.loads((tmp_path / "t.json").read_text())["b"]["tests"]
    assert [test["votes"] for test in votes] == [6, 6]
    data = ("inspect-data", folder / "data", "--task", "b")
    text = trm(*data, "--predictions", "p.npz").out
    assert text.count("attempt 1") == 2
    assert re.search(r"^ +\d of 6 votes", text, flags=re.M)
    assert "attempt" not in trm(*data).out


def test_a_task_without_votes_has_no_report(
    trm: Trm, fails: Fails, trained_run: Path, mini_data: Path, tmp_path: Path
) -> None:
    message = "--report: this task has no such file. Leave it out."
    command = ("eval", "--ckpt", trained_run, "--max-examples", "2")
    assert fails(*command, "--report", "page") == message
    assert list(tmp_path.iterdir()) == []
    trm(*command, "--save-predictions", "p.npz")
    assert fails("vote", "p.npz", "--report", "page") == message
    assert fails("inspect-data", mini_data, "--predictions", "p.npz") == (
        "--predictions: answers of this task are not voted on. Leave it out."
    )
