"""Every ``--help`` page at 80 columns, and the examples that it shows."""

import io
import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer

from trm.cli import app
from trm.commands.help import help_page
from trm.commands.options import PANELS
from trm.show.help_page import HelpPage, show_help
from trm.show.text import Terminal

#: They need no panel: they are in the last one.
EVERYWHERE = {"--help", "--verbose", "--quiet"}
ROOT: Any = typer.main.get_command(app)


def contexts(context: typer.Context) -> Iterator[typer.Context]:
    """The context of a command and of the commands that it has."""
    yield context
    command: Any = context.command
    if hasattr(command, "list_commands"):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            yield from contexts(typer.Context(child, parent=context, info_name=name))


CONTEXTS = {one.command_path: one for one in contexts(typer.Context(ROOT, info_name="trm"))}
PAGES = {path: help_page(context.command, context) for path, context in CONTEXTS.items()}


def shown(page: HelpPage, width: int = 80) -> str:
    console = Terminal(file=io.StringIO(), width=width)
    show_help(console, page)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_cut(path: str) -> None:
    page = PAGES[path]
    text = shown(page)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    for panel in (*page.commands.values(), *page.options.values()):
        for entry in panel:
            assert f"│ {entry.name} {entry.value}".rstrip() in text  # on one line
            assert entry.text
    assert page.paragraphs[0].endswith(".")


@pytest.mark.parametrize("path", [path for path in PAGES if path not in ("trm", "trm build-data")])
def test_every_option_is_in_a_panel(path: str) -> None:
    context = CONTEXTS[path]
    for parameter in context.command.get_params(context):
        if EVERYWHERE.isdisjoint(parameter.opts):
            assert parameter.rich_help_panel in PANELS, parameter.name
            assert parameter.metavar or parameter.is_flag, parameter.name


def test_every_command_is_in_a_panel() -> None:
    names = [entry.name for panel in PAGES["trm"].commands.values() for entry in panel]
    assert sorted(names) == sorted(ROOT.commands)


def test_long_commands_have_three_examples_or_more() -> None:
    for name in ("train", "eval", "solve", "push-hub", "export"):
        assert len(PAGES[f"trm {name}"].examples) >= 3


@pytest.mark.parametrize(
    "example", [line for page in PAGES.values() for line in page.examples], ids=lambda line: line
)
def test_examples_can_be_typed(example: str) -> None:
    line = re.sub(" [<>] .*", "", example.partition("  #")[0])
    words = shlex.split(line)
    depth = 3 if words[1] == "build-data" else 2
    command = CONTEXTS[" ".join(words[:depth])].command
    command.make_context(words[1], words[depth:])  # a usage error if an option is wrong


def test_a_narrow_terminal_shows_whole_names() -> None:
    text = shown(PAGES["trm train"], width=50)
    assert "…" not in text
    assert max(map(len, text.splitlines()[:-3])) <= 50  # the examples are not broken


def test_the_examples_say_where_to_begin() -> None:
    assert re.search(r"\n Begin here\n   trm build-data .*\n   trm train .*\n", shown(PAGES["trm"]))


@pytest.mark.parametrize(
    ("line", "flag"),
    [
        ("build-data sudoku --size 4 --size 6", "--size"),
        ("train sudoku --max-steps 3 --max-steps 4", "--max-steps"),
        ("train sudoku --mlp-t --no-mlp-t", "--mlp-t"),
        ("eval --device cpu --ckpt a --device cpu", "--device"),
        ("push-hub --repo a/b --repo c/d", "--repo"),
        ("runs --json --json", "--json"),
    ],
)
def test_a_flag_of_one_value_is_given_once(fails: Callable[..., str], line: str, flag: str) -> None:
    message = fails(*line.split(), code=2)
    assert message == f"Invalid value for '{flag}': it is given twice. Give it once."


def test_a_setting_is_given_once(fails: Callable[..., str]) -> None:
    settings = ("--set", "train.seed=1", "--set", "optim.lr=1", "--set", "train.seed = 2")
    assert fails("config", "sudoku", *settings, code=2) == (
        "Invalid value for '--set': train.seed is given twice. Give it once."
    )
