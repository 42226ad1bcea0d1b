"""Reading standard input: whole, line by line, or its beginning and then all of it."""

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import Any

from trm.errors import InputError
from trm.inference.puzzle_file import MAX_LINE
from trm.reading import MAX_TEXT_BYTES, bounded_lines, decode


def read_text() -> str:
    """All of standard input.

    Raises:
        InputError: if it cannot be read, is too long, or is not text.
    """
    with _opened() as stdin:
        content = stdin.read(MAX_TEXT_BYTES + 1)
        if len(content) > MAX_TEXT_BYTES:
            raise ValueError(f"it has more than {MAX_TEXT_BYTES:,} bytes")
        return decode(content) if isinstance(content, bytes) else content


def read_lines() -> Iterator[str | bytes]:
    """The lines of standard input as they come."""
    with _opened() as stdin:
        yield from stdin if isinstance(stdin, io.TextIOBase) else bounded_lines(stdin, MAX_LINE)


def read_start(size: int) -> str:
    """The lines in the first ``size`` bytes of standard input, which then can be read again."""
    with _opened() as stdin:
        content = stdin.read(size)
        if isinstance(content, str):
            sys.stdin = io.StringIO(content + stdin.read())
            return whole_lines(content.encode(), size)
        sys.stdin = io.TextIOWrapper(io.BufferedReader(_ReadAgain(content, sys.stdin)))
        return whole_lines(content, size)


def whole_lines(content: bytes, size: int) -> str:
    """A text without its last line, if that may have been cut after ``size`` bytes."""
    whole = content[: content.rfind(b"\n") + 1] if len(content) == size else content
    return decode(whole or content)


class _ReadAgain(io.RawIOBase):
    """A stream of which the first bytes have been read already."""

    def __init__(self, start: bytes, rest: Any) -> None:
        super().__init__()
        self._start, self._rest = start, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._start[: len(buffer)] or self._rest.buffer.read1(len(buffer))
        self._start = self._start[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


@contextlib.contextmanager
def _opened() -> Iterator[Any]:
    """Standard input, as bytes unless it was replaced by text."""
    if sys.stdin is None:
        raise InputError("standard input is closed. Name a file, or give a puzzle.")
    try:
        yield getattr(sys.stdin, "buffer", sys.stdin)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"cannot read standard input: {reason}. Name a file.") from error
