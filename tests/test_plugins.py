"""Tasks and trackers come from plugins; a broken one is named once and harms no other."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.fresh_plugins import forget_plugins
from trm import plugins
from trm.config import RunConfig, TRMConfig
from trm.data import DatasetMeta
from trm.errors import PluginError
from trm.models import RecursiveModel, TinyRecursiveModel, list_model_kinds
from trm.plugins import PluginWarning, hookimpl
from trm.tasks.base import DataOptions, Task
from trm.tasks.registry import get_task, list_tasks
from trm.trackers import Tracker
from trm.trackers.registry import get_tracker, list_trackers

BUILT_IN = ["arc1", "arc2", "maze", "sudoku"]
BUILT_IN_TRACKERS = ["tensorboard", "wandb", "trackio"]


class Toy(Task):
    name = "toy"
    summary = "For tests."

    def build_data(self, out: Path, options: Any, rng: np.random.Generator) -> DatasetMeta:
        raise NotImplementedError


class Plugin:
    """A plugin that registers these."""

    def __init__(self, *tasks: object) -> None:
        self.tasks = tasks

    @hookimpl
    def trm_register_tasks(self, register: Callable[[object], None]) -> None:
        for task in self.tasks:
            register(task)


class Scroll(Tracker):
    name = "scroll"
    summary = "For tests."

    def start(self, *about: object) -> None: ...
    def log(self, record: object) -> None: ...


class TrackerPlugin:
    """A plugin that registers these trackers."""

    def __init__(self, *trackers: object) -> None:
        self.trackers = trackers

    @hookimpl
    def trm_register_trackers(self, register: Callable[[object], None]) -> None:
        for tracker in self.trackers:
            register(tracker)


class Both(Plugin, TrackerPlugin):
    """A plugin of a task and a tracker."""

    def __init__(self) -> None:
        self.tasks, self.trackers = (Toy(),), (Scroll,)


class Misspelt:
    @hookimpl
    def trm_register_task(self, register: Callable[[object], None]) -> None:
        register(Toy())


@pytest.fixture(autouse=True)
def _fresh_plugins() -> Iterator[None]:
    forget_plugins()
    yield
    forget_plugins()


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make these, name to plugin or to the exception of its import, the installed plugins."""

    def entry(name: str, plugin: object) -> SimpleNamespace:
        def load() -> object:
            if isinstance(plugin, Exception):
                raise plugin
            return plugin

        dist = SimpleNamespace(name=name, version="0.1.0")
        return SimpleNamespace(name=name, dist=dist, load=load)

    def install(**named: object) -> None:
        entries = [entry(name, plugin) for name, plugin in named.items()]
        groups = {"trm.plugins": entries}
        monkeypatch.setattr(plugins, "entry_points", lambda group: groups.get(group, []))

    return install


def test_built_in_tasks_come_through_the_hook(install: Callable[..., None]) -> None:
    install()
    assert list(list_tasks()) == BUILT_IN
    assert {installed.origin for installed in list_tasks().values()} == {"built in"}
    assert get_task("sudoku").name == "sudoku"


def test_an_installed_plugin_adds_its_tasks(install: Callable[..., None]) -> None:
    toy = Toy()
    install(toys=Plugin(toy))
    assert list(list_tasks()) == [*BUILT_IN, "toy"]
    assert list_tasks()["toy"].origin == "toys 0.1.0"
    assert get_task("toy") is toy


def test_an_entry_point_without_a_distribution_goes_by_its_own_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = SimpleNamespace(name="local", dist=None, load=lambda: Plugin(Toy()))
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry])
    assert list_tasks()["toy"].origin == "local"


def test_an_unknown_task_is_answered_with_the_nearest(install: Callable[..., None]) -> None:
    install(toys=Plugin(Toy()))
    message = (
        r"^unknown task 'sudokoo'\. Did you mean 'sudoku'\? Known: arc1, arc2, maze, sudoku, toy\.$"
    )
    with pytest.raises(PluginError, match=message):
        get_task("sudokoo")


