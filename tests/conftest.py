"""What many tests share. Shapes in signatures are checked while testing."""

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from jaxtyping import install_import_hook

from tests.coverage_pause import unmeasured
from tests.hub import HubServer
from tests.hub.commands import Commands, Online

#: Modules whose shapes are checked. Not ``models.layers``, which runs dozens of times a step: its
#: checks took a quarter of the time of all tests. ``tests/models/test_layers.py`` makes them.
CHECKED = (
    "models.best_latent", "models.carry", "models.kinds.candidates",
    "models.kinds.conv", "models.input_embedding", "models.losses",
    "models.puzzle_embedding", "models.trm", "training", "evaluation.loop", "checkpoints",
    "runtime", "inference.latent_noise", "inference.model", "inference.rollout_pool",
    "inference.rollouts", "inference.search", "inference.symmetric_copies",
)  # fmt: skip

#: Tests of whole programs. Other tests measure the same lines.
UNMEASURED = {"docs", "fuzz", "parity", "system", "test_benchmarks.py"}

os.environ.pop("COLUMNS", None)  # which the command line would read as it is imported
install_import_hook([f"trm.{part}" for part in CHECKED], "beartype.beartype")

from trm import settings  # noqa: E402
from trm.cli import run  # noqa: E402
from trm.config import RunConfig  # noqa: E402
from trm.data import DatasetMeta, read_meta  # noqa: E402
from trm.tasks.metrics import EvalBatch  # noqa: E402
from trm.tasks.registry import get_task  # noqa: E402
from trm.training.train import train  # noqa: E402

