"""The command line, called as ``trm`` calls it: exit codes, stdout, and errors of one line."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.fresh_plugins import forget_plugins
from trm import __version__
from trm.plugins import PluginWarning

Trm = Callable[..., Any]
Fails = Callable[..., str]


def test_version(trm: Trm) -> None:
    assert trm("--version").out == f"trm {__version__}\n"


def test_help_lists_the_commands_in_order_of_use(trm: Trm) -> None:
    text = trm("--help").out
    order = ["tasks", "build-data", "inspect-data", "train", "config", "solve", "eval"]
    places = [re.search(rf"^│ {name} ", text, re.M) for name in order]
    assert all(places)
    assert sorted(places, key=lambda m: m.start() if m else 0) == places


def test_without_arguments_the_help_is_shown(trm: Trm) -> None:
    done = trm()
    assert done.code == 2
    assert "Usage" in done.out + done.err
    assert "error" not in done.err


@pytest.mark.parametrize("flags", ["-q {} -v", "-v {} -q", "-v -q {}", "{} -v -q"])
def test_verbose_and_quiet_exclude_each_other(fails: Fails, flags: str) -> None:
    message = "--verbose and --quiet exclude each other. Give one of them."
    assert fails(*flags.format("vote no.npz").split(), code=2) == message


def test_one_command_line_does_not_change_the_next(trm: Trm) -> None:
    assert re.fullmatch(r"took [\d.]+ s\n", trm("-v", "tasks").err)
    assert trm("tasks").err == ""


def test_tasks(trm: Trm) -> None:
    line = next(line for line in trm("tasks").out.splitlines() if "sudoku" in line)
    assert re.search(r"^sudoku .* mini, .* built in", line)


def test_config_says_where_settings_come_from(trm: Trm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRM_OPTIM__LR", "0.5")
    found = {}
    for line in trm("config", "sudoku", "--preset", "mini").out.splitlines():
        if match := re.fullmatch(r"([a-z_.0-9]+) +(\S+) +(.+)", line):
            found[match[1]] = (match[2], match[3])
    assert found["model.hidden_size"][1] == "preset mini"
    assert found["model.mlp_t"] == ("true", "preset mini")
    assert found["model.pos_encodings"] == ("none", "preset mini")
    assert found["optim.lr"] == ("0.5", "environment TRM_OPTIM__LR")
    assert found["optim.weight_decay"] == ("1.0", "task sudoku")
    assert found["optim.beta1"] == ("0.9", "default")


@pytest.mark.parametrize(
    ("flags", "mlp_t", "positions"),
    [
        ((), ("false", "default"), ("rope", "default")),
        (("--mlp-t",), ("true", "--mlp-t"), ("none", "--mlp-t")),
        (("--preset", "mini", "--no-mlp-t"), ("false", "--no-mlp-t"), ("rope", "--no-mlp-t")),
        (
            ("--preset", "mini", "--no-mlp-t", "--set", "model.pos_encodings=learned"),
            ("false", "--no-mlp-t"),
            ("learned", "--set model.pos_encodings"),
        ),
    ],
)
def test_a_flag_chooses_the_mixer(
    trm: Trm, flags: tuple[str, ...], mlp_t: tuple[str, str], positions: tuple[str, str]
) -> None:
    lines = trm("config", "sudoku", *flags).out.splitlines()
    rows = {
        name: tuple(re.split("  +", line.strip())[1:])
        for line in lines
        if (name := line.strip().partition(" ")[0])
    }
    assert rows["model.mlp_t"] == mlp_t
    assert rows["model.pos_encodings"] == positions


def test_published_sudoku_recipe(trm: Trm) -> None:
    config = json.loads(trm("config", "sudoku", "--json").out)
    assert config["train"]["batch_size"] == 768
    assert config["train"]["epochs"] == 50_000
    assert config["train"]["loss"] == "stablemax"
    assert config["model"] == {
        "kind": "trm", "hidden_size": 512, "l_layers": 2, "num_heads": 8, "expansion": 4.0,
        "swiglu_multiple": 256, "mlp_t": False, "pos_encodings": "rope", "rope_theta": 10000.0,
        "rms_norm_eps": 1e-05, "h_cycles": 3, "l_cycles": 6, "puzzle_emb_dim": None,
        "puzzle_emb_len": 16, "halt_max_steps": 16, "halt_exploration_prob": 0.1,
        "swiglu": "silu", "num_latents": 1, "state_init": "fixed", "damping": 1.0,
        "act_continue": False, "separate_networks": False, "gradient": "last_cycle",
        "forward_dtype": "bfloat16",
    }  # fmt: skip
    assert config["optim"] == {
        "lr": 1e-4, "lr_warmup_steps": 2000, "lr_min_ratio": 1.0, "weight_decay": 1.0,
        "beta1": 0.9, "beta2": 0.95, "puzzle_emb_lr": 1e-4, "puzzle_emb_weight_decay": 1.0,
        "optimizer": "adam_atan2", "muon_lr": 0.02, "muon_weight_decay": 0.005,
        "muon_momentum": 0.95, "lr_schedule": "cosine", "lr_decay_share": 0.2, "grad_clip": None,
        "ema": True, "ema_rate": 0.999,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("config sudokoo", r"unknown task 'sudokoo'\. Did you mean 'sudoku'\? Known: "),
        ("train sudokoo", r"unknown task 'sudokoo'\. Did you mean 'sudoku'\?"),
        ("build-data sudokoo", r"unknown task 'sudokoo'\. Did you mean 'sudoku'\?"),
        ("config sudoku --preset minni", r"no preset 'minni'\. Did you mean 'mini'\?"),
        ("build-data sudoku --preset minni", r"no preset 'minni'\. Did you mean 'mini'\?"),
        (
            "config sudoku --set model.hiden_size=3",
            r"--set model\.hiden_size: unknown setting .* Did you mean 'model\.hidden_size'\?",
        ),
        ("train sudoku --set optim.lr=fast", r"--set optim\.lr: optim\.lr = 'fast': .* number"),
        ("train sudoku --batch-size 0", r"--batch-size: train\.batch_size = 0"),
        ("train sudoku", r"data/sudoku: no such data folder\. Build it: trm build-data sudoku$"),
        (
            "train maze --preset mini --data a;b",
            r"^a;b: no such data folder\. Build it: trm build-data maze --preset mini --out 'a;b'$",
        ),
        ("train sudoku --preset fast", r"Build it: trm build-data sudoku$"),
        ("train sudoku --device gpu", r"torch here has no gpu"),
        ("train sudoku --resume runs/sudoku/x", r"runs/sudoku/x: no such run"),
        ("eval", r"no run in runs/\. .*Give --ckpt, or train one, such as: trm train sudoku --pre"),
        ("eval --ckpt absent", r"absent: no such run or checkpoint"),
        ("solve puzzles.txt", r"^puzzles\.txt: no such file\. Name one, or give a puzzle\.$"),
        (
            "inspect-data data/maze",
            r"^data/maze: no such data folder\. .* such as: trm build-data maze --preset mini$",
        ),
        ("inspect-data absent", r" such as: trm build-data sudoku --preset mini --out absent$"),
        ("build-data sudoku --size 6", r"^--size 6 needs --source generate, .* are 9x9\. "),
        ("build-data maze --size 9", r"^--size 9 needs --source generate, .* are 30x30\. "),
        ("build-data arc1 --unsolved", r"^--unsolved needs --source FOLDER"),
        ("build-data sudoku --source absent", r"--source absent: no such file or folder"),
        ("build-data sudoku --source generate --size 5", r"5"),
        ("build-data sudoku --num-train 0", r"--num-train: num_train = 0: .*greater than 0"),
    ],
)
def test_errors_are_one_line(fails: Fails, tmp_path: Path, arguments: str, message: str) -> None:
    assert re.search(message, fails(*arguments.split()))
    assert list(tmp_path.iterdir()) == []  # nothing half-written


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("trian", r"No such command 'trian'\. Did you mean"),
        ("help", r"^No such command 'help'\. Type: trm --help$"),
        ("train", r"^Missing argument 'TASK': arc1, .*sudoku.*; or a --config that names one\.$"),
        (
            "solve",
            r"^Missing argument 'PUZZLE\|FILE\|-'\. Such as: trm solve [\d.]{36}, or trm solve -",
        ),
        (
            "eval first",
            r"unexpected extra argument\(s\) \(first\)\. A run is named with --ckpt first$",
        ),
        ("solve 1 2", r"\(2\)\. Several puzzles go into a file, or to trm solve - on stdin"),
        ("eval --max-examples 0", r"--max-examples"),
        ("build-data sudoku --nonsense 1", r"No such option"),
        ("build-data sudoku --num-train many", r"--num-train.*integer"),
    ],
)
def test_wrong_usage_exits_with_2(fails: Fails, arguments: str, message: str) -> None:
    assert re.search(message, fails(*arguments.split(), code=2))


def test_an_argument_that_is_not_text_is_refused(fails: Fails) -> None:
    message = fails("inspect-data", os.fsdecode(b"caf\xe9"), code=2)
    assert message == r"'caf\udce9' is not UTF-8 text. Rename it."


def test_what_is_in_a_name_is_shown_and_not_obeyed(fails: Fails) -> None:
    assert fails("runs", "[/x]\x1b[31m\n\u202eb").startswith(r"[/x]\x1b[31m\n\u202eb: no such")
    assert fails("runs", "a\0b", code=2) == "an argument has a NUL character."
    long = fails("config", "sudoku", "--set", f"model.hidden_size={'9' * 50_000}")
    assert long.startswith("--set model.hidden_size: model.hidden_size = '999")
    assert long.endswith("Give another value.")
    assert len(long) < 5000


def test_a_hostile_name_of_a_run_is_one_line_of_a_table(trm: Trm, trained_run: Path) -> None:
    name = "a\n[red]\x1b[31m"
    run = Path("runs", "sudoku", name)
    run.parent.mkdir(parents=True)
    shutil.copytree(trained_run, run, symlinks=True)
    (line,) = [line for line in trm("runs").out.splitlines() if "finished" in line]
    assert r"a\n[red]\x1b[31m " in line


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(5, "Input/output error", "a[/x]\nb"),
            r"a[/x]\nb: Input/output error. trm --debug COMMAND shows more.",
        ),
        (MemoryError("Unable to allocate 9 GiB"), "not enough memory: Unable to allocate 9 GiB."),
    ],
)
def test_what_the_system_refuses_is_one_line(
    trm: Trm, fails: Fails, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    monkeypatch.setattr("trm.runs.listing.list_runs", mock.Mock(side_effect=error))
    assert fails("runs").startswith(message)
    with pytest.raises(type(error)):
        trm("--debug", "runs")


def test_debug_shows_the_traceback(trm: Trm) -> None:
    from trm.errors import PluginError

    with pytest.raises(PluginError, match="unknown task"):
        trm("--debug", "config", "nonsense")


def test_an_unknown_environment_variable(fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRM_MODEL__HIDEN_SIZE", "3")
    message = fails("config", "sudoku")
    assert "unknown environment variable TRM_MODEL__HIDEN_SIZE" in message
    assert "TRM_MODEL__HIDDEN_SIZE" in message


def test_a_broken_plugin_is_one_line_and_the_rest_works(
    trm: Trm, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        name = "broken"
        dist = None

        def load(self) -> object:
            raise ImportError("no module named 'missing'")

    monkeypatch.setattr("trm.plugins.entry_points", lambda group: [Broken()])
    forget_plugins()
    try:
        done = trm("tasks")
    finally:
        forget_plugins()
    assert done.code == 0
    assert "sudoku" in done.out
    expected = "trm: warning: plugin broken skipped: ImportError: no module named 'missing'\n"
    assert done.err == expected
    assert issubclass(PluginWarning, UserWarning)


BUILD = "build-data sudoku --source generate --size 4 --num-train 30 --num-test 20 --num-aug 3"


TINY = (
    "--preset", "mini", "--device", "cpu", "--batch-size", "4",
    "--set", "model.hidden_size=16", "--set", "model.num_heads=1", "--set",
    "train.log_every_steps=1", "--set", "model.halt_max_steps=2", "--set", "eval.max_examples=4",
    "--run-name", "a",
)  # fmt: skip


def test_the_whole_way(trm: Trm, tmp_path: Path) -> None:
    trm(*BUILD.split())
    done = trm("train", "sudoku", *TINY, "--max-steps", "3")
    lines = done.out.splitlines()
    assert lines[0] == "run runs/sudoku/a"
    assert re.fullmatch(r"about .+ a step, .+ in all \(.+ a step at .+FLOP/s\)", lines[1])
    assert re.match(r"train step 1/3 loss \S+ .* lr \S+ .*eta 0:00:\d\d$", lines[2])
    assert re.match(r"eval step 3/3 examples 4/20 exact_accuracy \S+ ", lines[-3])
    assert lines[-4] == "checkpoint step 3/3 path runs/sudoku/a/checkpoints/step-000003"
    assert lines[-1].endswith("next: trm eval --ckpt runs/sudoku/a")
    report = json.loads(trm("eval", "--json").out)
    assert report["checkpoint"] == "runs/sudoku/a/checkpoints/step-000003"
    assert report["metrics"]["exact_accuracy"]["count"] == 20
    longer = trm("train", "--resume", "a", "--max-steps", "5")
    assert re.match(r"run runs/sudoku/a, from step 3\nabout .*\ntrain step 4/5 ", longer.out)
    assert (tmp_path / "runs/sudoku/a/last").readlink() == Path("checkpoints/step-000005")


def test_epochs_take_the_place_of_a_presets_steps(trm: Trm) -> None:
    trm(*BUILD.split())
    done = trm("train", "sudoku", *TINY, "--epochs", "2", "--dry-run")
    assert re.search(r"steps +15 of 4 examples", done.out)


def test_dry_run_writes_nothing(trm: Trm, tmp_path: Path) -> None:
    trm(*BUILD.split())
    done = trm("train", "sudoku", *TINY, "--dry-run")
    assert re.search(r"^parameters +\d", done.out, re.M)
    assert re.search(r"^puzzle embedding +16 numbers", done.out, re.M)
    assert re.search(r"^memory .* weights and optimizer", done.out, re.M)
    assert re.search(r"^time +about .* a step, .* in all", done.out, re.M)
    settings = re.findall(r"^\w+\.\w+ .* (\S+)$", done.out, re.M)
    assert settings
    assert "default" not in settings
    assert "All other settings have their defaults; -v shows them.\n" in done.out
    everything = trm("train", "sudoku", *TINY, "--dry-run", "-v").out
    assert re.search(r"^train\.seed .* default$", everything, re.M)
    assert "All other settings" not in everything
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("interrupted", [True, False])
def test_an_interrupt_that_becomes_another_exception(interrupted: bool) -> None:
    """As in functions that numba compiled, and in the middle of importing torch."""
    program = f"""
import os, signal, sys
from trm import cli

def list_tasks():
    try:
        if {interrupted}:
            os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        pass
    raise SystemError("returned a result with an exception set")

signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored in the background
cli.list_tasks, sys.argv = list_tasks, ["trm", "tasks"]
cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    if interrupted:
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    else:
        assert done.returncode == 1
        assert done.stderr.endswith("SystemError: returned a result with an exception set\n")
