"""Checkpoints of a run, written in the background while it trains on."""

import contextlib
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from trm.errors import StorageError
from trm.runs import checkpoint
from trm.runs.layout import BEST, LAST
from trm.runs.metrics_file import Record
from trm.runs.run_folder import checkpoint_path, checkpoints_to_remove, remove_unfinished
from trm.storage import replace_symlink
from trm.training.snapshot import Snapshot


class CheckpointWriter:
    """Writes one checkpoint at a time into a run folder, and keeps the newest and the best.

    A checkpoint that cannot be written is warned of, and those before it stay.

    Args:
        run: the run folder.
        keep: how many of the newest to keep.
        every_minutes: how often one is due, None if time alone makes none due.
        report: hears of each checkpoint, and of those that failed; in the thread of the caller.
    """

    def __init__(
        self, run: Path, keep: int, every_minutes: float | None, report: Callable[[Record], None]
    ) -> None:
        self._run, self._keep, self._report = run, keep, report
        self._every_s = 60 * every_minutes if every_minutes else None
        self._saved = time.monotonic()
        self._thread: threading.Thread | None = None
        self._step = 0
        self._error: Exception | None = None
        remove_unfinished(run)

    @property
    def due(self) -> bool:
        """Whether so many minutes have passed since the last one."""
        if self._every_s is None or self._thread is not None:
            return False  # one that is still being written has to end first
        return time.monotonic() - self._saved >= self._every_s

    def save(self, snapshot: Snapshot) -> None:
        """Begin to write; waits for the one before, of which there is one at most."""
        self.wait()
        self._saved = time.monotonic()
        self._step, self._error = snapshot.progress.step, None
        # A daemon: whoever ends the run by force need not wait for it; half of it does no harm.
        self._thread = threading.Thread(target=self._write, args=(snapshot,), daemon=True)
        self._thread.start()

    def _write(self, snapshot: Snapshot) -> None:
        path = checkpoint_path(self._run, snapshot.progress.step)
        try:
            snapshot.write(path)
            replace_symlink(self._run / LAST, path)
            self._prune()
        except Exception as error:  # raised again, or warned of, in wait
            self._error = error

    def poll(self) -> None:
        """Report a checkpoint that was written meanwhile."""
        if self._thread is not None and not self._thread.is_alive():
            self.wait()

    def wait(self) -> bool:
        """Wait for the checkpoint being written; whether the last one was written whole."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            path = checkpoint_path(self._run, self._step)
            if self._error is None:
                self._report({"event": "checkpoint", "step": self._step, "path": str(path)})
            elif isinstance(self._error, StorageError):
                message = f"checkpoint of step {self._step} was not saved: {self._error}"
                self._report({"event": "warning", "step": self._step, "message": message})
            else:
                raise self._error
        return self._error is None

    def finish(self) -> None:
        """Wait for the last checkpoint.

        Raises:
            StorageError: if it could not be written.
        """
        if not self.wait():
            assert self._error is not None
            raise self._error

    def note(self, found: checkpoint.Evaluation) -> bool:
        """Note an evaluation in its checkpoint, which may be the best now; whether that worked."""
        path = checkpoint_path(self._run, found.step)
        if not self.wait() or not path.is_dir():
            return False
        try:
            if found.best_step == found.step:
                replace_symlink(self._run / BEST, path)
            checkpoint.save_evaluation(path, found)
        except StorageError as error:
            message = f"evaluation of step {found.step} was not saved: {error}"
            self._report({"event": "warning", "step": found.step, "message": message})
            return False
        self._prune()
        return True

    def _prune(self) -> None:
        for old in checkpoints_to_remove(self._run, self._keep):
            # Half of it must not be taken for a checkpoint.
            aside = old.with_name(f".{old.name}.old")
            with contextlib.suppress(OSError):
                old.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
