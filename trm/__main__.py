"""The first lines of a ``trm`` process, before anything large is imported."""

import os
import signal

from trm.runtime.worker import end_with_launcher, is_elastic_worker


def main() -> None:
    """``trm`` and ``python -m trm``."""
    end_with_launcher(os.environ)
    interrupted = signal.getsignal(signal.SIGINT)
    if interrupted == signal.default_int_handler and not is_elastic_worker(os.environ):
        # An exception in the middle of an import may come out of it as another one.
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
        from trm.cli import main

        signal.signal(signal.SIGINT, interrupted)
    else:
        from trm.cli import main
    main()


if __name__ == "__main__":
    main()
