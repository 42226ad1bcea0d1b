"""The worker process of ``profiler.py``: profiles one job, given as JSON on the command line.

It prints one line of JSON: the duration of a step, and the times by name.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from rounds import MeasurementError
from sides import Job, time_steps, trm_step
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

#: Steps before the measurement, for compilation and other one-time work.
WARMUP_STEPS = 3
#: CPU operations whose time includes the operations that they call.
INCLUSIVE_OPERATIONS = ("aten::_foreach_", "aten::scaled_dot_product_attention")
#: Longer kernel names are cut: the names of templates have hundreds of characters.
MAX_NAME_LENGTH = 200

Times = tuple[dict[str, float], dict[str, int]]


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    output, sys.stdout = sys.stdout, sys.stderr  # other prints must not mix with the JSON
    torch.manual_seed(0)
    print(json.dumps(profile_steps(trm_step(job), job)), file=output, flush=True)


def profile_steps(step: Callable[[], object], job: Job) -> dict[str, Any]:
    """The average times of a step. The wall time is measured without the profiler."""
    for _ in range(WARMUP_STEPS):
        step()
    wall = time_steps(step, job.repeats, job.device) / job.repeats
    cuda = job.device == "cuda"
    activities = [ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU]
    with profile(activities=activities):  # loads the profiler
        time_steps(step, 1, job.device)
    with profile(activities=activities) as profiler:
        time_steps(step, job.repeats, job.device)
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
                "name": name[:MAX_NAME_LENGTH],
                "ms": us / 1e3 / job.repeats,
                "calls": calls[name] / job.repeats,
            }
            for name, us in sorted(times.items(), key=lambda item: -item[1])
        ],
    }


def is_kernel(event: FunctionEvent) -> bool:
    """Whether the event is a kernel or a copy on the GPU, not an annotation."""
    return event.device_type.name == "CUDA" and not event.is_user_annotation


def kernel_times(kernels: Iterable[FunctionEvent]) -> Times:
    """Microseconds and calls of GPU kernels, by name."""
    times, calls = defaultdict[str, float](float), defaultdict[str, int](int)
    for event in kernels:
        times[event.name] += event.time_range.end - event.time_range.start
        calls[event.name] += 1
    return times, calls


def operation_times(events: Iterable[FunctionEvent]) -> Times:
    """Microseconds and calls of CPU operations, by name.

    The time of an operation excludes the operations that it calls, except for
    ``INCLUSIVE_OPERATIONS``.
    """
    times, calls = defaultdict[str, float](float), defaultdict[str, int](int)
    for event in events:
        operation, parent = event, event.cpu_parent
        while parent is not None:
            operation = parent if parent.name.startswith(INCLUSIVE_OPERATIONS) else operation
            parent = parent.cpu_parent
        times[operation.name] += event.self_cpu_time_total
        calls[operation.name] += operation is event
    return times, calls


def busy_us(kernels: Iterable[FunctionEvent]) -> float:
    """Microseconds in which the GPU was busy. Overlapping kernels count once."""
    busy, until = 0.0, float("-inf")
    for start, end in sorted((event.time_range.start, event.time_range.end) for event in kernels):
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    return busy


if __name__ == "__main__":
    main()
