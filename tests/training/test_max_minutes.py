"""``train.max_minutes``: a run ends in time, and its schedules know when that is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.test_train import records
from trm.config import OptimConfig, RunConfig
from trm.errors import ConfigError
from trm.runs import layout
from trm.runs.checkpoint import read_progress
from trm.runs.listing import read_run
from trm.training import clock as clock_module
from trm.training.clock import RunClock
from trm.training.optim.lr_schedule import learning_rate_scale
from trm.training.train import train
from trm.training.train_result import TrainResult

Tiny = Callable[..., RunConfig]
#: Of a run that time ends long before its last step.
LONG = (
    "train.max_steps=1000", "train.eval_every_steps=0", "train.max_minutes=0.5",
    "optim.lr_schedule=cosine", "optim.lr_min_ratio=0", "train.depth_curriculum=[[0.5,1,1]]",
)  # fmt: skip


class FakeTime:
    """A clock that moves only where a test says so."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    monkeypatch.setattr(clock_module, "now", fake)
    monkeypatch.setattr(clock_module, "_SLOW_DISK", 1e12)  # saving takes no time
    return fake


Go = Callable[..., TrainResult]


@pytest.fixture
def go(fake: FakeTime, tmp_path: Path) -> Go:
    """Train a run ``a`` whose clock moves by so many seconds whenever it asks whether to stop.

    It asks before the first step, after each step and before each batch of an evaluation.
    """

    def run(
        config: RunConfig, seconds: float = 1.0, stop_after: float = 1e9, name: str = "a"
    ) -> TrainResult:
        calls: list[int] = []

        def tick() -> bool:
            fake.seconds += seconds
            calls.append(1)
            return len(calls) > stop_after

        return train(config, runs=tmp_path, name=name, should_stop=tick, began=fake.seconds)

    return run


def test_a_run_ends_in_time_and_goes_on_with_more(tiny: Tiny, go: Go) -> None:
    result = go(tiny(*LONG))
    assert (result.step, result.finished, result.out_of_time) == (28, True, True)  # of 30 seconds
    assert not result.ended_early
    listed = read_run(result.run)
    assert (listed.state, listed.step, listed.total_steps) == ("finished", 28, 1000)
    assert records(result.run, "start")[0]["max_minutes"] == 0.5
    progress = read_progress(result.run / layout.LAST)
    assert (progress.step, progress.wall_s, progress.ended_minutes) == (28, 29, 0.5)
    with pytest.raises(ConfigError, match=r"step-000028: the run has used its time, --max-minutes"):
        go(tiny(*LONG))
    more = go(tiny(*LONG, "train.max_minutes=1"))
    assert (more.step, more.finished, more.out_of_time) == (28 + 29, True, True)
    last = go(tiny(*LONG, "train.max_minutes=none", "train.max_steps=60"))
    assert (last.step, last.finished, last.out_of_time) == (60, True, False)
    assert read_progress(last.run / layout.LAST).ended_minutes is None


def test_time_before_an_interruption_counts(tiny: Tiny, go: Go) -> None:
    assert go(tiny(*LONG), stop_after=10).step == 10
    assert go(tiny(*LONG)).step == 10 + 28 - 11


def test_schedules_follow_the_time(tiny: Tiny, go: Go) -> None:
    train_records = records(go(tiny(*LONG)).run, "train")
    rates = [record["lr"] for record in train_records]
    assert rates[:2] == [pytest.approx(0.0005), pytest.approx(0.001, rel=0.02)]  # the warm-up
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[-1] < 0.01 * 0.001  # the cosine is over
    assert train_records[-1]["time_share"] == 1
    flops = [record["time_share"] < 0.5 for record in train_records]
    assert 13 <= sum(flops) <= 15


def test_steps_may_end_it_first(tiny: Tiny, go: Go) -> None:
    """And until then, nothing is different from a run without a limit."""
    limited, free = "train.max_minutes=1000", "train.max_minutes=none"
    more = ("optim.lr_schedule=cosine", "optim.lr_min_ratio=0")
    result = go(tiny(limited, *more))
    assert (result.step, result.finished, result.out_of_time) == (6, True, False)
    assert result.best is not None
    assert read_progress(result.run / layout.LAST).ended_minutes is None
    rates = [record["lr"] for record in records(result.run, "train")]
    config = tiny(free, *more)
    expected = [0.001 * learning_rate_scale(n, config.optim, 6) for n in range(1, 7)]
    assert rates == expected


def test_at_least_one_step_is_taken_and_saved(tiny: Tiny, go: Go) -> None:
    result = go(tiny(*LONG, "train.max_minutes=0.001"), seconds=60)
    assert (result.step, result.out_of_time) == (1, True)
    assert (result.run / layout.LAST / layout.WEIGHTS_FILE).is_file()


def evaluations(run: Path) -> list[int]:
    return [record["step"] for record in records(run, "eval")]


def test_the_last_evaluation_fits(tiny: Tiny, go: Go) -> None:
    """An evaluation of 20 batches takes 20 seconds, and one more is asked after it."""
    settings = ("train.max_minutes=2", "eval.batch_size=1")
    result = go(tiny(*LONG, *settings, "train.eval_every_steps=20"))
    # 20 steps, 21 seconds, 20 steps, 21 seconds, 14 steps, 20 seconds.
    assert evaluations(result.run) == [20, 40, 54]
    assert (result.step, result.finished) == (54, True)


