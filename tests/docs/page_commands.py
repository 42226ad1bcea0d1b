"""Reads a page: its code blocks, and what an HTML comment before a block says about running it.

=====================================  ===========================================================
``<!-- not run: REASON -->``           the commands of the next block are not run
``<!-- run with: --flag VALUE -->``    each command of trm in the next block gets these flags
``<!-- run with: NAME=VALUE -->``      ... or these environment variables
``<!-- before: COMMAND -->``           a command that is run before the next block
``<!-- needs: PAGE.md#SECTION -->``    that section's blocks are run before the first of the page
=====================================  ===========================================================

A block in ``sh`` or ``bash``, or one that begins with a command, is a script. A block that begins
with ``$`` is a session: commands, each with the output that it prints. A block that begins with
``# NAME.toml`` or the like is a file of that name. The commands of a recipe are in its comments.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: What a script may begin with.
PROGRAMS = "trm|pip|python3?|hf|make|pytest|mkdocs|torchrun|wandb|export|bash|git|docker|sky"
_MARK = re.compile(r"^ *<!-- (not run|run with|before|needs): (.*?) -->", re.S)
_FENCE = re.compile(r"(?P<indent> *)```(\w*)[^\n]*\n(.*?)^(?P=indent)```$", re.M | re.S)
_PIECE = re.compile(rf"{_MARK.pattern}|^(#+) ([^\n]+)$|^{_FENCE.pattern}", re.M | re.S)
_SCRIPT = re.compile(rf"(?:[A-Z_]+=\S+ )*(?:{PROGRAMS}) ")
_FILE = re.compile(r"# ([\w-]+\.(?:toml|txt|csv|yaml))\n")


@dataclass(frozen=True)
class Command:
    """A command as typed, and the lines that the page shows below it; None if it shows none."""

    text: str
    output: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Block:
    """A code block."""

    page: Path
    line: int
    section: str
    language: str
    text: str
    not_run: str | None = None
    run_with: str = ""
    before: tuple[str, ...] = ()

    @property
    def file(self) -> str | None:
        """The name of the file that the block shows."""
        found = _FILE.match(self.text)
        return found and found[1]

    @property
    def commands(self) -> list[Command]:
        """A script is one command."""
        if self.language in ("python", "toml") or self.file:
            return []
        if self.text.startswith("$ "):
            return list(_session(self.text))
        if self.language in ("sh", "bash") or _SCRIPT.match(self.text):
            return [Command(self.text)]
        return []


def _session(text: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        lines = part.rstrip("\n").split("\n")
        end = next(n for n, line in enumerate(lines, 1) if not line.endswith("\\"))
        yield Command("\n".join(lines[:end]), tuple(lines[end:]))


@dataclass
class Page:
    """The blocks of a page, in order."""

    path: Path
    blocks: list[Block] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)

    def in_section(self, anchor: str) -> list[Block]:
        found = [block for block in self.blocks if block.section == anchor]
        assert found, f"{self.path.name} has no blocks in #{anchor}"
        return found


def read_page(path: Path) -> Page:
    """
    Raises:
        AssertionError: for a mark that no block follows, or a command that would be overlooked.
    """
    page, text, section = Page(path), path.read_text(encoding="utf-8"), ""
    if path.suffix == ".toml":  # the commands in the comments of a recipe
        lines = re.findall(r"^# +(trm [a-z].*)$", text, flags=re.M)
        text = "\n".join(["```sh", *lines, "```"])
    marks: list[tuple[str, str]] = []
    for found in _PIECE.finditer(text):
        mark, value, _, heading, _, language, code = found.groups()
        if mark == "needs":
            page.needs.append(value)
        elif mark:
            marks.append((mark, value))
        elif heading:
            assert not marks, f"{path.name}: no block follows the mark {marks}"
            section = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        else:
            block = Block(
                path,
                text.count("\n", 0, found.start()) + 1,
                section,
                language,
                textwrap.dedent(code),
                next((value for mark, value in marks if mark == "not run"), None),
                " ".join(value for mark, value in marks if mark == "run with"),
                tuple(value for mark, value in marks if mark == "before"),
            )
            lines = re.findall(r"^(?:\$ )?trm [a-z].*", block.text, flags=re.M)
            assert block.commands or not lines, f"{path.name}: is this a command? {lines}"
            page.blocks.append(block)
            marks = []
    return page
