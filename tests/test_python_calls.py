"""The calls of ``import trm``: they check arguments, and errors name arguments, not flags."""

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from pydantic import BaseModel

import trm
from trm.config.run import TrainConfig
from trm.errors import InputError, TrmError
from trm.inference.options import SolveOptions
from trm.python_calls import ARGUMENTS, COMMAND_ONLY, SWITCHES, in_python, python_call
from trm.recipes import SETTING_OF
from trm.storage import as_paths


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
    of_commands = {package / "cli.py", package / "python_calls.py"}
    of_commands |= {*(package / "commands").iterdir(), *(package / "show").iterdir()}
    of_commands -= {*(package / "show").glob("plot*.py")}
    for file in sorted({*package.rglob("*.py")} - of_commands):
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
    in_commands = {"out", "ckpt", "json", "preset", "resume", "save-predictions", "repo", "logdir"}
    in_commands |= {"submission", "per-task"}
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
        ("Use --preset mini, or a GPU.", 'Use preset="mini", or a GPU.'),
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


def call(
    path: str | Path | None = None,
    *,
    paths: str | Path | Sequence[str | Path] = (),
    count: int = 1,
    share: float = 0.0,
    switch: bool = False,
    maybe: bool | None = None,
    kind: Literal["a", "b"] = "a",
    settings: Mapping[str, Any] | None = None,
    listen: Callable[[int], None] | None = None,
    lines: str | Path | Iterable[str] = (),
    model: SimpleNamespace | None = None,
    later: "Path | None" = None,
    **more: Any,
) -> str:
    return "called"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"path": 3}, "path is 3. Give a path or None."),
        ({"path": b"x"}, "path is b'x'. Give a path or None."),
        ({"path": ["x"]}, "path is ['x']. Give a path or None."),
        ({"paths": 3}, "paths is 3. Give a path or several in a list."),
        ({"paths": ["x", 3]}, "paths is ['x', 3]. Give a path or several in a list."),
        ({"paths": {"x": 1}}, "paths is {'x': 1}. Give a path or several in a list."),
        ({"count": "3"}, "count is '3'. Give a whole number."),
        ({"count": 1.5}, "count is 1.5. Give a whole number."),
        ({"count": True}, "count is True. Give a whole number."),
        ({"share": "x"}, "share is 'x'. Give a number."),
        ({"switch": 1}, "switch is 1. Give True or False."),
        ({"kind": "c"}, "kind is 'c'. Give 'a' or 'b'."),
        ({"maybe": 1}, "maybe is 1. Give True, False or None."),
        ({"settings": [1]}, "settings is [1]. Give a dictionary or None."),
        ({"listen": 3}, "listen is 3. Give a function or None."),
        ({"lines": 3}, "lines is 3. Give a path or lines."),
        ({"model": Path("x")}, "model is 'x'. Give SimpleNamespace or None."),
        ({"path": np.zeros((20, 20))}, r"path is array(.*)?. Give a path or None."),
    ],
)
def test_an_argument_of_another_type_is_one_line(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError) as raised:
        python_call(call)(**arguments)
    assert "\n" not in str(raised.value)
    if "(" in problem:
        assert re.fullmatch(f"call: {problem}", str(raised.value))
    else:
        assert str(raised.value) == f"call: {problem}"


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": Path("x"), "paths": "x", "count": np.int64(3), "share": 1, "later": 3},
        {"path": None, "paths": ("x", Path("y")), "share": np.float32(1), "switch": True},
        {"settings": {}, "listen": print, "lines": iter(["x"]), "model": SimpleNamespace(), "z": 1},
    ],
)
def test_arguments_of_the_right_types_pass(arguments: dict[str, Any]) -> None:
    assert python_call(call)(**arguments) == "called"


class PathLike:
    """A path that is no ``Path``."""

    def __fspath__(self) -> str:
        return "x/y"


def test_what_behaves_like_a_path_or_a_truth_value_becomes_one() -> None:
    def echo(
        path: str | Path, *more: str | Path, switch: bool = False, given: Any = None, **options: Any
    ) -> list[Any]:
        return [path, *more, switch, given, options]

    like, yes = PathLike(), np.bool_(True)
    called: Any = python_call(echo)
    path, second, third, switch, given, options = called(
        like, "y", Path("z"), switch=yes, given=like, init=like
    )
    assert (path, second, third, switch) == (Path("x/y"), "y", Path("z"), True)
    assert isinstance(switch, bool)
    assert given is like
    assert options == {"init": Path("x/y")}
    with pytest.raises(InputError, match=r"^echo: more is 3\. Give a path\.$"):
        called("x", "y", 3)


def test_a_list_may_hold_what_behaves_like_a_path() -> None:
    assert as_paths([PathLike(), "z"]) == as_paths((Path("x/y"), "z")) == (Path("x/y"), "z")  # type: ignore[list-item]


def test_a_device_of_torch_is_a_device() -> None:
    config = trm.run_config("sudoku", device=torch.device("cpu"))
    assert config.train.device == "cpu"


def test_a_missing_dataset_names_the_preset_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrmError, match=r"Build it: trm build-data sudoku --preset mini$"):
        trm.train("sudoku", preset="mini")


def test_a_name_that_no_argument_has_is_left_to_python() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'devise'"):
        trm.load("x", devise="cpu")  # type: ignore[call-arg]


WRONG = (3, 1.5, {"a": 1}, b"x", object())


@pytest.mark.parametrize(
    "name", [name for name in trm.__all__ if inspect.isfunction(getattr(trm, name))]
)
def test_no_public_call_raises_a_raw_error_for_a_wrong_first_argument(name: str) -> None:
    public = getattr(trm, name)
    required = {"model": object(), "source": "x", "out": "y.csv", "repo": "a/b", "format": "onnx",
                "puzzles": "x", "copies": 2, "solutions": "x"}  # fmt: skip
    (first, *others) = inspect.signature(public).parameters or [None]
    rest = {other: required[other] for other in others if other in required}
    for wrong in WRONG * (first is not None):
        with pytest.raises(InputError, match=f"^{name}: {first} is .*\\. Give .*\\.$"):
            public(wrong, **rest)


def test_the_calls_of_the_command_line_keep_their_flags(tmp_path: Path) -> None:
    from trm.datasets import build_data

    for build, flag in ((build_data, "--out"), (trm.build_data, "`out`")):
        with pytest.raises(InputError, match=f"exists already\\. Name another {flag}\\.$"):
            build("sudoku", out=tmp_path)


def test_commands_call_the_functions_in_their_own_modules() -> None:
    """Those of ``import trm`` would print arguments in place of flags."""
    package = Path(trm.__file__).parent
    for file in [package / "cli.py", *(package / "commands").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "trm":
                assert {alias.name for alias in node.names}.isdisjoint(trm.__all__) or [
                    alias.name for alias in node.names
                ] == ["__version__"]
            assert not (isinstance(node, ast.Import) and node.names[0].name == "trm")
