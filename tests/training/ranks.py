"""Trains a list of runs, alone or as one of the processes that a test started.

RANK=0 WORLD_SIZE=2 MASTER_ADDR=... MASTER_PORT=... python ranks.py JOBS.json
"""

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import torch

from trm.config import RunConfig
from trm.runtime.process_group import (
    SINGLE_PROCESS,
    ProcessGroup,
    exit_process,
    init_process_group,
    process_group_from_env,
)
from trm.tasks.registry import get_task
from trm.training import clock
from trm.training.run_plan import plan_run
from trm.training.train import train

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.training.scripted import Scripted


def run_job(job: dict[str, Any], group: ProcessGroup) -> None:
    """Train one run, until ``should_stop`` was called ``stop_after`` times, or to its end.

    With ``tick``, time moves by that many seconds in each of these calls.
    """
    config = RunConfig.model_validate(job["config"])
    task = Scripted(job["headlines"]) if "headlines" in job else get_task(config.task)
    folder, calls = Path(job["folder"]), []
    if "tick" in job:  # the clocks of the other processes are a thousand times as fast
        clock.now = lambda: len(calls) * job["tick"] * (1 + 999 * group.rank)
    plan = plan_run(config, task, runs=folder.parents[1], name=folder.name, began=0.0, group=group)

    def stops() -> bool:  # as if only the last process had got a signal
        calls.append(1)
        return group.rank == group.size - 1 and len(calls) >= job.get("stop_after", math.inf)

    train(config, plan=plan, should_stop=stops)


if __name__ == "__main__":
    group = process_group_from_env(os.environ) or SINGLE_PROCESS
    with init_process_group(group, torch.device("cpu")):
        for job in json.loads(Path(sys.argv[1]).read_text()):
            run_job(job, group)
    exit_process(0)
