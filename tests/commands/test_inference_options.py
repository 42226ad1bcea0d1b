"""Inference options on the command line: steps, samples, noise and the choice."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trm.inference.options import InferenceOptions

Trm = Callable[..., Any]
Fails = Callable[..., str]


@pytest.mark.parametrize("command", ["eval", "solve", "sweep-eval"])
def test_every_inference_option_is_a_flag(trm: Trm, command: str) -> None:
    text = trm(command, "--help").out
    assert [name for name in InferenceOptions.model_fields if f" --{name} " not in text] == []
    assert ("--until-valid" in text) == (command != "sweep-eval")


def test_eval_in_several_ways(trm: Trm, trained_run: Path) -> None:
    command = ("eval", "--ckpt", trained_run, "--max-examples", "10")
    flags = ("--steps", "5", "--samples", "3", "--noise", "0.2", "--choose", "vote")
    found = json.loads(trm(*command, *flags, "--json").out)
    told = {name: found[name] for name in ("steps", "samples", "noise", "choose", "votes", "halt")}
    assert told == {
        "steps": 5, "samples": 3, "noise": 0.2, "choose": "vote", "votes": 1, "halt": None
    }  # fmt: skip
    text = trm(*command, *flags).out
    assert re.match(r"\S+ on \S+, 5 steps, 3 samples with noise 0.2, choose vote\n", text)
    plain = json.loads(trm(*command, "--json").out)
    assert [plain[name] for name in told] == [None, 1, None, None, 1, None]


def test_what_was_saved_says_how_it_came_about(trm: Trm, trained_run: Path) -> None:
    command = ("eval", "--ckpt", trained_run, "--max-examples", "10", "--json")
    flags = ("--samples", "2", "--choose", "first", "--save-predictions", "p.npz")
    found = json.loads(trm(*command, *flags).out)
    assert found["halt"] == 0.9
    text = trm("vote", "p.npz").out
    assert ", 2 samples with noise 1, choose first, halting at 0.9\n" in text
    metrics = json.loads(trm("vote", "p.npz", "--json").out)["metrics"]
    assert metrics == found["metrics"]


def test_a_manifest_may_say_it_and_flags_come_before(
    trm: Trm, fails: Fails, trained_run: Path, tmp_path: Path
) -> None:
    entry = f'[[checkpoint]]\nckpt = "{trained_run}"\nmax_examples = 5\nsamples = 2\nnoise = 0.1\n'
    (tmp_path / "all.toml").write_text(entry)
    command = ("eval", "--all", "all.toml", "--json")
    (found,) = json.loads(trm(*command).out)
    assert (found["samples"], found["noise"], found["choose"]) == (2, 0.1, "halt")
    (found,) = json.loads(trm(*command, "--choose", "vote", "--samples", "3").out)
    assert (found["samples"], found["noise"], found["choose"]) == (3, 0.1, "vote")
    assert fails(*command, "--samples", "1").startswith("--noise 0.1 disturbs all samples but the")
    (tmp_path / "all.toml").write_text(entry.replace("samples = 2\n", ""))
    assert fails(*command) == (
        "all.toml: checkpoint 1: --noise 0.1 disturbs all samples but the first, and there "
        "is one. Add --samples 2 or more. Correct it."
    )


@pytest.mark.parametrize(
    ("flags", "message", "code"),
    [
        ("--noise 0.2", "--noise 0.2 disturbs all samples but the first, and there is one.", 1),
        ("--choose first", "--choose first has one answer to choose from. Add --samples or", 1),
        (
            "--samples 2 --halt 1",
            "--halt 1.0 is not between 0 and 1. Give a probability such as",
            1,
        ),
        ("--samples 0", "Invalid value for '--", 2),
        ("--steps 0", "Invalid value for '--", 2),
        ("--samples 2 --noise -1", "Invalid value for '--noise'", 2),
        ("--samples 2 --choose most", "Invalid value for '--choose'", 2),
    ],
)
def test_flags_that_eval_refuses(fails: Fails, flags: str, message: str, code: int) -> None:
    assert message in fails("eval", *flags.split(), code=code)  # before a checkpoint is looked for


PUZZLE = "123434122143.321"


def test_solve_until_a_board_is_valid(trm: Trm, trained_run: Path) -> None:
    command = ("solve", PUZZLE, "--ckpt", trained_run, "--samples", "3", "--until-valid")
    done = trm(*command)
    last = done.out.splitlines()[-1]
    assert re.match(r"answer \d{16}: valid, at step 1, in [123] of 3 rollouts; the model", last)
    found = json.loads(trm(*command, "--steps", "4", "--json").out)
    assert (found["valid_step"], found["samples"], found["noise"]) == (1, 3, 1.0)
    assert len(found["boards"]) == 1


def test_solve_what_has_no_valid_board(trm: Trm, trained_run: Path) -> None:
    """A puzzle that keeps the rules, but has no solution."""
    done = trm("solve", "12........3...4.", "--ckpt", trained_run, "--samples", "3",
               "--until-valid", "--steps", "2")  # fmt: skip
    assert done.code == 3
    last = done.out.splitlines()[-1]
    assert re.match(
        r"no valid answer found in 2 steps of 3 rollouts; the best board is \d{16}; the model", last
    )


def test_solve_a_file_in_several_ways(
    trm: Trm, fails: Fails, trained_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "p.txt").write_text(f"{PUZZLE}\n.{PUZZLE[1:]}\n")
    command = ("solve", "p.txt", "--ckpt", trained_run, "--out", "a.csv")
    flags = ("--samples", "2", "--votes", "2", "--choose", "vote", "--halt", "0.4")
    assert trm(*command, *flags).out == "a.csv: 2 puzzles, 2 valid (100.0%)\n"
    assert trm(*command, *flags).out.startswith("a.csv: 2 puzzles (2 were there already)")
    told = "--samples 2 --noise 1.0 --choose vote --votes 2 --halt 0.4"
    assert fails(*command) == (
        f"a.csv was written with {told}. Name another --out, or replace it with --overwrite."
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--noise 0.2", "--noise 0.2 disturbs all samples but the first, and there is one."),
        ("--until-valid --halt 0.5", "--until-valid ends at a valid board, --halt at a likely"),
    ],
)
def test_flags_that_solve_refuses(fails: Fails, flags: str, message: str) -> None:
    assert message in fails("solve", PUZZLE, *flags.split())  # before a checkpoint is looked for
