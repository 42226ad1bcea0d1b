"""Writing a run's checkpoints in the background, while training continues."""

import contextlib
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from trm.errors import StorageError
from trm.runs import checkpoint
from trm.runs.best_and_last import checkpoint_path
from trm.runs.layout import BEST, LAST
from trm.runs.metrics_file import Record
from trm.runs.run_folder import check_still_there, checkpoints_to_remove, remove_unfinished
from trm.storage import point_to
from trm.training.checkpoint_snapshot import Snapshot


class CheckpointWriter:
    """Writes one checkpoint at a time into a run folder, and keeps the newest ones and the best.

    If a checkpoint cannot be written, there is a warning, and earlier checkpoints stay.

    Args:
        run: the run folder.
        keep: the number of newest checkpoints to keep.
        every_minutes: how often a checkpoint is due, None for never.
        report: called with a record for each checkpoint and each failure, in the caller's thread.
        saved_in: called with the seconds that a checkpoint took, in the caller's thread.
    """

    def __init__(
        self,
        run: Path,
        keep: int,
        every_minutes: float | None,
        report: Callable[[Record], None],
        saved_in: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._run, self._keep, self._report, self._saved_in = run, keep, report, saved_in
        self._every_s = 60 * every_minutes if every_minutes else None
        self._saved_at = time.monotonic()
        self._thread: threading.Thread | None = None
        self._step = 0
        self._error: Exception | None = None
        self._warning: str | None = None
        self._took_s = 0.0
        remove_unfinished(run)

    @property
    def due(self) -> bool:
        """Whether ``every_minutes`` have passed since the last checkpoint."""
        if self._every_s is None or self._thread is not None:
            return False  # not while one is still being written
        return time.monotonic() - self._saved_at >= self._every_s

    def save(self, snapshot: Snapshot) -> None:
        """Start writing a checkpoint, after waiting for the one before."""
        self.wait()
        self._saved_at = time.monotonic()
        self._step, self._error = snapshot.progress.step, None
        # A daemon, so that a forced exit does not wait for it. Unfinished checkpoints do no harm.
        self._thread = threading.Thread(target=self._write, args=(snapshot,), daemon=True)
        self._thread.start()

    def _write(self, snapshot: Snapshot) -> None:
        path = checkpoint_path(self._run, snapshot.progress.step)
        try:
            check_still_there(self._run)
            snapshot.write(path)
            self._warning = self._point(LAST, path)
            self._prune()
        except Exception as error:  # wait raises it, or warns
            self._error = error
        self._took_s = time.monotonic() - self._saved_at

    def _point(self, name: str, path: Path) -> str | None:
        """Make ``best`` or ``last`` name a checkpoint. Returns why not; readers manage without."""
        try:
            point_to(self._run / name, path)
        except StorageError as error:
            return f"{name} was not updated, the checkpoint is {path}: {error}"
        return None

    def poll(self) -> None:
        """Report a checkpoint if it has been written."""
        if self._thread is not None and not self._thread.is_alive():
            self.wait()

    def wait(self) -> bool:
        """Wait for the checkpoint that is being written. Returns whether the last one succeeded."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            path = checkpoint_path(self._run, self._step)
            self._saved_in(self._took_s)
            if self._error is None:
                self._report({"event": "checkpoint", "step": self._step, "path": str(path)})
                self._warn(self._step, self._warning)
            elif isinstance(self._error, StorageError):
                self._warn(
                    self._step, f"checkpoint of step {self._step} was not saved: {self._error}"
                )
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

    def record_evaluation(self, evaluation: checkpoint.Evaluation) -> bool:
        """Write an evaluation into its checkpoint, which may be the best now.

        Returns:
            Whether the checkpoint was written.
        """
        path = checkpoint_path(self._run, evaluation.step)
        if not self.wait() or not path.is_dir():
            return False
        if evaluation.best_step == evaluation.step:
            self._warn(evaluation.step, self._point(BEST, path))
        try:
            checkpoint.save_evaluation(path, evaluation)
        except StorageError as error:
            step = evaluation.step
            self._warn(step, f"evaluation of step {step} was not saved: {error}")
        self._prune()
        return True

    def note_end(self, step: int, minutes: float | None) -> None:
        """Note in the evaluation of a checkpoint that these minutes of the run were over then."""
        path = checkpoint_path(self._run, step)
        with contextlib.suppress(StorageError):  # the evaluation was not saved either
            evaluation = checkpoint.read_evaluation(path)
            if evaluation is not None:
                noted = evaluation.model_copy(update={"ended_minutes": minutes})
                checkpoint.save_evaluation(path, noted)

    def _warn(self, step: int, message: str | None) -> None:
        if message is not None:
            self._report({"event": "warning", "step": step, "message": message})

    def _prune(self) -> None:
        for old in checkpoints_to_remove(self._run, self._keep):
            # Renamed first, so that a half-deleted folder does not look like a checkpoint.
            renamed = old.with_name(f".{old.name}.old")
            with contextlib.suppress(OSError):
                old.rename(renamed)
            shutil.rmtree(renamed, ignore_errors=True)
