"""Solving a file: what is written, and that an interruption leaves no trace."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import trm
from tests.inference.boards import PUZZLES, SOLVED
from trm.errors import InputError, StorageError
from trm.inference.solve_file import SolveFileResult, solve_file


@pytest.fixture
def puzzles(tmp_path: Path) -> Path:
    """Ten puzzles with their answers, the last one a wrong one."""
    path = tmp_path / "puzzles.csv"
    rows = [f"a,{puzzle},{SOLVED},0" for puzzle in PUZZLES[:9]]
    rows.append(f"a,{PUZZLES[9]},{SOLVED.translate(str.maketrans('1234', '2134'))},0")
    path.write_text("\n".join(["source,question,answer,rating", *rows, ""]))
    return path


def answers(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_answers_are_those_of_solving_one_by_one(
    model: trm.Model, puzzles: Path, tmp_path: Path
) -> None:
    found = solve_file(model, source=puzzles, out=tmp_path / "a.csv", batch_size=4)
    rows = answers(tmp_path / "a.csv")
    assert len(rows) == 10
    for puzzle, row in zip(PUZZLES, rows, strict=False):
        alone = model.solve(puzzle)
        assert (row["puzzle"], row["answer"]) == (puzzle, alone.answer)
        assert row["valid"] == ("true" if alone.valid else "false")
        assert row["halt_step"] == ("" if alone.halt_step is None else str(alone.halt_step))
        chance = alone.steps[-1].halt_probability
        assert float(row["halt_probability"]) == pytest.approx(chance, abs=2e-6)
    valid = sum(row["valid"] == "true" for row in rows)
    correct = sum(row["correct"] == "true" for row in rows)
    assert found == SolveFileResult(10, valid, correct, num_labelled=10, resumed_from=0)
    assert rows[9]["correct"] == "false"
    assert correct > 5


def test_json_lines_have_what_a_solution_has(
    model: trm.Model, puzzles: Path, tmp_path: Path
) -> None:
    solve_file(model, source=puzzles, out=tmp_path / "a.jsonl", batch_size=1)
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert len(rows) == 10
    for puzzle, row in zip(PUZZLES, rows, strict=False):
        assert row.pop("correct") is (puzzle != PUZZLES[9] and row["answer"] == SOLVED)
        assert row == model.solve(puzzle).as_json()


def test_lines_of_text_without_known_answers(model: trm.Model, tmp_path: Path) -> None:
    source = io.StringIO("\ufeff" + "\n".join(PUZZLES[:3]).replace(".", "0"))
    found = solve_file(model, source=source, out=str(tmp_path / "new" / "a.csv"))
    assert (found.num_solved, found.num_correct, found.num_labelled) == (3, None, 0)
    assert [row["puzzle"] for row in answers(tmp_path / "new" / "a.csv")] == PUZZLES[:3]
    assert "correct" not in answers(tmp_path / "new" / "a.csv")[0]
    (tmp_path / "p.txt").write_text("\n".join(PUZZLES[:3]))
    solve_file(model, source=str(tmp_path / "p.txt"), out=tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_bytes() == (tmp_path / "new" / "a.csv").read_bytes()


def test_answers_are_written_batch_by_batch_and_nothing_is_read_ahead(
    model: trm.Model, tmp_path: Path
) -> None:
    taken, seen = 0, []

    def lines() -> Iterator[str]:
        nonlocal taken
        for puzzle in PUZZLES[:10]:
            taken += 1
            yield puzzle + "\n"

    def progress(done: int, share: float | None) -> None:
        path = tmp_path / "a.csv"
        written = len(path.read_text().splitlines())
        seen.append((done, max(written - 1, 0), taken, share))

    solve_file(model, source=lines(), out=tmp_path / "a.csv", batch_size=4, on_progress=progress)
    # One puzzle is looked at to see whether any is left.
    assert seen == [(0, 0, 1, None), (4, 4, 4, None), (8, 8, 8, None), (10, 10, 10, None)]


def test_progress_has_the_share_of_the_file_that_was_read(
    model: trm.Model, puzzles: Path, tmp_path: Path
) -> None:
    shares: list[float | None] = []
    solve_file(model, source=puzzles, out=tmp_path / "a.csv", batch_size=5,
               on_progress=lambda done, share: shares.append(share))  # fmt: skip
    size = puzzles.stat().st_size
    lines = puzzles.read_bytes().splitlines(keepends=True)
    assert shares == [len(b"".join(lines[:n])) / size for n in (2, 6, 11)]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
@pytest.mark.parametrize("place", [0.0, 0.01, 0.08, 0.2, 0.43, 0.5, 0.81, 0.97, 1.0])
def test_a_file_cut_anywhere_is_resumed(
    model: trm.Model, whole: Path, tmp_path: Path, name: str, place: float
) -> None:
    data = (whole / name).read_bytes()
    kept = data[: int(place * len(data))]
    about = f"{name}.about.json"
    (tmp_path / about).write_bytes((whole / about).read_bytes())
    (tmp_path / name).write_bytes(kept)
    done: list[int] = []
    found = solve_file(model, source=whole / "p.csv", out=tmp_path / name, batch_size=4,
                       on_progress=lambda count, share: done.append(count))  # fmt: skip
    assert (tmp_path / name).read_bytes() == data
    lines = kept.count(b"\n") - (name == "a.csv")
    assert found.resumed_from == done[0] == (10 if lines == 10 else max(lines, 0) // 4 * 4)
    assert found.num_solved == found.num_labelled == 10


def test_a_line_more_after_the_end_is_solved(model: trm.Model, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text((whole / "p.csv").read_text() + f"\n{PUZZLES[10]},{SOLVED}\n")
    (tmp_path / "a.csv").write_bytes((whole / "a.csv").read_bytes())
    found = solve_file(model, source=tmp_path / "p.csv", out=tmp_path / "a.csv", batch_size=4)
    assert (found.num_solved, found.resumed_from) == (11, 8)
    solve_file(model, source=tmp_path / "p.csv", out=tmp_path / "b.csv", batch_size=4)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_a_bad_line_of_a_stream_is_mended_and_the_rest_solved(
    model: trm.Model, whole: Path, tmp_path: Path
) -> None:
    good = (whole / "p.csv").read_text()
    bad = io.StringIO(good.replace(PUZZLES[6], "1" + PUZZLES[6]))
    message = r"^the input, line 8: the puzzle has 17 characters, not 16\."
    with pytest.raises(InputError, match=message):
        solve_file(model, source=bad, out=tmp_path / "a.csv", batch_size=4)
    assert len(answers(tmp_path / "a.csv")) == 4
    found = solve_file(model, source=io.StringIO(good), out=tmp_path / "a.csv", batch_size=4)
    assert found.resumed_from == 4
    assert (tmp_path / "a.csv").read_bytes() == (whole / "a.csv").read_bytes()


def kill_when_written(command: list[str], path: Path, size: int) -> None:
    """Start a process, and end it as soon as it has written so many bytes."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            end = time.monotonic() + 60
            while not (path.is_file() and path.stat().st_size >= size):
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < end
        finally:
            process.kill()
        assert process.wait() == -signal.SIGKILL


