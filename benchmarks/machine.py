"""Describe the machine and the code that a benchmark measures."""

import os
import platform
import subprocess
from pathlib import Path

_ROOT = Path(__file__).parents[1]


def describe_cpu() -> str:
    """The number of cores, the processor's name, and the Python version."""
    names = {
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    }
    cores = f"{os.cpu_count()} cores of {', '.join(sorted(names))}"
    return f"{cores}, Python {platform.python_version()}"


def device_name(device: str) -> str:
    """The name of the GPU, or the description of the CPU."""
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else describe_cpu()


def device_memory(device: str) -> int:
    """The memory of the device, in bytes."""
    import torch

    if device == "cuda":
        return torch.cuda.get_device_properties(0).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def driver_version(device: str) -> str | None:
    """The version of the GPU's driver, or None for the CPU."""
    if device == "cpu":
        return None
    return _output_of("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0")


def commit() -> str:
    """The commit, with "-dirty" appended if the package or the benchmarks have changes."""
    git = ("git", "-C", str(_ROOT))
    head = _output_of(*git, "rev-parse", "HEAD")
    changed = _output_of(*git, "status", "--porcelain", "--", "trm", "benchmarks/*.py")
    return head if changed == "unknown" else f"{head}-dirty"


def _output_of(*command: str) -> str:
    """The output of a program, or "unknown" if it is missing or prints nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # the program is missing
        return "unknown"
    return done.stdout.strip() or "unknown"
