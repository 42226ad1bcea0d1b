"""What a command that was stopped says about starting it again."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from trm.show.text import notes


@contextlib.contextmanager
def resume_hint(
    file: Path | None, flag: str | None = None, overwrite: bool = False
) -> Iterator[None]:
    """After Ctrl-C, say what the same command will do.

    Args:
        file: the file that it resumes, None if there is none.
        flag: what would name such a file; None if nothing does.
        overwrite: whether the command has ``--overwrite``.
    """
    try:
        yield
    except KeyboardInterrupt:
        if file is not None:
            same = "without --overwrite, the same command" if overwrite else "the same command"
            notes.remark(f"stopped; {same} resumes {file}")
        else:
            advice = "" if flag is None else f". With {flag} it would resume"
            notes.remark(f"stopped; the same command starts over{advice}")
        raise
