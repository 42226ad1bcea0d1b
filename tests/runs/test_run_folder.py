"""Run folders, and the checkpoint that a name refers to."""

import datetime
import errno
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from trm.config import RunConfig, TRMConfig
from trm.errors import CheckpointError, ConfigError
from trm.runs import layout
from trm.runs.best_and_last import (
    best_checkpoint,
    check_pointers,
    checkpoint_path,
    checkpoints,
    last_checkpoint,
    restore_pointers,
)
from trm.runs.run_folder import (
    checkpoints_to_remove,
    claim_run_folder,
    find_checkpoint,
    find_run,
    new_run_name,
    runs_hint,
)
from trm.storage import point_to


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_means_its_best_checkpoint(trained_run: Path) -> None:
    assert find_checkpoint(str(trained_run)) == (trained_run / layout.BEST).resolve()


def test_a_checkpoint_means_itself(trained_run: Path) -> None:
    last = trained_run / layout.LAST
    assert find_checkpoint(str(last)).resolve() == last.resolve()
    assert find_checkpoint(str(last / "model.safetensors")).resolve() == last.resolve()


def test_no_name_means_the_newest_run(trained_run: Path, tmp_path: Path) -> None:
    for number, name in enumerate(["b", "a"]):
        copy = shutil.copytree(trained_run, tmp_path / "sudoku" / name, symlinks=True)
        os.utime(Path(copy) / layout.LAST / "config.json", (number, number))
    found = find_checkpoint(None, tmp_path)
    assert found.is_relative_to((tmp_path / "sudoku" / "a").resolve())


def test_a_run_that_ended_before_its_first_evaluation_is_the_last_choice(
    trained_run: Path, tmp_path: Path
) -> None:
    for number, name in enumerate(["good", "early"]):
        copy = Path(shutil.copytree(trained_run, tmp_path / "sudoku" / name, symlinks=True))
        os.utime(copy / layout.LAST / "config.json", (number, number))
    for evaluation in copy.rglob("evaluation.json"):
        evaluation.unlink()
    (copy / layout.BEST).unlink()
    assert find_checkpoint(None, tmp_path).is_relative_to((tmp_path / "sudoku/early").resolve())
    (copy / layout.METRICS_FILE).write_text('{"event": "end", "step": 9, "finished": false}\n')
    assert find_checkpoint(None, tmp_path).is_relative_to((tmp_path / "sudoku/good").resolve())
    shutil.rmtree(tmp_path / "sudoku/good")
    assert find_checkpoint(None, tmp_path).is_relative_to((tmp_path / "sudoku/early").resolve())


def test_a_run_that_was_never_evaluated_means_its_last(made: "Made") -> None:
    run = made({3: None, 4: None}, links=True)
    assert find_checkpoint(str(run)) == checkpoint_path(run, 4)
    assert names(run) == ["checkpoints", "last"]


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(b"")
    with pytest.raises(CheckpointError, match="is a file; a checkpoint is a folder"):
        find_checkpoint(str(file))
    with pytest.raises(CheckpointError, match="neither a run with a checkpoint nor a checkpoint"):
        find_checkpoint(str(tmp_path))
    with pytest.raises(CheckpointError, match="no such run or checkpoint"):
        find_checkpoint(str(tmp_path / "absent"))
    with pytest.raises(CheckpointError, match=r"no run in .*train one, such as: trm train"):
        find_checkpoint(None, tmp_path)


def test_a_run_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for run in ("sudoku/a", "sudoku/first", "maze/first", "maze/.hidden"):
        (tmp_path / "runs" / run).mkdir(parents=True)
    assert find_run("a") == Path("runs/sudoku/a")
    for path in ("first", "absent", ".hidden", "sudoku/a", "a/b"):
        assert find_run(path) == Path(path)
    assert runs_hint(Path("first")) == "Did you mean runs/maze/first or runs/sudoku/first?"
    assert runs_hint(Path("runs/maze/firts")).startswith("Did you mean runs/maze/first")
    assert runs_hint(Path("absent")) == "See what is in runs/."
    (tmp_path / "a").mkdir()
    assert find_run("a") == Path("a")


def test_a_new_run_never_takes_a_name_that_is_used(tmp_path: Path) -> None:
    config = RunConfig(task="t", model=TRMConfig(mlp_t=True))
    now = datetime.datetime(2026, 1, 2, 3, 4, 5)
    names = []
    for _ in range(3):
        names.append(new_run_name(tmp_path, config, now))
        (tmp_path / "t" / names[-1]).mkdir(parents=True)
    assert names == ["mlp-20260102-030405", "mlp-20260102-030405-2", "mlp-20260102-030405-3"]


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Path]:
    """A run with a checkpoint for each step, evaluated to these values."""

    def make(values: Mapping[int, float | None], *, links: bool = False) -> Path:
        for step, value in values.items():
            folder = checkpoint_path(tmp_path / "run", step)
            folder.mkdir(parents=True)
            (folder / "model.safetensors").write_bytes(bytes([step]))
            (folder / "config.json").write_text(json.dumps({"step": step}))
            if value is not None:
                found = {"headline": "m", "metrics": {"m": value}}
                (folder / "evaluation.json").write_text(json.dumps(found))
        if links:
            restore_pointers(tmp_path / "run")
        return tmp_path / "run"

    return make


