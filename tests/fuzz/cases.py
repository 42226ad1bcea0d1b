"""Cases: folders with the input, and in ``cmd`` the command to run there.

The lines of ``cmd`` are, in this order, each kind optional but the last::

    # exit 0                       the right exit code; otherwise an error is right, 1 or 2
    # says D/test/labels.npy       a part of that error
    # D is BASE/data/sudoku        a copy of it; the files of the case replace its files
    mkfifo D/test/labels.npy       a command of the shell
    trm inspect-data D             the command; in this process unless it needs a shell

``BASE`` is the folder that :mod:`tests.fuzz.base` makes.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tests.fuzz.sandbox import ENVIRONMENT, Outcome, Sandbox, output_problems

_COPY = re.compile(r"# (\S+) is BASE/(\S+)")
#: Takes the power to read everything away from root; other users never had it.
_UNPRIVILEGED = "setpriv --bounding-set -all --inh-caps -all --no-new-privs "
_PROCESS_LIMIT = 60
_STDIN = " < STDIN"


def expected_of(case: Path) -> tuple[tuple[int, ...], str]:
    """The exit codes that are right for a case, and a part of its error."""
    text = _text_of(case)
    code = re.search(r"# exit (\d)\n", text)
    said = re.search(r"# says (.*)\n", text)
    return (int(code[1]),) if code else (1, 2), said[1] if said else ""


def run_case(case: Path, base: Path, folder: Path) -> Outcome:
    """Run the command of a case in a new folder with its files."""
    text = _text_of(case)
    folder.mkdir()
    for target, source in _COPY.findall(text):
        copy_tree(base / source, folder / target)
    shutil.copytree(case, folder, symlinks=True, dirs_exist_ok=True)
    (folder / "cmd").unlink()
    lines = text.replace("BASE/", f"{base}/").splitlines(keepends=True)
    lines = [line for line in lines if not line.startswith("#")]
    start = next((n for n, line in enumerate(lines) if line.startswith("trm ")), 0)
    if start:
        subprocess.run(["sh", "-ec", "".join(lines[:start])], cwd=folder, check=True)
    command = "".join(lines[start:])
    plain = command.rstrip().removesuffix(_STDIN)
    if plain.startswith("trm ") and not _redirects(plain):
        stdin = (folder / "STDIN").read_bytes() if plain != command.rstrip() else b""
        with Sandbox(folder) as sandbox:
            return sandbox.run(shlex.split(plain)[1:], stdin)
    return _run_in_shell(command, folder)


def _text_of(case: Path) -> str:
    """What ``cmd`` holds; a command line may have bytes that are not UTF-8."""
    return os.fsdecode((case / "cmd").read_bytes())


def copy_tree(source: Path, target: Path) -> None:
    """Copy a file or a folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy(source, target)


def _redirects(command: str) -> bool:
    """Whether a command line has a ``<``, ``>``, ``;`` or similar outside of quotes."""
    words = shlex.shlex(command, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    return any(set(word) <= set("();<>|&") for word in words if word)


def _run_in_shell(command: str, folder: Path) -> Outcome:
    if os.geteuid() != 0:
        command = command.replace(_UNPRIVILEGED, "")
    binaries = folder.parent / f"{folder.name}.bin"
    binaries.mkdir()
    trm = binaries / "trm"
    trm.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m trm "$@"\n')
    trm.chmod(0o755)
    source = Path(__file__).parents[2]
    paths = {
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(source),
    }
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, env={**os.environ, **ENVIRONMENT, **paths},
        stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROCESS_LIMIT,
    )  # fmt: skip
    texts = [text.decode("utf-8", "backslashreplace") for text in (done.stdout, done.stderr)]
    outcome = Outcome(done.returncode, *texts)
    outcome.problems += output_problems(outcome)
    return outcome
