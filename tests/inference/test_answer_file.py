"""A file of answers: when it is resumed, when it is refused, and what a full disk leaves."""

import fcntl
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import trm
from tests.inference.boards import PUZZLES
from trm.errors import InputError, StorageError
from trm.inference.solve_file import solve_file

Change = Callable[[str], str]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("a.csv", lambda t: t.replace(PUZZLES[2], PUZZLES[3]),
         r"has an answer to another puzzle than \S+p\.csv, line 4"),
        ("a.csv", lambda t: t + t.splitlines()[-1] + "\n",
         "has more answers than there are puzzles"),
        ("a.csv", lambda t: t.replace(",correct", ""), r"does not begin with 'puzzle,.*,correct'"),
        ("a.csv", lambda t: t.replace(",true,", ",yes,", 1), "has an invalid answer in line 2"),
        ("a.csv", lambda t: t.replace(",true,", ",true,,", 1), "has an invalid answer in line 2"),
        ("a.csv", lambda t: t.replace(PUZZLES[1], '"' + "x" * 140_000), "has an invalid answer"),
        ("a.csv", lambda _: "my notes\n", "does not begin with"),
        ("a.csv", lambda _: "my notes", "has no answers in it"),
        ("a.jsonl", lambda _: "my notes\n", "has an invalid answer in line 1"),
        ("a.jsonl", lambda _: "[1]\n", "has an invalid answer in line 1"),
        ("a.jsonl", lambda _: "[" * 100_000 + "\n", "has an invalid answer in line 1"),
        ("a.jsonl", lambda t: t.replace('"valid": true', '"valid": [1]', 1),
         "has an invalid answer in line 1"),
        ("a.jsonl", lambda t: t.replace(', "correct": true', "", 1),
         "has an invalid answer in line 1"),
        ("a.jsonl", lambda t: t.replace(PUZZLES[2], PUZZLES[3]),
         "has an answer to another puzzle than"),
    ],
    ids=[
        "another puzzle", "too many", "other columns", "no such value", "a field more", "endless",
        "notes", "half a line", "no JSON", "no object", "nested", "no truth value",
        "JSON without", "another in JSON",
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_left_alone(
    model: trm.Model, whole: Path, tmp_path: Path, name: str, change: Change, message: str
) -> None:
    path = tmp_path / name
    path.write_text(change((whole / name).read_text()))
    before = path.read_bytes()
    way_out = r".*\. Name another --out, or replace it with --overwrite\.$"
    with pytest.raises(InputError, match=rf"^\S+{name} {message}{way_out}"):
        solve_file(model, source=whole / "p.csv", out=path, batch_size=4)
    assert path.read_bytes() == before
    solve_file(model, source=whole / "p.csv", out=path, batch_size=4, overwrite=True)
    assert path.read_bytes() == (whole / name).read_bytes()


def test_the_answers_of_two_models_are_not_mixed(
    model: trm.Model, trained_run: Path, whole: Path, tmp_path: Path
) -> None:
    for name in ("a.csv", "a.csv.about.json"):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    other = trm.load(trained_run / "checkpoints" / "step-000090", device="cpu")
    message = r"/a\.csv has the answers of \S+/trained\S*, not of \S+/step-000090\. Name another"
    with pytest.raises(InputError, match=message):
        solve_file(other, source=whole / "p.csv", out=tmp_path / "a.csv")
    about = (tmp_path / "a.csv.about.json").read_text()
    options = about.replace('"weights"', '"thinking": {"steps": "x"}, "weights"')
    for damage in ("{}", "[" * 100_000, "1" * 5000, about[:-3], about.replace("k", "x"), options):
        (tmp_path / "a.csv.about.json").write_text(damage)
        with pytest.raises(InputError, match=r"a\.csv\.about\.json is damaged: .* Name another"):
            solve_file(model, source=whole / "p.csv", out=tmp_path / "a.csv")
    (tmp_path / "a.csv.about.json").unlink()  # then nobody can tell
    assert solve_file(model, source=whole / "p.csv", out=tmp_path / "a.csv").resumed_from == 10


def test_overwriting_begins_with_the_first_answer_only(
    model: trm.Model, whole: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_bytes((whole / "a.csv").read_bytes())
    (tmp_path / "p.txt").write_text("123\n")
    with pytest.raises(InputError, match="has 3 characters"):
        solve_file(model, source=tmp_path / "p.txt", out=tmp_path / "a.csv", overwrite=True)
    assert (tmp_path / "a.csv").read_bytes() == (whole / "a.csv").read_bytes()


def test_a_file_is_written_by_one_process(model: trm.Model, whole: Path, tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match=r"a\.csv is being written by another process\. Wait"):
            solve_file(model, source=whole / "p.csv", out=tmp_path / "a.csv")
    assert solve_file(model, source=whole / "p.csv", out=tmp_path / "a.csv").num_solved == 10


def test_a_full_disk_leaves_what_was_written(model: trm.Model, whole: Path, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400, hard))
        with pytest.raises(StorageError, match=r"cannot write \S+a\.csv: the file would be larger"):
            solve_file(model, source=whole / "p.csv", out=tmp_path / "a.csv", batch_size=4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)
    assert (tmp_path / "a.csv").stat().st_size == 400
    solve_file(model, source=whole / "p.csv", out=tmp_path / "a.csv", batch_size=4)
    assert (tmp_path / "a.csv").read_bytes() == (whole / "a.csv").read_bytes()
