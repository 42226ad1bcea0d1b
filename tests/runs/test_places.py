"""Runs that were copied, moved, damaged or removed, as the commands see them."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from tests.conftest import Result
from trm.config import RunConfig
from trm.errors import CheckpointError, TrainingError
from trm.training.train import train

Trm = Callable[..., Result]
Fails = Callable[..., str]
Tiny = Callable[..., RunConfig]


@pytest.fixture
def run(make_once: Callable[..., Path], tiny: Tiny, tmp_path: Path) -> Path:
    """A run of six steps, evaluated after the third and the sixth; a test may change it."""

    def fill(runs: Path) -> None:
        train(tiny("train.eval_every_steps=3"), runs=runs, name="a")

    made = make_once("run-of-six-steps", fill)
    return Path(shutil.copytree(made / "sudoku" / "a", tmp_path / "copy", symlinks=True))


def without_links(run: Path) -> None:
    for name in ("best", "last"):
        (run / name).unlink()


def with_links_followed(run: Path) -> None:
    for name in ("best", "last"):
        target = (run / name).resolve()
        (run / name).unlink()
        shutil.copytree(target, run / name)


def weights(checkpoint: Path) -> dict[str, Any]:
    tensors = load_file(checkpoint / "model.safetensors")
    return {name: tensor.tobytes() for name, tensor in tensors.items()}


def best_step(trm: Trm, run: Path) -> tuple[int, str]:
    (found,) = json.loads(trm("runs", run, "--json").out)
    assert found["problems"] == []
    return found["best"]["step"], found["state"]


@pytest.mark.parametrize("lose", [without_links, with_links_followed])
def test_a_copy_without_its_links_evaluates_and_resumes(
    trm: Trm, run: Path, lose: Callable[[Path], None]
) -> None:
    whole = shutil.copytree(run, run.with_name("whole"), symlinks=True)
    more = ("--max-steps", "8")
    assert trm("train", "sudoku", "--resume", whole, *more).code == 0
    found = json.loads(trm("eval", "--ckpt", run, "--json").out)
    lose(run)
    best, _ = best_step(trm, run)
    again = json.loads(trm("eval", "--ckpt", run, "--json").out)
    assert again["step"] == best == 6
    assert again["checkpoint"] == str(run / "checkpoints" / "step-000006")
    assert again["metrics"] == found["metrics"]

    done = trm("train", "sudoku", "--resume", run, *more)
    assert (done.code, done.err) == (0, "")
    assert "warning" not in done.out
    assert weights(run / "last") == weights(whole / "last")
    assert best_step(trm, run)[1] == "finished"
    assert {name: (run / name).is_symlink() for name in ("best", "last")} == {
        "best": True, "last": True
    }  # fmt: skip
    assert sorted(path.name for path in run.iterdir()) == [
        ".lock", "best", "checkpoints", "config.json", "last", "metrics.jsonl",
    ]  # fmt: skip


def test_a_folder_in_the_way_of_last_is_noticed_before_the_first_step(
    fails: Fails, run: Path
) -> None:
    (run / "last").unlink()
    (run / "last").mkdir()
    (run / "last" / "notes.txt").touch()
    message = fails("train", "sudoku", "--resume", run, "--max-steps", "8")
    assert message == (
        f"{run}/last is a folder. Rename it, or remove it: training makes a link of that name."
    )
    assert (run / "last" / "notes.txt").exists()


def test_names_without_links_are_text_files(
    tiny: Tiny, tmp_path: Path, trm: Trm, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    for owner, name in ((os, "symlink"), (Path, "symlink_to"), (os, "link")):
        monkeypatch.setattr(owner, name, refuse)
    records: list[Any] = []
    result = train(
        tiny("train.eval_every_steps=3"), runs=tmp_path / "runs", name="a", listen=records.append
    )
    assert result.finished
    assert [record for record in records if record["event"] == "warning"] == []
    assert (result.run / "last").read_text() == "checkpoints/step-000006\n"
    assert best_step(trm, result.run)[0] == result.best_step
    for name in ("", "best", "last"):
        done = trm("eval", "--ckpt", result.run / name, "--max-examples", "2", "--json")
        assert json.loads(done.out)["step"] == 6
    assert "no such run or checkpoint" in fails("eval", "--ckpt", result.run / "first")


@pytest.mark.parametrize(
    "command",
    [
        ("eval", "--ckpt", "c"), ("solve", "--ckpt", "c", "1" + "." * 15),
        ("export", "--ckpt", "c", "--format", "published", "--out", "out"),
        ("export", "--ckpt", "c", "--format", "torch-export", "--out", "out"),
        ("push-hub", "--ckpt", "c", "--repo", "a/b", "--dry-run", "--out", "out"),
    ],
    ids=lambda command: "-".join(command[:1] + command[3:5]),
)  # fmt: skip
def test_a_weight_that_changed_is_noticed(
    fails: Fails, run: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    checkpoint = (run / "best").resolve().rename(tmp_path / "c")
    data = bytearray((checkpoint / "model.safetensors").read_bytes())
    data[-3] ^= 1
    (checkpoint / "model.safetensors").write_bytes(data)
    assert fails(*command) == (
        "c/model.safetensors is damaged: its checksum differs from SHA256SUMS. Use another "
        "checkpoint."
    )
    assert not (tmp_path / "out").exists()


def test_init_from_a_checkpoint_that_changed_is_refused(run: Path, tiny: Tiny) -> None:
    file = run / "checkpoints" / "step-000006" / "config.json"
    file.write_text(file.read_text().replace('"step": 6', '"step": 7'))
    with pytest.raises(CheckpointError, match=r"config\.json is damaged: its checksum differs"):
        train(tiny(f"train.init_from='{run}'"), runs=run.parent, name="b")
    assert not (run.parent / "sudoku").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
@pytest.mark.parametrize(
    "name", ["SHA256SUMS", "config.json", "model.safetensors", "identifiers.npy", "evaluation.json"]
)
def test_pipes_in_the_place_of_files(fails: Fails, run: Path, tmp_path: Path, name: str) -> None:
    checkpoint = (run / "best").resolve().rename(tmp_path / "c")
    for file in {name, "SHA256SUMS"}:
        (checkpoint / file).unlink(missing_ok=True)
    os.mkfifo(checkpoint / name)
    command = ("push-hub", "--ckpt", "c", "--repo", "a/b", "--dry-run")
    message = fails(*command)
    assert f"c/{name}" in message or (name == "model.safetensors" and "c " in message)


def test_a_run_that_is_removed_while_it_trains_ends(tiny: Tiny, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "sudoku" / "a"
    seen: list[str] = []

    def listen(record: Any) -> None:
        seen.append(record["event"])
        if record["event"] == "train" and record["step"] == 2:
            shutil.rmtree(run)

    config = tiny("train.max_steps=50", "train.save_every_steps=3")
    message = r"/a was removed or renamed while the run trained: nothing more can be saved\. Start"
    with pytest.raises(TrainingError, match=message):
        train(config, runs=tmp_path / "runs", name="a", listen=listen)
    assert not run.exists()
    assert seen.count("train") == 2
    assert seen[-1] == "end"


BUILD = """
import sys, threading
import trm
from trm.data import dataset
name, folder = sys.argv[1:]
digest = dataset.digest

def wait(*arguments):
    print(name, flush=True)
    sys.stdin.readline()  # until all have got here
    return digest(*arguments)

dataset.digest = wait
try:
    trm.build_data("sudoku", out=folder, source="generate", size=4, num_train=2, num_test=2,
                   num_aug=1, seed=int(name))
except trm.TrmError as error:
    sys.exit(str(error))
"""


def test_of_three_builds_into_one_folder_one_succeeds(tmp_path: Path) -> None:
    builds = [
        subprocess.Popen(
            [sys.executable, "-c", BUILD, str(seed), "d"], cwd=tmp_path, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for seed in range(3)
    ]  # fmt: skip
    for build in builds:
        assert build.stdout is not None
        assert build.stdout.readline()
    ended = [(build.communicate("\n" * 9), build.returncode) for build in builds]
    assert sorted(code for _, code in ended) == [0, 1, 1]
    for (_, errors), code in ended:
        message = "cannot write d: a folder of that name is in the way. Choose another place.\n"
        assert errors == (message if code else "")
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
    winner = next(seed for seed, (_, code) in enumerate(ended) if code == 0)
    assert json.loads((tmp_path / "d" / "dataset.json").read_text())["seed"] == winner
