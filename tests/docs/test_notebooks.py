"""The notebooks in ``examples/notebooks``: the first one runs, and all of them can be typed."""

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import click
import nbformat
import pytest
import typer
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient

from trm.cli import app

FOLDER = Path(__file__).parents[2] / "examples/notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SCRIPT = "examples/rented-gpus/train.sh"


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def commands(path: Path) -> list[list[str]]:
    """The words of the commands of trm in the cells of a notebook, also those of its script."""
    lines = [line for cell in code_cells(path) for line in cell.source.splitlines()]
    shell = [line[1:].split("|| ")[-1] for line in lines if line.startswith("!")]
    found = []
    for line in shell:
        before, script, after = line.partition(SCRIPT)
        if script:
            found.append(["train", *shlex.split(after)])
        elif before.startswith("trm "):
            found.append(shlex.split(before)[1:])
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_valid_and_has_no_outputs(path: Path) -> None:
    nbformat.validate(read(path))
    assert [cell.source for cell in code_cells(path) if cell.outputs or cell.execution_count] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_cells_of_a_notebook_can_be_parsed(path: Path) -> None:
    for cell in code_cells(path):
        ast.parse(TransformerManager().transform_cell(cell.source))


def test_the_commands_of_the_notebooks_can_be_typed() -> None:
    root = typer.main.get_command(app)
    found = [words for path in NOTEBOOKS for words in commands(path)]
    assert {words[0] for words in found} == {"doctor", "build-data", "train", "plot", "eval"}
    for words in found:
        command, depth = root, 0
        while hasattr(command, "get_command") and depth < len(words):
            command = command.get_command(click.Context(command), words[depth])
            depth += 1
        command.make_context("trm", words[depth:])  # a usage error if an option is wrong


def test_the_files_that_the_notebooks_name_exist() -> None:
    named = {
        name
        for path in NOTEBOOKS
        for cell in read(path).cells
        for name in re.findall(r"[\w./-]+\.(?:sh|md|ipynb)\b", cell.source)
    }
    places = (FOLDER, FOLDER.parents[1])
    names = {name.removeprefix("trm-code/") for name in named}
    assert SCRIPT in names
    assert [name for name in names if not any((place / name).is_file() for place in places)] == []


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning:zmq")
def test_the_first_steps_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    notebook = read(FOLDER / "first-steps.ipynb")
    place = next(
        number for number, cell in enumerate(notebook.cells)
        if "parameters" in cell.metadata.get("tags", ())
    )  # fmt: skip
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell("STEPS, PUZZLES = 6, 40"))
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    texts = [str(cell.get("outputs")) for cell in notebook.cells]
    assert "exact accuracy" in "".join(texts)
    assert sum("image/png" in text for text in texts) >= 1
    assert (tmp_path / "solution.gif").is_file()
