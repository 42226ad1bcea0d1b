"""Thinking longer on the command line: ``trm eval`` with steps, samples, noise and a choice."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Trm = Callable[..., Any]
Fails = Callable[..., str]


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
    assert ", 2 samples with noise 0.3, choose first, halting at 0.9\n" in text
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
        "--all all.toml: checkpoint 1: --noise 0.1 disturbs all samples but the first, and there "
        "is one. Add --samples 2 or more. Mend it."
    )


@pytest.mark.parametrize(
    ("flags", "message", "code"),
    [
        ("--noise 0.2", "--noise 0.2 disturbs all samples but the first, and there is one.", 1),
        ("--choose first", "--choose first has one answer to choose from. Add --samples or", 1),
        ("--samples 2 --halt 1", "--halt 1.0 is no probability to stop at. Give one such as", 1),
        ("--samples 0", "Invalid value for '--", 2),
        ("--steps 0", "Invalid value for '--", 2),
        ("--samples 2 --noise -1", "Invalid value for '--noise'", 2),
        ("--samples 2 --choose most", "Invalid value for '--choose'", 2),
    ],
)
def test_flags_that_eval_refuses(fails: Fails, flags: str, message: str, code: int) -> None:
    assert message in fails("eval", *flags.split(), code=code)  # before a checkpoint is looked for