def test_killed_twice_it_ends_with_the_same_bytes(
    model: trm.Model, trained_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "p.txt").write_text("\n".join(PUZZLES * 2))  # seconds of work
    words = ["solve", tmp_path / "p.txt", "--out", tmp_path / "a.csv", "--ckpt", trained_run]
    command = [sys.executable, "-m", "trm", *map(str, words), "--device", "cpu"]
    for size in (300, 2000):
        kill_when_written([*command, "--batch-size", "4"], tmp_path / "a.csv", size)
    written = len((tmp_path / "a.csv").read_text().splitlines())
    assert 30 < written < 160  # of thousands
    (tmp_path / "p.txt").write_text("\n".join(PUZZLES[:160]))
    assert (
        solve_file(
            model, source=tmp_path / "p.txt", out=tmp_path / "a.csv", batch_size=4
        ).resumed_from
        > 25
    )
    solve_file(model, source=tmp_path / "p.txt", out=tmp_path / "whole.csv", batch_size=4)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


SKIP = r" Or mark such lines, and solve the others, with --skip-invalid\.$"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("123", r"^\S+p\.txt, line 1: the puzzle has 3 .* Give a puzzle a line, or .*'\." + SKIP),
        (f"{SOLVED}\n\n11...", r"^\S+p\.txt, line 3: the puzzle has 5 char.* or drawn\." + SKIP),
        (f"puzzle\n11{'.' * 14}", r"^\S+p\.txt, line 2: the puzzle has the digit 1 twice in row 1"),
        (f"puzzle,answer\n{SOLVED},12", r"^\S+p\.txt, line 2: answer: the puzzle has 2 charact"),
        ("\n", r"^\S+p\.txt has no puzzle\."),
        ("caf\xe9", r"^\S+p\.txt, line 1: not UTF-8 text\. Give a text file\."),
        (f"{SOLVED}\n" + "x" * 2_000_000, r"p\.txt, line 2: more than 1,000,000 characters\."),
    ],
)  # fmt: skip
def test_a_source_that_cannot_be_solved_leaves_nothing(
    model: trm.Model, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "p.txt").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=message):
        solve_file(model, source=tmp_path / "p.txt", out=tmp_path / "a.csv", batch_size=1)
    assert [path.name for path in tmp_path.iterdir()] == ["p.txt"]


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ([2, 5], "2 invalid lines: 2, 5"),
        (range(1, 31), "30 invalid lines: 1, 2, .*, 10 and 20 mor"),
    ],
)
def test_all_invalid_lines_of_a_file_are_named_at_once(
    model: trm.Model, tmp_path: Path, bad: Sequence[int], named: str
) -> None:
    lines = ["12" if number in bad else SOLVED for number in range(1, 41)]
    (tmp_path / "p.txt").write_text("\n".join(lines))
    first = rf"\. Line {bad[0]}: the puzzle has 2 characters"
    with pytest.raises(InputError, match=rf"^\S+p\.txt has {named}.*{first}.*{SKIP}"):
        solve_file(model, source=tmp_path / "p.txt", out=tmp_path / "a.csv")