def nameless() -> Task:
    return type("Nameless", (Toy,), {"name": None})()


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        (ImportError("no module\nnamed frob"), r"ImportError: no module named frob"),
        (Plugin("toy"), r"TypeError: registered a str, not a Task"),
        (Plugin(Toy), r"TypeError: registered a ABCMeta, not a Task"),
        (Plugin(nameless()), r"TypeError: registered a Nameless without a name"),
        (Misspelt(), r"PluginValidationError: unknown hook 'trm_register_task' in plugin .*"),
    ],
)
def test_a_broken_plugin_is_one_warning_and_the_rest_works(
    install: Callable[..., None], plugin: object, reason: str
) -> None:
    install(broken=plugin, toys=Plugin(Toy()))
    with pytest.warns(PluginWarning, match=f"^plugin broken 0.1.0 skipped: {reason}$") as caught:
        assert list(list_tasks()) == [*BUILT_IN, "toy"]
    assert len(caught) == 1


def test_a_broken_plugin_provides_none_of_its_tasks(install: Callable[..., None]) -> None:
    install(broken=Plugin(Toy(), "not a task"))
    with pytest.warns(PluginWarning, match="not a Task"):
        assert list(list_tasks()) == BUILT_IN


def test_the_warning_comes_once_however_often_tasks_are_asked_for(
    install: Callable[..., None],
) -> None:
    install(broken=RuntimeError("broken"))
    with pytest.warns(PluginWarning, match="RuntimeError: broken"):
        list_tasks()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        get_task("sudoku")
        get_tracker("wandb")


def test_a_plugin_without_a_hook_provides_nothing(install: Callable[..., None]) -> None:
    install(empty=SimpleNamespace())
    neither = "neither trm_register_tasks nor .* nor trm_register_models is marked with trm.hook"
    with pytest.warns(PluginWarning, match=neither):
        assert list(list_tasks()) == BUILT_IN


def _with(**attributes: object) -> Plugin:
    return Plugin(type("Odd", (Toy,), attributes)())


class _Grabby(DataOptions):
    out: int = 3


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        (_with(name="../my task"), r"'\.\./my task' is not a valid task name: use a-z, 0-9 and -"),
        (_with(summary=None), r"without a summary"),
        (_with(data_options=dict), r"data_options of toy is not a subclass of DataOptions"),
        (_with(data_options=_Grabby), r"a data option 'out', a flag of every task"),
        (_with(presets={"a": {}}), r"a preset that is not a Preset"),
    ],
)
def test_a_task_that_would_break_commands_is_skipped(
    install: Callable[..., None], plugin: Plugin, reason: str
) -> None:
    install(odd=plugin)
    with pytest.warns(PluginWarning, match=reason):
        assert list(list_tasks()) == BUILT_IN


def test_two_plugins_of_one_task_are_an_error_naming_both(install: Callable[..., None]) -> None:
    install(one=Plugin(Toy()), two=Plugin(Toy()))
    message = (
        r"^two plugins provide a task 'toy': one 0.1.0 and two 0.1.0\. Uninstall one of them\.$"
    )
    with pytest.raises(PluginError, match=message):
        list_tasks()


def test_a_plugin_cannot_replace_a_built_in_task(install: Callable[..., None]) -> None:
    install(mine=Plugin(type("Mine", (Toy,), {"name": "sudoku"})()))
    with pytest.raises(PluginError, match=r"'sudoku': built in and mine 0.1.0\. Uninstall"):
        get_task("sudoku")


def test_built_in_trackers_come_through_their_hook(install: Callable[..., None]) -> None:
    install()
    assert list(list_trackers()) == BUILT_IN_TRACKERS
    assert {installed.origin for installed in list_trackers().values()} == {"built in"}


def test_a_plugin_may_provide_trackers_only(install: Callable[..., None]) -> None:
    install(scrolls=TrackerPlugin(Scroll))
    assert list(list_tasks()) == BUILT_IN
    assert list_trackers()["scroll"].origin == "scrolls 0.1.0"
    assert get_tracker("scroll") is Scroll


def test_a_plugin_may_provide_both(install: Callable[..., None]) -> None:
    install(both=Both())
    assert get_task("toy").name == "toy"
    assert get_tracker("scroll") is Scroll


