"""Sweeps: every combination once, as an evaluation of its own gives it, and gone on with."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trm
from tests.evaluation.sweeps import line, sweep
from trm.errors import ConfigError, InputError
from trm.evaluation import sweep as module
from trm.evaluation.evaluate import evaluate
from trm.evaluation.sweep import combinations
from trm.inference.options import InferenceOptions
from trm.models.flops import eval_step_flops


@pytest.fixture(scope="module")
def model(trained_run: Path) -> trm.Model:
    return trm.load(trained_run, device="cpu")


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[InferenceOptions]:
    """What is really evaluated from now on."""
    seen: list[InferenceOptions] = []

    def noted(model: trm.Model, **more: Any) -> Any:
        seen.append(InferenceOptions(**{n: more[n] for n in InferenceOptions.model_fields}))
        return evaluate(model, **more)

    monkeypatch.setattr(module, "evaluate", noted)
    return seen


def test_every_sensible_combination_comes_once() -> None:
    found = combinations(
        steps=(None, 8), samples=(1, 4), noise=(0.1, 0.3), choose=("halt", "vote"), votes=(1, 2)
    )
    assert len(found) == len(set(found)) == 2 * ((1 + 4) + (2 + 4))
    ones = [how for how in found if how.samples == 1]
    assert {(how.noise, how.choose) for how in ones} == {(None, c) for c in (None, "halt", "vote")}
    assert all(how.resolved == how for how in found)


def test_combinations_that_come_to_the_same_are_one() -> None:
    assert combinations(samples=(2, 2), noise=(None, 1.0), choose=(None, "halt")) == [
        InferenceOptions(samples=2).resolved
    ]
    (first,) = combinations(samples=(2,), choose=("first",))
    assert first.halt == 0.9
    assert [one.halt for one in combinations(samples=(1,), halt=(0.5, 0.8))] == [0.5, 0.8]
    assert combinations(samples=1, halt=0.5) == [InferenceOptions(halt=0.5)]
    assert combinations(samples=np.array([1]), halt=np.float64(0.5)) == [InferenceOptions(halt=0.5)]
    with pytest.raises(ConfigError, match="--samples 0: Input should be greater"):
        combinations(samples=(0,))


def test_a_line_is_what_an_evaluation_gives(model: trm.Model) -> None:
    seen: list[tuple[int, int]] = []
    found = trm.sweep_eval(
        model, steps=(3,), samples=(1, 2), choose=("first", "vote"), max_examples=20, batch_size=9,
        on_line=lambda _sweep, _line, *count: seen.append(count),
    )  # fmt: skip
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert (found.trained_steps, found.metric, found.step) == (8, "exact_accuracy", 180)
    network = model.network
    for one in found.lines:
        report = evaluate(model, max_examples=20, batch_size=9, **one.options.model_dump())
        assert one.metrics == report.metrics
        assert one.steps_per_puzzle == report.num_steps / 20
        step = eval_step_flops(network.config, network.spec)
        assert one.gflop_per_puzzle == pytest.approx(one.steps_per_puzzle * step / 1e9)
    assert [one.steps_per_puzzle for one in found.lines] == [3, 6, 6]


def test_a_sweep_that_was_cut_in_two_is_gone_on_with(
    model: trm.Model, tmp_path: Path, evaluated: list[InferenceOptions]
) -> None:
    file = tmp_path / "s.json"

    def stop(*_: Any) -> None:
        if len(evaluated) == 2:
            raise KeyboardInterrupt

    how: Any = {"samples": (1, 2, 3), "max_examples": 10, "out": file}
    with pytest.raises(KeyboardInterrupt):
        trm.sweep_eval(model, **how, on_line=stop)
    assert len(json.loads(file.read_text())["lines"]) == 2
    found = trm.sweep_eval(model, **how)
    assert [one.samples for one in evaluated] == [1, 2, 3]
    assert json.loads(file.read_text()) == found.as_json()
    assert trm.sweep_eval(model, **how) == found
    more = trm.sweep_eval(model, **{**how, "samples": (3, 4)})
    assert [one.samples for one in evaluated] == [1, 2, 3, 4]
    assert more.lines[0] == found.lines[2]
    assert [one["samples"] for one in json.loads(file.read_text())["lines"]] == [1, 2, 3, 4]


def test_a_file_of_something_else_is_refused(
    model: trm.Model, trained_run: Path, tmp_path: Path, evaluated: list[InferenceOptions]
) -> None:
    file = tmp_path / "s.json"
    how: Any = {"samples": (1,), "max_examples": 10, "out": file}
    trm.sweep_eval(model, **how)
    whole, way_out = file.read_text(), r"\. Name another `out`, or remove it\.$"

    def refused(message: str, asked: Any = model, **more: Any) -> None:
        with pytest.raises(InputError, match=rf"s\.json {message}{way_out}"):
            trm.sweep_eval(asked, **{**how, **more})

    other = trm.load(trained_run / "checkpoints" / "step-000090", device="cpu")
    refused(r"has a sweep of \S+/trained\S*, not of \S+/step-000090", other)
    refused("has a sweep of 10 examples, not of all examples", max_examples=None)
    file.write_text(whole.replace(json.loads(whole)["digest"], "0" * 64))
    refused(r"has a sweep of data of digest 0{12}, not of data of digest \w{12}")
    file.write_text(whole.replace('"samples": 1', '"samples": 0'))
    refused(r"holds no sweep: lines\.0\.samples: Input should be greater than or equal to 1")
    file.write_text(re.sub(r'("exact_accuracy": \{\s*"value"): [\d.]+', r"\1: NaN", whole))
    refused("holds no sweep: a line of it has no exact_accuracy")
    for text in ("my notes", "[]", "{}", "[" * 100_000):
        file.write_text(text)
        refused("holds no sweep: .+")
    assert len(evaluated) == 1
    assert file.read_text() == text


def test_the_best_and_the_cheapest_of_those_about_as_good() -> None:
    lines = (
        line(60, 1.0), line(84, 2.0, samples=2), line(90, 8.0, samples=8), line(90, 4.0, samples=4)
    )  # fmt: skip
    found = sweep(*lines)
    assert found.best == lines[3]  # of equals the cheaper one
    assert found.cheapest == lines[1]  # 0.84 is within 0.826 to 0.945
    assert (found.as_json()["best"], found.as_json()["cheapest"]) == ("--samples 4", "--samples 2")
    assert sweep(lines[0]).best == sweep(lines[0]).cheapest == lines[0]


def test_two_sweeps_may_fill_one_file(
    model: trm.Model, tmp_path: Path, evaluated: list[InferenceOptions]
) -> None:
    file = tmp_path / "s.json"
    how: Any = {"max_examples": 10, "out": file}

    def meanwhile(*_: Any) -> None:
        if len(evaluated) == 1:
            trm.sweep_eval(model, samples=(3,), **how)

    trm.sweep_eval(model, samples=(1, 2), on_line=meanwhile, **how)
    assert sorted(one["samples"] for one in json.loads(file.read_text())["lines"]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"samples": (1,), "noise": (0.1,)}, "--noise does nothing with one rollout"),
        ({"samples": (1,), "choose": ("halt",)}, "--choose does nothing with one rollout"),
        ({"samples": ()}, "an option has no value to try"),
    ],
)
def test_what_no_combination_would_use_is_refused(how: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        combinations(**how)
    assert len(combinations(samples=(1,), votes=(1, 2), choose=("halt",))) == 2


def test_numbers_that_make_no_sense(model: trm.Model, tmp_path: Path) -> None:
    for name in ("batch_size", "max_examples"):
        with pytest.raises(InputError, match=rf"^{name} is 0\. Give 1 or more\.$"):
            evaluate(model, **{name: 0})
    with pytest.raises(InputError, match=r"s\.csv\" does not end in \.json\. Name such a file\.$"):
        trm.sweep_eval(model, out=tmp_path / "s.csv")
