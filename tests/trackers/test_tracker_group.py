"""Several trackers at once: each gets every record, and one that fails is dropped alone."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from tests.fresh_plugins import forget_plugins
from trm import plugins
from trm.config import RunConfig
from trm.errors import ConfigError, PluginError
from trm.plugins import hookimpl
from trm.trackers import Tracker, check_trackers, open_trackers, scalars
from trm.trackers.registry import get_tracker, list_trackers

BUILT_IN = ["tensorboard", "wandb", "trackio"]
RECORDS = [{"event": "train", "step": step, "loss": 1.0} for step in (1, 2, 3)]
Install = Callable[..., None]


class RecordingTracker(Tracker):
    """Remembers its calls. ``fails`` maps methods to the errors that they raise."""

    name = "recording"
    summary = "For tests."
    fails: Mapping[str, BaseException] = {}

    def start(self, run: Path, config: RunConfig, step: int) -> None:
        self._record("start", run, config.task, step)

    def log(self, record: Mapping[str, Any]) -> None:
        self._record("log", record["step"])

    def close(self, finished: bool) -> None:
        self._record("close", finished)

    def _record(self, *call: object) -> None:
        type(self).calls.append(call)  # type: ignore[attr-defined]
        if call[0] in self.fails:
            raise self.fails[str(call[0])]


def recording(name: str, **fails: BaseException) -> type[RecordingTracker]:
    """A tracker class with this name, which remembers its calls in ``calls``."""
    return type(name.title(), (RecordingTracker,), {"name": name, "fails": fails, "calls": []})


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Install these trackers in addition to the built-in ones."""

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


def log_run(names: list[str], config: RunConfig) -> list[str]:
    """Open these trackers, log the records and close. Returns the warnings."""
    warnings: list[str] = []
    trackers = open_trackers(names, Path("run"), config, 5, warnings.append)
    for record in RECORDS:
        trackers(record)
    trackers.close(finished=True)
    return warnings


def called(tracker: type[RecordingTracker]) -> list[str]:
    return [call[0] for call in tracker.calls]  # type: ignore[attr-defined]


def test_the_built_in_trackers_come_through_the_hook() -> None:
    assert [name for name, one in list_trackers().items() if one.origin == "built in"] == (BUILT_IN)


def test_every_tracker_gets_every_record(install: Install, config: RunConfig) -> None:
    one, two = recording("one"), recording("two")
    install(one, two)
    assert log_run(["one", "two"], config) == []
    expected = [("start", Path("run"), "sudoku", 5), *(("log", n) for n in (1, 2, 3))]
    assert one.calls == two.calls == [*expected, ("close", True)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fails", "calls"),
    [
        ("start", ["start"]),
        ("log", ["start", "log"]),
        ("close", ["start", "log", "log", "log", "close"]),
    ],
)
@pytest.mark.parametrize("error", [RuntimeError("no\nluck."), SystemExit("no luck.")])
def test_one_that_fails_is_named_once_and_the_others_continue(
    install: Install, config: RunConfig, fails: str, calls: list[str], error: BaseException
) -> None:
    before, bad, after = recording("before"), recording("bad", **{fails: error}), recording("after")
    install(before, bad, after)
    assert log_run(["before", "bad", "after"], config) == [
        f"tracker bad was dropped: {type(error).__name__}: no luck. "
        "metrics.jsonl still has all metrics."
    ]
    assert called(bad) == calls
    assert called(before) == called(after) == ["start", "log", "log", "log", "close"]


def test_a_warning_that_is_logged_does_not_come_back_for_ever(
    install: Install, config: RunConfig
) -> None:
    bad, good = recording("bad", log=OSError("full")), recording("good")
    install(bad, good)
    warnings = []

    def warn(text: str) -> None:
        warnings.append(text)
        trackers({"event": "warning", "step": 1, "text": text})

    trackers = open_trackers(["bad", "good"], Path("run"), config, 0, warn)
    trackers(RECORDS[0])
    assert len(warnings) == 1
    assert called(good) == ["start", "log", "log"]
    assert trackers.names == ("good",)


