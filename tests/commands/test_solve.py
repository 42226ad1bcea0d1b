"""``trm solve``: puzzles to look at, and files of them."""

import csv
import errno
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trm.errors import InputError
from trm.inference.model import load
from trm.tasks.base import Puzzle
from trm.tasks.sudoku.task import Sudoku

SOLVED = "1234341221434321"
PUZZLE = "123434122143.321"
OTHER = "2134342112434312"


Trm = Callable[..., Any]
Fails = Callable[..., str]


def test_solve_plain(trm: Trm, trained_run: Path) -> None:
    text = trm("solve", PUZZLE, "--ckpt", trained_run).out
    assert text.startswith("puzzle\n 1 2 | 3 4\n")
    assert "step 1: 1 cell changed, halt " in text
    assert re.search(rf"^answer {SOLVED}: valid; the model ", text, re.M)


def test_the_model_that_is_taken_is_named(trm: Trm, trained_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "sudoku" / "a"
    shutil.copytree(trained_run, run, symlinks=True)
    assert re.fullmatch(r"runs/sudoku/a, step \d+ \(the newest run with a checkpoint\)\n",
                        trm("solve", PUZZLE).err)  # fmt: skip
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"event": "end", "step": 180, "finished": false}\n')
    found = trm("solve", PUZZLE, "--out", "a.csv").err
    assert re.match(r"runs/sudoku/a, step \d+ of 180, stopped \(the newest", found)
    assert trm("solve", PUZZLE, "-q").err == ""
    assert trm("solve", PUZZLE, "--ckpt", run).err == ""


def test_a_better_run_is_named_too(trm: Trm, trained_run: Path, tmp_path: Path) -> None:
    for name in ("b", "a"):
        shutil.copytree(trained_run, tmp_path / "runs/sudoku" / name, symlinks=True)
    assert "is better" not in trm("solve", PUZZLE).err
    for file in (tmp_path / "runs/sudoku/a/checkpoints").glob("*/evaluation.json"):
        file.write_text(re.sub(r'("best": ?)[.\d]+', r"\g<1>0.01", file.read_text()))
    found = trm("solve", PUZZLE).err
    assert re.search(
        r"^runs/sudoku/a, step .* checkpoint; runs/sudoku/b is better: [.\d]+\)$", found
    )
    for file in (tmp_path / "runs/sudoku/b/checkpoints").glob("*/config.json"):
        file.write_text(re.sub(r'"digest": ?"\w+"', f'"digest": "{"0" * 64}"', file.read_text()))
    assert "is better" not in trm("solve", PUZZLE).err  # it was measured on other puzzles


def test_solve_json(trm: Trm, trained_run: Path) -> None:
    found = json.loads(trm("solve", PUZZLE, "--ckpt", trained_run, "--json").out)
    assert found["answer"] == SOLVED
    assert found["valid"] is True


