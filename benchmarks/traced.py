"""What ``profiler.py`` runs, a process for each row: this file, run with a job.

It prints one line of JSON: how long a step took, and what the time was spent on, by name.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from rounds import MeasurementError
from sides import Job, own_step, timed
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

#: Steps before, which compile and in which much else happens for the first time.
WARMUP = 3
#: Operations of a CPU that count with all that they call.
WHOLE = ("aten::_foreach_", "aten::scaled_dot_product_attention")
#: Letters of a kernel's name that are kept: those of templates have hundreds.
LETTERS = 200

Times = tuple[dict[str, float], dict[str, int]]


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever else is printed
    torch.manual_seed(0)
    print(json.dumps(traced(own_step(job), job)), file=answers, flush=True)


def traced(step: Callable[[], object], job: Job) -> dict[str, Any]:
    """What one step takes, on average; the whole of it without the profiler."""
    for _ in range(WARMUP):
        step()
    wall = timed(step, job.repeats, job.device) / job.repeats
    cuda = job.device == "cuda"
    activities = [ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU]
    with profile(activities=activities):  # which loads it
        timed(step, 1, job.device)
    with profile(activities=activities) as profiler:
        timed(step, job.repeats, job.device)
    events = profiler.events() or []
    kernels = [event for event in events if is_kernel(event)]
    times, calls = kernel_times(kernels) if cuda else operation_times(events)
    if not times:
        raise MeasurementError("the profiler recorded nothing")
    busy = busy_us(kernels) / job.repeats / 1e3
    return {
        "steps": job.repeats,
        "wall_ms": round(1e3 * wall, 4),
        "idle_ms": round(max(0.0, 1e3 * wall - busy), 4) if cuda else None,
        "names": [
            {
                "name": name[:LETTERS],
                "ms": us / 1e3 / job.repeats,
                "calls": calls[name] / job.repeats,
            }
            for name, us in sorted(times.items(), key=lambda item: -item[1])
        ],
    }


def is_kernel(event: FunctionEvent) -> bool:
    """Whether the GPU did it: a kernel or a copy, and not a note of what they belong to."""
    return event.device_type.name == "CUDA" and not event.is_user_annotation


def kernel_times(kernels: Iterable[FunctionEvent]) -> Times:
    """Microseconds and calls by name, of what a GPU did."""
    times, calls = defaultdict[str, float](float), defaultdict[str, int](int)
    for event in kernels:
        times[event.name] += event.time_range.end - event.time_range.start
        calls[event.name] += 1
    return times, calls


def operation_times(events: Iterable[FunctionEvent]) -> Times:
    """The same of a CPU: of each operation less what it called, unless that is in ``WHOLE``."""
    times, calls = defaultdict[str, float](float), defaultdict[str, int](int)
    for event in events:
        whole, parent = event, event.cpu_parent
        while parent is not None:
            whole = parent if parent.name.startswith(WHOLE) else whole
            parent = parent.cpu_parent
        times[whole.name] += event.self_cpu_time_total
        calls[whole.name] += whole is event
    return times, calls


def busy_us(kernels: Iterable[FunctionEvent]) -> float:
    """Microseconds in which a GPU did anything, once where it did two things at a time."""
    busy, until = 0.0, float("-inf")
    for start, end in sorted((event.time_range.start, event.time_range.end) for event in kernels):
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    return busy


if __name__ == "__main__":
    main()