def test_an_interruption_while_opening_closes_what_is_open(
    install: Install, config: RunConfig
) -> None:
    first, second = recording("first"), recording("second", start=KeyboardInterrupt())
    install(first, second)
    with pytest.raises(KeyboardInterrupt):
        log_run(["first", "second"], config)
    assert first.calls[-1] == ("close", False)  # type: ignore[attr-defined]


def test_an_interruption_while_closing_still_closes_the_others(
    install: Install, config: RunConfig
) -> None:
    first, second = recording("first", close=KeyboardInterrupt()), recording("second")
    install(first, second)
    with pytest.raises(KeyboardInterrupt):
        log_run(["first", "second"], config)
    assert called(second)[-1] == "close"


def test_one_that_is_named_twice_is_opened_once(install: Install, config: RunConfig) -> None:
    one = recording("one")
    install(one)
    assert log_run(["one", "one"], config) == []
    assert called(one).count("start") == 1


def test_closing_twice_closes_once(install: Install, config: RunConfig) -> None:
    one = recording("one")
    install(one)
    trackers = open_trackers(["one"], Path("run"), config, 0, print)
    trackers.close(finished=True)
    trackers.close(finished=False)
    trackers(RECORDS[0])
    assert one.calls[1:] == [("close", True)]  # type: ignore[attr-defined]


def test_two_runs_at_once_have_trackers_of_their_own(install: Install, config: RunConfig) -> None:
    class Named(RecordingTracker):
        name = "one"
        logged: ClassVar[list[tuple[str, int]]] = []

        def start(self, run: Path, config: RunConfig, step: int) -> None:
            self.run_name = run.name

        def log(self, record: Mapping[str, Any]) -> None:
            self.logged.append((self.run_name, record["step"]))

    install(Named)
    first, second = (open_trackers(["one"], Path(run), config, 0, print) for run in ("a", "b"))
    first(RECORDS[0])
    second(RECORDS[1])
    first(RECORDS[2])
    assert Named.logged == [("a", 1), ("b", 2), ("a", 3)]


def test_an_unknown_tracker_is_answered_with_the_nearest() -> None:
    message = r"^unknown tracker 'wand'\. Did you mean 'wandb'\? Known: tensorboard, trackio, wandb"
    with pytest.raises(PluginError, match=message):
        check_trackers(["tensorboard", "wand"])


def test_what_is_installed_is_fine(install: Install) -> None:
    install(recording("one"))
    check_trackers([*BUILT_IN, "one"])
    check_trackers([])


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_missing_library_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, get_tracker(name).library, None)  # importing it fails
    with pytest.raises(ConfigError) as caught:
        check_trackers([name])
    assert str(caught.value) == (
        f"tracker {name} needs {name}, which is not installed. Install it: pip install {name}"
    )


def test_a_folder_of_the_library_s_name_is_not_the_library(
    install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "frobnicate").mkdir()  # as W&B makes ./wandb
    monkeypatch.syspath_prepend(tmp_path)
    install(type("Frob", (RecordingTracker,), {"name": "frob", "library": "frobnicate"}))
    with pytest.raises(
        ConfigError, match=r"^tracker frob needs frobnicate, .*: pip install frobnicate$"
    ):
        check_trackers(["frob"])


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
def test_only_training_and_evaluation_have_scalars(event: str) -> None:
    assert scalars({"event": event, "step": 1, "loss": 1.0}) == {}


def test_scalars_are_the_finite_numbers() -> None:
    given: dict[str, Any] = {
        "loss": 1.5, "num": 3, "none": None, "nan": float("nan"), "inf": float("-inf"), "path": "a",
    }  # fmt: skip
    record = {"event": "eval", "step": 1, **given}
    assert scalars(record) == {"eval/loss": 1.5, "eval/num": 3.0}


def test_a_tracker_need_not_close() -> None:
    class Short(Tracker):
        name, summary = "short", "For tests."

        def start(self, run: Path, config: RunConfig, step: int) -> None: ...
        def log(self, record: object) -> None: ...

    Short().close(finished=True)


def test_the_libraries_are_not_imported_before_a_start(tmp_path: Path) -> None:
    program = (
        f"import sys; from trm.trackers import check_trackers; check_trackers({BUILT_IN});"
        f"print([name for name in {['torch', *BUILT_IN]} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "[]\n"
