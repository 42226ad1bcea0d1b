"""Whole comparisons: small ones, that are killed, resumed, changed and damaged."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import trm
from trm.comparison.grid import read_grid
from trm.comparison.plan import plan_rows
from trm.comparison.processes import find_places
from trm.data import read_meta
from trm.errors import ConfigError, InputError
from trm.models import Depth
from trm.models.flops import train_step_flops
from trm.runs.checkpoint import puzzle_spec
from trm.runs.lock import is_locked
from trm.runtime.device import num_cores

Trm = Callable[..., Any]
GRID = """\
task = "sudoku"
preset = "mini"
seeds = {seeds}
budget = {{ {budget} }}
data.paths = "{data}"

[model]
hidden_size = 32
num_heads = 2
h_cycles = 2
l_cycles = 1
halt_max_steps = 2

[train]
batch_size = 8
save_every_steps = 4

[[rows]]
name = "base"

[[rows]]
name = "Other rate"
optim.lr = 0.01
"""


def write_grid(
    folder: Path, data: Path, *, seeds: str = "[0, 1]", budget: str = "steps = 24"
) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "g.toml"
    file.write_text(GRID.format(seeds=seeds, budget=budget, data=data))
    return file


def table(folder: Path) -> Any:
    """``table.json`` without what depends on the time and the place."""
    found = json.loads((folder / "table.json").read_text())
    for name in ("grid", "data"):
        del found[name]
    for row in found["rows"]:
        for run in row["runs"]:
            run["run"] = Path(run["run"]).name
            del run["seconds"]
    return found


@pytest.fixture(scope="module")
def whole(mini_data: Path, make_once: Callable[..., Path]) -> Path:
    """The folder ``o`` of a comparison that nothing disturbed, beside its grid."""

    def fill(folder: Path) -> None:
        trm.compare(write_grid(folder, mini_data), out=folder / "o", device="cpu")

    return make_once("whole-comparison", fill)


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "c", symlinks=True)
    return tmp_path / "c"


def test_a_comparison_has_its_results(whole: Path) -> None:
    out = whole / "o"
    found = table(out)
    assert (found["num_runs"], found["num_finished"], found["failures"]) == (4, 4, {})
    base, other = found["rows"]
    assert [run["run"] for run in other["runs"]] == ["other-rate-seed0", "other-rate-seed1"]
    assert {run["steps"] for row in found["rows"] for run in row["runs"]} == {24}
    assert base["runs"][0]["value"]["count"] == 100
    config = trm.list_runs(out)
    assert {run.state for run in config} == {"finished"}
    each = train_step_flops(*model_of(out / "sudoku" / "base-seed0"), None)
    assert base["runs"][0]["training_flops"] == pytest.approx(24 * 8 * each, rel=1e-5)
    assert {"table.md", "accuracy.svg", "accuracy.png"} <= {path.name for path in out.iterdir()}
    weights = [out / "sudoku" / f"{n}/last/model.safetensors" for n in ("base-seed0", "base-seed1")]
    assert weights[0].read_bytes() != weights[1].read_bytes()


def model_of(run: Path) -> tuple[Any, Any]:
    """The settings of the model of a run, and its puzzles."""
    found = trm.load(run / "last", device="cpu").network
    return found.config, found.spec


def test_a_comparison_that_was_killed_gives_the_same_table(whole: Path, copied: Path) -> None:
    grid, out = copied / "g.toml", copied / "o"
    runs = [out / "sudoku" / f"{row}-seed0" for row in ("base", "other-rate")]
    for run in runs:
        shutil.rmtree(run)
    command = (sys.executable, "-m", "trm", "compare", grid, "--out", out, "--device", "cpu")
    process = subprocess.Popen([*command, "--jobs", "1"], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: any((runs[1] / "checkpoints").glob("step-*")))
        process.kill()
    finally:
        process.kill()
        process.wait()
    assert (runs[0] / "test.json").is_file()
    assert not (runs[1] / "test.json").exists()
    wait_for(lambda: not is_locked(runs[1]))  # its process ends too
    assert "NOT FINISHED: 3 of 4 runs" in (out / "table.md").read_text()
    kept = (runs[0] / "test.json").stat().st_mtime_ns
    seen: list[tuple[int, str]] = []
    found = trm.compare(
        grid, out=out, device="cpu", on_run=lambda c, label: seen.append((c.num_finished, label))
    )
    assert seen == [(3, ""), (4, "Other rate, seed 0")]
    assert found.num_finished == 4
    assert (runs[0] / "test.json").stat().st_mtime_ns == kept
    assert table(out) == table(whole / "o")
    for run in runs:
        weights = Path("last", "model.safetensors")
        undisturbed = whole / "o" / "sudoku" / run.name
        assert (run / weights).read_bytes() == (undisturbed / weights).read_bytes()
        for name in ("answers", "halt_logits"):
            arrays = [np.load(folder / "test.npz")[name] for folder in (run, undisturbed)]
            assert (arrays[0] == arrays[1]).all()


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)


def test_a_finished_comparison_is_only_shown(copied: Path, trm: Trm) -> None:
    done = trm("compare", copied / "g.toml", "--out", copied / "o", "--device", "cpu")
    assert done.code == 0
    assert done.out.splitlines()[0].endswith("all 4 runs are finished")
    assert done.err.splitlines()[0].startswith("4 runs of 24 steps, 4 finished;")
    assert len(done.err.splitlines()) == 2
    found = trm("compare", copied / "g.toml", "--out", copied / "o", "--json")
    assert json.loads(found.out) == json.loads((copied / "o" / "table.json").read_text())


def test_a_dry_run_shows_the_runs(copied: Path, trm: Trm) -> None:
    (copied / "o" / "sudoku" / "base-seed1" / "test.json").unlink()
    before = sorted(copied.rglob("*"))
    done = trm("compare", copied / "g.toml", "--out", copied / "o", "--dry-run")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].endswith("NOT FINISHED: 3 of 4 runs")
    assert [line.split("  ")[0] for line in lines[3:]] == ["base", "Other rate"]
    assert " 1 of 2 " in lines[3]
    assert " 24 " in lines[4]
    assert sorted(copied.rglob("*")) == before


def test_a_row_that_has_changed_is_refused(copied: Path, trm: Trm) -> None:
    grid, out = copied / "g.toml", copied / "o"
    before, text = (out / "table.md").read_text(), grid.read_text()
    grid.write_text(text.replace("optim.lr = 0.01", "optim.lr = 0.02"))
    done = trm("compare", grid, "--out", out, "--device", "cpu")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        f"trm: error: row Other rate, seed 0, has changed since {out}/sudoku/other-rate-seed0 was "
        "trained: optim.lr is 0.02, it was 0.01. Name another --out, or remove that folder.\n"
    )
    grid.write_text(text.replace("steps = 24", "steps = 25"))
    assert "train.max_steps is 25, it was 24" in trm("compare", grid, "--out", out).err
    assert (out / "table.md").read_text() == before


def test_a_row_that_is_added_or_left_out_leaves_the_others_alone(copied: Path, trm: Trm) -> None:
    grid = copied / "g.toml"
    grid.write_text(grid.read_text().replace("[0, 1]", "[1]"))
    done = trm("compare", grid, "--out", copied / "o", "--device", "cpu", "--json")
    found = json.loads(done.out)
    assert (found["num_runs"], found["num_finished"]) == (2, 2)
    assert found["rows"][1]["runs"][0]["seed"] == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("test.json", "{", r"test\.json is damaged: it is not JSON.*evaluates again\."),
        ("test.json", '{"step": 24, "digest": "x", "metrics": {}}', "was evaluated on data of"),
        ("test.json", '{"step": 2, "digest": "x", "metrics": {}}',
         r"was evaluated at step 2, its last checkpoint is of step 24\. .*json and test\.npz"),
        ("test.npz", "x", r"test\.npz holds no predictions.*evaluates again\."),
    ],
)  # fmt: skip
def test_damaged_results(copied: Path, name: str, content: str, message: str) -> None:
    (copied / "o" / "sudoku" / "base-seed1" / name).write_text(content)
    with pytest.raises((ConfigError, InputError), match=message):
        trm.compare(copied / "g.toml", out=copied / "o", device="cpu")


@pytest.mark.parametrize("names", [["test.json"], ["test.npz"], ["test.json", "test.npz"]])
def test_an_evaluation_that_was_removed_is_made_again(
    whole: Path, copied: Path, names: list[str]
) -> None:
    for name in names:
        (copied / "o" / "sudoku" / "base-seed1" / name).unlink()
    assert trm.compare(copied / "g.toml", out=copied / "o", device="cpu").num_finished == 4
    assert table(copied / "o") == table(whole / "o")


def test_two_comparisons_in_one_folder_are_refused(copied: Path, trm: Trm) -> None:
    command = ("compare", copied / "g.toml", "--out", copied / "o", "--device", "cpu")
    program = (
        "import sys\nfrom pathlib import Path\nfrom trm.runs.lock import locked_file\n"
        "with locked_file(Path(sys.argv[1], '.compare.lock'), '', ''):\n    print(1)\n    input()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-uc", program, copied / "o"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == "1\n"
    done = trm(*command)
    holder.communicate("\n")
    assert done.code == 1
    assert f"o is in use by process {holder.pid} on host " in done.err
    assert done.err.endswith("Wait for it, or name another --out.\n")
    assert trm(*command).code == 0


def test_a_run_that_fails_does_not_stop_the_others(
    mini_data: Path, tmp_path: Path, trm: Trm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRM_OPTIM__WEIGHT_DECAY", "0.25")  # in the settings of all rows
    monkeypatch.setenv("TRM_TRAIN__SEED", "77")  # but not over those of the grid
    grid = write_grid(tmp_path, mini_data, seeds="[0]", budget="examples = 20")
    grid.write_text(grid.read_text().replace("optim.lr = 0.01", 'train.init_from = "nowhere"'))
    done = trm("compare", grid, "--device", "cpu")
    assert done.code == 1
    assert re_last(done.err).startswith(
        "trm: error: 1 of 2 runs failed: Other rate, seed 0: nowhere: no such run or checkpoint."
    )
    out = Path("runs", "compare", "g")
    found = table(out)
    assert [len(row["runs"]) for row in found["rows"]] == [1, 0]
    assert found["rows"][0]["runs"][0]["steps"] == 2
    assert "Other rate, seed 0 failed: nowhere" in (out / "table.md").read_text()
    assert "NOT FINISHED: 1 of 2 runs" in done.out
    saved = json.loads((out / "sudoku" / "base-seed0" / "config.json").read_text())
    assert (saved["optim"]["weight_decay"], saved["train"]["seed"]) == (0.25, 0)


def re_last(text: str) -> str:
    return text.splitlines()[-1]


def test_an_interrupt_shows_what_is_finished(copied: Path, mini_data: Path) -> None:
    out, grid = copied / "o", copied / "g.toml"
    # A row whose steps take long, so that the interrupt comes before its end.
    slow = '\n[[rows]]\nname = "slow"\ntrain.batch_size = 1024\n'
    grid.write_text(grid.read_text() + slow)
    process = subprocess.Popen(
        [sys.executable, "-m", "trm", "compare", grid, "--out", out, "--device", "cpu"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    run = out / "sudoku" / "slow-seed0"
    wait_for(lambda: run.is_dir() and is_locked(run))
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate()
    assert process.returncode == 130
    assert "NOT FINISHED: 4 of 6 runs" in printed
    assert re_last(errors) == f"stopped; the same command resumes {out}"
    assert not is_locked(run)


def test_equal_operations(mini_data: Path, tmp_path: Path) -> None:
    grid = write_grid(tmp_path, mini_data, budget="flops = 1e9")
    text = grid.read_text().replace(
        "optim.lr = 0.01", "train.depth_curriculum = [[0.5, 1, 1]]\ntrain.batch_size = 4"
    )
    grid.write_text(text)
    base, shallow = plan_rows(read_grid(grid), tmp_path / "o").rows
    model = base.runs[0].config.model
    spec = puzzle_spec(read_meta(mini_data), model)
    full, half = (train_step_flops(model, spec, depth) for depth in (None, Depth(1, 1)))
    assert half < full
    assert base.runs[0].config.train.max_steps == int(1e9 // (8 * full))
    assert shallow.runs[1].config.train.max_steps == int(1e9 // (4 * (full + half) / 2))
    assert [run.config.train.seed for run in base.runs] == [0, 1]
    assert base.num_parameters == sum(p.numel() for p in parameters(tmp_path, model, spec))


def parameters(folder: Path, model: Any, spec: Any) -> list[torch.Tensor]:
    from trm.models import TinyRecursiveModel

    return list(
        TinyRecursiveModel(model.model_copy(update={"forward_dtype": "float32"}), spec).parameters()
    )


def test_the_places_of_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = num_cores()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert find_places("cpu", None, is_timed=True).devices == ("cpu",) * cores
    one = find_places("cpu", 1, is_timed=True)
    assert (one.devices, one.threads) == (("cpu",), 1)
    monkeypatch.setenv("OMP_NUM_THREADS", str(cores))
    assert find_places("cpu", None, is_timed=False).devices == ("cpu",)
    with pytest.raises(ConfigError, match=rf"--jobs {cores + 1}, but the number of CPU cores"):
        find_places("cpu", cores + 1, is_timed=False)
    if cores > 1:
        with pytest.raises(ConfigError, match=r"Use --jobs 1, or set OMP_NUM_THREADS to less\."):
            find_places("cpu", cores, is_timed=False)


def test_puzzles_whose_answers_vote_are_compared_by_task(tmp_path: Path) -> None:
    data = tmp_path / "d"
    trm.build_data("arc1", out=data, no_concept=True, num_train=1, num_test=3, num_aug=2)
    grid = write_grid(tmp_path, data, seeds="[0]", budget="steps = 1")
    grid.write_text(grid.read_text().replace('"sudoku"', '"arc1"'))
    found = trm.compare(grid, out=tmp_path / "o", device="cpu")
    assert (found.metric, found.failures, found.num_finished) == ("pass@2", {}, 2)
    base, other = found.rows
    scores = json.loads((base.runs[0].run / "scores.json").read_text())
    assert base.runs[0].scores.tolist() == [scores[name]["pass@2"] for name in sorted(scores)]
    assert len(scores) == 3
    test = found.tests[other.name]
    assert (test.better, test.worse, test.p) == (0, 0, 1.0)  # nothing is learned in one step