def test_an_unknown_tracker_is_answered_with_the_nearest(install: Callable[..., None]) -> None:
    install(scrolls=TrackerPlugin(Scroll))
    message = (
        r"^unknown tracker 'scrol'\. Did you mean 'scroll'\? "
        r"Known: scroll, tensorboard, trackio, wandb\.$"
    )
    with pytest.raises(PluginError, match=message):
        get_tracker("scrol")


@pytest.mark.parametrize(
    ("tracker", "reason"),
    [
        ("scroll", r"registered a str, not a subclass of Tracker"),
        (Scroll(), r"registered a Scroll, not a subclass of Tracker"),
        (Toy, r"registered the class Toy, not a subclass of Tracker"),
        (type("Half", (Tracker,), {"start": None}), r"registered the class Half without log"),
        (type("Odd", (Scroll,), {"summary": 3}), r"registered a Odd without a summary"),
        (type("Odd", (Scroll,), {"name": "a,b"}), r"'a,b' is not a valid tracker name: use a-z"),
    ],
)
def test_a_plugin_with_a_broken_tracker_is_skipped(
    install: Callable[..., None], tracker: object, reason: str
) -> None:
    install(odd=TrackerPlugin(tracker))
    with pytest.warns(PluginWarning, match=f"^plugin odd 0.1.0 skipped: TypeError: {reason}"):
        assert list(list_trackers()) == BUILT_IN_TRACKERS


def test_two_plugins_of_one_tracker_are_an_error_but_no_matter_of_tasks(
    install: Callable[..., None],
) -> None:
    install(one=TrackerPlugin(Scroll), two=TrackerPlugin(Scroll))
    message = r"^two plugins provide a tracker 'scroll': one 0.1.0 and two 0.1.0\. Uninstall one"
    with pytest.raises(PluginError, match=message):
        get_tracker("scroll")
    assert list(list_tasks()) == BUILT_IN


class ModelPlugin:
    """A plugin that registers these models."""

    def __init__(self, *models: object) -> None:
        self.models = models

    @hookimpl
    def trm_register_models(self, register: Callable[[object], None]) -> None:
        for model in self.models:
            register(model)


class WaveConfig(TRMConfig):
    kind: str = "wave"


class Wave(TinyRecursiveModel):
    name = "wave"
    summary = "For tests."
    config_class = WaveConfig


class Abstract(RecursiveModel):
    name = "abstract"
    summary = "For tests."


def test_a_kind_of_model_can_be_installed(install: Callable[..., None]) -> None:
    install(ocean=ModelPlugin(Wave))
    kinds = list_model_kinds()
    assert {name for name, kind in kinds.items() if kind.origin != "built in"} == {"wave"}
    assert kinds["wave"].model is Wave
    config = RunConfig.model_validate({"task": "sudoku", "model": {"kind": "wave", "l_layers": 1}})
    assert type(config.model) is WaveConfig
    with pytest.raises(ValueError, match="kind trm has other settings than kind wave"):
        WaveConfig(kind="trm")


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (3, "registered 3, not a subclass of RecursiveModel"),
        (Scroll, "not a subclass of RecursiveModel"),
        (Abstract, "registered the class Abstract without build_core, recurse"),
        (type("Unnamed", (Wave,), {"summary": None}), "registered a Unnamed without a summary"),
        (type("Odd", (Wave,), {"name": "A b"}), "'A b' is not a valid kind of model name"),
        (type("Other", (Wave,), {"name": "other"}), "no config_class, .* with the kind 'other'"),
        (type("Stateless", (Wave,), {"state_class": None}), "Stateless has no state_class"),
    ],
)
def test_a_broken_kind_of_model_is_skipped(
    install: Callable[..., None], model: object, problem: str
) -> None:
    install(bad=ModelPlugin(model))
    with pytest.warns(PluginWarning, match=problem):
        assert "wave" not in list_model_kinds()
    assert list(list_tasks()) == BUILT_IN


def test_two_kinds_of_model_with_the_same_name(install: Callable[..., None]) -> None:
    install(one=ModelPlugin(Wave), two=ModelPlugin(Wave))
    with pytest.raises(PluginError, match="two plugins provide a kind of model 'wave'"):
        list_model_kinds()