Made = Callable[..., Path]


def steps(run: Path) -> tuple[int | None, int | None]:
    """The steps of the best and the last checkpoint."""
    found = (best_checkpoint(run), last_checkpoint(run))
    best, last = (
        None if path is None else json.loads((path / "config.json").read_text())["step"]
        for path in found
    )
    return best, last


def test_prune_keeps_best_last_and_newest(made: Made) -> None:
    run = made({1: 0.5, 2: 0.75, 3: 0.5, 4: 0.5, 5: 0.5}, links=True)
    kept = ["step-000001", "step-000003"]
    assert [path.name for path in checkpoints_to_remove(run, 2)] == kept
    for name in (layout.BEST, layout.LAST):
        (run / name).unlink()
    assert [path.name for path in checkpoints_to_remove(run, 2)] == kept


@pytest.mark.parametrize(
    "kind", ["links", "absolute links", "text", "folders", "nothing", "dangling", "nonsense"]
)
def test_best_and_last_are_found_whatever_a_copy_of_a_run_has(made: Made, kind: str) -> None:
    run = made({1: 0.5, 2: 0.75, 3: 0.75, 4: 0.5, 5: None}, links=True)
    assert ((run / "best").readlink(), (run / "last").readlink()) == (
        Path("checkpoints/step-000003"), Path("checkpoints/step-000005"),
    )  # fmt: skip
    for name in (layout.BEST, layout.LAST):
        target = (run / name).resolve()
        (run / name).unlink()
        if kind == "links":
            (run / name).symlink_to(target)
        elif kind == "absolute links":  # and the run has moved
            (run / name).symlink_to(f"/elsewhere/run/checkpoints/{target.name}")
        elif kind == "text":
            (run / name).write_text(f"checkpoints\\{target.name}\r\n")
        elif kind == "folders":
            shutil.copytree(target, run / name)
        elif kind == "dangling":
            (run / name).symlink_to("checkpoints/step-000009")
        elif kind == "nonsense":
            (run / name).write_bytes(b"\xff" * 10_000)
    assert steps(run) == (3, 5)
    assert find_checkpoint(str(run)) == checkpoint_path(run, 3)
    assert find_checkpoint(str(run / "last")).resolve() in (checkpoint_path(run, 5), run / "last")
    restore_pointers(run)
    assert ((run / "best").resolve(), (run / "last").resolve()) == (
        checkpoint_path(run, 3), checkpoint_path(run, 5)
    )  # fmt: skip
    assert names(run) == ["best", "checkpoints", "last"]


def test_unfinished_checkpoints_are_neither(made: Made) -> None:
    run = made({1: 0.5, 2: 0.75}, links=True)
    (checkpoint_path(run, 2) / "model.safetensors").unlink()
    for name in ("._step-000007", ".trm-01234567-1-x", "damaged-step-000008", "step-x"):
        shutil.copytree(checkpoint_path(run, 1), run / "checkpoints" / name)
    assert steps(run) == (1, 1)
    assert [path.name for path in checkpoints(run)] == ["step-000001", "step-000002"]


def test_a_run_of_which_only_the_folder_last_was_copied(made: Made) -> None:
    run = made({5: 0.5})
    (run / "checkpoints" / "step-000005").rename(run / "last")
    assert steps(run) == (None, 5)
    message = r"run/last is a folder\. Move it to .*/checkpoints/step-000005: training makes a link"
    with pytest.raises(ConfigError, match=message):
        check_pointers(run)


def test_a_folder_that_is_no_copy_stays(made: Made) -> None:
    run = made({5: 0.5})
    (run / "best").mkdir()
    (run / "best" / "mine").touch()
    with pytest.raises(ConfigError, match=r"run/best is a folder\. Rename it, or remove it"):
        restore_pointers(run)
    shutil.copytree(checkpoint_path(run, 5), run / "best", dirs_exist_ok=True)
    (run / "best" / "model.safetensors").write_bytes(b"other")
    with pytest.raises(ConfigError, match=r"It differs from .*/step-000005\. Rename it, or remove"):
        restore_pointers(run)
    assert (run / "best" / "mine").exists()


def test_without_links_they_are_text_files(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(Path, "symlink_to", refuse)
    run = made({2: 0.5, 4: 0.25}, links=True)
    assert (run / "best").read_text() == "checkpoints/step-000002\n"
    assert not (run / "last").is_symlink()
    assert steps(run) == (2, 4)
    assert find_checkpoint(str(run / "best")) == checkpoint_path(run, 2)
    point_to(run / "best", checkpoint_path(run, 4))
    assert steps(run) == (4, 4)


def test_two_new_runs_in_one_second_get_two_names(tmp_path: Path) -> None:
    config = RunConfig(task="t", model=TRMConfig())
    taken = tmp_path / "t" / "att-20260102-030405"
    assert claim_run_folder(taken, config) == taken
    other = claim_run_folder(taken, config)
    assert other != taken
    assert names(tmp_path / "t") == sorted([taken.name, other.name])
