"""A page in Chromium: what tests do with it, and what it must not do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

#: What the page says of a puzzle that cannot be read, and the like.
PROBLEM = "#problem"


class Served(Protocol):
    """Where a page is."""

    @property
    def address(self) -> str: ...


@dataclass
class Seen:
    """What a page did that a test should know of."""

    errors: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)


@contextmanager
def opened(
    chromium: Any, server: Served, hash: str = "", *, problems: int = 0, **more: Any
) -> Iterator[Any]:
    """A page. At the end it has asked no other machine, and has no error but ``problems``.

    An answer that refuses a puzzle is one.
    """
    context, seen = (
        chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **more}),
        Seen(),
    )
    context.on("request", lambda request: seen.addresses.append(request.url))
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.on("console", lambda message: seen.errors.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: seen.errors.append(f"exception: {error}"))
    try:
        page.goto(f"{server.address}{hash}")
        page.wait_for_selector("#puzzle .cell")
        yield page
        refused = [
            text for text in seen.errors if "the server responded with a status of 400" in text
        ]
        assert [text for text in seen.errors if text not in refused] == []
        assert len(refused) == problems
        assert all(address.startswith(server.address) for address in seen.addresses)
    finally:
        context.close()


def type_board(page: Any, text: str, size: int) -> None:
    """Type a board with the keyboard alone, from its first cell on."""
    page.focus("#puzzle .cell")
    for row in range(size):
        for column in range(size):
            character = text[row * size + column]
            if character != ".":
                page.keyboard.press(character)
            if column < size - 1:
                page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Home")


def solve(page: Any) -> None:
    page.click("#solve")
    page.wait_for_selector("#play:enabled")
    page.wait_for_selector("#solve:visible")


def board(page: Any, where: str = ".answer") -> str:
    """The symbols of a board, with ``.`` for an empty cell."""
    cells = page.locator(f"{where} .cell").all_text_contents()
    return "".join(cell or "." for cell in cells)
