"""What trm finds on a machine: versions, devices, memory, disk, the Hub, optional packages."""

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from trm.runtime.device import num_cores
from trm.storage import cache_folder, machine_memory, size_text

#: Less free space than this is worth a word: a checkpoint of a published model takes 0.1 GiB, the
#: published augmentations of ARC several.
_LITTLE_SPACE = 5 << 30


@dataclass(frozen=True)
class Finding:
    """One fact about this machine.

    Attributes:
        name: what it is about.
        value: what was found.
        advice: what to do, empty if nothing has to be done.
    """

    name: str
    value: str
    advice: str = ""


def diagnose() -> Iterator[Finding]:
    """All findings. Nothing is changed on this machine, and no token or password is in them."""
    trm = importlib.metadata.version("trm")
    yield Finding("trm", f"{trm}, in {Path(__file__).parents[1]}")
    yield Finding("Python", f"{platform.python_version()}, {sys.executable}")
    yield _system()
    yield _torch()
    yield from _devices()
    yield _threads()
    yield _memory()
    yield _compiler()
    yield _writable("cache", cache_folder(), "Set XDG_CACHE_HOME to a folder that can be written.")
    yield _disk()
    yield from _hub()
    yield from _variables()
    yield from _extras()


def _system() -> Finding:
    tested = sys.platform == "linux"
    advice = "" if tested else "trm is tested on Linux only. Please report what does not work here."
    return Finding("system", platform.platform(), advice)


def _torch() -> Finding:
    advice = ""
    if shutil.which("nvidia-smi") and not torch.cuda.is_available():
        advice = (
            "There is an NVIDIA driver, but torch cannot use it. Install a build of torch for CUDA "
            "that fits the driver: https://pytorch.org/get-started/locally/"
        )
    kind = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
    return Finding("torch", f"{torch.__version__}, built {kind}", advice)


def _devices() -> Iterator[Finding]:
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        memory = size_text(about.total_memory)
        capability = f"compute capability {about.major}.{about.minor}"
        yield Finding(f"cuda:{number}", f"{about.name}, {memory}, {capability}")
    if torch.backends.mps.is_available():
        yield Finding("mps", "Apple GPU")
    yield Finding("cpu", platform.processor() or platform.machine())


def _threads() -> Finding:
    cores, threads = num_cores(), torch.get_num_threads()
    advice = ""
    if threads > cores:
        advice = f"More threads than cores slow each other down. Set OMP_NUM_THREADS={cores}."
    return Finding("threads", f"{threads} of torch on {cores} cores", advice)


def _memory() -> Finding:
    memory = machine_memory()
    if memory is None:
        return Finding("memory", "unknown")
    return Finding("memory", f"{size_text(memory.total)}, {size_text(memory.free)} of it free")


def _compiler() -> Finding:
    found = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
    advice = "" if found else "torch.compile on a CPU (--compile) needs one, such as g++."
    return Finding("C++ compiler", found or "none", advice)


def _writable(name: str, folder: Path, advice: str) -> Finding:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    writable = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
    return Finding(name, f"{folder}", "" if writable else f"It cannot be written. {advice}")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    advice = "" if free >= _LITTLE_SPACE else "That is little for data and checkpoints."
    return Finding("free disk", f"{size_text(free)} in {Path.cwd()}", advice)


def _hub() -> Iterator[Finding]:
    from huggingface_hub import constants, get_token

    if get_token() is None:
        yield Finding("Hub token", "none", "To publish or use private models: hf auth login")
    else:
        yield Finding("Hub token", "present")
    yield _writable(
        "Hub cache", Path(constants.HF_HUB_CACHE), "Set HF_HOME to a folder that can be written."
    )
    if constants.HF_HUB_OFFLINE:
        yield Finding("HF_HUB_OFFLINE", "set", "Nothing can be downloaded. Unset it to go online.")


def _variables() -> Iterator[Finding]:
    """The environment variables that change what trm does."""
    for name in sorted(os.environ):
        known = name in (
            "OMP_NUM_THREADS",
            "CUDA_VISIBLE_DEVICES",
            "HF_ENDPOINT",
            "NUMBA_CACHE_DIR",
        )
        if known or name.upper().startswith("TRM_"):
            yield Finding(name, os.environ[name])


def _extras() -> Iterator[Finding]:
    """The packages that extras of trm install, and which are missing."""
    for extra, packages in sorted(optional_packages().items()):
        found, missing = [], []
        for package in packages:
            try:
                found.append(f"{package} {importlib.metadata.version(package)}")
            except importlib.metadata.PackageNotFoundError:
                missing.append(package)
        advice = f"To use it: pip install {' '.join(missing)}" if missing else ""
        if missing and extra == "cuda" and not torch.cuda.is_available():
            advice = "Not needed without an NVIDIA GPU."
        yield Finding(f"extra {extra}", ", ".join(found) or "not installed", advice)


def optional_packages() -> dict[str, list[str]]:
    """The packages of each extra that a user may want, by the name of the extra."""
    extras: dict[str, list[str]] = {}
    for requirement in importlib.metadata.requires("trm") or ():
        package, _, condition = requirement.partition(";")
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", condition)
        name = re.match(r"[\w.-]+", package)
        if extra and name and extra[1] not in ("dev", "docs"):
            extras.setdefault(extra[1], []).append(name[0])
    return extras
