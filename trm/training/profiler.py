"""A profiler trace of some training steps, for Perfetto, TensorBoard or chrome://tracing."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity

from trm.errors import StorageError
from trm.storage import storage_errors

#: Steps before the trace: those that compile, and those that warm the profiler up.
_WAIT, _WARMUP = 8, 2


@contextlib.contextmanager
def profile(
    run: Path, steps: int, rank: int, warn: Callable[[str], None]
) -> Iterator[Callable[[], None]]:
    """Write ``RUN/profile/rank-R.json.gz``, a trace of some steps after the first ten.

    Args:
        run: the run folder.
        steps: the number of steps to trace. Nothing happens if it is 0.
        rank: of this process.
        warn: called with a message if there is no trace.

    Yields:
        A function to call after each step.
    """
    if not steps:
        yield lambda: None
        return
    path = run / "profile" / f"rank-{rank}.json.gz"

    def write(profiler: torch.profiler.profile) -> None:
        try:
            with storage_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                profiler.export_chrome_trace(str(path))
        except StorageError as error:
            warn(f"no profile: {error}")

    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    schedule = torch.profiler.schedule(wait=_WAIT, warmup=_WARMUP, active=steps, repeat=1)
    with torch.profiler.profile(
        activities=activities, schedule=schedule, on_trace_ready=write
    ) as profiler:
        yield profiler.step
    if profiler.step_num <= _WAIT + _WARMUP:
        warn(f"no profile: the run ended within the {_WAIT + _WARMUP} steps before the trace.")
