"""``trm.play``: the messages of the widget, and the widget itself in Chromium."""

import sys
from pathlib import Path
from typing import Any

import pytest

import trm
from tests.web.browser import PROBLEM, board, solve, type_board
from tests.web.notebook_stub import Kernel, opened_widget
from tests.web.small_models import ARC_ID, MAZE, SIX
from trm.web.catalogue import Catalogue
from trm.web.conversation import Conversation
from trm.web.puzzles import read_puzzle

pytest.importorskip("anywidget")

NAME = "sudoku-6x6"
CLASH = "66" + SIX[2:]
CURVE = "document.querySelector('#out > div').shadowRoot.querySelector('#curve svg')"
TWICE = "the puzzle has the digit 6 twice in row 1. Correct it."


@pytest.fixture(scope="module")
def six() -> trm.Model:
    return trm.load(NAME, device="cpu")


@pytest.fixture(scope="module")
def maze(checkpoints: dict[str, Path]) -> trm.Model:
    return trm.load(checkpoints["maze"], device="cpu")


def asked(model: str, puzzle: str, **options: Any) -> dict[str, Any]:
    """The message that asks for a solve."""
    request = {"models": [model], "puzzle": puzzle, "options": options}
    return {"id": "a", "ask": "solve", "request": request}


def lines(kernel: Kernel, message: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of a whole solve."""
    replies = kernel.ask(message)
    while replies[-1].get("more"):
        replies = replies[:-1] + kernel.ask({"id": message["id"], "ask": "next"})
    assert replies[-1] == {"id": message["id"], "value": None}
    return [reply["line"] for reply in replies[:-1]]


def error(replies: list[dict[str, Any]], name: str = "a") -> str:
    """The one line of the only reply."""
    (reply,) = replies
    assert reply.keys() == {"id", "error"}
    assert reply["id"] == name
    assert "\n" not in reply["error"]
    return str(reply["error"])


# Python alone


def test_the_steps_are_those_of_the_model(six: trm.Model) -> None:
    *steps, end = lines(Kernel(trm.play(six)), asked(six.name, SIX))
    solution = six.solve(SIX)
    assert [step["tokens"] for step in steps] == [one.board.tolist() for one in solution.steps]
    assert [step["answer"] for step in steps] == list(solution.boards)
    assert [step["halt"] for step in steps] == [
        pytest.approx(one.halt_probability, abs=1e-6) for one in solution.steps
    ]
    assert {step["effort"] for step in steps} == {0}
    assert steps[-1]["valid"] is True
    assert end["end"]["answer"] == solution.answer


def test_an_answer_that_is_not_valid_is_tried_again(maze: trm.Model) -> None:
    *steps, _ = lines(Kernel(trm.play(maze)), asked(maze.name, MAZE))
    tried = [
        step.board.tolist() for one in maze.attempts(maze.puzzle_of(MAZE)) for step in one.steps
    ]
    assert [step["tokens"] for step in steps] == tried
    assert {step["effort"] for step in steps} > {0, 1}


def test_a_solve_goes_on_as_long_as_it_is_asked(six: trm.Model) -> None:
    conversation = Conversation(Catalogue([six]), seconds=0)
    first, more = conversation.replies(asked(six.name, SIX))
    assert (first["line"]["step"], more) == (1, {"id": "a", "more": True})
    second, _ = conversation.replies({"id": "a", "ask": "next"})
    assert second["line"]["step"] == 2
    assert list(conversation.replies({"id": "a", "ask": "stop"})) == []
    ended = error(list(conversation.replies({"id": "a", "ask": "next"})))
    assert ended == "this solve has ended. Solve the puzzle again."


def test_old_solves_that_nobody_asks_for_are_dropped(six: trm.Model) -> None:
    conversation = Conversation(Catalogue([six]), seconds=0)
    for name in "abcde":
        assert len(list(conversation.replies({**asked(six.name, SIX), "id": name}))) == 2
    assert "has ended" in error(list(conversation.replies({"id": "a", "ask": "next"})))
    assert len(list(conversation.replies({"id": "b", "ask": "next"}))) == 2


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (asked(NAME, "nonsense\n\x1b[1m"), "the puzzle has "),
        (asked(NAME, CLASH), TWICE),
        (asked("<b>", SIX), "'<b>' is not among the models here. "),
        (asked(NAME, SIX, steps=513), "513 steps are too many here. "),
        (asked(NAME, SIX, stps=5), "stps"),
        ({"id": "a", "ask": "solve"}, "models: Field required. Correct it."),
        ({"id": "a", "ask": "read", "model": NAME, "text": "12"}, "the puzzle has 2 characters"),
        ({"id": "a", "ask": "draw", "model": NAME, "difficulty": "x"}, "difficulty 'x': give easy"),
        ({"id": "a", "ask": "sing"}, "the kernel cannot read a message of the widget: ask: "),
    ],
)
def test_nonsense_gives_one_line(six: trm.Model, message: dict[str, Any], problem: str) -> None:
    assert problem in error(Kernel(trm.play(NAME, device="cpu")).ask(message))


@pytest.mark.parametrize(
    "message", [None, 7, [], {}, {"id": 7, "ask": "next"}, {"id": "", "ask": 1}]
)
def test_what_is_no_message_gives_one_line(six: trm.Model, message: object) -> None:
    problem = error(Kernel(trm.play(six)).ask(message), name="")
    assert problem.startswith("the kernel cannot read a message of the widget: ")
    assert problem.endswith(" Run the cell again.")


@pytest.mark.parametrize(
    ("failure", "shown"),
    [(RuntimeError("no\nmemory"), "RuntimeError: no"), (KeyboardInterrupt(), "KeyboardInterrupt")],
)
def test_a_solve_that_fails_says_so(
    six: trm.Model, monkeypatch: pytest.MonkeyPatch, failure: BaseException, shown: str
) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise failure

    monkeypatch.setattr(trm.Model, "attempts", fail)
    replies = Conversation(Catalogue([six])).replies(asked(six.name, SIX))
    assert next(replies) == {"id": "a", "error": f"stopped in the kernel: {shown}"}
    if isinstance(failure, RuntimeError):
        with pytest.raises(RuntimeError):  # the notebook logs it
            next(replies)


def test_a_puzzle_is_read(six: trm.Model) -> None:
    message = {"id": "a", "ask": "read", "model": six.name, "text": CLASH}
    (read,) = Kernel(trm.play(six)).ask(message)
    assert read == {"id": "a", "value": read_puzzle(six, CLASH)}


def test_without_a_name_all_models_are_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [one["name"] for one in trm.play().offered["models"]]
    assert names == [model.name for model in trm.list_models()]


def test_without_anywidget_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "trm.web.board_widget", raising=False)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(trm.TrmError) as raised:
        trm.play(NAME)
    assert str(raised.value) == (
        "the widget needs anywidget, which is not installed. Run: pip install anywidget"
    )


# In Chromium


def test_a_typed_puzzle_is_solved_as_by_the_model(chromium: Any, six: trm.Model) -> None:
    solution = six.solve(SIX)
    with opened_widget(chromium, trm.play(six)) as page:
        type_board(page, SIX, 6)
        assert board(page, "#puzzle") == SIX
        page.keyboard.press("Enter")
        page.wait_for_selector("#play:enabled")
        page.wait_for_selector("#solve:visible")
        assert board(page, "[data-model='0']") == solution.answer
        assert "✓ valid" in page.inner_text("[data-model='0'] .facts")
        page.check("#show-heat")
        assert page.locator("[data-model='0'] .heat").count() == 36
        page.fill("#step", "1")
        assert page.inner_text("#step-text") == f"Step 1 of {len(solution.steps)}"
        assert board(page, "[data-model='0']") == solution.boards[0]
        assert f"halted at step {solution.halt_step}" in page.inner_text("#curve-text")
        page.focus("#step")
        page.keyboard.press("End")
        assert board(page, "[data-model='0']") == solution.answer
        drawn = page.get_attribute("#curve svg", "viewBox")
        page.set_viewport_size({"width": 500, "height": 900})
        page.wait_for_function(f"{CURVE}.getAttribute('viewBox') !== '{drawn}'")
        page.evaluate("out.hidden = true")
        page.set_viewport_size({"width": 700, "height": 900})
        page.evaluate("out.hidden = false")
        page.wait_for_function(f"{CURVE}.getAttribute('viewBox') === '{drawn}'")
        page.click("#play")
        page.wait_for_selector("#play[aria-pressed=true]")
        assert page.evaluate("keysThatLeave") == []  # a notebook has meanings for digits
        page.evaluate("closeWidget()")
        assert page.get_attribute("#play", "aria-pressed") == "false"


def test_names_and_problems_are_text(
    chromium: Any, tmp_path: Path, checkpoints: dict[str, Path]
) -> None:
    path = tmp_path / "<i>x<script>"
    path.symlink_to(checkpoints["again"].resolve())
    with opened_widget(chromium, trm.play(path, device="cpu")) as page:
        assert page.inner_text("#title-0") == str(path)
        page.click("#paste-box summary")
        page.fill("#text", "nonsense <b>")
        page.click("#paste")
        page.wait_for_selector(f"{PROBLEM}:not(:empty)")
        assert page.inner_text(PROBLEM).startswith("the puzzle has 12 characters, not 36. ")
        page.fill("#text", CLASH)
        page.click("#paste")
        page.wait_for_selector("#puzzle .clash")
        page.click("#solve")
        page.wait_for_selector(f"{PROBLEM}:not(:empty)")
        assert page.inner_text(PROBLEM) == TWICE
        page.evaluate("widgetModel.send({ ask: '<b>' })")
        page.wait_for_selector(f"{PROBLEM} >> text=cannot read a message of the widget")
        assert page.locator(f"#title-0 *, {PROBLEM} *").count() == 0


def test_a_maze_is_drawn_solved_and_stopped(chromium: Any, maze: trm.Model) -> None:
    with opened_widget(chromium, trm.play(maze)) as page:
        type_board(page, MAZE, 6)
        cells = [page.locator("#puzzle .cell").nth(number) for number in (18, 19, 20)]
        page.click("#brushes >> text=Wall")
        cells[0].hover()
        page.mouse.down()
        for cell in cells:
            cell.hover()  # a drag
        page.mouse.up()
        drawn = MAZE[:18] + "###" + MAZE[21:]
        assert page.locator("#puzzle .wall").count() == drawn.count("#")
        page.click("#clear")
        type_board(page, MAZE, 6)
        page.click("#options summary")
        page.fill("#steps", "2")
        solve(page)
        assert page.inner_text("#step-text") == "Step 2 of 2"
        page.fill("#steps", "512")
        page.click("#solve")
        page.click("#stop")
        page.wait_for_selector("#solve:visible")
        assert int(page.get_attribute("#step", "max")) < 512
        assert page.inner_text(PROBLEM) == ""


def test_another_one_of_arc(chromium: Any, checkpoints: dict[str, Path]) -> None:
    with opened_widget(chromium, trm.play(checkpoints["arc"], device="cpu")) as page:
        page.click("#draw")
        page.wait_for_selector("#demonstrations .cell")
        assert page.inner_text("#title-puzzle") == f"Puzzle {ARC_ID}"
        solve(page)
        assert "halting probability" in page.inner_text("[data-model='0'] .facts")


def test_the_widget_is_as_light_as_its_notebook(chromium: Any, six: trm.Model) -> None:
    dark = "background: #111; color: #ddd; text-align: center; font-size: 30px"
    more = {"viewport": {"width": 400, "height": 800}}
    scheme = "document.querySelector('#out > div').style.colorScheme"
    with opened_widget(chromium, trm.play(six), theme=dark, **more) as page:
        page.wait_for_function(f"{scheme} === 'dark'")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        page.evaluate("document.documentElement.style.color = 'rgb(30, 30, 30)'")
        page.wait_for_function(f"{scheme} === 'light'")
