"""Writing checkpoints in the background: one at a time; a failure does not stop the run."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trm.config import RunConfig
from trm.data import Position
from trm.errors import StorageError
from trm.runs.best_and_last import checkpoints
from trm.runs.checkpoint import Evaluation, Progress
from trm.training.checkpoint_snapshot import Snapshot
from trm.training.checkpoint_writer import CheckpointWriter
from trm.training.train import train


class Slow(Snapshot):
    """Stands in for a snapshot: it is written when the test says so, or fails."""

    def __init__(self, step: int, error: Exception | None = None) -> None:
        state = {"progress": Progress(step=step, position=Position()), "error": error}
        self.__dict__.update(state, go=threading.Event())

    def write(self, path: Path) -> None:
        assert self.go.wait(60)
        if self.error is not None:
            raise self.error
        path.mkdir(parents=True)
        for name in ("model.safetensors", "config.json"):
            (path / name).touch()


@pytest.fixture
def records() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def writer(tmp_path: Path, records: list[dict[str, Any]]) -> CheckpointWriter:
    (tmp_path / "config.json").touch()
    return CheckpointWriter(tmp_path, 2, None, records.append)  # type: ignore[arg-type]


def done(step: int, error: Exception | None = None) -> Any:
    found = Slow(step, error)
    found.go.set()
    return found


def names(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def test_training_continues_while_it_is_written(
    writer: CheckpointWriter, tmp_path: Path, records: list[dict[str, Any]]
) -> None:
    first: Any = Slow(1)
    writer.save(first)
    writer.poll()
    assert (records, checkpoints(tmp_path)) == ([], [])
    first.go.set()
    writer.save(done(2))  # waits for the one before
    assert [record["step"] for record in records] == [1]
    assert writer.wait()
    assert names(tmp_path) == ["step-000001", "step-000002"]
    assert (tmp_path / "last").resolve().name == "step-000002"


def test_one_that_fails_is_a_warning_and_the_others_stay(
    writer: CheckpointWriter, tmp_path: Path, records: list[dict[str, Any]]
) -> None:
    writer.save(done(1))
    writer.save(done(2, StorageError("the disk is full.")))
    assert not writer.wait()
    assert records[-1] == {
        "event": "warning", "step": 2,
        "message": "checkpoint of step 2 was not saved: the disk is full.",
    }  # fmt: skip
    assert not writer.record_evaluation(Evaluation(
        step=2, examples=1, headline="m", metrics={"m": 1.0}, best=1.0, best_step=2
    ))  # fmt: skip
    assert names(tmp_path) == ["step-000001"]
    writer.save(done(3))
    writer.finish()
    assert names(tmp_path) == ["step-000001", "step-000003"]


def test_an_evaluation_that_is_not_saved_still_decides_the_best(
    writer: CheckpointWriter,
    tmp_path: Path,
    records: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(path: Path, evaluation: Evaluation) -> None:
        raise StorageError("the disk is full.")

    writer.save(done(1))
    monkeypatch.setattr("trm.runs.checkpoint.save_evaluation", fails)
    assert writer.record_evaluation(Evaluation(
        step=1, examples=1, headline="m", metrics={"m": 1.0}, best=1.0, best_step=1
    ))  # fmt: skip
    assert records[-1]["message"] == "evaluation of step 1 was not saved: the disk is full."
    assert (tmp_path / "best").resolve().name == "step-000001"


def test_the_last_one_has_to_be_written(writer: CheckpointWriter) -> None:
    writer.save(done(1, StorageError("the disk is full.")))
    with pytest.raises(StorageError, match="the disk is full"):
        writer.finish()


def test_other_exceptions_are_raised(writer: CheckpointWriter) -> None:
    writer.save(done(1, RuntimeError("a mistake")))
    with pytest.raises(RuntimeError, match="a mistake"):
        writer.wait()


def test_unfinished_checkpoints_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    for name in (".step-000003.abc.tmp", ".step-000001.old", "step-000002", "damaged-step-000004"):
        (folder / name).mkdir(parents=True)
    CheckpointWriter(tmp_path, 2, None, lambda record: None)
    assert names(tmp_path) == ["damaged-step-000004", "step-000002"]


def test_a_checkpoint_is_due_after_save_every_minutes(
    tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    config = tiny("train.save_every_minutes=1e-9", "train.keep_checkpoints=9")
    run = train(config, runs=tmp_path, name="a").run
    saved = [path.name for path in checkpoints(run)]
    assert saved[0] == "step-000001"
    assert saved[-1] == "step-000006"
    rare = tiny("train.save_every_minutes=60", "train.keep_checkpoints=9")
    run = train(rare, runs=tmp_path, name="b").run
    assert [path.name for path in checkpoints(run)] == ["step-000006"]
