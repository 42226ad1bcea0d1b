"""What computes: the commit of the code, the device, the version of torch."""

import importlib.metadata
import platform
import re
import subprocess
from pathlib import Path

import torch

from trm.reading import parse_json

#: The folder that has the folder ``trm``: of a checkout, its root.
_ROOT = Path(__file__).parents[2]
_GIT_TIMEOUT_S = 10


def code_commit() -> str | None:
    """The commit of the code of trm; None if it is unknown.

    Of a checkout, the one that is checked out, with ``+changes`` if files of the package differ
    from it. Of an installation from Git, the one that was installed.
    """
    if not (_ROOT / ".git").exists():
        return _installed_commit()
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return None
    return commit + "+changes" * bool(_git("status", "-s", "--", "trm"))


def _git(*words: str) -> str:
    """What a Git command prints; empty if it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(_ROOT), *words],
            capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _installed_commit() -> str | None:
    """The commit in ``direct_url.json``, which pip writes for an installation from Git."""
    try:
        text = importlib.metadata.distribution("trm").read_text("direct_url.json")
        commit = parse_json(text or "{}").get("vcs_info", {}).get("commit_id")
    except (importlib.metadata.PackageNotFoundError, AttributeError, ValueError, OSError):
        return None
    return commit if isinstance(commit, str) else None


def device_name(device: torch.device) -> str:
    """The name of a device, such as ``NVIDIA H100 80GB HBM3``. Equal ones round alike."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return device.type
    try:
        text = Path("/proc/cpuinfo").read_text()
    except (OSError, ValueError):
        text = ""
    facts = dict(re.findall(r"^(model name|cpu family|model)\s*:\s*(.+?)\s*$", text, re.M))
    if len(facts) < 3:
        return platform.processor() or platform.machine()
    # Processors of one name may have different instructions.
    return "{model name} (family {cpu family}, model {model})".format_map(facts)
