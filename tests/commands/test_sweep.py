"""``trm sweep-eval``: what it prints, writes and refuses."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Trm = Callable[..., Any]
Fails = Callable[..., str]


def test_a_sweep_end_to_end(trm: Trm, trained_run: Path, tmp_path: Path) -> None:
    command = (
        "sweep-eval", "--ckpt", trained_run, "--samples", "1,2", "--noise", "0.5, 1", "--choose",
        "halt,first", "--steps", "2", "--max-examples", "10", "--out", "s.json",
    )  # fmt: skip
    done = trm(*command, "--plot", "s.png")
    assert done.code == 0
    lines = done.out.splitlines()
    assert re.match(r"\S+/trained\S* on \S+", lines[0])
    assert sum(" 2 " in line and "0." in line for line in lines[3:9]) == 5
    assert done.err.splitlines()[-2:] == ["wrote s.json", "wrote s.png"]
    assert re.match(r"1/5 --steps 2: exact_accuracy [01]\.\d{4}, \S+ GFLOP a puzzle", done.err)
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads(trm(*command, "--json").out)
    assert found == json.loads((tmp_path / "s.json").read_text())
    assert len(found["lines"]) == 5
    markdown = trm(*command, "--markdown").out.splitlines()
    assert len(markdown) == 2 + 5 + 1 + 4
    for said, typed in zip(
        markdown[-4::2], markdown[-3::2], strict=True
    ):  # what it says can be typed
        typed = typed.removeprefix("  trm ")
        value = json.loads(trm(*shlex.split(typed), "--json").out)["metrics"]["exact_accuracy"]
        assert f"exact_accuracy {value['value']:.4f}" in said


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--samples 1,x", "--samples 1,x: 'x' is not a whole number. Separate"),
        ("--noise 0.1,", "--noise 0.1,: '' is not a number. Separate values with commas."),
        ("--samples 0", "--samples 0: Input should be greater than or equal to 1."),
        ("--choose most", "--choose most: 'most' is not one of halt, vote, first. Separate"),
        ("--halt 2", "--halt 2.0 is not between 0 and 1."),
        ("--plot s.jpg", "cannot draw to s.jpg: unknown file extension."),
    ],
)
def test_flags_that_are_refused(fails: Fails, flags: str, message: str) -> None:
    assert message in fails("sweep-eval", *flags.split())  # before a checkpoint is looked for
