"""The page without a server: what ``trm export --format web`` writes, in Chromium."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import trm
from tests.made_checkpoints import write_checkpoint
from tests.web.browser import PROBLEM, board, opened, solve, type_board
from tests.web.small_models import MAZE, SIX, small_run
from trm.inference.model import Model
from trm.tasks.registry import get_task
from trm.tasks.square_boards import board_meta

_STEPS = """async (puzzle) => {
  const alone = await import(new URL("in_browser.js", document.baseURI).href);
  const { models: [model] } = await alone.getModels(), lines = [];
  const request = { models: [model.name], puzzle, options: {} };
  await alone.solve(request, (line) => lines.push(line), new AbortController().signal);
  return lines;
}"""
_VALID = """async ([task, size, pairs]) => {
  const { isValid } = await import(new URL("rules.js", document.baseURI).href);
  const { makeKind } = await import(new URL("kinds.js", document.baseURI).href);
  return pairs.map(([given, tokens]) => isValid(makeKind({ task, size }), task, given, tokens));
}"""


@dataclass(frozen=True)
class Page:
    """A folder of files that a server of files serves, and the model that wrote it."""

    address: str
    folder: Path
    model: Model

    @property
    def puzzles(self) -> list[str]:
        found = json.loads((self.folder / "model.json").read_text())["puzzles"]
        return [puzzle for level in found.values() for puzzle in level]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def exported(checkpoint: str | Path, folder: Path, runtime: Path) -> Iterator[Page]:
    trm.export_checkpoint(checkpoint, format="web", out=folder, onnxruntime=runtime)
    model = trm.load(checkpoint, device="cpu")
    model.network.dtype = torch.float32  # as everything is computed in the browser
    with served(folder) as address:
        yield Page(address, folder, model)


@pytest.fixture(scope="module")
def sudoku(
    chromium: Any, onnxruntime_web: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("alone") / "sudoku"
    with exported("sudoku-6x6", folder, onnxruntime_web) as page:
        yield page


@pytest.fixture(scope="module")
def maze(
    chromium: Any, onnxruntime_web: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    folder, task = tmp_path_factory.mktemp("alone"), get_task("maze")
    data = board_meta("maze", task.options("mini"), task.vocabulary(6), 6)  # type: ignore[attr-defined]
    write_checkpoint(folder / "model", small_run("maze"), data)
    with exported(folder / "model", folder / "maze", onnxruntime_web) as page:
        yield page


@pytest.mark.parametrize("name", ["sudoku", "maze"])
def test_the_answers_of_20_puzzles_are_those_of_torch(
    chromium: Any, name: str, request: pytest.FixtureRequest
) -> None:
    alone: Page = request.getfixturevalue(name)
    puzzles = alone.puzzles[:20]
    assert len(set(puzzles)) == 20
    steps = alone.model.config.model.halt_max_steps  # given, so that it thinks once
    with opened(chromium, alone) as page:
        for puzzle in puzzles:
            *lines, end = page.evaluate(_STEPS, puzzle)
            solution = alone.model.solve(puzzle, steps=steps)
            assert [line["tokens"] for line in lines] == [s.board.tolist() for s in solution.steps]
            halts = [step.halt_probability for step in solution.steps]
            assert [line["halt"] for line in lines] == pytest.approx(halts, abs=1e-3)
            for line, step in zip(lines, solution.steps, strict=True):
                assert line["confidence"] == pytest.approx(step.confidence.tolist(), abs=1e-2)
            assert end["end"] == {"valid": solution.valid, "confidence": solution.confidence}


def test_a_typed_puzzle_is_solved(chromium: Any, sudoku: Page) -> None:
    solution = sudoku.model.solve(SIX)
    with opened(chromium, sudoku) as page:
        type_board(page, SIX, 6)
        assert page.evaluate("location.hash") == f"#sudoku={SIX}"
        solve(page)
        assert board(page, "[data-model='0']") == solution.answer
        assert "✓ valid" in page.inner_text("[data-model='0'] .facts")
        assert solution.confidence in page.inner_text("[data-model='0'] .facts")
        page.fill("#step", "1")
        assert board(page, "[data-model='0']") == solution.boards[0]
        assert f"halted at step {solution.halt_step}" in page.inner_text("#curve-text")


def test_what_needs_a_server_is_hidden(chromium: Any, sudoku: Page) -> None:
    with opened(chromium, sudoku, viewport={"width": 400, "height": 800}) as page:
        page.click("#options summary")
        for hidden in ("#tab-runs", "#samples", "#votes", "#noise", "#missing", "#other"):
            assert not page.is_visible(hidden)
        page.click("#draw")
        page.wait_for_selector("#puzzle .clue")
        assert board(page, "#puzzle") in sudoku.puzzles
        page.fill("#steps", "2")
        page.click("#solve")
        page.wait_for_selector("#step-text >> text=Step 2 of 2")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_until_valid_ends_at_the_first_valid_board(chromium: Any, sudoku: Page) -> None:
    with opened(chromium, sudoku, f"#sudoku={SIX}") as page:
        page.click("#options summary")
        page.check("#until-valid")
        solve(page)
        steps = len(sudoku.model.solve(SIX, until_valid=True).steps)
        assert page.inner_text("#step-text") == f"Step {steps} of {steps}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nonsense <b>", "the puzzle has 12 characters, not 36. "),
        (SIX.replace("6", "9"), "the puzzle has '9' in row 1, column 1. "),
        ("66" + SIX[2:], ""),
        ("\n".join(SIX[row : row + 6] for row in range(0, 36, 6)), ""),
    ],
)
def test_pasted_text(chromium: Any, sudoku: Page, text: str, problem: str) -> None:
    with opened(chromium, sudoku) as page:
        page.click("#paste-box summary")
        page.fill("#text", text)
        page.click("#paste")
        page.wait_for_selector(f"{PROBLEM}:not(:empty)" if problem else "#puzzle .clue")
        assert page.inner_text(PROBLEM).startswith(problem)
        assert page.locator(f"{PROBLEM} *").count() == 0
        page.click("#solve")
        if text.startswith("66"):
            page.wait_for_selector(f"{PROBLEM}:not(:empty)")
            assert "cells that clash. Correct them." in page.inner_text(PROBLEM)


def test_a_maze_is_drawn_and_solved(chromium: Any, maze: Page) -> None:
    with opened(chromium, maze) as page:
        type_board(page, MAZE.replace("G", "."), 6)
        page.click("#solve")
        page.wait_for_selector(f"{PROBLEM}:not(:empty)")
        assert page.inner_text(PROBLEM) == "the maze needs one S and one G. Draw them."
        page.click("#brushes >> text=G")
        page.click("#puzzle .cell >> nth=35")
        solve(page)
        assert "halting probability" in page.inner_text("[data-model='0'] .facts")


@pytest.mark.parametrize("name", ["sudoku", "maze"])
def test_validity_is_that_of_the_task(
    chromium: Any, sudoku: Page, name: str, tmp_path: Path
) -> None:
    """Of solutions, and of solutions with a random cell changed."""
    trm.build_data(name, preset="mini", num_train=1, num_test=30, out=tmp_path / "data")
    data = trm.open_data(tmp_path / "data")
    test, rng = data.splits["test"], np.random.default_rng(0)
    pairs = [(inputs, labels) for inputs, labels in zip(test.inputs, test.labels, strict=True)]
    for inputs, labels in list(pairs):
        changed = np.array(labels)
        changed[rng.integers(36)] = rng.integers(data.meta.vocab_size)
        pairs.append((inputs, changed))
    task = get_task(name)
    if name == "maze":  # a path that is not a shortest one
        tokens = dict(zip("#.SGo", range(1, 6), strict=True))
        drawn = ("S.G..." + 30 * ".", "S.G...o.o...ooo..." + 18 * ".")
        maze, longer = (np.array([tokens[cell] for cell in text]) for text in drawn)
        pairs.append((maze, longer))
    expected = [task.is_valid(np.array(puzzle), np.array(answer)) for puzzle, answer in pairs]
    assert expected[:30] == 30 * [True]
    assert False in expected
    assert name != "maze" or expected[-1] is False
    lists = [[puzzle.tolist(), answer.tolist()] for puzzle, answer in pairs]
    with opened(chromium, sudoku) as page:
        assert page.evaluate(_VALID, [name, 6, lists]) == expected
