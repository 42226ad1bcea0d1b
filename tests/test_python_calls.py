"""The calls of ``import trm``: they check arguments, and errors name arguments, not flags."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import trm
from trm.config.run import TrainConfig
from trm.errors import TrmError
from trm.inference.options import SolveOptions
from trm.python_calls import ARGUMENTS, COMMAND_ONLY, SWITCHES, in_python, python_call
from trm.recipes import SETTING_OF


def python_parameters() -> set[str]:
    """The names of all arguments of the Python API, and of what they pass on."""
    calls = [getattr(trm, name) for name in trm.__all__]
    names = {name for call in calls if callable(call) for name in signature_of(call)}
    names |= {
        name for call in vars(trm.Model).values() if callable(call) for name in signature_of(call)
    }
    names |= {*SETTING_OF, "save_every", *SolveOptions.model_fields}
    for installed in trm.list_tasks().values():
        names |= installed.task.data_options.model_fields.keys()
    return names


def signature_of(call: Any) -> set[str]:
    return set(inspect.signature(call).parameters) if inspect.isfunction(call) else set()


def messages() -> Iterator[str]:
    """Every text in the package that may become a message of a Python call, ``X`` for a value."""
    package = Path(trm.__file__).parent
    for file in sorted(package.rglob("*.py")):
        if file.name in ("cli.py", "python_calls.py") or file.parent.name == "commands":
            continue
        nodes = list(ast.walk(ast.parse(file.read_text())))
        parts = {
            id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values
        }
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        parts |= {
            id(node.body[0].value)
            for node in nodes
            if isinstance(node, documented) and isinstance(node.body[0], ast.Expr)
        }
        for node in nodes:
            if isinstance(node, ast.JoinedStr):
                yield "".join(getattr(part, "value", "X") if isinstance(part, ast.Constant) else "X"
                              for part in node.values)  # fmt: skip
            elif isinstance(node, ast.Constant) and id(node) not in parts:
                yield str(node.value)


def test_every_flag_in_a_message_is_an_argument_of_a_python_call() -> None:
    flag = re.compile(r"(?<!\w)--([a-z][a-z-]+)")
    known, found, kept = python_parameters(), set(), set()
    for message in messages():
        flags = set(flag.findall(message))
        left = set(flag.findall(in_python(message)))
        kept |= left
        found |= flags - left
    names = {
        ARGUMENTS.get(name, name.replace("-", "_")).split("=")[0] for name in found - COMMAND_ONLY
    }
    assert names - known == set()
    assert found >= {"ckpt", "out", "max-steps", "overwrite"}
    in_commands = {"out", "ckpt", "json", "resume", "save-predictions", "repo", "logdir"}
    assert kept <= COMMAND_ONLY | in_commands | {"source"}  # of a whole command


def test_switches_are_arguments_that_are_true_or_false() -> None:
    calls = [getattr(trm, name) for name in trm.__all__ if inspect.isfunction(getattr(trm, name))]
    parameters = [p for call in calls for p in inspect.signature(call).parameters.values()]
    switches = {p.name for p in parameters if p.default is False}
    options: list[type[BaseModel]] = [SolveOptions, TrainConfig]
    options += [installed.task.data_options for installed in trm.list_tasks().values()]
    for model in options:
        switches |= {name for name, field in model.model_fields.items() if field.default is False}
    assert {name.replace("-", "_") for name in SWITCHES} <= switches


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Name another --out, or give --overwrite.", "Name another `out`, or give overwrite=True."),
        ("--halt 1.5 is too high. Give --halt 0.9.", "halt=1.5 is too high. Give halt=0.9."),
        ("no run in runs/. Give --ckpt.", "no run in runs/. Give `checkpoint`."),
        ("use --device cpu, or --no-compile", 'use device="cpu", or compile=False'),
        ("--samples 1,4 --choose vote", 'samples=(1, 4) choose="vote"'),
        ("Give --set model.h_cycles=3.", 'Give settings={"model.h_cycles": 3}.'),
        ("--source my/data: no such file", 'source="my/data": no such file'),
        ("Leave --size out, or --unsolved", "Leave `size` out, or unsolved=True"),
        ("--run-name 'a/b' is no name", "name='a/b' is no name"),
        ("Use --nproc 2 and --node-rank 0.", "Use --nproc 2 and --node-rank 0."),
        ("Build: trm build-data maze --out x", "Build: trm build-data maze --out x"),
        ("trm train maze --seed 1, or --seed 2", "trm train maze --seed 1, or seed=2"),
        ("Run `trm eval --json`. Or --seed 2", "Run `trm eval --json`. Or seed=2"),
        ("a folder '--out' and some--thing", "a folder '--out' and some--thing"),
    ],
)
def test_python_shows_arguments_and_the_command_line_flags(message: str, shown: str) -> None:
    def inner() -> None:
        raise TrmError(message)

    outer = python_call(python_call(inner))
    for call, text in ((inner, message), (outer, shown)):
        with pytest.raises(TrmError) as raised:
            call()
        assert str(raised.value) == text
