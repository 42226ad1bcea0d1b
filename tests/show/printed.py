"""What is printed of a table or a text."""

import io
from typing import Any

from trm.show.text import Terminal


def printed(what: Any, width: int | None = None) -> list[str]:
    """The lines of it, in a pipe or in a terminal of this width."""
    terminal = width is not None
    console = Terminal(
        file=io.StringIO(), width=width or 80, force_terminal=terminal, color_system=None
    )
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().split("\n")[:-1]
