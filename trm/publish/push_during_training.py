"""Pushing each new best checkpoint while a run trains on."""

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from trm import hub
from trm.errors import TrmError
from trm.plugins import reason_of
from trm.publish.push import OPTIONAL_FILES, repository, stage
from trm.runs.layout import BEST
from trm.runs.metrics_file import Listener, Record


@contextlib.contextmanager
def push_best(run: Path, repo: str | None, listen: Listener) -> Iterator[Listener]:
    """Inside the block each new best checkpoint of a run is uploaded, beside the training.

    What goes wrong is told as a warning, and tried again with the next best; training goes on.

    Args:
        run: the run folder.
        repo: ``USER/NAME[@BRANCH]``; None pushes nothing.
        listen: hears every record, and of what was pushed.

    Returns:
        What is to hear the records of the run.

    Raises:
        HubError: if ``repo`` is no name of a repository.
    """
    if repo is None:
        yield listen
        return
    pusher = _Pusher(run, repository(repo), listen)
    try:
        yield pusher
    finally:
        pusher.close()


class _Pusher:
    """Uploads one checkpoint at a time, in a thread."""

    def __init__(self, run: Path, repo: hub.HubName, listen: Listener) -> None:
        self._run, self._repo, self._listen = run, repo, listen
        self._tried: Path | None = None
        self._pushed: Path | None = None
        self._finished = False
        self._result: Record | None = None
        self._told: str | None = None
        self._step = 0
        # What is wrong with the token is better known now than after hours.
        self._thread = self._begin(lambda: hub.create_repository(repo))

    def __call__(self, record: Record) -> None:
        """Pass a record on, and look whether there is a new best: it is noted after its own."""
        self._listen(record)
        self._step = record["step"]
        self._finished = record["event"] == "end" and record["finished"]
        if not self._thread.is_alive():
            self._tell()
            if self._best() != self._tried:
                self._push_best()

    def close(self) -> None:
        """Upload the last best, unless the run was told to stop and time may be short."""
        if self._finished:
            self._thread.join()
            if self._best() != self._pushed:
                self._tell()
                self._push_best()
                self._thread.join()
        self._tell()
        if self._best() != self._pushed:
            message = f"the best checkpoint was not pushed: trm push-hub --ckpt {self._run}"
            self._warn(f"{message} --repo {self._repo}")

    def _push_best(self) -> None:
        best = self._tried = self._best()
        if best is not None:
            self._thread = self._begin(lambda: self._push(best))

    def _begin(self, work: Callable[[], Record | None]) -> threading.Thread:
        def run() -> None:
            try:
                self._result = work()
            except Exception as error:  # an upload never stops training
                reason = str(error) if isinstance(error, TrmError) else reason_of(error)
                self._result = self._warning(f"{self._repo} cannot be written to: {reason}")

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def _push(self, best: Path) -> Record | None:
        step = int(best.name.rpartition("-")[2])
        for left in self._run.glob(".push-*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        # On the run's disk, where nothing has to be copied; the checkpoint may be pruned meanwhile.
        with tempfile.TemporaryDirectory(prefix=".push-", dir=self._run) as beside:
            folder = Path(beside) / "files"
            try:
                stage(best, folder, self._repo)
            except TrmError:
                if best.exists():
                    raise
                return None  # there is a better one by now, which comes next
            message = f"Step {step}, the best so far"
            url = hub.push(folder, self._repo, message=message, replaces=OPTIONAL_FILES)
        self._pushed = best
        return {"event": "pushed", "step": step, "url": url}

    def _best(self) -> Path | None:
        link = self._run / BEST
        return link.resolve() if link.exists() else None

    def _tell(self) -> None:
        result, self._result = self._result, None
        if result is None:
            return
        warning = result.get("message")
        if warning is None or warning != self._told:  # the same one is told once
            self._listen(result)
        self._told = warning

    def _warn(self, message: str) -> None:
        self._listen(self._warning(message))

    def _warning(self, message: str) -> Record:
        return {"event": "warning", "step": self._step, "message": message}
