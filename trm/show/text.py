"""Text for a terminal. Everything that trm prints goes through :data:`out` or :data:`notes`.

How much a command prints is decided here, by :attr:`Terminal.verbosity`. ``--quiet`` and
``--verbose`` set it. A result, a warning or an error is printed with ``print``. Everything else
goes through ``remark`` (not if quiet) or ``detail`` (only if verbose), on either console.

Names come from files, runs, checkpoints, repositories and the command line. They may hold rich
markup, escape sequences or line breaks, and are data all the same: they are shown, not obeyed.
"""

import os
import re
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

# rich and typer believe these variables. In a width of 0 they print nothing, "²" ends them.
for _name in ("COLUMNS", "LINES", "TERMINAL_WIDTH"):
    if not re.fullmatch("[2-9][0-9]|[1-9][0-9]{2,3}", os.environ.get(_name, "80")):
        del os.environ[_name]


def printable(text: str, *, keep: str = "") -> str:
    r"""The text with its control characters escaped, as ``repr`` does: one line.

    Args:
        text: any text.
        keep: control characters to leave, such as the newlines of a text of several lines.

    >>> printable("red \x1b[31m\nnext")
    'red \\x1b[31m\\nnext'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in text)


class Terminal(Console):
    """A console that shows text as it is: no markup, no emoji codes, control characters escaped.

    A ``str`` is one line, whatever is in it, and is not wrapped. Nothing is cut on the right: what
    is longer than a line of the terminal continues on its next one.

    Args:
        stderr: print to stderr instead of stdout.
        options: see :class:`rich.console.Console`.
    """

    #: How much the process prints. It is the same for all consoles.
    verbosity: ClassVar[Literal["quiet", "normal", "verbose"]] = "normal"

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        super().__init__(stderr=stderr, markup=False, highlight=False, emoji=False, **options)

    def print(self, *objects: Any, soft_wrap: bool | None = None, **options: Any) -> None:
        """Print text or renderables."""
        if soft_wrap is None:
            soft_wrap = all(isinstance(one, str) for one in objects)
        options.setdefault("crop", False)
        try:
            super().print(*objects, soft_wrap=soft_wrap, **options)
        except OSError:
            if not self.stderr:
                raise
            self.quiet = True  # remarks are not worth the end of the command

    def print_parts(self, *parts: str) -> None:
        """Print one line of parts with spaces between them.

        In a terminal that is too narrow, a part, a sentence or what follows a comma or semicolon
        begins another line.
        """
        line, *pieces = [piece for part in parts for piece in re.split(r"(?<=[,.;]) ", part)]
        for piece in pieces:
            if self.is_terminal and cell_len(printable(f"{line} {piece}")) > self.width:
                self.print(line)
                line = f"  {piece}" if cell_len(printable(piece)) + 2 <= self.width else piece
            else:
                line = f"{line} {piece}"
        self.print(line)

    def remark(self, *objects: Any, **options: Any) -> None:
        """Print what ``--quiet`` leaves out: "wrote ...", "next: ...", lines of progress."""
        if not self.is_quiet:
            self.print(*objects, **options)

    def detail(self, *objects: Any, **options: Any) -> None:
        """Print what only ``--verbose`` shows."""
        if self.verbosity == "verbose":
            self.print(*objects, **options)

    @property
    def is_quiet(self) -> bool:
        """Whether there are no remarks, and so no progress bar."""
        return self.verbosity == "quiet"

    def on_broken_pipe(self) -> None:
        """Nobody reads any more: the command ends, unless these are only its remarks."""
        if not self.stderr:
            super().on_broken_pipe()
        self.quiet = True

    def print_json(self, json: str | None = None, **options: Any) -> None:
        """Print JSON, in ASCII: JSON has escapes of its own."""
        super().print_json(json, **{"ensure_ascii": True} | options)

    def render_str(self, text: str, **options: Any) -> Text:
        """The text that rich shows for a ``str``."""
        return super().render_str(printable(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments of a renderable; also ``Text`` of other modules is escaped."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable(segment.text, keep="\n"), segment.style)


#: The result of a command.
out = Terminal()
#: Progress, remarks, warnings and errors.
notes = Terminal(stderr=True)
