"""The commands ``eval`` and ``vote``: what they print, write and refuse."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Trm = Callable[..., Any]
Fails = Callable[..., str]
BUILD = "build-data sudoku --source generate --size 4 --num-train 30 --num-test 20 --num-aug 3"


def test_eval_table(trm: Trm, trained_run: Path) -> None:
    text = trm("eval", "--ckpt", trained_run, "--max-examples", "40").out
    assert re.search(r"exact_accuracy +[01]\.\d{4} +0\.\d{4} to [01]\.\d{4} +40", text)
    assert re.search(r"valid_sudoku +[01]\.\d{4}", text)
    assert re.search(r"mean_steps +8\.0000 +40", text)
    assert re.search(r"would_halt_at +\d\.\d{4} +40", text)


def test_eval_that_halts(trm: Trm, fails: Fails, trained_run: Path) -> None:
    command = ("eval", "--ckpt", trained_run, "--max-examples", "40", "--halt")
    assert ", halting at 0.6\n" in trm(*command, "0.6").out
    found = json.loads(trm(*command, "0.999999", "--json").out)
    assert found["halt"] == 0.999999
    assert found["metrics"]["mean_steps"]["value"] == 8
    assert found["metrics"]["would_halt_at"]["value"] == 8
    assert "--halt 1.0 is not between 0 and 1" in fails(*command, "1")


def test_eval_saves_predictions(trm: Trm, trained_run: Path, tmp_path: Path) -> None:
    command = ("eval", "--ckpt", trained_run, "--max-examples", "8", "--save-predictions", "p.npz")
    assert re.search("^wrote p.npz$", trm(*command).err, re.M)
    assert (tmp_path / "p.npz").stat().st_size > 500
    shown = trm(*command, "--overwrite", "--verbose").err
    speed = r": [\d,.]+ samples/s, \S+ TFLOP/s, MFU [\d.]+%\n"
    assert re.search(speed + r"wrote p\.npz\ntook [\d.]+ s\n$", shown)
    quiet = trm("-q", *command, "--overwrite")
    assert (quiet.code, quiet.err) == (0, "")
    assert "exact_accuracy" in quiet.out


def test_eval_of_other_data(fails: Fails, trm: Trm, trained_run: Path) -> None:
    trm(*BUILD.replace("--size 4", "--size 6").split(), "--out", "six")
    message = fails("eval", "--ckpt", trained_run, "--data", "six")
    assert re.search(r"six has puzzles of length 36, .* was trained for 16", message)


def test_a_damaged_checkpoint(fails: Fails, trained_run: Path, tmp_path: Path) -> None:
    shutil.copytree((trained_run / "last").resolve(), tmp_path / "c")
    file = tmp_path / "c" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    assert "model.safetensors is damaged: its checksum differs" in fails("eval", "--ckpt", "c")


def test_votes_are_marked(trm: Trm, trained_run: Path) -> None:
    command = ("eval", "--ckpt", trained_run, "--max-examples", "5", "--votes", "3")
    assert re.match(r"\S+ on \S+, 3 votes\n", trm(*command).out)
    assert " | exact_accuracy, 3 votes | " in trm(*command, "--markdown").out


def evaluated(trm: Trm, *arguments: str | Path) -> Any:
    """What ``eval --json`` says of twenty examples."""
    done = trm("eval", "--max-examples", "20", "--json", *arguments)
    assert done.code == 0
    assert re.fullmatch(r"(wrote \S+\n)*", done.err)
    return json.loads(done.out)


def test_several_checkpoints_are_a_table(trm: Trm, trained_run: Path) -> None:
    both = ("--ckpt", trained_run, "--ckpt", trained_run / "checkpoints" / "step-000090")
    lines = trm("eval", "--max-examples", "20", *both).out.splitlines()
    assert lines[0].split() == [
        "checkpoint", "task", "step", "metric", "value", "95%", "interval", "of"
    ]  # fmt: skip
    single, other = (evaluated(trm, *both[place : place + 2]) for place in (0, 2))
    for line, report in zip(lines[2:4], (single, other), strict=True):
        value = f"{report['metrics']['exact_accuracy']['value']:.4f}"
        assert line.split()[:2] == [report["checkpoint"], "sudoku"]
        assert re.search(rf" {report['step']} +exact_accuracy +{value} .* 20 *$", line)
    found = evaluated(trm, *both)
    assert [one["metrics"] for one in found] == [single["metrics"], other["metrics"]]
    assert [one["checkpoint"] for one in found] == [single["checkpoint"], other["checkpoint"]]


@pytest.fixture
def manifest(trained_run: Path, tmp_path: Path) -> Path:
    file = tmp_path / "all.toml"
    file.write_text(f"""