def test_solve_a_file(trm: Trm, trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text(f"{PUZZLE}\n\n{SOLVED}\n")
    lines = trm("solve", "p.txt", "--ckpt", trained_run, "--json").out.splitlines()
    assert [json.loads(line)["answer"] for line in lines] == [SOLVED, SOLVED]


def test_solve_a_table_without_a_file_of_answers(
    trm: Trm, fails: Fails, trained_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "p.csv").write_text(f"Source,Question,Answer\na,{PUZZLE},{SOLVED}\nb,{SOLVED},\n")
    lines = trm("solve", "p.csv", "--ckpt", trained_run, "--json").out.splitlines()
    assert [json.loads(line)["puzzle"] for line in lines] == [PUZZLE, SOLVED]
    with (tmp_path / "p.csv").open("a") as file:
        file.write("c,12,\n")
    assert fails("solve", "p.csv", "--ckpt", trained_run).startswith(
        "p.csv, line 4: the puzzle has 2 characters, not 16. Give"
    )


def test_solve_boards_that_are_drawn(
    trm: Trm, fails: Fails, trained_run: Path, tmp_path: Path
) -> None:
    """Typed, in a file, and in a file of any length."""
    shown = trm("solve", PUZZLE, "--ckpt", trained_run).out
    drawn = "\n".join(shown.splitlines()[1:6])
    found = json.loads(trm("solve", drawn, "--ckpt", trained_run, "--json").out)
    assert (found["puzzle"], found["answer"]) == (PUZZLE, SOLVED)
    (tmp_path / "p.txt").write_text(f"# two\n{drawn}\n\n{drawn}\n{SOLVED}\n")
    lines = trm("solve", "p.txt", "--ckpt", trained_run, "--json").out.splitlines()
    assert [json.loads(line)["puzzle"] for line in lines] == [PUZZLE, PUZZLE, SOLVED]
    done = trm("solve", "p.txt", "--ckpt", trained_run, "--out", "a.csv")
    assert done.out == "a.csv: 3 puzzles, 3 valid (100.0%)\n"
    (tmp_path / "p.txt").write_text(f"{drawn}\n\n{drawn[:-2]}\n\n{SOLVED}\n")
    command = ("solve", "p.txt", "--ckpt", trained_run, "--out", "b.csv")
    assert fails(*command).startswith("p.txt, line 11: row 4 of the board has 3 cells, not 4. Give")
    done = trm(*command, "--skip-invalid")
    assert done.out == "b.csv: 3 puzzles, 1 invalid and not solved, 2 valid (100.0%)\n"
    assert trm(*command, "--skip-invalid").out.startswith("b.csv: 3 puzzles (3 were there already)")


def test_solve_from_stdin(trm: Trm, trained_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(PUZZLE))
    assert json.loads(trm("solve", "-", "--ckpt", trained_run, "--json").out)["answer"] == SOLVED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("123", "has 3 characters, not 16"),
        ("a234341221434321", "'a' in row 1, column 1"),
        ("11..............", "digit 1 twice in row 1"),
        ("123434122143.32x", "'x' in row 4, column 4"),
        ("12343412.x", "has 10 characters, not 16"),
        ("absent.txt", r"absent\.txt: no such file"),
    ],
)
def test_solve_what_is_no_puzzle(fails: Fails, trained_run: Path, text: str, message: str) -> None:
    assert re.search(message, fails("solve", text, "--ckpt", trained_run))


def test_the_steps_as_a_moving_picture(
    trm: Trm, fails: Fails, trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    done = trm("solve", PUZZLE, "--ckpt", trained_run, "--save", "a.gif")
    assert done.err == "wrote a.gif\n"
    assert (tmp_path / "a.gif").read_bytes().startswith(b"GIF89a")
    assert fails("solve", PUZZLE, "--ckpt", "absent", "--save", "a.jpg") == (
        "cannot draw to a.jpg: unknown file extension. Use .png, .svg, .gif, .apng or .mp4."
    )
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "needs matplotlib" in fails("solve", PUZZLE, "--ckpt", "absent", "--save", "b.gif")


def test_solve_a_picture(fails: Fails, trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(b"\x89PNG\xff\xfe")
    assert "p.png holds no puzzles: it is not UTF-8 text (byte 0). Name" in fails(
        "solve", "p.png", "--ckpt", trained_run
    )


def test_solve_a_folder(fails: Fails, trained_run: Path) -> None:
    message = fails("solve", trained_run, "--ckpt", trained_run)
    assert re.fullmatch(r"cannot read \S+: it is not a regular file\. Name a text file .*", message)


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
        ("--out a.csv --delay 1", "--delay shows answers, --out writes them. Leave one of them"),
        ("--json --delay 1", "--delay is for boards, --json shows none. Leave one of them out."),
        ("--out a.csv --save b.png", "--save shows answers, --out writes them. Leave one of"),
        ("--out a.txt", "a.txt: unknown file extension. Name a file that ends in .csv or .jsonl."),
        ("--out -", "-: unknown file extension. Name a file that ends in .csv or .jsonl."),
    ],
)
def test_flags_that_do_not_go_together(fails: Fails, flags: str, message: str) -> None:
    assert message in fails("solve", PUZZLE, *flags.split())  # before a checkpoint is looked for


