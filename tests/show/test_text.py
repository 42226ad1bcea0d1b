"""Text from outside is shown, not obeyed."""

import io
import json

import pytest
from rich.text import Text

from trm.show.text import Terminal, printable

HOSTILE = "a[/x][red]:smile:\x1b[31m\x9b31m\x07\x7f\u202e\u2028\ud800\r\nb"
SHOWN = r"a[/x][red]:smile:\x1b[31m\x9b31m\x07\x7f\u202e\u2028\ud800\r\nb"


@pytest.mark.parametrize("forced", [False, True], ids=["file", "terminal"])
def test_a_str_is_one_line_without_control_characters(forced: bool) -> None:
    assert shown(HOSTILE, forced) == [SHOWN]
    assert shown("x" * 300, forced) == ["x" * 300]


def test_also_text_and_its_lines_are_escaped() -> None:
    assert shown(Text("two\x1b[31m\nlines")) == [r"two\x1b[31m", "lines"]


@pytest.mark.parametrize("forced", [False, True], ids=["file", "terminal"])
def test_a_line_of_parts_continues_between_them_in_a_narrow_terminal(forced: bool) -> None:
    terminal = Terminal(file=io.StringIO(), width=30, force_terminal=forced, color_system=None)
    terminal.print_parts("runs/sudoku/a", "on data/a folder, 4 samples,", "choose halt", HOSTILE)
    lines = terminal.file.getvalue().split("\n")[:-1]  # type: ignore[attr-defined]
    if forced:
        assert lines == [
            "runs/sudoku/a", "  on data/a folder, 4 samples,", "  choose halt", SHOWN
        ]  # fmt: skip
    else:
        assert lines == [f"runs/sudoku/a on data/a folder, 4 samples, choose halt {SHOWN}"]


def test_json_stays_json() -> None:
    terminal = Terminal(file=io.StringIO(), width=20)
    terminal.print_json(data={"name": HOSTILE})
    text = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert text.isascii()
    assert json.loads(text) == {"name": HOSTILE}


def test_usual_text_is_unchanged() -> None:
    assert printable("Maße größer, 数独 ✓ C:\\x1b") == "Maße größer, 数独 ✓ C:\\x1b"


def shown(what: object, forced: bool = False) -> list[str]:
    terminal = Terminal(file=io.StringIO(), width=100, force_terminal=forced, color_system=None)
    terminal.print(what)
    return terminal.file.getvalue().split("\n")[:-1]  # type: ignore[attr-defined,no-any-return]