from tests.made_checkpoints import write_checkpoint  # noqa: E402  isort: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-golden", action="store_true", help="commit new golden losses")
    parser.addoption("--soak", action="store_true", help="kill a run twenty times, not three")


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's ``TRM_*`` variables do not reach the tests."""
    for name in [name for name in os.environ if name.upper().startswith("TRM_")]:
        monkeypatch.delenv(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest tests first, so that no worker has one left when the others are done."""

    def rank(item: pytest.Item) -> tuple[bool, bool]:
        return item.path.name != "test_tasks.py", item.path.parent.name != "system"

    items.sort(key=rank)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        if not UNMEASURED.isdisjoint(item.path.relative_to(item.config.rootpath).parts):
            stack.enter_context(unmeasured())
        return (yield)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and reference vectors beside the checkout."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"no {folder}: real data is not part of the repository")
    return folder


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a folder that all workers of a test run share, in the first one that needs it."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make(name: str, fill: Callable[[Path], None]) -> Path:
        folder, done = base / name, base / f"{name}.done"
        with FileLock(base / f"{name}.lock"):
            if not done.exists():
                fill(folder)
                done.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def mini_data(make_once: Callable[..., Path]) -> Path:
    """Generated 4x4 puzzles, like those of ``trm build-data sudoku --preset mini``."""

    def fill(folder: Path) -> None:
        task = get_task("sudoku")
        options = task.data_options(**{**task.presets["mini"].data, "size": 4, "num_test": 100})
        meta = task.build_data(folder, options, np.random.default_rng(0))
        assert isinstance(meta, DatasetMeta)

    return make_once("mini-data", fill)


@pytest.fixture(scope="session")
def trained_run(mini_data: Path, make_once: Callable[..., Path]) -> Path:
    """A run of a smaller mini preset, of seconds, that solves most of its test puzzles."""
    task = get_task("sudoku")
    resolved = settings.load(
        "sudoku",
        defaults=task.defaults,
        preset=task.presets["mini"].settings,
        assignments=[
            "model.forward_dtype=float32",
            "model.hidden_size=64",
            "model.num_heads=2",
            "model.l_cycles=2",
            "model.halt_max_steps=8",
            "train.max_steps=180",
            "train.eval_every_steps=90",
            "optim.ema_rate=0.95",
            "train.device=cpu",
            f"data.paths=['{mini_data}']",
        ],
    )

    def fill(runs: Path) -> None:
        result = train(resolved.config, runs=runs, name="trained")
        assert result.best is not None
        assert result.best > 0.7

    return make_once("trained", fill) / "sudoku" / "trained"


@pytest.fixture
def tiny(mini_data: Path) -> Callable[..., RunConfig]:
    """Settings of a run that takes a second; assignments as for ``--set`` change them."""

    def make(*assignments: str) -> RunConfig:
        task = get_task("sudoku")
        small = (
            "model.forward_dtype=float32", "model.hidden_size=32", "model.num_heads=2",
            "model.h_cycles=2", "model.l_cycles=2",
            "model.halt_max_steps=3",
            "train.batch_size=8", "train.max_steps=6", "train.log_every_steps=1",
            "train.eval_every_steps=6", "train.device=cpu", "optim.lr_warmup_steps=2",
            "optim.lr=0.001",
            "eval.max_examples=20", f"data.paths=['{mini_data}']",
        )  # fmt: skip
        preset = task.presets["mini"].settings
        return settings.load(
            "sudoku", defaults=task.defaults, preset=preset, assignments=[*small, *assignments]
        ).config

    return make


@pytest.fixture
def checkpoint(
    tiny: Callable[..., RunConfig], mini_data: Path, tmp_path: Path
) -> Callable[..., Path]:
    """Write a checkpoint of that size; see :func:`tests.made_checkpoints.write_checkpoint`."""
    data = read_meta(mini_data)

    def make(name: str, *assignments: str, source: str = data.source, **more: Any) -> Path:
        described = data.model_copy(update={"source": source})
        return write_checkpoint(tmp_path / name, tiny(*assignments), described, **more)

    return make


@dataclass
class Result:
    """What a command line gave: the exit code, stdout, stderr."""

    code: int
    out: str
    err: str


@pytest.fixture
def trm(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Result]:
    """Run a command line in an empty folder, in a wide terminal without colour."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments: str | Path) -> Result:
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture
def fails(trm: Callable[..., Result]) -> Callable[..., str]:
    """Run a command line that has to fail with one line, which is returned without its prefix."""

    def call(*arguments: str | Path, code: int = 1) -> str:
        done = trm(*arguments)
        assert (done.code, done.out) == (code, ""), done
        assert re.fullmatch(r"trm: error: [^\n]+\n", done.err), done.err
        return done.err.removeprefix("trm: error: ").strip()

    return call


@pytest.fixture(scope="session")
def hub_server() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture(scope="session")
def hub_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the client; its cache is ``hub`` in there."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def hub(hub_server: HubServer, hub_home: Path) -> Iterator[HubServer]:
    """A Hub without repositories, and nothing in the cache of ``online``.

    At the end, no token may have been seen where it does not belong.
    """
    hub_server.clear()
    shutil.rmtree(hub_home)
    hub_home.mkdir()
    yield hub_server
    assert hub_server.leaks == []


@pytest.fixture(scope="session")
def hub_process(hub_server: HubServer, hub_home: Path) -> Iterator[Commands]:
    with Commands(hub_server.environment(hub_home)) as process:
        yield process


@pytest.fixture
def online(hub: HubServer, hub_process: Commands, tmp_path: Path) -> Online:
    """Run command lines of trm whose Hub is ``hub``."""
    return Online(hub_process, tmp_path)


@pytest.fixture(scope="session")
def batch() -> Callable[..., EvalBatch]:
    """Answers (batch, seq_len) to as many examples, the last cell of which is not scored."""

    def make(
        answers: list[list[int]], logits: list[float] | None = None, steps: list[int] | None = None
    ) -> EvalBatch:
        tokens = np.array(answers, np.int32).reshape(len(answers), -1)
        rows = np.arange(len(tokens))
        labels = np.ones_like(tokens)
        labels[:, -1] = -100
        return EvalBatch(
            inputs=tokens % 3,
            labels=labels,
            answers=tokens,
            halt_logits=np.array(logits or [0.0] * len(rows), np.float32),
            halt_steps=np.array(steps or [1] * len(rows), np.int32),
            steps=np.full(len(rows), 6, np.float32),
            puzzle_identifiers=rows.astype(np.int32),
            examples=rows,
            puzzles=rows,
        )

    return make
