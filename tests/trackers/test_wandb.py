"""What W&B keeps in the run folder, to be uploaded when there is a network."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wandb.proto.wandb_internal_pb2 import Record

from trm.trackers.wandb import ID_FILE

#: Of W&B's files, which are LevelDB logs after a header of their own.
HEADER, BLOCK = 7, 1 << 15
FULL, LAST = 1, 4


def entries(file: Path) -> Iterator[Record]:
    """The records of a ``.wandb`` file."""
    data = file.read_bytes()
    assert data.startswith(b":W&B")
    place, parts = HEADER, b""
    while place < len(data):
        if BLOCK - place % BLOCK < HEADER:  # the rest of a block that nothing fits into
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + HEADER])
        parts += data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (FULL, LAST):
            yield Record.FromString(parts)
            parts = b""


@pytest.fixture(scope="module")
def pieces(logged: Any) -> list[list[Record]]:
    """The records of the two parts of the run."""
    files = sorted(logged.run.glob("wandb/offline-run-*/run-*.wandb"))
    return [list(entries(file)) for file in files]


def of_kind(piece: list[Record], kind: str) -> list[Any]:
    return [getattr(record, kind) for record in piece if record.WhichOneof("record_type") == kind]


def rows(piece: list[Record]) -> list[dict[str, float]]:
    found = []
    for history in of_kind(piece, "history"):
        row = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in history.item}
        found.append({name: value for name, value in row.items() if not name.startswith("_")})
    return found


def test_each_part_has_its_numbers_at_their_steps(pieces: list[list[Record]]) -> None:
    first, second = map(rows, pieces)
    assert first == [
        {"step": 1, "train/loss": 4.0, "train/num_halted": 3.0},
        {"step": 2, "train/loss": 3.0},
        {"step": 2, "eval/exact_accuracy": 0.25},
        {"step": 3, "train/loss": 9.0},
    ]
    assert second == [
        {"step": 3, "train/loss": 2.0},
        {"step": 4, "train/loss": 1.0},
        {"step": 4, "eval/exact_accuracy": 0.5},
    ]


def test_both_parts_are_one_run(pieces: list[list[Record]], logged: Any) -> None:
    first, second = (of_kind(piece, "run")[0] for piece in pieces)
    assert first.run_id == second.run_id == (logged.run / ID_FILE).read_text().strip()
    assert {first.project, second.project} == {"trm"}
    assert {first.display_name, second.display_name} == {"sudoku/demo"}


def test_curves_are_drawn_over_the_training_step(pieces: list[list[Record]]) -> None:
    for piece in pieces:
        metrics = of_kind(piece, "metric")
        assert {metric.glob_name: metric.step_metric for metric in metrics if metric.glob_name} == {
            "train/*": "step",
            "eval/*": "step",
        }


def test_the_whole_config_is_there(pieces: list[list[Record]]) -> None:
    updates = of_kind(pieces[0], "run")[0].config.update
    config = {update.key: json.loads(update.value_json) for update in updates}
    assert config["task"] == "sudoku"
    assert config["train"]["seed"] == 5
    assert config["model"]["puzzle_emb_dim"] is None
    assert {"optim", "data", "eval"} <= set(config)


def test_the_end_says_whether_the_run_finished(pieces: list[list[Record]]) -> None:
    assert [of_kind(piece, "exit")[0].exit_code for piece in pieces] == [1, 0]


def test_what_the_user_has_set_comes_first(empty: Any) -> None:
    elsewhere = empty.folder / "elsewhere"
    elsewhere.mkdir()
    empty.log(
        ["wandb"], [], WANDB_DIR=str(elsewhere), WANDB_PROJECT="mine", WANDB_NAME="my own",
        WANDB_RUN_ID="chosen", WANDB_MODE="offline",
    )  # fmt: skip
    (file,) = elsewhere.glob("wandb/offline-run-*-chosen/run-chosen.wandb")
    run = of_kind(list(entries(file)), "run")[0]
    assert (run.project, run.display_name, run.run_id) == ("mine", "my own", "chosen")


def test_a_new_run_in_an_old_folder_is_a_new_one(empty: Any) -> None:
    (empty.run / ID_FILE).parent.mkdir()
    (empty.run / ID_FILE).write_text("older\n")
    empty.log(["wandb"], [])
    (file,) = empty.run.glob("wandb/offline-run-*/run-*.wandb")
    assert (
        f"run-{(empty.run / ID_FILE).read_text().strip()}.wandb" == file.name != "run-older.wandb"
    )