def test_an_evaluation_that_would_end_too_late_is_left_out(tiny: Tiny, go: Go) -> None:
    settings = ("train.max_minutes=1", "eval.batch_size=1")
    result = go(tiny(*LONG, *settings, "train.eval_every_steps=18"))
    assert evaluations(result.run) == [18]  # after which another one would end too late
    assert result.finished
    with pytest.raises(ConfigError, match=r"the run has used its time, --max-minutes 1\."):
        go(tiny(*LONG, *settings, "train.eval_every_steps=18"))


def test_time_that_an_evaluation_used_up_is_noted_in_its_checkpoint(tiny: Tiny, go: Go) -> None:
    config = tiny(*LONG, "train.max_minutes=0.8", "eval.batch_size=1", "train.eval_every_steps=22")
    result = go(config)
    assert (result.step, evaluations(result.run)) == (22, [22])
    progress = read_progress(result.run / layout.LAST)
    assert (progress.evaluated_step, progress.ended_minutes) == (22, 0.8)
    with pytest.raises(ConfigError, match=r"the run has used its time, --max-minutes 0\.8\."):
        go(config)


def test_without_a_known_length_there_is_no_last_evaluation(tiny: Tiny, go: Go) -> None:
    result = go(tiny(*LONG, "train.eval_every_steps=500"))
    assert (result.step, result.finished, result.best) == (28, True, None)
    assert evaluations(result.run) == []


def test_an_evaluation_ends_when_time_does(tiny: Tiny, go: Go) -> None:
    config = tiny(*LONG, "train.eval_every_steps=27", "eval.batch_size=1")
    result = go(config)
    assert (result.step, result.finished, result.out_of_time, result.best) == (27, True, True, None)
    progress = read_progress(result.run / layout.LAST)
    assert (progress.step, progress.ended_minutes) == (27, 0.5)
    with pytest.raises(ConfigError, match=r"the run has used its time, --max-minutes 0\.5\."):
        go(config)


def test_a_run_stopped_in_an_evaluation_goes_on_if_time_is_left(tiny: Tiny, go: Go) -> None:
    """The part of the evaluation that was done is so long that there is no time for a step."""
    config = tiny(*LONG, "train.max_minutes=1", "train.eval_every_steps=25", "eval.batch_size=1")
    result = go(config, stop_after=44)
    assert (result.step, evaluations(result.run)) == (25, [])
    assert read_progress(result.run / layout.LAST).ended_minutes is None
    assert evaluations(go(config).run)[0] == 25


def test_processes_take_the_time_of_the_first(fake: FakeTime) -> None:
    first, other = (RunClock(1.0, began) for began in (100.0, -1e9))
    fake.seconds += 29
    reading = first.reading(is_first=True)
    agreed = tuple(map(max, reading, other.reading(is_first=False)))
    for clock in (first, other):
        clock.agree(agreed)
        assert clock.share == pytest.approx(0.5)
        assert (clock.may_evaluate, clock.is_late, clock.is_over) == (True, False, False)
    assert RunClock(None, 0.0).reading(is_first=True) == ()


def test_what_is_kept_back(fake: FakeTime) -> None:
    clock = RunClock(10.0, fake.seconds)  # 600 seconds, of which 6 are kept back
    assert clock.left == 594
    with clock.timing_step():
        fake.seconds += 100  # compiles
    assert clock.left == 494
    for _ in range(2):
        with clock.timing_step():
            fake.seconds += 2
    assert clock.left == 490 - 2
    with clock.timing_evaluation():
        fake.seconds += 30
    clock.saved_in(8.0)
    clock.saved_in(5.0)
    assert clock.left == 460 - 2 - 33 - 8


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
def test_the_learning_rate_with_and_without_time(schedule: str) -> None:
    config = OptimConfig.model_validate(
        {"lr_schedule": schedule, "lr_min_ratio": 0.1, "lr_warmup_steps": 10}
    )
    for step in range(1, 101):
        plain = learning_rate_scale(step, config, 100)
        assert learning_rate_scale(step, config, 100, step / 100) == pytest.approx(plain)
        assert learning_rate_scale(step, config, 100, 1.0) == pytest.approx(min(step / 10, 0.1))
    assert learning_rate_scale(5, config, 100, 0.05) == 0.5


def test_the_command(trm: Callable[..., Any], mini_data: Path) -> None:
    small = [
        "train", "sudoku", "--preset", "mini", "--data", str(mini_data), "--device", "cpu",
        "--run-name", "a", "--max-minutes", "0.0001", "--set", "train.eval_every_steps=0",
        "--set", "model.hidden_size=32", "--set", "model.num_heads=2", "--batch-size", "8",
    ]  # fmt: skip
    dry = trm(*small, "--dry-run")
    assert "time limit        0.0001 minutes\n" in dry.out
    done = trm(*small)
    assert done.code == 0
    assert "ends after 0.0001 minutes at the latest, with a checkpoint" in done.out
    assert "time is up at step 1 of 900\ndone\n" in done.out
    assert "0.0" in trm("train", "--resume", "a", "--max-minutes", "5", "--dry-run").out
