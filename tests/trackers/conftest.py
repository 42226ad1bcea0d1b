"""A run that was logged to every built-in tracker."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from trm.config import RunConfig

BUILT_IN = ["tensorboard", "wandb", "trackio"]

#: What an interrupted run says, and what it says when it goes on from its checkpoint at step 2.
FIRST = [
    {"event": "start", "step": 0, "version": 1},
    {"event": "train", "step": 1, "loss": 4.0, "num_halted": 3, "exact_accuracy": None},
    {"event": "train", "step": 2, "loss": 3.0, "grad_norm": "inf"},
    {"event": "eval", "step": 2, "exact_accuracy": 0.25, "cell_accuracy": "nan"},
    {"event": "checkpoint", "step": 2, "path": "somewhere"},
    {"event": "train", "step": 3, "loss": 9.0},
]
SECOND = [
    {"event": "train", "step": 3, "loss": 2.0},
    {"event": "train", "step": 4, "loss": 1.0},
    {"event": "warning", "step": 4, "count": 7},
    {"event": "eval", "step": 4, "exact_accuracy": 0.5},
    {"event": "end", "step": 4},
]

PROGRAM = """
import json, sys
from pathlib import Path
from trm.config import RunConfig
from trm.trackers import open_trackers

given = json.loads(sys.argv[1])
warnings = []
trackers = open_trackers(
    given["names"], Path(given["run"]), RunConfig(**given["config"]), given["step"], warnings.append
)
for record in given["records"]:
    for name in record:
        if record[name] in ("nan", "inf"):
            record[name] = float(record[name])
    trackers(record)
trackers.close(given["finished"])
print(json.dumps(warnings))
"""


@dataclass(frozen=True)
class Place:
    """A home of its own: no account, no settings, no network, nothing of the developer's."""

    folder: Path

    @property
    def run(self) -> Path:
        return self.folder / "runs" / "sudoku" / "demo"

    def python(self, program: str, *arguments: str, **set_by_user: str) -> str:
        """Run a program to its end, with these variables; returns what it printed."""
        unwanted = ("WANDB", "TRACKIO", "HF_", "HUGGING", "TRM_")
        kept = {name: v for name, v in os.environ.items() if not name.startswith(unwanted)}
        variables = {
            **kept,
            "HOME": str(self.folder),
            "TRACKIO_DIR": str(self.folder / "trackio"),
            "HF_HOME": str(self.folder / "huggingface"),
            "HF_HUB_OFFLINE": "1",
            "WANDB_ERROR_REPORTING": "false",  # which goes over the network, offline too
            "ALL_PROXY": "http://127.0.0.1:9",
            "OMP_NUM_THREADS": "1",
            **set_by_user,
        }
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=self.folder, env=variables, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def log(
        self,
        names: list[str],
        records: list[dict[str, Any]],
        *,
        step: int = 0,
        finished: bool = True,
        **set_by_user: str,
    ) -> None:
        """Log a part of the run to these trackers, in a process of its own."""
        given = {
            "names": names,
            "run": str(self.run),
            "config": {"task": "sudoku", "train": {"seed": 5}},
            "step": step,
            "records": records,
            "finished": finished,
        }
        printed = self.python(PROGRAM, json.dumps(given), **set_by_user)
        assert json.loads(printed) == []  # no warning, and nothing else on stdout


@pytest.fixture(scope="session")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A run that was interrupted at step 3, went on from step 2, and came to its end."""
    place = Place(tmp_path_factory.mktemp("trackers"))
    place.run.mkdir(parents=True)
    place.log(BUILT_IN, FIRST, finished=False)
    place.log(BUILT_IN, SECOND, step=2)
    return place


@pytest.fixture
def empty(tmp_path: Path) -> Place:
    """A place where nothing was logged yet."""
    place = Place(tmp_path)
    place.run.mkdir(parents=True)
    return place


@pytest.fixture
def config() -> RunConfig:
    return RunConfig(task="sudoku")