#: A clash, a field too few, no text, and a label that is not one.
MIXED = [
    "# mine", "puzzle,answer", f"{PUZZLES[0]},{SOLVED}", f"11{'.' * 14},{SOLVED}", '1\r2"',
    f"{PUZZLES[1]},{SOLVED}", f"caf\xe9,{SOLVED}", f"{PUZZLES[2]},12", f"{PUZZLES[3]},",
]  # fmt: skip


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    path = tmp_path / "p.csv"
    path.write_bytes("\n".join(MIXED).encode("latin-1"))
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_invalid_lines_are_marked_and_the_others_solved(
    model: trm.Model, mixed: Path, tmp_path: Path, name: str
) -> None:
    found = solve_file(model, source=mixed, out=tmp_path / name, batch_size=2, skip_invalid=True)
    assert (found.num_solved, found.num_invalid, found.num_labelled) == (3, 4, 2)
    whole = (tmp_path / name).read_bytes()
    few = tmp_path / f"few-{name}"
    solve_file(model, source=[PUZZLES[0], PUZZLES[1], PUZZLES[3]], out=few)
    if name == "a.csv":
        rows = answers(tmp_path / name)
        expected = [
            PUZZLES[0], "11" + "." * 14, '1\r2"', PUZZLES[1], f"caf\\udce9,{SOLVED}", PUZZLES[2],
            PUZZLES[3],
        ]  # fmt: skip
        assert [row["puzzle"] for row in rows] == expected
        is_invalid = [row["valid"] == "invalid" for row in rows]
        solved = [row["answer"] for row in answers(few)]
    else:
        values = [json.loads(line) for line in whole.decode().splitlines()]
        is_invalid = ["error" in row for row in values]
        solved = [json.loads(line)["answer"] for line in few.read_text().splitlines()]
        rows = [row | {"answer": row["answer"] or ""} for row in values]
        assert values[2] == {
            "puzzle": '1\r2"', "answer": None, "valid": None, "correct": None,
            "error": "not CSV: new-line character seen in unquoted field - do you need to open the "
            "file in universal-newline mode?. Correct the line.",
        }  # fmt: skip
    assert is_invalid == [False, True, True, False, True, True, False]
    assert [row["answer"] for row in rows if row["answer"]] == solved
    for place in range(0, len(whole), len(whole) // 4):
        (tmp_path / name).write_bytes(whole[:place])
        again = solve_file(
            model, source=mixed, out=tmp_path / name, batch_size=2, skip_invalid=True
        )
        assert replace(again, resumed_from=0) == found
        assert (tmp_path / name).read_bytes() == whole


def test_a_line_that_was_invalid_is_not_its_answer(
    model: trm.Model, mixed: Path, tmp_path: Path
) -> None:
    solve_file(model, source=mixed, out=tmp_path / "a.csv", skip_invalid=True)
    mixed.write_text("\n".join([*MIXED[:3], *MIXED[5:6], *MIXED[8:]]))
    with pytest.raises(InputError, match=r"has an answer to another puzzle than \S+, line 4\. N"):
        solve_file(model, source=mixed, out=tmp_path / "a.csv")


def test_places_that_cannot_be_used(model: trm.Model, whole: Path, tmp_path: Path) -> None:
    def refuses(kind: type[Exception], message: str, **given: Any) -> None:
        arguments = {"source": whole / "p.csv", "out": tmp_path / "a.csv"} | given
        with pytest.raises(kind, match=message):
            solve_file(model, **arguments)

    refuses(
        InputError,
        r"a\.txt: unknown file extension\. Name a file that ends in \.csv or \.jsonl\.$",
        out=tmp_path / "a.txt",
    )
    refuses(InputError, r"p\.csv is the file of puzzles\. Name", out=whole / "p.csv")
    refuses(InputError, r"^\S+/none: no such file\. Name another file", source=tmp_path / "none")
    refuses(InputError, r"cannot read \S+: it is not a regular file\. Name an", source=tmp_path)
    os.mkfifo(tmp_path / "pipe")
    refuses(InputError, r"/pipe: .* Name another .* into: trm solve -$", source=tmp_path / "pipe")
    (tmp_path / "pipe").unlink()
    refuses(InputError, r"^batch_size is 0\. Give 1 or more\.$", batch_size=0)
    (tmp_path / "folder.csv").mkdir()
    refuses(StorageError, r"folder\.csv: a folder of that name is in", out=tmp_path / "folder.csv")


def test_too_large_a_batch_says_what_to_do(
    model: trm.Model, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_memory(puzzles: object, **_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")

    monkeypatch.setattr(model, "solve_batch", fill_memory)
    message = r"^CUDA out of memory\. Tried to .* 2\.00 GiB\. Lower --batch-size, which is 4\.$"
    with pytest.raises(InputError, match=message):
        solve_file(model, source=whole / "p.csv", out=tmp_path / "a.csv", batch_size=4)
    assert not list(tmp_path.iterdir())