[[checkpoint]]
ckpt = "{trained_run}"
name = "mine [best]"
reported = 0.874
max_examples = 30

[[checkpoint]]
ckpt = "{trained_run}/last"
metric = "mean_steps"
votes = 2
max_examples = 20
""")
    return file


def test_all_checkpoints_of_a_manifest(trm: Trm, manifest: Path, trained_run: Path) -> None:
    found = json.loads(trm("eval", "--all", manifest, "--json").out)
    assert [(one["name"], one["metric"], one["reported"]) for one in found] == [
        ("mine [best]", "exact_accuracy", 0.874), (f"{trained_run}/last", "mean_steps", None)
    ]  # fmt: skip
    first, second = (one["metrics"] for one in found)
    assert (first["exact_accuracy"]["count"], second["exact_accuracy"]["count"]) == (30, 20)
    assert [one["votes"] for one in found] == [1, 2]
    lines = trm("eval", "--all", manifest).out.splitlines()
    exact, low, high = first["exact_accuracy"]["value"], *first["exact_accuracy"]["interval"]
    numbers = f" +exact_accuracy +{exact:.4f} +{low:.4f} to {high:.4f} +30 +0.8740 *$"
    assert re.search(r"^mine \[best\] +sudoku +180" + numbers, lines[2])
    assert re.search(rf" mean_steps, 2 votes +{second['mean_steps']['value']:.4f} +20 *$", lines[3])
    markdown = trm("eval", "--all", manifest, "--markdown").out.splitlines()
    assert markdown == [
        "| checkpoint | task | step | metric | value | 95% interval | of | reported |",
        "| --- | --- | ---: | --- | ---: | --- | ---: | ---: |",
        f"| mine [best] | sudoku | 180 | exact_accuracy | {exact:.4f} | {low:.4f} to {high:.4f} "
        "| 30 | 0.8740 |",
        f"| {trained_run}/last | sudoku | 180 | mean_steps, 2 votes "
        f"| {second['mean_steps']['value']:.4f} |  | 20 |  |",
    ]


def test_flags_come_before_what_a_manifest_says(trm: Trm, manifest: Path) -> None:
    done = trm("eval", "--all", manifest, "--max-examples", "10", "--json")
    counts = [one["metrics"]["exact_accuracy"]["count"] for one in json.loads(done.out)]
    assert counts == [10, 10]


def test_one_evaluation_in_markdown(trm: Trm, trained_run: Path) -> None:
    lines = trm("eval", "--ckpt", trained_run, "--max-examples", "9", "--markdown").out.splitlines()
    assert len(lines) == 3
    assert re.fullmatch(r"\| \S+ \| sudoku \| 180 \| exact_accuracy \| .* \| 9 \|", lines[2])


@pytest.mark.parametrize("votes", ["1", "2"])
def test_saved_predictions_voted_on_give_the_same_numbers(
    trm: Trm, trained_run: Path, votes: str
) -> None:
    report = evaluated(trm, "--ckpt", trained_run, "--votes", votes, "--save-predictions", "p.npz")
    assert json.loads(trm("vote", "p.npz", "--json").out) == {
        "predictions": ["p.npz"], "split": "test", "metrics": report["metrics"]
    }  # fmt: skip
    text = trm("vote", "p.npz").out
    mark = {"1": "", "2": ", 2 votes"}[votes]
    assert text.startswith(f"p.npz: {report['checkpoint']}{mark}\n")
    exact = report["metrics"]["exact_accuracy"]
    assert re.search(rf"exact_accuracy +{exact['value']:.4f} .* 20", text)


def test_several_files_make_an_ensemble(trm: Trm, trained_run: Path) -> None:
    for name in ("a", "b", "c"):
        steps = "step-000090" if name == "a" else "step-000180"
        checkpoint = trained_run / "checkpoints" / steps
        evaluated(trm, "--ckpt", checkpoint, "--save-predictions", f"{name}.npz")
    alone, together = (
        json.loads(trm("vote", *files, "--json").out) for files in (["b.npz"], ["a.npz", "b.npz"])
    )
    assert together["predictions"] == ["a.npz", "b.npz"]
    exact = together["metrics"]["exact_accuracy"]
    assert exact["count"] == 20
    found = [np.load(name) for name in ("a.npz", "b.npz")]
    right = [(one["answers"] == one["labels"]).all(axis=1) for one in found]
    more_confident = np.argmax([one["halt_logits"] for one in found], axis=0)
    assert exact["value"] == pytest.approx(np.choose(more_confident, right).mean())
    most = json.loads(trm("vote", "a.npz", "b.npz", "c.npz", "--json").out)
    assert most["metrics"]["exact_accuracy"] == alone["metrics"]["exact_accuracy"]


def test_predictions_edited_by_hand_are_refused(
    trm: Trm, fails: Fails, trained_run: Path, tmp_path: Path
) -> None:
    evaluated(trm, "--ckpt", trained_run, "--save-predictions", "a.npz")
    with np.load(tmp_path / "a.npz") as found:
        arrays = dict(found)
    changes = {
        "answers are uint8 of shape (320,)": {"answers": arrays["answers"].ravel()},
        "answers have 9 cells, not 16": {
            name: arrays[name][:, :9] for name in ("inputs", "labels", "answers")
        },
        "puzzles go from 7000 to 7000, beyond": {"puzzles": np.full(20, 7000)},
    }
    for message, change in changes.items():
        np.savez(tmp_path / "b.npz", **(arrays | change))
        assert f"its {message}" in fails("vote", "b.npz")


def test_votes_that_do_not_belong_together(
    trm: Trm, fails: Fails, trained_run: Path, tmp_path: Path
) -> None:
    evaluated(trm, "--ckpt", trained_run, "--save-predictions", "a.npz")
    trm("eval", "--ckpt", trained_run, "--max-examples", "7", "--save-predictions", "b.npz")
    message = fails("vote", "a.npz", "b.npz")
    assert (
        message == "b.npz and a.npz answer different examples. Give files with the same examples."
    )
    trm(*BUILD.split(), "--out", "d")
    message = fails("vote", "a.npz", "--data", "d")
    assert re.search(
        r"^a.npz has answers to data of digest \w+, d has \w+\. Give the data", message
    )
    (tmp_path / "text").write_text("hello")
    assert "text holds no predictions: it is not an .npz file, or cut short" in fails(
        "vote", "a.npz", "text"
    )
    assert "absent: no such file" in fails("vote", "absent")


def test_ctrl_c_says_what_the_same_command_does(
    trm: Trm, trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("eval", "--ckpt", trained_run, "--max-examples", "20", "--batch-size", "5")
    saving = (*command, "--save-predictions", "p.npz")

    def stop(_: object, done: int, total: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("trm.show.progress.EvaluationView.update", stop)
        assert (found := trm(*command)).code == 130
        assert found.err == (
            "stopped; the same command starts over. With --save-predictions it would resume\n"
        )
        assert (found := trm(*saving)).code == 130
        assert found.err == "stopped; the same command resumes p.npz\n"
        assert (found := trm(*saving, "--overwrite")).code == 130
        assert found.err == "stopped; without --overwrite, the same command resumes p.npz\n"
    assert [file.name for file in tmp_path.iterdir()] == ["p.npz.partial"]
    assert trm(*saving).code == 0
    assert [file.name for file in tmp_path.iterdir()] == ["p.npz"]


def test_ctrl_c_shows_the_models_that_are_done(
    trm: Trm, trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def stop_second(_: object, done: int, total: int) -> None:
        nonlocal calls
        calls += done == 0
        if calls == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("trm.show.progress.EvaluationView.update", stop_second)
    found = trm("eval", "--ckpt", trained_run, "--ckpt", f"{trained_run}/last", "--max-examples", 5)
    assert found.code == 130
    assert str(trained_run) in found.out
    assert f"{trained_run}/last" not in found.out
    assert found.err == "stopped; the same command starts over\n"


def test_two_outputs_in_one_file_are_refused(fails: Fails, trained_run: Path) -> None:
    flags = ("--save-predictions", "a", "--per-task", "./a")
    message = fails("eval", "--ckpt", trained_run, *flags)
    assert message == "a is named for two outputs. Name two files."


def test_overwrite_is_for_saved_predictions(fails: Fails, trained_run: Path) -> None:
    message = fails("eval", "--ckpt", trained_run, "--overwrite")
    assert message == "--overwrite is for --save-predictions. Add it, or leave this one out."


@pytest.mark.parametrize("flag", ["--submission", "--per-task"])
def test_what_a_task_does_not_have_is_refused_at_once(
    trm: Trm, fails: Fails, trained_run: Path, tmp_path: Path, flag: str
) -> None:
    """Before the evaluation, and nothing is written."""
    message = f"{flag}: this task has no such file. Leave it out."
    command = ("eval", "--ckpt", trained_run, "--save-predictions", "p.npz")
    assert fails(*command, flag, "f.json") == message
    assert list(tmp_path.iterdir()) == []
    trm(*command, "--max-examples", "5")
    assert fails("vote", "p.npz", flag, "f.json") == message
    assert [file.name for file in tmp_path.iterdir()] == ["p.npz"]


@pytest.mark.parametrize("flag", ["--submission", "--per-task", "--save-predictions", "--report"])
def test_files_are_of_one_checkpoint(
    fails: Fails, manifest: Path, trained_run: Path, flag: str
) -> None:
    expected = f"{flag} is for one checkpoint. Name it with --ckpt."
    assert fails("eval", "--all", manifest, flag, "f") == expected
    assert fails("eval", "--ckpt", trained_run, "--ckpt", trained_run, flag, "f") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"^all\.toml: no such file\. Name a correct TOML file\.$"),
        ("[[checkpoint", r"^all\.toml is damaged: it is not TOML: .* Name a correct TOML file\.$"),
        ("x = " + "[" * 100_000, r"^all\.toml is damaged: it is nested too deeply\. Name a corr"),
        ('[[checkpoint]]\nckpt = "absent"', r"^absent: no such run or checkpoint\. See what"),
        (
            '[[checkpoint]]\nckpt = "RUN"\nmetric = "exact"\nmax_examples = 2',
            r"^task sudoku has no metric 'exact'\. .*Known: .*exact_accuracy",
        ),
        (
            '[[checkpoint]]\nckpt = "RUN"\ndata = ["x"]',
            r"^x: no such data folder\. Build it: trm build-data sudoku --preset mini --num-test "
            r"100 --size 4 --out x$",
        ),
    ],
)
def test_a_manifest_that_cannot_be_used(
    fails: Fails, trained_run: Path, tmp_path: Path, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "all.toml").write_text(content.replace("RUN", str(trained_run)))
    assert re.search(message, fails("eval", "--all", "all.toml"))


def test_all_and_ckpt_exclude_each_other(fails: Fails, manifest: Path) -> None:
    message = "--all and --ckpt exclude each other. Give one of them."
    assert fails("eval", "--all", manifest, "--ckpt", "a") == message


def test_copies_are_of_puzzles_that_have_some(fails: Fails, trained_run: Path) -> None:
    command = ("eval", "--ckpt", trained_run, "--copies", "3")
    message = r"^--copies 3: the puzzles of \S+ have no augmented copies\. Leave it out\.$"
    assert re.search(message, fails(*command))
    message = "--copies and --max-examples exclude each other. Give one of them."
    assert fails(*command, "--max-examples", "5") == message
    message = "--max-minutes is for one checkpoint. Name it with --ckpt."
    assert fails(*command, "--ckpt", trained_run, "--max-minutes", "5") == message
