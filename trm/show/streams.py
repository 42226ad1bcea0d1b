"""The standard streams of the process: they may be closed, full, or not take every character."""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

from trm.show.text import printable


class _Stdout(io.TextIOWrapper):
    """stdout that names itself in an error. After the first one, what is written is lost."""

    def write(self, text: str, /) -> int:
        with self._naming_errors():
            return 0 if text == "" else super().write(text)  # typer tries streams with ""

    def flush(self) -> None:
        with self._naming_errors():
            super().flush()

    @contextlib.contextmanager
    def _naming_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            error.filename = "standard output"
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())  # Python would try again as it exits
            os.close(nowhere)
            raise


def prepare_streams() -> None:
    """Make the standard streams safe to use, before the command line is read.

    - stdout shows ``?`` for a character that its encoding lacks. stdin is UTF-8, as files are.
    - A stream that is closed gets a file, so that none of our files takes its place. Using that
      stream is an ``OSError``; what goes to a closed stderr is lost.
    - Messages that libraries log are escaped, like all other text.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            handle = os.open(os.devnull, os.O_RDONLY if name == "stdout" else os.O_WRONLY)
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
    sys.stdin = sys.stdin or open(0, encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _Stdout(
            sys.stdout.buffer, encoding=sys.stdout.encoding, errors="replace",
            line_buffering=sys.stdout.line_buffering, write_through=sys.stdout.write_through,
        )  # fmt: skip
    elif sys.stdout is None:
        sys.stdout = _Stdout(io.FileIO(1, "w"), encoding="utf-8")
    make_record = logging.getLogRecordFactory()

    def make_printable_record(*arguments: Any, **named: Any) -> logging.LogRecord:
        record = make_record(*arguments, **named)
        record.msg, record.args = printable(record.getMessage(), keep="\n\t"), None
        return record

    logging.setLogRecordFactory(make_printable_record)
