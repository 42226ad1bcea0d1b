"""What a benchmark says of the machine that it ran on."""

import os
import platform
from pathlib import Path


def cpu() -> str:
    """The cores, their names, and the Python that ran on them."""
    names = {
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    }
    cores = f"{os.cpu_count()} cores of {', '.join(sorted(names))}"
    return f"{cores}, Python {platform.python_version()}"
