"""The page in a real browser: Chromium, without a network."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import trm
from tests.web.browser import PROBLEM, board, opened, solve, type_board
from tests.web.running import Running, running
from tests.web.small_models import ARC_ID, MAZE, SIX

ARC = f'{{"{ARC_ID}": {{"train": [{{"input": [[1]], "output": [[2]]}}], "test": [{{"input": [[1, 2, 3], [4, 5, 6]]}}]}}}}'  # noqa: E501


@pytest.fixture(scope="module")
def server(
    checkpoints: dict[str, Path], trained_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    runs = tmp_path_factory.mktemp("web") / "runs"
    shutil.copytree(trained_run, runs / "sudoku/trained", symlinks=True)
    with running("sudoku-6x6", "sudoku-9x9", *checkpoints.values(), runs=runs) as found:
        yield found


def test_a_typed_puzzle_is_solved_as_by_trm_solve(chromium: Any, server: Running) -> None:
    solution = trm.load("sudoku-6x6", device="cpu").solve(SIX)
    with opened(chromium, server) as page:
        type_board(page, SIX, 6)
        assert board(page, "#puzzle") == SIX
        assert page.evaluate("location.hash") == f"#sudoku={SIX}"
        page.keyboard.press("Enter")
        page.wait_for_selector("#solve:visible")
        page.wait_for_selector("#play:enabled")
        assert board(page, "[data-model='0']") == solution.answer
        assert "✓ valid" in page.inner_text("[data-model='0'] .facts")
        page.fill("#step", "1")
        assert page.inner_text("#step-text") == f"Step 1 of {len(solution.steps)}"
        assert board(page, "[data-model='0']") == solution.boards[0]
        assert "halting probability" in page.inner_text("[data-model='0'] .facts")
        page.focus("#step")
        page.keyboard.press("End")
        assert board(page, "[data-model='0']") == solution.answer
        assert f"halted at step {solution.halt_step}" in page.inner_text("#curve-text")
        page.keyboard.press("Home")
        assert board(page, "[data-model='0']") == SIX


def test_clashes_are_marked_as_they_are_typed(chromium: Any, server: Running) -> None:
    with opened(chromium, server) as page:
        type_board(page, "11", 1)
        page.keyboard.press("ArrowRight")
        page.keyboard.press("1")
        assert page.locator("#puzzle .clash").count() == 2
        assert page.inner_text(PROBLEM) == "2 cells clash."
        assert "clash" in page.get_attribute("#puzzle .cell >> nth=0", "aria-label")
        page.keyboard.press("Backspace")
        assert page.locator("#puzzle .clash").count() == 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nonsense <b>", "the puzzle has 12 characters, not 36. "),
        (SIX.replace("6", "9"), "the puzzle has '9' in row 1, column 1. "),
        ("66" + SIX[2:], ""),  # it can be pasted, and its clashes are shown
    ],
)
def test_pasted_text(chromium: Any, server: Running, text: str, problem: str) -> None:
    with opened(chromium, server, problems=bool(problem)) as page:
        page.click("#paste-box summary")
        page.fill("#text", text)
        page.click("#paste")
        if problem:
            page.wait_for_selector(f"{PROBLEM}:not(:empty)")
            assert page.inner_text(PROBLEM).startswith(problem)
            assert "\n" not in page.inner_text(PROBLEM)
            assert page.locator(f"{PROBLEM} *").count() == 0  # text, never markup
        else:
            page.wait_for_selector("#puzzle .clash")


def test_a_puzzle_with_a_clash_is_refused_in_one_line(chromium: Any, server: Running) -> None:
    with opened(chromium, server, f"#sudoku=66{SIX[2:]}", problems=1) as page:
        page.wait_for_selector("#puzzle .clash")
        page.click("#solve")
        page.wait_for_selector(f"{PROBLEM}:not(:empty)")
        assert page.inner_text(PROBLEM) == "the puzzle has the digit 6 twice in row 1. Correct it."


@pytest.mark.parametrize(
    ("hash", "problem"),
    [
        ("#chess=12", "no model is at hand for chess. See: Other puzzles."),
        ("#sudoku=%E0%A4%A", "the puzzle in the address is cut short. Copy the whole address."),
    ],
)
def test_an_address_that_cannot_be_read(
    chromium: Any, server: Running, hash: str, problem: str
) -> None:
    with opened(chromium, server, hash) as page:
        page.wait_for_selector(f"{PROBLEM}:not(:empty)")
        assert page.inner_text(PROBLEM) == problem


def test_digits_without_a_keyboard(chromium: Any, server: Running) -> None:
    with opened(chromium, server, viewport={"width": 400, "height": 800}) as page:
        page.click("#puzzle .cell >> nth=3")
        page.click("#pad >> text=5")
        assert board(page, "#puzzle") == "...5" + 32 * "."
        page.click("#pad >> text=clear")
        assert board(page, "#puzzle") == 36 * "."


def test_two_models_side_by_side(
    chromium: Any, server: Running, checkpoints: dict[str, Path]
) -> None:
    with opened(chromium, server, f"#sudoku={SIX}") as page:
        page.wait_for_selector("#puzzle .clue")
        page.select_option("#other", str(checkpoints["again"]))
        page.check("#show-heat")
        solve(page)
        assert page.inner_text("#title-0") == "sudoku-6x6"
        assert page.inner_text("#title-1") == str(checkpoints["again"])
        assert board(page, "[data-model='0']") == board(page, "[data-model='1']")
        assert page.locator("#curve polyline").count() == 2
        assert page.locator("[data-model='1'] .heat").count() == 36


def test_thinking_longer(chromium: Any, server: Running) -> None:
    with opened(chromium, server, f"#sudoku={SIX}") as page:
        page.wait_for_selector("#puzzle .clue")
        page.click("#options summary")
        page.fill("#steps", "9")
        page.fill("#votes", "2")
        assert page.is_disabled("#noise")
        page.fill("#samples", "2")
        page.fill("#noise", "0.5")
        solve(page)
        assert page.inner_text("#step-text") == "Step 9 of 9"
        page.click("#play")
        page.wait_for_selector("#play[aria-pressed=true]")
        assert page.inner_text("#play") == "Pause"
        page.wait_for_selector("#play[aria-pressed=false]")
        assert page.input_value("#step") == "9"


def test_a_maze_is_drawn_and_solved(
    chromium: Any, server: Running, checkpoints: dict[str, Path]
) -> None:
    with opened(chromium, server) as page:
        page.select_option("#kind", "maze-6")
        type_board(page, MAZE, 6)
        page.click("#brushes >> text=Wall")
        page.click("#puzzle .cell >> nth=1")
        assert page.locator("#puzzle .wall").count() == MAZE.count("#") + 1
        page.click("#brushes >> text=Open")
        page.click("#puzzle .cell >> nth=1")
        solve(page)
        page.fill("#step", "3")
        drawn = page.locator("[data-model='0'] .cell").evaluate_all(
            "cells => cells.map(cell => ['wall', 'open', 'start', 'goal', 'path']"
            ".find(name => cell.classList.contains(name)) ?? '')"
        )
    answer = trm.load(checkpoints["maze"], device="cpu").solve(MAZE).answer
    names = {"#": "wall", ".": "open", "S": "start", "G": "goal", "o": "path", "?": ""}
    assert drawn == [names[symbol] for symbol in answer]


def test_an_arc_task_is_pasted(chromium: Any, server: Running) -> None:
    with opened(chromium, server) as page:
        page.select_option("#kind", "arc1")
        page.evaluate(
            "text => { const data = new DataTransfer(); data.setData('text', text);"
            "document.body.dispatchEvent(new ClipboardEvent('paste',"
            "{ clipboardData: data, bubbles: true })); }",
            ARC,
        )
        page.wait_for_selector("#demonstrations .cell")
        assert board(page, "#puzzle") == "123456"
        assert page.inner_text("#title-puzzle") == f"Puzzle {ARC_ID}"
        page.focus("#puzzle .cell")
        page.keyboard.press("9")
        assert board(page, "#puzzle") == "923456"
        solve(page)
        assert "halting probability" in page.inner_text("[data-model='0'] .facts")
        page.click("#options summary")
        page.fill("#votes", "2")
        page.click("#solve")
        page.wait_for_selector(f"{PROBLEM}:not(:empty)")
        assert page.inner_text(PROBLEM) == (
            "votes=2 needs symmetries, but these puzzles are augmented copies already. "
            "Leave it out."
        )


def test_an_arc_task_by_its_id(chromium: Any, server: Running) -> None:
    with opened(chromium, server) as page:
        page.select_option("#kind", "arc1")
        page.click("#paste-box summary")
        page.fill("#text", ARC_ID)
        page.click("#paste")
        page.wait_for_selector("#demonstrations .cell")
        assert page.locator("#demonstrations .grid").count() == 10
        assert page.inner_text("#title-puzzle") == f"Puzzle {ARC_ID}"
        page.click("#clear")
        page.click("#draw")
        page.wait_for_selector("#demonstrations .cell")


def test_another_one(chromium: Any, server: Running) -> None:
    with opened(chromium, server) as page:
        page.click("#draw")
        page.wait_for_selector("#puzzle .clue", timeout=120_000)
        first = board(page, "#puzzle")
        page.click("#clear")
        assert set(board(page, "#puzzle")) == {"."}
        page.click("#draw")
        page.wait_for_selector("#puzzle .clue")
        assert board(page, "#puzzle") != first


def test_the_curves_of_a_run_grow(
    chromium: Any, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trm.web.run_curves._BLOCK", 3000)  # as if the run were a long one
    with opened(chromium, server) as page:
        page.focus("#tab-puzzle")
        page.keyboard.press("ArrowRight")
        page.wait_for_selector("#runs button")
        page.wait_for_selector("#run-curve polyline")
        assert "at step 180" in page.inner_text("#run-text")
        metrics = next(Path(server.json("api/runs")["runs"][0]["run"]).glob("metrics.jsonl"))
        with metrics.open("a") as file:
            file.write('{"event": "eval", "step": 200, "exact_accuracy": 0.5}\n')
        page.wait_for_selector("#run-text >> text=exact_accuracy is 0.5 at step 200")
        page.select_option("#metric", "train/loss")
        points = page.get_attribute("#run-curve polyline", "points").split()
        records = metrics.read_text().count('"event": "train"')
        assert len(points) == records > 10


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_400_pixels(chromium: Any, server: Running, scheme: str) -> None:
    narrow = {"viewport": {"width": 400, "height": 800}, "color_scheme": scheme}
    with opened(chromium, server, f"#sudoku={SIX}", **narrow) as page:
        page.wait_for_selector("#puzzle .clue")
        page.click("#options summary")
        page.click("#paste-box summary")
        page.click("#missing summary")
        solve(page)
        for view in ("puzzle", "runs"):
            page.click(f"#tab-{view}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 400
        page.wait_for_selector("#run-curve polyline")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_every_control_has_a_name(chromium: Any, server: Running) -> None:
    named: Callable[..., Any]
    with opened(chromium, server, f"#sudoku={SIX}") as page:
        page.wait_for_selector("#puzzle .clue")
        named = page.locator("button, select, input, textarea, [role=grid]").evaluate_all
        nameless = named(
            "all => all.filter(one => !(one.labels?.length || one.getAttribute('aria-label')"
            " || one.textContent.trim())).map(one => one.outerHTML)"
        )
    assert nameless == []
