"""A page of ``--help``. A terminal shows it in panels, ``docs/generate.py`` as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from trm.show.text import Terminal

#: Columns. The texts are made for 80, and longer lines are hard to read.
_WIDEST = 100


@dataclass(frozen=True)
class Entry:
    """A line of a panel.

    Attributes:
        name: an argument, the flags of an option, or a command.
        value: the value that an option takes, such as ``DIR``; may be empty.
        text: what it means.
    """

    name: str
    value: str
    text: str


@dataclass(frozen=True)
class HelpPage:
    """What ``--help`` says about a command.

    Attributes:
        usage: the command, its options and arguments.
        paragraphs: what the command does.
        commands: its commands, by the title of their panel.
        options: its arguments and options, by the title of their panel.
        examples: lines that are shown as they are typed; what follows a ``#`` explains them.
        examples_title: the title above the examples.
    """

    usage: str
    paragraphs: Sequence[str]
    commands: Mapping[str, Sequence[Entry]]
    options: Mapping[str, Sequence[Entry]]
    examples: Sequence[str]
    examples_title: str


def show_help(console: Terminal, page: HelpPage) -> None:
    """Print a page."""
    width = min(console.width, _WIDEST)
    usage = Text.assemble(("Usage: ", "yellow"), (page.usage, "bold"))
    for text in (usage, *map(Text, page.paragraphs)):
        console.print(Padding(text, (1, 1, 0, 1), expand=False), width=width)
    console.print()
    for panels in (page.commands, page.options):
        names = [_name(entry) for panel in panels.values() for entry in panel]
        widest = min(max(map(len, names), default=0), width // 2 - 4)
        for title, panel in panels.items():
            table = Table.grid(padding=(0, 2, 0, 0), expand=True)
            table.add_column(width=widest, overflow="fold")
            table.add_column(ratio=1, overflow="fold")
            for entry in panel:
                table.add_row(_name(entry), Text(entry.text))
            frame = Panel(table, title=title, title_align="left", border_style="dim")
            console.print(frame, width=width)
    if page.examples:
        console.print(Text(f" {page.examples_title}", style="dim"))
    for example in page.examples:
        command, mark, remark = example.partition("  #")
        line = Text.assemble("   ", (command, "cyan"), (mark + remark, "dim"))
        console.print(line, soft_wrap=True)


def _name(entry: Entry) -> Text:
    value = f" {entry.value}" if entry.value else ""
    return Text.assemble((entry.name, "bold cyan"), (value, "yellow"))