def test_a_line_that_is_no_puzzle(
    trm: Trm, fails: Fails, trained_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "p.csv").write_text(f"question\n{PUZZLE}\n11{'.' * 14}\n")
    command = ("solve", "p.csv", "--ckpt", trained_run, "--out", "a.csv")
    assert fails(*command) == (
        "p.csv, line 3: the puzzle has the digit 1 twice in row 1. Correct it. Or mark such lines, "
        "and solve the others, with --skip-invalid."
    )
    assert not (tmp_path / "a.csv").exists()
    done = trm(*command, "--skip-invalid")
    assert done.out == "a.csv: 2 puzzles, 1 invalid and not solved, 1 valid (100.0%)\n"
    assert (tmp_path / "a.csv").read_text().endswith(f"11{'.' * 14},,invalid,,\n")
    assert "absent.csv: no such" in fails(
        "solve", "absent.csv", "--ckpt", trained_run, "--out", "b.csv"
    )


def test_a_file_may_have_comments(
    trm: Trm, fails: Fails, trained_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "p.txt").write_text(f"# my collection\n{PUZZLE}\n#\n{SOLVED}\n")
    lines = trm("solve", "p.txt", "--ckpt", trained_run, "--json").out.splitlines()
    assert [json.loads(line)["answer"] for line in lines] == [SOLVED, SOLVED]
    done = trm("solve", "p.txt", "--ckpt", trained_run, "--out", "a.csv")
    assert done.out.startswith("a.csv: 2 puzzles, ")
    with (tmp_path / "p.txt").open("a") as file:
        file.write("12\n")
    assert fails("solve", "p.txt", "--ckpt", trained_run).startswith("line 5: the puzzle has 2 ch")


def test_a_wall_is_not_a_comment(checkpoint: Callable[..., Path]) -> None:
    """In a maze ``#`` is a wall."""
    model = load(checkpoint("c"), device="cpu")
    assert model.has_comments
    data = model.checkpoint.data
    walls = data.model_copy(update={"vocabulary": ("<pad>", "#", *data.vocabulary[2:])})
    model.checkpoint = model.checkpoint.model_copy(update={"data": walls})
    assert not model.has_comments
    with pytest.raises(InputError, match="'#' in row 1, column 1"):
        model.parse("#" * 16)


def test_a_puzzle_may_look_like_the_name_of_a_file(
    fails: Fails, trm: Trm, trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(*_: object) -> list[Puzzle]:
        return [Puzzle(np.full(16, 2, np.uint8))]

    assert "S....G: no such file" in fails("solve", "S....G", "--ckpt", trained_run)
    monkeypatch.setattr(Sudoku, "parse", parse)
    solved = trm("solve", "S....G", "--ckpt", trained_run)
    assert "no such file" not in solved.err
    assert "answer" in solved.out


@pytest.mark.parametrize("more", [[], ["--out", "a.csv"]])
def test_standard_input_that_cannot_be_read(
    fails: Fails, trained_run: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    command = ("solve", "-", "--ckpt", trained_run, *more)
    monkeypatch.setattr("sys.stdin", None)
    assert fails(*command).startswith("standard input is closed. Name a file, or give a puzzle.")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9\n")))
    assert "not UTF-8 text" in fails(*command)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(Broken())))
    assert fails(*command) == "cannot read standard input: Is a directory. Name a file."


class Broken(io.RawIOBase):
    """What ``trm solve - < folder`` reads."""

    def readable(self) -> bool:
        return True

    def readinto(self, _: object) -> int:
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))


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
