"""What Trackio keeps in its database, by its own reader."""

import json
from typing import Any

import pytest

READ = """
import json, trackio
from trackio.sqlite_storage import SQLiteStorage
(run,) = trackio.Api().runs("trm")
print(json.dumps([run.name, run.config, SQLiteStorage.get_logs("trm", run.name, run_id=run.id)]))
"""


@pytest.fixture(scope="module")
def kept(logged: Any) -> tuple[str, dict[str, Any], list[dict[str, Any]]]:
    """Name, config and rows of the only run."""
    name, config, rows = json.loads(logged.python(READ))
    return name, config, rows


def test_both_parts_are_one_run(kept: Any) -> None:
    assert kept[0] == "sudoku/demo"


def test_it_has_the_numbers_at_their_steps(kept: Any) -> None:
    shown = [{k: v for k, v in row.items() if k == "step" or "/" in k} for row in kept[2]]
    assert shown == [
        {"step": 1, "train/loss": 4.0, "train/num_halted": 3.0},
        {"step": 2, "train/loss": 3.0},
        {"step": 2, "eval/exact_accuracy": 0.25},
        {"step": 3, "train/loss": 9.0},  # before the interruption
        {"step": 3, "train/loss": 2.0},
        {"step": 4, "train/loss": 1.0},
        {"step": 4, "eval/exact_accuracy": 0.5},
    ]


def test_the_whole_config_is_there(kept: Any) -> None:
    config = kept[1]
    assert config["task"] == "sudoku"
    assert config["train"]["seed"] == 5
    assert {"model", "optim", "data", "eval"} <= set(config)


def test_a_new_run_of_an_old_name_is_a_new_one(empty: Any) -> None:
    records = [{"event": "train", "step": 1, "loss": 1.0}]
    for _ in range(2):
        empty.log(["trackio"], records)
    program = "import trackio; print(len(list(trackio.Api().runs('trm'))))"
    assert empty.python(program) == "2\n"
