"""Several trackers at once: each is told everything, and one that fails is dropped alone."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.fresh_plugins import forget_plugins
from trm import plugins
from trm.config import RunConfig
from trm.errors import ConfigError, PluginError
from trm.plugins import hookimpl
from trm.trackers import Tracker, check, numbers, open_trackers
from trm.trackers.registry import get_tracker, list_trackers

BUILT_IN = ["tensorboard", "wandb", "trackio"]
RECORDS = [{"event": "train", "step": step, "loss": 1.0} for step in (1, 2, 3)]
Install = Callable[..., None]


class Listening(Tracker):
    """Remembers what it was told; ``fails`` names the methods that raise, and what."""

    name = "listening"
    summary = "For tests."
    fails: Mapping[str, BaseException] = {}

    def start(self, run: Path, config: RunConfig, step: int) -> None:
        self._heard("start", run, config.task, step)

    def log(self, record: Mapping[str, Any]) -> None:
        self._heard("log", record["step"])

    def close(self, finished: bool) -> None:
        self._heard("close", finished)

    def _heard(self, *what: object) -> None:
        type(self).heard.append(what)  # type: ignore[attr-defined]
        if what[0] in self.fails:
            raise self.fails[str(what[0])]


def listening(name: str, **fails: BaseException) -> type[Listening]:
    """A tracker class of this name, with what it heard in ``heard``."""
    return type(name.title(), (Listening,), {"name": name, "fails": fails, "heard": []})


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Make these trackers installed, beside those that are built in."""

    def install(*trackers: type[Tracker]) -> None:
        class Plugin:
            @hookimpl
            def trm_register_trackers(self, register: Callable[[type[Tracker]], None]) -> None:
                for tracker in trackers:
                    register(tracker)

        entry = SimpleNamespace(name="test", dist=None, load=Plugin)
        monkeypatch.setattr(plugins, "entry_points", lambda group: [entry])
        forget_plugins()

    yield install
    forget_plugins()


def play(names: list[str], config: RunConfig) -> list[str]:
    """Open these trackers, log the records, close; returns the warnings."""
    warnings: list[str] = []
    trackers = open_trackers(names, Path("run"), config, 5, warnings.append)
    for record in RECORDS:
        trackers(record)
    trackers.close(finished=True)
    return warnings


def heard(tracker: type[Listening]) -> list[str]:
    return [what[0] for what in tracker.heard]  # type: ignore[attr-defined]


def test_the_built_in_trackers_come_through_the_hook() -> None:
    assert [name for name, one in list_trackers().items() if one.origin == "built in"] == (BUILT_IN)


def test_every_tracker_is_told_everything(install: Install, config: RunConfig) -> None:
    one, two = listening("one"), listening("two")
    install(one, two)
    assert play(["one", "two"], config) == []
    expected = [("start", Path("run"), "sudoku", 5), *(("log", n) for n in (1, 2, 3))]
    assert one.heard == two.heard == [*expected, ("close", True)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fails", "told"),
    [
        ("start", ["start"]),
        ("log", ["start", "log"]),
        ("close", ["start", "log", "log", "log", "close"]),
    ],
)
@pytest.mark.parametrize("error", [RuntimeError("no\nluck."), SystemExit("no luck.")])
def test_one_that_fails_is_named_once_and_the_others_go_on(
    install: Install, config: RunConfig, fails: str, told: list[str], error: BaseException
) -> None:
    before, bad, after = listening("before"), listening("bad", **{fails: error}), listening("after")
    install(before, bad, after)
    assert play(["before", "bad", "after"], config) == [
        f"tracker bad was dropped: {type(error).__name__}: no luck. "
        "metrics.jsonl has what it misses."
    ]
    assert heard(bad) == told
    assert heard(before) == heard(after) == ["start", "log", "log", "log", "close"]


def test_a_warning_that_is_logged_does_not_come_back_for_ever(
    install: Install, config: RunConfig
) -> None:
    bad, good = listening("bad", log=OSError("full")), listening("good")
    install(bad, good)
    warnings = []

    def warn(text: str) -> None:
        warnings.append(text)
        trackers({"event": "warning", "step": 1, "text": text})

    trackers = open_trackers(["bad", "good"], Path("run"), config, 0, warn)
    trackers(RECORDS[0])
    assert len(warnings) == 1
    assert heard(good) == ["start", "log", "log"]
    assert trackers.names == ("good",)


