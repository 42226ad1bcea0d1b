"""A plugin as others meet it: wheels installed into a clean environment, and used by ``trm``."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.page_commands import read_page
from tests.docs.page_runner import Shell
from tests.hub.commands import Commands, Done
from trm.data import open_dataset

Trm = Callable[..., Done]

CHECKOUT = Path(__file__).parents[2]
PLUGIN = CHECKOUT / "examples" / "trm-parity"
NO_NETWORK = {
    "PIP_NO_INDEX": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "HF_HUB_OFFLINE": "1",
    "ALL_PROXY": "http://127.0.0.1:9",
}
#: What would change settings, or let the checkout in.
UNWANTED = ("TRM_", "PYTHON", "PIP_", "VIRTUAL_ENV", "COV")


def variables() -> dict[str, str]:
    """The environment of every command here."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(UNWANTED)}
    # One thread: the networks are tiny, and threads that wait for one another are slow.
    return {**kept, **NO_NETWORK, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that has to succeed."""
    done = subprocess.run(
        [*map(str, command)], cwd=folder, env=variables(), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and the folder that its commands run in."""

    folder: Path
    work: Path

    @classmethod
    def create(cls, folder: Path, work: Path, *wheels: Path) -> "Environment":
        """Install the wheels and nothing else; what they depend on is borrowed from this one."""
        run(sys.executable, "-m", "venv", "--without-pip", folder, folder=work)
        made = cls(folder, work)
        pip = (sys.executable, "-m", "pip", "--python", made.python)
        run(*pip, "install", "--no-deps", *wheels, folder=work)
        # Last, or pip would find this environment's trm. Its own .pth files have no effect there.
        paths = sysconfig.get_paths()
        borrowed = dict.fromkeys((paths["purelib"], paths["platlib"]))
        (made.site_packages / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
        return made

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found

    def commands(self) -> Commands:
        """A process for command lines of the ``trm`` that is installed here."""
        return Commands(variables(), self.python)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels of trm and of the plugin, built from the checkout."""
    folder = tmp_path_factory.mktemp("wheels")
    options = ("--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    run(sys.executable, "-m", "pip", "wheel", *options, CHECKOUT, PLUGIN, folder=folder)
    return folder


@pytest.fixture(scope="module")
def installed(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with trm and the plugin."""
    folder, work = tmp_path_factory.mktemp("env"), tmp_path_factory.mktemp("work")
    return Environment.create(folder, work, *sorted(wheels.glob("*.whl")))


@pytest.fixture(scope="module")
def trm(installed: Environment) -> Iterator[Trm]:
    """Run command lines where the commands of the plugin's page have run, with four steps."""
    with installed.commands() as process:
        with Shell(installed.work, process, variables()) as shell:
            shell.run_all(read_page(PLUGIN / "README.md").blocks)
        yield lambda *arguments: process.run(arguments, installed.work, None)


def test_both_packages_come_from_the_clean_environment(installed: Environment) -> None:
    code = "import trm, trm_parity, torch; print(trm.__file__, trm_parity.__file__, sep='\\n')"
    files = run(installed.python, "-c", code, folder=installed.work).stdout.split()
    assert [Path(file).parents[1] for file in files] == [installed.site_packages] * 2


def test_trm_tasks_names_the_task_and_its_origin(trm: Trm) -> None:
    (line,) = (row for row in trm("tasks").out.splitlines() if "parity" in row)
    assert line.split()[0] == "parity"
    assert line.endswith("trm-parity 0.1.0") or "trm-parity 0.1.0 " in line


def test_the_task_s_options_are_flags(trm: Trm) -> None:
    text = trm("build-data", "parity", "--help").out
    assert {"--source", "--seed", "--num-train", "--num-test", "--length"} <= set(text.split())


def test_the_puzzles_are_distinct_and_their_answers_right(trm: Trm, installed: Environment) -> None:
    dataset = open_dataset(installed.work / "data" / "parity")
    train, test = dataset.split("train"), dataset.split("test")
    rows = [*map(bytes, train.inputs), *map(bytes, test.inputs)]
    assert (len(train.inputs), len(test.inputs)) == (192, 64)
    assert len(set(rows)) == len(rows)
    for split in (train, test):
        assert ((split.inputs - 1).cumsum(axis=1) % 2 == split.labels - 1).all()


def test_same_seed_same_data(installed: Environment, trm: Trm) -> None:
    digests = [
        trm("build-data", "parity", "--preset", "mini", *flags).out.split()[-1]
        for flags in (("--out", "again"), ("--out", "other", "--seed", "1"))
    ]
    first = open_dataset(installed.work / "data" / "parity").meta.digest[:12]
    assert digests[0] == first != digests[1]


def test_inspect_data_has_the_plugin_s_own_words(trm: Trm) -> None:
    assert "odd rows" in trm("inspect-data", "data/parity").out


def test_eval_reports_the_plugin_s_own_metric(trm: Trm) -> None:
    report = json.loads(trm("eval", "--device", "cpu", "--json").out)
    metrics = report["metrics"]
    assert report["task"] == "parity"
    assert report["step"] == 4
    assert metrics["last_bit"]["count"] == metrics["exact_accuracy"]["count"] > 0
    assert 0 <= metrics["exact_accuracy"]["value"] <= metrics["last_bit"]["value"] <= 1


def test_solve_answers(trm: Trm) -> None:
    found = json.loads(trm("solve", "11010011", "--device", "cpu", "--json").out)
    assert found["puzzle"] == "11010011"
    assert len(found["answer"]) == 8
    assert found["valid"] is (found["answer"] == "10011101")


def test_a_wrong_puzzle_is_one_line(trm: Trm) -> None:
    done = trm("solve", "1102", "--device", "cpu")
    expected = "trm: error: '1102' is not a row of 8 bits. Write only 0 and 1.\n"
    assert (done.code, done.out, done.err) == (1, "", expected)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--source", "hub"), "--source hub: parity has only generate."),
        (("--length", "4", "--num-train", "16"), "there are 16 rows of 4 bits, not 516."),
    ],
)
def test_data_that_cannot_be_built_is_one_line(
    installed: Environment, trm: Trm, flags: tuple[str, ...], message: str
) -> None:
    done = trm("build-data", "parity", "--out", "none", *flags)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"trm: error: {message}")
    assert done.err.count("\n") == 1
    assert not (installed.work / "none").exists()


def test_config_shows_the_task_s_defaults_and_their_source(trm: Trm) -> None:
    rows = [line.split() for line in trm("config", "parity").out.splitlines()]
    assert ["model.hidden_size", "128", "task", "parity"] in rows
    assert ["train.batch_size", "768", "default"] in rows


def test_a_preset_s_settings_win_over_the_task_s_defaults(trm: Trm) -> None:
    text = trm("config", "parity", "--preset", "mini").out
    assert ["model.hidden_size", "64", "preset", "mini"] in map(str.split, text.splitlines())


def test_without_the_plugin_the_task_is_unknown(wheels: Path, tmp_path: Path) -> None:
    (wheel,) = wheels.glob("trm-*.whl")
    bare = Environment.create(tmp_path / "env", tmp_path, wheel)
    with bare.commands() as process:
        done = process.run(("train", "parity", "--preset", "mini"), tmp_path, None)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("trm: error: unknown task 'parity'. ")
    assert done.err.count("\n") == 1
    known = done.err.split("Known: ")[1].rstrip(".\n").split(", ")
    assert "sudoku" in known
    assert "parity" not in known
