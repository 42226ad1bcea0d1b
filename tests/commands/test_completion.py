"""What the shell gets after TAB, through the protocol that its completion script speaks."""

import contextlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fresh_plugins import forget_plugins
from trm.cli import run

Complete = Callable[[str], list[str]]


@pytest.fixture
def complete(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Complete:
    """What bash is offered for the last word of a line, in a folder with runs and data."""
    for file in ("runs/sudoku/a/config.json", "runs/maze/b/config.json", "data/x/dataset.json"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("_TRM_COMPLETE", "complete_bash")

    def ask(line: str) -> list[str]:
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        with contextlib.suppress(SystemExit):
            run([])
        captured = capsys.readouterr()
        assert captured.err == ""
        return captured.out.split()

    return ask


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("trm ev", ["eval"]),
        ("trm config ", ["arc1", "arc2", "maze", "sudoku"]),
        ("trm train su", ["sudoku"]),
        ("trm build-data ma", ["maze"]),
        ("trm train sudoku --preset mi", ["mini"]),
        ("trm train --seed 3 sudoku --preset mi", ["mini"]),
        ("trm build-data sudoku --preset ", ["mini"]),
        (
            "trm train sudoku --set model.hidden_s",
            ["model.hidden_size=", "model.hidden_size=VALUE"],
        ),
        ("trm config sudoku --set model.h_", ["model.h_cycles=", "model.h_cycles=VALUE"]),
        ("trm eval --ckpt ", ["runs/maze/b", "runs/sudoku/a"]),
        ("trm plot runs/sudoku/a runs/m", ["runs/maze/b"]),
        ("trm train sudoku --resume ", ["auto", "never", "runs/maze/b", "runs/sudoku/a"]),
        ("trm train sudoku --run-name ", ["a"]),
        ("trm solve --device c", ["cpu", "cuda"]),
        ("trm inspect-data ", ["data/x"]),
        ("trm train sudoku --log-to t", ["tensorboard", "trackio"]),
        ("trm train sudoku --augment o", ["online"]),
        ("trm eval --max", ["--max-examples", "--max-minutes"]),
    ],
)
def test_words(complete: Complete, line: str, words: list[str]) -> None:
    assert complete(line) == words


@pytest.mark.parametrize(
    "line", ["trm train nope --preset ", "trm build-data nope --", "trm eval --nope "]
)
def test_a_wrong_line_has_no_completions_and_no_error(complete: Complete, line: str) -> None:
    assert complete(line) == []


def test_a_broken_plugin_says_nothing(complete: Complete, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        name, dist = "broken", None

        def load(self) -> object:
            raise ImportError

    monkeypatch.setattr("trm.plugins.entry_points", lambda group: [Broken()])
    forget_plugins()
    try:
        assert complete("trm train su") == ["sudoku"]
    finally:
        forget_plugins()


def test_a_shell_waits_for_no_torch() -> None:
    program = (
        "import os, sys; os.environ.update(_TRM_COMPLETE='complete_zsh', "
        "_TYPER_COMPLETE_ARGS='trm train sudoku --log-to wa')\n"
        "from trm.cli import run\n"
        "try: run([])\n"
        "finally: print([m for m in ('torch', 'numba', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert '"wandb"' in done.stdout
    assert done.stdout.endswith("[]\n")
    assert done.stderr == ""
