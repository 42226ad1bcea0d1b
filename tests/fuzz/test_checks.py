"""The checks themselves: what they let pass, and what they do not."""

from pathlib import Path

import pytest

from tests.fuzz.files import file_problems, listing
from tests.fuzz.sandbox import Outcome, Sandbox, output_problems

ERROR = "trm: error: x. Do y.\n"


@pytest.mark.parametrize(
    ("code", "out", "err", "kind"),
    [
        (0, "a table\n", "progress\n", ""),
        (1, "", f"a note\n{ERROR}", ""),
        (4, "", ERROR, "code"),
        (3, "", "", "code"),
        (3, "no valid answer found; the best board is 1\n", "", ""),
        (1, "", "", "lines"),
        (1, "", f"{ERROR}second line\n", "lines"),
        (2, "", ERROR * 2, "lines"),
        (0, "", ERROR, "error"),
        (0, "\x1b[31mred\n", "", "control"),
        (0, "\u202egnp.exe\n", "", "control"),
        (0, "\ud800", "", "control"),
        (1, "Traceback (most recent call last):\n", ERROR, "traceback"),
        (1, "", "trm: error: not enough memory: none is left.\n", "memory"),
    ],
)
def test_of_what_is_printed(code: int, out: str, err: str, kind: str) -> None:
    kinds = [problem.split()[0] for problem in output_problems(Outcome(code, out, err))]
    assert kinds == [kind] * bool(kind)


@pytest.mark.parametrize(
    ("path", "content", "problem"),
    [
        ("o.json", "{}", ""),
        ("o.json", "{", "half-written o.json"),
        ("o.csv", "a,b\n1\n", "half-written o.csv"),
        ("o.svg", "<svg>", "half-written o.svg"),
        ("input", "other", "changed 'input'"),
        ("more", "", "wrote 'more'"),
        (".o.json.x1y2.tmp", "", "left '.o.json.x1y2.tmp'"),
    ],
)
def test_of_files(tmp_path: Path, path: str, content: str, problem: str) -> None:
    (tmp_path / "input").write_text("input")
    before = listing(tmp_path)
    (tmp_path / path).write_text(content)
    found = file_problems(before, tmp_path, ["o.json", "o.csv", "o.svg"], strict=True)
    assert [one[: len(problem)] for one in found] == [problem] * bool(problem)


def test_a_hang_and_an_exception_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spin(arguments: list[str]) -> int:
        while arguments == ["spin"]:
            pass
        raise KeyError

    monkeypatch.setattr("tests.fuzz.sandbox.run", spin)
    with Sandbox(tmp_path, seconds=0.05) as sandbox:
        assert sandbox.run(["spin"]).problems == ["exception HangError"]
        assert sandbox.run(["raise"]).problems == ["exception KeyError"]
