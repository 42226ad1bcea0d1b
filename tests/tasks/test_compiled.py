"""Compiled functions in places where no file can be written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import trm
from trm.tasks.splitmix import scramble_word

#: Imports every module with compiled functions, then compiles one.
PROGRAM = """
import numpy as np
from trm.tasks.arc import augmentation
from trm.tasks.maze import compiled_solver, generate
from trm.tasks.sudoku import generate, solver
from trm.tasks.splitmix import scramble_word
{before}
print(int(scramble_word(np.uint64(1))), bool(scramble_word.stats.cache_path))
"""
#: After this no file can grow, as on a full disk.
FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"


def run(folder: Path, before: str = "", **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM.format(before=before)],
        cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_machine_code_is_kept() -> None:
    assert Path(scramble_word.stats.cache_path).is_dir()


def test_a_package_and_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    """A file where a folder is needed stands for a missing permission, which root always has."""
    package = tmp_path / "trm"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(trm.__file__).parent, package, ignore=ignored)
    for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        (folder / "__pycache__").touch()
    home = str(package / "__pycache__")
    environment = {"HOME": home, "XDG_CACHE_HOME": home, "PYTHONPATH": str(tmp_path)}
    assert run(tmp_path, **environment, NUMBA_CACHE_DIR="") == "6238072747940578789 False\n"


def test_a_full_disk(tmp_path: Path) -> None:
    assert run(tmp_path, FULL, NUMBA_CACHE_DIR=str(tmp_path)) == "6238072747940578789 True\n"
