"""What a benchmark says of the machine and the code that it measured."""

import os
import platform
import subprocess
from pathlib import Path

_ROOT = Path(__file__).parents[1]


def cpu() -> str:
    """The cores, their names, and the Python that ran on them."""
    names = {
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    }
    cores = f"{os.cpu_count()} cores of {', '.join(sorted(names))}"
    return f"{cores}, Python {platform.python_version()}"


def name(device: str) -> str:
    """The name of the GPU, or of the processor."""
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else cpu()


def memory(device: str) -> int:
    """The bytes of memory that the device has."""
    import torch

    if device == "cuda":
        return torch.cuda.get_device_properties(0).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def driver(device: str) -> str | None:
    """The version of the GPU's driver."""
    if device == "cpu":
        return None
    return _said("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0")


def commit() -> str:
    """The commit of the code, with "-dirty" where package or benchmarks were changed since."""
    git = ("git", "-C", str(_ROOT))
    found = _said(*git, "rev-parse", "HEAD")
    changed = _said(*git, "status", "--porcelain", "--", "trm", "benchmarks/*.py")
    return found if changed == "unknown" else f"{found}-dirty"


def _said(*command: str) -> str:
    """What a program prints, or "unknown"."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # there is no such program
        return "unknown"
    return done.stdout.strip() or "unknown"
