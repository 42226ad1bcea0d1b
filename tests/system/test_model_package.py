"""A plugin with a kind of model, installed from a wheel: it trains on every task, and exports."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from tests.hub.commands import Done
from tests.system.test_plugin_package import CHECKOUT, Environment, run
from trm.testing import CHECKS

PLUGIN = CHECKOUT / "examples" / "trm-mymodel"
DATA = {
    "sudoku": (
        "--source",
        "generate",
        "--size",
        "4",
        "--num-train",
        "24",
        "--num-test",
        "8",
        "--num-aug",
        "1",
    ),
    "maze": ("--source", "generate", "--size", "7", "--num-train", "24", "--num-test", "8"),
    "arc1": ("--preset", "mini", "--num-train", "4", "--num-test", "2", "--num-aug", "1"),
    "arc2": ("--preset", "mini", "--num-train", "4", "--num-test", "2", "--num-aug", "1"),
}
SMALL = (
    "--device", "cpu", "--batch-size", "4", "--set", "model.hidden_size=8", "--set",
    "model.halt_max_steps=2", "--set", "model.updates=2", "--set", "optim.lr_warmup_steps=0",
    "--set", "eval.max_examples=4",
)  # fmt: skip
Trm = Callable[..., Done]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def installed(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with trm and the plugin."""
    folder = tmp_path_factory.mktemp("installed")
    options = ("--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    run(sys.executable, "-m", "pip", "wheel", *options, CHECKOUT, PLUGIN, folder=folder)
    return Environment.create(folder / "env", work, *sorted(folder.glob("*.whl")))


@pytest.fixture(scope="module")
def trm(installed: Environment, work: Path) -> Iterator[Trm]:
    """Run command lines of a trm that is installed with the plugin."""
    with installed.commands() as process:

        def command(*arguments: object) -> Done:
            done = process.run(tuple(map(str, arguments)), work, None)
            assert done.code == 0, done.err
            return done

        yield command


def test_it_is_listed_with_its_settings(trm: Trm) -> None:
    kinds = {kind["name"]: kind for kind in json.loads(trm("models", "--kinds", "--json").out)}
    assert kinds["mymodel"]["origin"] == "trm-mymodel 0.1.0"
    assert kinds["mymodel"]["settings"]["kernel"] == "Cells that an update sees at once."
    assert "trm-mymodel 0.1.0" in trm("models", "--kinds").out
    settings = trm("config", "sudoku", "--model", "mymodel", "--set", "model.kernel=5").out
    assert ["model.kernel", "5", "--set", "model.kernel"] in map(str.split, settings.splitlines())


def test_it_passes_the_conformance_kit(installed: Environment, work: Path) -> None:
    found = run(installed.python, "-m", "trm.testing", "mymodel", folder=work).stdout.splitlines()
    assert [line.split(":")[0] for line in found] == [f"mymodel {check}" for check in CHECKS]
    assert not [line for line in found if "skipped" in line and "cycles" not in line]


@pytest.mark.parametrize("task", DATA)
def test_it_trains_resumes_and_exports(trm: Trm, work: Path, task: str) -> None:
    trm("build-data", task, *DATA[task])
    train, runs = ("train", task, "--model", "mymodel", *SMALL), work / "runs" / task
    trm(*train, "--run-name", "whole", "--max-steps", 4)
    trm(*train, "--run-name", "parts", "--max-steps", 2)
    trm("train", "--resume", runs / "parts", "--max-steps", 4)
    whole, parts = (
        load_file(runs / name / "last" / "model.safetensors") for name in ("whole", "parts")
    )
    assert "core.mix.weight" in whole
    assert whole.keys() == parts.keys()
    assert all((whole[name] == parts[name]).all() for name in whole)

    trm("export", "--format", "torch-export", "--ckpt", runs / "whole", "--out", f"{task}-export")
    assert (work / f"{task}-export" / "model.pt2").is_file()
    report = json.loads(trm("eval", "--ckpt", runs / "whole", "--device", "cpu", "--json").out)
    assert report["step"] == 4
    steps = trm("eval", "--ckpt", runs / "whole", "--device", "cpu", "--steps", 3, "--samples", 2)
    assert "exact_accuracy" in steps.out or "pass@" in steps.out
