"""Pausing coverage, which takes half as much time again of code that is mostly Python."""

import contextlib
import os
import sys
from collections.abc import Iterator

#: Coverage also measures the processes that have this variable.
VARIABLE = "COVERAGE_PROCESS_CONFIG"
#: For a process that several tests share, whichever starts it.
MEASURED = {name: value for name, value in os.environ.items() if name == VARIABLE}


@contextlib.contextmanager
def unmeasured() -> Iterator[None]:
    """Inside the block, coverage measures neither this process nor those that it starts."""
    trace, config = sys.gettrace(), os.environ.pop(VARIABLE, None)
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(trace)
        if config is not None:
            os.environ[VARIABLE] = config
