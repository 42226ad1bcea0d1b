"""Export a page on which a model thinks in the browser alone: ``trm export --format web``.

The folder has the page of ``trm web``, the model as ONNX, and onnxruntime-web. Any server of files
can serve it; nothing is computed there, and the page asks no other one.

===================  ==========================================================
``index.html``       the page, with a content security policy
``*.js, *.css``      the files of ``trm/web/page``
``model.json``       the model, and puzzles to try it with
``model/``           what ``trm export --format onnx`` writes
``onnxruntime/``     onnxruntime-web
===================  ==========================================================
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np

from trm.errors import CheckpointError
from trm.publish.export_program import export_onnx
from trm.publish.onnxruntime_web import FILES, find_onnxruntime
from trm.runs.checkpoint import CheckpointConfig, read_config
from trm.storage import atomic_folder, check_new
from trm.tasks.puzzle import Difficulty
from trm.tasks.registry import get_task
from trm.web.catalogue import PAGE, OfferedModel

#: The tasks whose rules the page knows.
TASKS = ("sudoku", "maze")
#: Puzzles of each difficulty.
PUZZLES = 12
_MODEL = "model"
_MOST_STEPS = 512
_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'"
)


def export_web(checkpoint: Path, out: Path, *, name: str, onnxruntime: Path | None = None) -> float:
    """Write the folder of a page.

    Args:
        checkpoint: a checkpoint folder.
        out: the new folder; it appears whole or not at all.
        name: of the model, on the page.
        onnxruntime: see :func:`~trm.publish.onnxruntime_web.find_onnxruntime`.

    Returns:
        See :func:`~trm.publish.export_program.export_onnx`.

    Raises:
        ConfigError: if one of the packages of the extra ``onnx`` is not installed.
        InputError: if ``out`` exists, or there is no onnxruntime-web.
        CheckpointError: if the checkpoint is damaged, or the page does not know its task.
        StorageError: if the disk is full or the folder cannot be written.
    """
    check_new(out)
    config = read_config(checkpoint)
    if config.run.task not in TASKS:
        raise CheckpointError(
            f"{checkpoint} is a model of {config.run.task}; a page without a server knows the "
            f"rules of {' and '.join(TASKS)}. Use trm web, or --format onnx."
        )
    runtime = find_onnxruntime(onnxruntime)
    with atomic_folder(out) as folder:
        difference = export_onnx(checkpoint, folder / _MODEL)
        (folder / "onnxruntime").mkdir()
        for file in FILES:
            shutil.copyfile(runtime / file, folder / "onnxruntime" / file)
        _write_page(folder)
        facts = json.dumps(_facts(name, config), indent=1)
        (folder / "model.json").write_text(facts, encoding="utf-8")
    return difference


def _write_page(folder: Path) -> None:
    for path in PAGE.iterdir():
        if path.is_file() and path.name != "page.html":
            shutil.copyfile(path, folder / path.name)
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    page = (PAGE / "page.html").read_text(encoding="utf-8")
    page = page.replace("<html ", "<html data-alone ", 1)
    page = page.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n{policy}', 1)
    (folder / "index.html").write_text(page, encoding="utf-8")


def _facts(name: str, config: CheckpointConfig) -> dict[str, Any]:
    """What ``in_browser.js`` reads."""
    model = OfferedModel(name, config).as_json()
    return {
        "models": [{**model, "folder": _MODEL, "loss": config.run.train.loss}],
        "limits": {"steps": _MOST_STEPS, "rollouts": 1},
        "puzzles": {level: list(_puzzles(config, level)) for level in get_args(Difficulty)},
    }


def _puzzles(config: CheckpointConfig, level: Difficulty) -> Iterator[str]:
    """Puzzles to try the model with, always the same ones; none if the task draws none."""
    task, rng = get_task(config.run.task), np.random.default_rng(0)
    for _ in range(PUZZLES):
        puzzle = task.draw_puzzle(config.data, [], level, rng)
        if puzzle is not None:
            yield puzzle
