"""Push each new best checkpoint to the Hub while a run trains; without evaluations, the last."""

import contextlib
import shlex
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from trm import hub
from trm.errors import TrmError
from trm.hub_names import HubName
from trm.plugins import reason_of
from trm.publish.push import OPTIONAL_FILES, parse_repository, write_upload_folder
from trm.runs.best_and_last import best_checkpoint, last_checkpoint
from trm.runs.metrics_file import Listener, Record
from trm.storage import temporary_folder


@contextlib.contextmanager
def push_best(run: Path, repo: str, listen: Listener) -> Iterator[Listener]:
    """Push each new best checkpoint of a run in the background, while the block trains it.

    A failed push is reported as a warning, and the next best checkpoint is pushed as usual.
    Training continues in any case.

    Args:
        run: the run folder.
        repo: ``USER/NAME[@BRANCH]``.
        listen: receives every record of the run, and a record for each push.

    Yields:
        The listener for the records of the run.

    Raises:
        HubError: if ``repo`` does not name a repository.
    """
    pusher = _BackgroundPush(run, parse_repository(repo), listen)
    try:
        yield pusher
    finally:
        pusher.close()


class _BackgroundPush:
    """Uploads one checkpoint at a time in a thread."""

    def __init__(self, run: Path, repo: HubName, listen: Listener) -> None:
        self._run, self._repo, self._listen = run, repo, listen
        self._last_tried: Path | None = None
        self._last_pushed: Path | None = None
        self._run_finished = False
        self._result: Record | None = None
        self._last_warning: str | None = None
        self._step = 0
        # An invalid token is reported now, and not after hours of training.
        self._thread = self._start(lambda: hub.create_repository(repo))

    def __call__(self, record: Record) -> None:
        """Pass a record on, and push if there is a new best checkpoint."""
        self._listen(record)
        self._step = record["step"]
        self._run_finished = record["event"] == "end" and record["finished"]
        if not self._thread.is_alive():
            self._report_result()
            if self._best() != self._last_tried:
                self._start_push()

    def close(self) -> None:
        """Push the last best checkpoint, unless the run was stopped and time may be short."""
        if self._run_finished:
            self._thread.join()
            if self._best() != self._last_pushed:
                self._report_result()
                self._start_push()
                self._thread.join()
        self._report_result()
        if self._best() != self._last_pushed:
            command = shlex.join(
                ["trm", "push-hub", "--ckpt", str(self._run), "--repo", str(self._repo)]
            )
            self._listen(self._warning(f"the best checkpoint was not pushed: {command}"))

    def _start_push(self) -> None:
        best = self._last_tried = self._best()
        if best is not None:
            self._thread = self._start(lambda: self._push(best))

    def _start(self, work: Callable[[], Record | None]) -> threading.Thread:
        def run() -> None:
            try:
                self._result = work()
            except Exception as error:  # a failed upload must not stop training
                reason = str(error) if isinstance(error, TrmError) else reason_of(error)
                self._result = self._warning(f"{self._repo} cannot be written to: {reason}")

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def _push(self, best: Path) -> Record | None:
        step = int(best.name.rpartition("-")[2])
        # On the run's disk files are linked, not copied. The run may remove the checkpoint.
        with temporary_folder(self._run) as temporary:
            folder = temporary / "files"
            try:
                write_upload_folder(best, folder, self._repo)
            except TrmError:
                if best.exists():
                    raise
                return None  # a better checkpoint has replaced it, and is pushed next
            is_best = best == best_checkpoint(self._run)
            message = f"Step {step}, the {'best so far' if is_best else 'last'}"
            url = hub.push(folder, self._repo, message=message, replaces=OPTIONAL_FILES)
        self._last_pushed = best
        return {"event": "pushed", "step": step, "url": url}

    def _best(self) -> Path | None:
        best = best_checkpoint(self._run)
        return last_checkpoint(self._run) if best is None and self._run_finished else best

    def _report_result(self) -> None:
        result, self._result = self._result, None
        if result is None:
            return
        warning = result.get("message")
        if warning is None or warning != self._last_warning:  # do not repeat a warning
            self._listen(result)
        self._last_warning = warning

    def _warning(self, message: str) -> Record:
        return {"event": "warning", "step": self._step, "message": message}
