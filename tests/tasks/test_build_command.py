"""The command of a dataset: pasted into a shell, it gives the same options."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trm import datasets
from trm.data import DatasetMeta
from trm.tasks.base import DataOptions
from trm.tasks.build_command import build_command, recorded_flags
from trm.tasks.registry import get_task


def meta_of(task: str, options: DataOptions, **changes: Any) -> DatasetMeta:
    described = options.model_dump(mode="json", exclude={"source", "seed"})
    found = DatasetMeta(task=task, source=options.source, seed=options.seed, options=described,
                        vocabulary=("",), seq_len=1)  # fmt: skip
    return found.model_copy(update=changes)


@pytest.mark.parametrize(
    ("task", "preset", "changes", "expected"),
    [
        ("sudoku", None, {}, ""),
        ("sudoku", "mini", {}, "--preset mini"),
        ("sudoku", "mini", {"size": 4, "seed": 3}, "--preset mini --seed 3 --size 4"),
        ("sudoku", "8gpu", {"num_test": 5}, "--num-test 5"),
        ("sudoku", None, {"source": "my puzzles/a.csv"}, "--source 'my puzzles/a.csv'"),
        # A flag cannot unset the number of puzzles of the preset.
        (
            "sudoku", "mini", {"num_test": None},
            "--source generate --num-aug 500 --size 6",
        ),
        ("maze", None, {"aug": True}, "--aug"),
        ("arc1", "published", {}, "--preset published"),
        ("arc2", "mini", {"no_concept": False}, "--num-aug 20 --num-train 24 --num-test 8"),
        ("arc1", None, {"source": "k", "concept": Path("a b")}, "--source k --concept 'a b'"),
    ],
)  # fmt: skip
def test_the_command_gives_the_options(
    trm: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    task: str,
    preset: str | None,
    changes: dict[str, Any],
    expected: str,
) -> None:
    found = get_task(task)
    options = found.options(preset, **changes)
    flags = recorded_flags(found, meta_of(task, options))
    assert flags == shlex.split(expected)
    given = []

    def build(task: object, folder: Path, layout: str, overwrite: bool, o: DataOptions) -> Any:
        given.append((folder, o))
        return meta_of("x", o)

    monkeypatch.setattr(datasets, "build_with_options", build)
    command = shlex.split(build_command(found, Path("new data"), flags))
    assert command[0] == "trm"
    trm(*command[1:])
    assert given == [(Path("new data"), options)]


def test_the_default_folder_is_left_out() -> None:
    assert build_command(get_task("maze"), Path("data/maze"), []) == "trm build-data maze"


def test_what_trm_did_not_build_has_no_command() -> None:
    task = get_task("sudoku")
    meta = meta_of("sudoku", task.options())
    assert recorded_flags(task, meta) == []
    for changes in (
        {"options": {}},
        {"options": {"future": 1}},
        {"source": "hub + generate"},
    ):
        assert recorded_flags(task, meta.model_copy(update=changes)) is None