def test_an_interruption_while_opening_closes_what_is_open(
    install: Install, config: RunConfig
) -> None:
    first, second = listening("first"), listening("second", start=KeyboardInterrupt())
    install(first, second)
    with pytest.raises(KeyboardInterrupt):
        play(["first", "second"], config)
    assert first.heard[-1] == ("close", False)  # type: ignore[attr-defined]


def test_an_interruption_while_closing_still_closes_the_others(
    install: Install, config: RunConfig
) -> None:
    first, second = listening("first", close=KeyboardInterrupt()), listening("second")
    install(first, second)
    with pytest.raises(KeyboardInterrupt):
        play(["first", "second"], config)
    assert heard(second)[-1] == "close"


def test_one_that_is_named_twice_is_opened_once(install: Install, config: RunConfig) -> None:
    one = listening("one")
    install(one)
    assert play(["one", "one"], config) == []
    assert heard(one).count("start") == 1


def test_closing_twice_closes_once(install: Install, config: RunConfig) -> None:
    one = listening("one")
    install(one)
    trackers = open_trackers(["one"], Path("run"), config, 0, print)
    trackers.close(finished=True)
    trackers.close(finished=False)
    trackers(RECORDS[0])
    assert one.heard[1:] == [("close", True)]  # type: ignore[attr-defined]


def test_two_runs_at_once_have_trackers_of_their_own(install: Install, config: RunConfig) -> None:
    one = listening("one")
    install(one)
    made = [open_trackers(["one"], Path("run"), config, 0, print)._open[0] for _ in range(2)]
    assert made[0] is not made[1]


def test_an_unknown_tracker_is_answered_with_the_nearest() -> None:
    message = r"^unknown tracker 'wand'\. Did you mean 'wandb'\? Known: tensorboard, trackio, wandb"
    with pytest.raises(PluginError, match=message):
        check(["tensorboard", "wand"])


def test_what_is_installed_is_fine(install: Install) -> None:
    install(listening("one"))
    check([*BUILT_IN, "one"])
    check([])


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_missing_library_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, get_tracker(name).library, None)  # importing it fails
    with pytest.raises(ConfigError) as caught:
        check([name])
    assert str(caught.value) == (
        f"tracker {name} needs {name}, which is not installed. "
        f'Install it: pip install "trm[{name}]"'
    )


def test_a_folder_of_the_library_s_name_is_not_the_library(
    install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "frobnicate").mkdir()  # as W&B makes ./wandb
    monkeypatch.syspath_prepend(tmp_path)
    install(type("Frob", (Listening,), {"name": "frob", "library": "frobnicate"}))
    with pytest.raises(ConfigError, match=r'^tracker frob needs frobnicate, .* "frobnicate"$'):
        check(["frob"])


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_library_that_is_gone_by_the_start_is_one_warning(
    name: str, monkeypatch: pytest.MonkeyPatch, config: RunConfig, tmp_path: Path
) -> None:
    for module in [m for m in sys.modules if m.split(".")[0] == name or "tensorboard" in m]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    warnings: list[str] = []
    open_trackers([name], tmp_path, config, 0, warnings.append).close(finished=True)
    (warning,) = warnings
    assert warning.startswith(f"tracker {name} was dropped: ModuleNotFoundError: ")


@pytest.mark.parametrize("event", ["start", "checkpoint", "warning", "end", "profile"])
def test_only_training_and_evaluation_have_numbers(event: str) -> None:
    assert numbers({"event": event, "step": 1, "loss": 1.0}) == {}


def test_numbers_are_those_that_are_finite() -> None:
    given: dict[str, Any] = {
        "loss": 1.5, "num": 3, "none": None, "nan": float("nan"), "inf": float("-inf"), "path": "a",
    }  # fmt: skip
    record = {"event": "eval", "step": 1, **given}
    assert numbers(record) == {"eval/loss": 1.5, "eval/num": 3.0}


def test_a_tracker_need_not_close() -> None:
    class Short(Tracker):
        name, summary = "short", "For tests."

        def start(self, run: Path, config: RunConfig, step: int) -> None: ...
        def log(self, record: object) -> None: ...

    Short().close(finished=True)


def test_the_libraries_are_not_imported_before_a_start(tmp_path: Path) -> None:
    program = (
        f"import sys; from trm.trackers import check; check({BUILT_IN});"
        f"print([name for name in {['torch', *BUILT_IN]} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "[]\n"
