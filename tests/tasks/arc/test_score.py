"""``trm score``: the competition's rule, and its format."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trm
from trm.errors import InputError

SOLUTIONS: dict[str, list[list[list[int]]]] = {
    "one": [[[1, 2], [3, 4]]],
    "two": [[[5]], [[6, 6]], [[7]]],
}


def answer(first: Any, second: Any) -> dict[str, Any]:
    return {"attempt_1": first, "attempt_2": second}


def submission() -> dict[str, Any]:
    """Solves one of three test inputs of a task, with the second attempt, and another task."""
    wrong = [[0, 0], [0, 0]]
    return {
        "one": [answer([[1, 2], [3, 4]], wrong)],
        "two": [answer(wrong, [[5]]), answer([[6], [6]], wrong), answer(wrong, wrong)],
    }


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    monkeypatch.chdir(tmp_path)
    Path("solutions.json").write_text(json.dumps(SOLUTIONS))

    def write(content: Any) -> None:
        Path("s.json").write_text(json.dumps(content))

    return write


def test_the_mean_is_over_outputs_as_in_the_competition(files: Callable[[Any], None]) -> None:
    files(submission())
    score = trm.score("s.json", solutions="solutions.json")
    assert score.solved == {"one": [True], "two": [True, False, False]}
    assert score.metrics["pass@2/outputs"].value == 2 / 4
    assert score.metrics["pass@2"].value == pytest.approx((1 + 1 / 3) / 2)
    assert score.metrics["pass@2/outputs"].count == 4
    assert not score.problems


@pytest.mark.parametrize(
    ("task", "answers", "problem"),
    [
        ("one", None, "task one is missing"),
        ("one", "x", "task one has no list of answers, not one for each of 1 test inputs"),
        ("two", [answer([[5]], [[5]])], "task two has 1 answers, not one for each of 3"),
        ("one", [3], "task one, test input 1 has no object with attempt_1 and attempt_2"),
        ("one", [{"attempt_1": [[1]]}], "task one, test input 1: attempt_2 is missing"),
        ("one", [answer([], [[1]])], "attempt_1 is an empty grid"),
        ("one", [answer([[1]], [[10]])], "attempt_2 has 10 in row 1, column 1, not a colour"),
        ("one", [answer([[1]], [[True]])], "attempt_2 has True in row 1, column 1"),
        ("one", [answer([[1], [1, 2]], [[1]])], "attempt_1 is not rectangular"),
        ("one", [answer([[1]] * 31, [[1]])], "attempt_1 has 31 rows and 1 columns"),
        ("one", [answer(None, [[1]])], "attempt_1 is not a grid"),
        ("three", [answer([[1]], [[1]])], "task 'three' is none of the solutions"),
    ],
)
def test_what_the_competition_refuses(
    files: Callable[[Any], None], trm: Callable[..., Any], task: str, answers: Any, problem: str
) -> None:
    content = submission()
    content.pop(task, None)
    files(content if answers is None else {**content, task: answers})
    done = trm("score", "s.json", "--solutions", "solutions.json")
    assert done.code == 1
    first, error = done.err.splitlines()
    assert problem in first
    assert error == (
        "trm: error: s.json has 1 problem, so the competition would refuse it. Write it again with "
        "trm vote --submission."
    )


def test_solutions_of_other_tasks(files: Callable[[Any], None]) -> None:
    files({"x": [answer([[1]], [[1]])]})
    message = r"^s\.json and solutions\.json have no task in common\. Name the solutions of these"
    with pytest.raises(InputError, match=message):
        trm.score("s.json", solutions="solutions.json")


def test_an_invalid_attempt_solves_nothing(files: Callable[[Any], None]) -> None:
    """Although Python finds ``True`` equal to 1, and 1.0 too."""
    files({"one": [answer([[True, 2], [3, 4]], [[1.0, 2], [3, 4]])]})
    score = trm.score("s.json", solutions="solutions.json")
    assert score.solved["one"] == [False]
    assert len(score.problems) == 3


def test_the_command_lists_tasks(files: Callable[[Any], None], trm: Callable[..., Any]) -> None:
    files(submission())
    done = trm("score", "s.json", "--solutions", "solutions.json")
    assert done.code == 0
    rows = [line.split() for line in done.out.splitlines()]
    assert ["one", "1", "1"] in rows
    assert ["two", "1", "3"] in rows
    assert any(row[:2] == ["pass@2/outputs", "0.5000"] for row in rows)
    found = json.loads(trm("score", "s.json", "--solutions", "solutions.json", "--json").out)
    assert found["tasks"] == {"one": [True], "two": [True, False, False]}
    assert found["metrics"]["pass@2/outputs"]["value"] == 0.5


def test_only_the_first_problems_are_shown(
    files: Callable[[Any], None], trm: Callable[..., Any]
) -> None:
    files({f"more{number}": [] for number in range(60)} | submission())
    done = trm("score", "s.json", "--solutions", "solutions.json")
    assert len(done.err.splitlines()) == 52
    assert "and 10 more" in done.err
    assert "60 problems" in done.err


@pytest.mark.parametrize(
    "content", [[], {}, {"one": []}, {"one": [[]]}, {"one": [[[1, 11]]]}, {"one": 3}, "x"]
)
def test_solutions_of_another_format(files: Callable[[Any], None], content: Any) -> None:
    files(submission())
    Path("solutions.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"solutions\.json is damaged: .* Name a file like"):
        trm.score("s.json", solutions="solutions.json")


def test_a_file_that_is_no_submission(files: Callable[[Any], None]) -> None:
    files([1])
    with pytest.raises(InputError, match=r"s\.json is damaged: it is no object"):
        trm.score("s.json", solutions="solutions.json")
