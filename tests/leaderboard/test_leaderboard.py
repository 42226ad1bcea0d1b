"""Leaderboards: figures are added from evaluations, shown apart, and evaluated again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trm as api
from tests.show.printed import printed
from trm.errors import InputError
from trm.leaderboard.folder import SHIPPED, read_entries, read_leaderboard
from trm.leaderboard.table import group_table
from trm.runs.shipped import shipped_models

Trm = Callable[..., Any]


@pytest.fixture(scope="module")
def evaluation(trained_run: Path, make_once: Callable[..., Path]) -> Path:
    """A file of ``trm eval --json``, of 20 puzzles."""

    def fill(folder: Path) -> None:
        folder.mkdir()
        for name, options in {"single": {}, "votes": {"votes": 2}, "steps": {"steps": 12},
                              "few": {"steps": 3}, "search": {"effort": 1},
                              "as_trained": {"steps": 8}}.items():  # fmt: skip
            found = api.evaluate(
                str(trained_run), max_examples=20, batch_size=10, device="cpu", **options
            )
            (folder / f"{name}.json").write_text(json.dumps(found.as_json()))

    return make_once("board-evaluations", fill)


@pytest.fixture
def board(trm: Trm, evaluation: Path) -> Path:
    """The folder ``leaderboard``, with a figure of each way of thinking."""
    for name in ("single", "votes", "steps", "few", "search"):
        done = trm("leaderboard", "add", evaluation / f"{name}.json", "--name", "ours")
        assert done.code == 0, done.err
    return Path("leaderboard").resolve()


def change(file: Path, edit: Callable[[Any], None]) -> None:
    content = json.loads(file.read_text())
    edit(content["entries"][0])
    file.write_text(json.dumps(content))


def file_of(board: Path, column: str) -> Path:
    (found,) = board.glob(f"ours-{column}-*.json")
    return found


def test_the_reported_figures_come_with_the_package(trm: Trm) -> None:
    for arguments in ([], ["show"], ["--shipped"]):
        done = trm("leaderboard", *arguments)
        assert done.code == 0, done.err
        assert "Sudoku-Extreme (sudoku): exact accuracy as reported;" in done.out
        assert "TRM, MLP, no EMA" in done.out
        assert "0.799" in done.out


def test_every_shipped_entry_can_be_read_and_has_its_weights() -> None:
    entries = [filed.entry for filed in read_entries()]
    assert len(entries) > 30
    measured = [entry for entry in entries if entry.status == "measured"]
    assert {entry.checkpoint for entry in measured} == set(shipped_models())
    for entry in measured:
        made = entry.provenance
        assert made is not None
        assert made.commit is not None
        assert "+" not in made.commit
        assert (made.data_command or "").startswith(f"trm build-data {entry.puzzles.task} ")
    for file in SHIPPED.iterdir():
        assert '"/' not in file.read_text()


def test_ways_of_thinking_have_their_columns(trm: Trm, board: Path) -> None:
    (group,) = read_leaderboard(board, shipped=False).groups
    assert group.columns == ["single pass", "fewer steps", "more steps", "votes", "search"]
    shown = trm("leaderboard", board, "--no-shipped").out
    assert "exact accuracy on 20 of 100 test puzzles;" in shown
    assert "12 steps" in shown
    assert "2 votes" in shown
    assert "effort 1" in shown
    row = next(line for line in shown.splitlines() if line.startswith("ours"))
    assert row.endswith("measured")
    assert len([line for line in shown.splitlines() if line.startswith("ours")]) == 1


def test_as_many_steps_as_trained_are_a_single_pass(trm: Trm, evaluation: Path) -> None:
    trm("leaderboard", "add", evaluation / "as_trained.json", "--folder", "b")
    (filed,) = read_entries("b", shipped=False)
    assert filed.entry.column == "single pass"


def test_halting_by_a_rule_of_the_model_is_no_single_pass(trm: Trm, evaluation: Path) -> None:
    found = json.loads((evaluation / "single.json").read_text())
    found["provenance"]["own_rule"] = True
    Path("own.json").write_text(json.dumps(found))
    trm("leaderboard", "add", "own.json", "--folder", "b")
    (filed,) = read_entries("b", shipped=False)
    assert filed.entry.column == "fewer steps"
    assert "until the model halts" in trm("leaderboard", "b", "--no-shipped").out


def test_the_full_training_split_has_its_own_columns(trm: Trm, evaluation: Path) -> None:
    for name in ("single", "votes"):
        trm("leaderboard", "add", evaluation / f"{name}.json", "--full-training-split")
    (group,) = read_leaderboard(shipped=False).groups
    assert group.columns == ["full training split", "full training split, votes"]


def test_other_puzzles_have_another_table(trm: Trm, board: Path, trained_run: Path) -> None:
    done = trm("eval", "--ckpt", trained_run, "--max-examples", "30", "--device", "cpu", "--json")
    Path("more.json").write_text(done.out)
    trm("leaderboard", "add", "more.json", "--name", "ours")
    first, second = read_leaderboard(shipped=False).groups
    assert first.puzzles.digest == second.puzzles.digest
    assert first.puzzles.subset != second.puzzles.subset


def test_json_and_markdown(trm: Trm, board: Path) -> None:
    (group,) = json.loads(trm("leaderboard", "show", board, "--no-shipped", "--json").out)
    assert {entry["column"] for entry in group["entries"]} == {
        "single pass", "fewer steps", "more steps", "votes", "search"
    }  # fmt: skip
    made = group["entries"][0]["provenance"]
    assert made["command"].startswith("trm eval --ckpt ")
    markdown = trm("leaderboard", board, "--no-shipped", "--markdown").out
    columns = "single pass | fewer steps | more steps | votes | search"
    assert f"| model | {columns} | parameters | from |" in markdown


def test_it_fits_a_terminal_of_80_columns(board: Path) -> None:
    for group in read_leaderboard(board).groups:
        assert max(map(len, printed(group_table(group), 80))) <= 80


def test_figures_hold_exactly_on_the_same_machine(trm: Trm, board: Path) -> None:
    done = trm("leaderboard", "verify", board, "--no-shipped", "--device", "cpu", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert [verdict["state"] for verdict in found] == ["exact"] * 5
    assert all(verdict["found"] == verdict["figure"] for verdict in found)


def test_a_figure_that_does_not_hold_fails(trm: Trm, board: Path) -> None:
    file = file_of(board, "single-pass")

    def lower(entry: Any) -> None:
        entry["figure"] |= {"value": 0.05, "interval": [0.01, 0.24]}

    change(file, lower)
    done = trm("leaderboard", "verify", board, "--no-shipped", "--device", "cpu")
    assert done.code == 1
    assert "does not hold: outside the interval in the file" in done.out
    assert done.err.splitlines()[-1].startswith(f"trm: error: {file}: ours, single pass: ")


def test_on_another_machine_the_interval_counts(trm: Trm, board: Path) -> None:
    for file in board.glob("ours-[fmv]*.json"):
        file.unlink()
    file = file_of(board, "single-pass")

    def move(entry: Any) -> None:
        value = entry["figure"]["value"]
        entry["figure"]["value"] = value - 0.05 if value > 0.5 else value + 0.05
        entry["figure"]["interval"] = [0.0, 1.0]

    change(file, move)
    done = trm("leaderboard", "verify", board, "--no-shipped", "--device", "cpu")
    assert done.code == 1
    assert "within the interval, but a machine like this one gives equal" in done.out
    change(file, lambda entry: entry["provenance"].update(device="another"))
    done = trm("leaderboard", "verify", board, "--no-shipped", "--device", "cpu")
    assert done.code == 0, done.err
    assert "holds: within the interval, on another machine" in done.out


def test_weights_are_found_by_their_digest(trm: Trm, board: Path, trained_run: Path) -> None:
    for file in board.glob("*.json"):
        change(file, lambda entry: entry.update(checkpoint="gone"))
    arguments = ("leaderboard", "verify", board, "--no-shipped", "--model", "ours")
    done = trm(*arguments)
    assert done.code == 1
    assert "not checked: its weights are not at hand: gone" in done.out
    assert "none of 5 measured figures could be checked" in done.err
    assert trm(*arguments, "--ckpt", trained_run, "--device", "cpu").code == 0
    other = trm(*arguments, "--ckpt", "sudoku-6x6")
    assert other.code == 1
    for file in board.glob("*.json"):
        change(file, lambda entry: entry.update(checkpoint="sudoku-6x6"))
    done = trm(*arguments, "--device", "cpu")
    assert done.code == 1
    assert done.out.count("not checked: sudoku-6x6 has other weights now") == 5


def test_data_are_found_by_their_digest(trm: Trm, board: Path, mini_data: Path) -> None:
    for file in board.glob("*.json"):
        change(file, lambda entry: entry["provenance"].update(data_folders=["gone"]))
    arguments = ("leaderboard", "verify", board, "--no-shipped", "--device", "cpu")
    done = trm(*arguments)
    assert done.code == 1
    assert "its data are not at hand. Build them: trm build-data sudoku --preset mini" in done.out
    assert trm(*arguments, "--data", mini_data).code == 0
    Path("data").mkdir()
    shutil.copytree(mini_data, "data/any")
    assert trm(*arguments).code == 0


def test_the_same_figure_is_added_once(trm: Trm, board: Path, evaluation: Path) -> None:
    arguments = ("leaderboard", "add", evaluation / "single.json", "--name", "ours")
    assert trm(*arguments).code == 0
    assert len(list(board.iterdir())) == 5
    done = trm(*arguments, "--note", "other")
    assert done.code == 1
    assert "exists already, with " in done.err
    assert trm(*arguments, "--note", "other", "--overwrite").code == 0
    # The same rows of other data, and a name without ASCII letters, are other figures.
    found = json.loads((evaluation / "single.json").read_text())
    Path("other.json").write_text(json.dumps({**found, "digest": "0" * 64}))
    assert trm("leaderboard", "add", "other.json", "--name", "ours").code == 0
    for name in ("模型甲", "模型乙"):
        assert trm(*arguments[:-1], name).code == 0
    assert len(list(board.iterdir())) == 8


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda e: e.update(extra=1), r"entries\.0\.extra: Extra inputs are not permitted"),
        (lambda e: e.update(step="3"), r"entries\.0\.step: Input should be a valid integer"),
        (lambda e: e.pop("provenance"), r"a measured figure needs provenance"),
        (lambda e: e["puzzles"].update(subset="0" * 64), r"subset differs from that"),
        (lambda e: e.update(status="reported"), r"a reported figure needs a source"),
        (lambda e: e["figure"].update(value=87.4), r"less than or equal to 1"),
        (lambda e: e["thinking"].update(votez=2), r"thinking\.votez: Extra inputs"),
    ],
)
def test_a_damaged_file_is_refused(board: Path, edit: Callable[[Any], None], message: str) -> None:
    file = file_of(board, "votes")
    change(file, edit)
    with pytest.raises(InputError, match=f"^{file} is damaged: .*{message}"):
        api.read_leaderboard(board)


def test_a_newer_format_is_refused(board: Path) -> None:
    file = file_of(board, "votes")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format_version": 2}))
    with pytest.raises(InputError, match=r"has format 2, this trm reads up to 1\. Upgrade trm"):
        api.read_leaderboard(board)


def test_what_cannot_be_added_is_refused(trm: Trm, evaluation: Path) -> None:
    def refused(file: Path, *more: str) -> str:
        done = trm("leaderboard", "add", file, *more)
        assert done.code == 1
        assert not Path("leaderboard").exists()
        return str(done.err)

    single = evaluation / "single.json"
    assert "is not a share of puzzles" in refused(single, "--metric", "mean_steps")
    assert "has no metric 'exact'" in refused(single, "--metric", "exact")
    content = json.loads(single.read_text())
    Path("old.json").write_text(json.dumps({**content, "provenance": None}))
    assert "it has no provenance. Evaluate again" in refused(Path("old.json"))
    content["provenance"]["complete"] = False
    Path("cut.json").write_text(json.dumps(content))
    assert "time ended the evaluation" in refused(Path("cut.json"))
    Path("two.json").write_text(json.dumps([content, content]))
    assert "has 2 checkpoints. Leave out --name" in refused(Path("two.json"), "--name", "a")
    assert "no such file" in refused(Path("none.json"))


def test_folders_that_cannot_be_read(trm: Trm) -> None:
    assert "gone: no such folder" in trm("leaderboard", "gone").err
    Path("empty").mkdir()
    assert "empty has no results file" in trm("leaderboard", "empty").err
    assert "leaderboard: no such folder" in trm("leaderboard", "--no-shipped").err
    done = trm("leaderboard", "verify", "--model", "none")
    assert "no measured figure is of 'none'" in done.err


def test_several_checkpoints_are_added_by_their_names(trm: Trm, trained_run: Path) -> None:
    table = '[[checkpoint]]\nckpt = "{}"\nname = "{}"\nmax_examples = 5\n'
    Path("m.toml").write_text("".join(table.format(trained_run, name) for name in ("a", "b")))
    Path("both.json").write_text(trm("eval", "--all", "m.toml", "--device", "cpu", "--json").out)
    assert len(trm("leaderboard", "add", "both.json").out.splitlines()) == 2
    (group,) = read_leaderboard(shipped=False).groups
    assert [entry.model for entry in group.entries] == ["a", "b"]
