"""``trm solve``: puzzles to look at, and files of them."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SOLVED = "1234341221434321"
PUZZLE = "123434122143.321"
OTHER = "2134342112434312"


Trm = Callable[..., Any]
Fails = Callable[..., str]


def test_solve_plain(trm: Trm, trained_run: Path) -> None:
    text = trm("solve", PUZZLE, "--ckpt", trained_run).out
    assert text.startswith("puzzle\n 1 2 | 3 4\n")
    assert "step 1: 1 cell changed, halt " in text
    assert re.search(rf"^answer {SOLVED}: valid; the model would", text, re.M)


def test_solve_json(trm: Trm, trained_run: Path) -> None:
    found = json.loads(trm("solve", PUZZLE, "--ckpt", trained_run, "--json").out)
    assert found["answer"] == SOLVED
    assert found["valid"] is True


def test_solve_a_file(trm: Trm, trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text(f"{PUZZLE}\n\n{SOLVED}\n")
    lines = trm("solve", "p.txt", "--ckpt", trained_run, "--json").out.splitlines()
    assert [json.loads(line)["answer"] for line in lines] == [SOLVED, SOLVED]


def test_solve_from_stdin(trm: Trm, trained_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(PUZZLE))
    assert json.loads(trm("solve", "-", "--ckpt", trained_run, "--json").out)["answer"] == SOLVED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("123", "has 3 characters, not 16"),
        ("a234341221434321", "'a' in row 1, column 1"),
        ("11..............", "digit 1 twice in row 1"),
        ("absent.txt", r"absent\.txt: no such file"),
    ],
)
def test_solve_what_is_no_puzzle(fails: Fails, trained_run: Path, text: str, message: str) -> None:
    assert re.search(message, fails("solve", text, "--ckpt", trained_run))


def test_solve_a_picture(fails: Fails, trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(b"\x89PNG\xff\xfe")
    assert "p.png is not a text file" in fails("solve", "p.png", "--ckpt", trained_run)


def test_solve_a_folder(fails: Fails, trained_run: Path) -> None:
    message = fails("solve", trained_run, "--ckpt", trained_run)
    assert re.fullmatch(r"cannot read \S+: Is a directory\. Name another file\.", message)


def test_a_file_of_answers(trm: Trm, trained_run: Path, tmp_path: Path) -> None:
    table = f"source,question,answer,rating\na,{PUZZLE},{SOLVED},0\nb,{SOLVED},{OTHER},1\n"
    (tmp_path / "p.csv").write_text(table)
    done = trm("solve", "p.csv", "--ckpt", trained_run, "--out", "a.csv")
    assert done.out == "a.csv: 2 puzzles, 2 valid (100.0%), 1 correct (50.0%)\n"
    assert done.err == ""
    first, second = csv.DictReader((tmp_path / "a.csv").read_text().splitlines())
    assert list(first) == ["puzzle", "answer", "valid", "halt_step", "halt_probability", "correct"]
    assert (first["puzzle"], first["answer"]) == (PUZZLE, SOLVED)
    assert (first["valid"], first["correct"], second["correct"]) == ("true", "true", "false")
    whole = (tmp_path / "a.csv").read_bytes()
    (tmp_path / "a.csv").write_bytes(whole[:-5])
    again = trm("solve", "p.csv", "--ckpt", trained_run, "--out", "a.csv", "--batch-size", "1")
    assert again.out.startswith("a.csv: 2 puzzles (1 were there already), 2 valid")
    fresh = trm("solve", "p.csv", "--ckpt", trained_run, "--out", "a.csv", "--overwrite")
    assert fresh.out == done.out
    assert (tmp_path / "a.csv").read_bytes() == whole


def test_answers_to_standard_input_and_to_a_typed_puzzle(
    trm: Trm, trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PUZZLE}\n"))
    done = trm("solve", "-", "--ckpt", trained_run, "--out", "stdin.jsonl")
    assert done.out == "stdin.jsonl: 1 puzzle, 1 valid (100.0%)\n"
    trm("solve", PUZZLE, "--ckpt", trained_run, "--out", "typed.jsonl")
    answers = (tmp_path / "typed.jsonl").read_text()
    assert (tmp_path / "stdin.jsonl").read_text() == answers
    assert json.loads(answers)["answer"] == SOLVED


def test_only_some_answers_are_known(trm: Trm, trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(f"puzzle,solution\n{PUZZLE},{SOLVED}\n{PUZZLE},\n")
    done = trm("solve", "p.csv", "--ckpt", trained_run, "--out", "a.csv")
    assert done.out == "a.csv: 2 puzzles, 2 valid (100.0%), 1 of 1 known correct (100.0%)\n"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--batch-size 2", "--batch-size is for a file of answers. Name one with --out."),
        ("--overwrite", "--overwrite is for a file of answers. Name one with --out."),
        ("--out a.csv --json", "--json shows answers, --out writes them. Leave one of them out."),
        ("--out a.csv --save b.png", "--save shows answers, --out writes them. Leave one of"),
        ("--out a.txt", "a.txt: unknown file extension. Name a file that ends in .csv or .jsonl."),
        ("--out -", "-: unknown file extension. Name a file that ends in .csv or .jsonl."),
    ],
)
def test_flags_that_do_not_go_together(fails: Fails, flags: str, message: str) -> None:
    assert message in fails("solve", PUZZLE, *flags.split())  # before a checkpoint is looked for


def test_a_line_that_is_no_puzzle(fails: Fails, trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(f"question\n{PUZZLE}\n11{'.' * 14}\n")
    message = fails("solve", "p.csv", "--ckpt", trained_run, "--out", "a.csv", "--batch-size", "1")
    assert message == "p.csv, line 3: the puzzle has the digit 1 twice in row 1. Correct it."
    assert PUZZLE in (tmp_path / "a.csv").read_text()
    assert "absent.csv: no such" in fails(
        "solve", "absent.csv", "--ckpt", trained_run, "--out", "b.csv"
    )


def test_a_stop_says_that_it_can_go_on(
    trm: Trm, trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Keyboard(io.StringIO):
        """Somebody types a puzzle, then Ctrl-C."""

        def __next__(self) -> str:
            line = super().readline()
            if not line:
                raise KeyboardInterrupt
            return line

    monkeypatch.setattr("sys.stdin", Keyboard(f"{PUZZLE}\n"))
    done = trm("solve", "-", "--ckpt", trained_run, "--out", "a.csv", "--batch-size", "1")
    assert done.code == 130
    assert done.err == "stopped; the same command resumes a.csv\n"
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 2
