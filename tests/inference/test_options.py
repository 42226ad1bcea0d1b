"""Inference options: defaults, flags, and combinations that are refused."""

import re
from typing import Any

import pytest

import trm
from tests.evaluation.sweeps import line
from trm.errors import ConfigError
from trm.evaluation.predictions import PredictionsInfo
from trm.inference.options import FIRST_HALT, NOISE, InferenceOptions, SolveOptions


@pytest.mark.parametrize(
    ("given", "filled_in"),
    [
        ({}, {}),
        ({"votes": 4}, {"choose": "vote"}),
        ({"samples": 4}, {"noise": NOISE, "choose": "halt"}),
        ({"samples": 4, "votes": 2, "noise": 0.0}, {"noise": 0.0, "choose": "halt"}),
        ({"samples": 2, "choose": "vote"}, {"noise": NOISE, "choose": "vote"}),
        ({"samples": 2, "choose": "first"}, {"noise": NOISE, "halt": FIRST_HALT}),
        ({"votes": 2, "choose": "first", "halt": 0.5}, {"halt": 0.5}),
    ],
)
def test_defaults_that_depend_on_other_options_are_filled_in(
    given: dict[str, Any], filled_in: dict[str, Any]
) -> None:
    assert InferenceOptions.of(**given).resolved == InferenceOptions(**{**given, **filled_in})
    assert InferenceOptions.of(**given).resolved.resolved == InferenceOptions(**given).resolved


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"halt": 1.0}, "--halt 1.0 is not between 0 and 1. Give a probability such as 0.9."),
        ({"halt": 0.0}, "--halt 0.0 is not between 0 and 1. Give a probability such as 0.9."),
        ({"halt": float("nan")}, "--halt nan is not between 0 and 1. Give a probability such as"),
        ({"noise": 0.2}, "--noise 0.2 disturbs all samples but the first, and there is one. Add "
         "--samples 2 or more."),
        ({"noise": 0.2, "votes": 4}, "--noise 0.2 disturbs all samples but the first"),
        ({"choose": "vote"}, "--choose vote has one answer to choose from. Add --samples or "
         "--votes."),
        ({"choose": "most", "samples": 2}, "--choose most: Input should be 'halt', 'vote' or "),
        ({"samples": 0}, "--samples 0: Input should be greater than or equal to 1. Give another"),
        ({"steps": 0}, "--steps 0: Input should be greater than or equal to 1. Give another"),
        ({"samples": 2, "noise": -1}, "--noise -1: Input should be greater than or equal to 0."),
        ({"samples": 2, "noise": float("inf")}, "--noise inf: Input should be a finite number."),
    ],
)  # fmt: skip
def test_options_that_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        InferenceOptions.of(**given)


def test_flags_and_text_say_the_same() -> None:
    full = InferenceOptions(steps=1, samples=2, noise=0.25, choose="first", votes=3, halt=0.9999999)
    assert full.flags == (
        "--steps 1 --samples 2 --noise 0.25 --choose first --votes 3 --halt 0.9999999"
    )
    assert full.text.startswith(", 1 step, 3 votes, 2 samples with noise 0.25, choose first, halt")
    assert InferenceOptions(votes=2, choose="halt").text == ", 2 votes, choose halt"
    assert (InferenceOptions().flags, InferenceOptions().text, InferenceOptions(votes=2).text) == (
        "",
        "",
        ", 2 votes",
    )


def test_predictions_saved_before_there_were_samples_have_their_options() -> None:
    old = (
        '{"task": "toy", "data": ["d"], "digest": "x", "checkpoint": "a", "step": 3, "votes": 4, '
        '"halt": null}'
    )
    about = PredictionsInfo.model_validate_json(old)
    assert about.options == SolveOptions(votes=4)
    assert about.text == ", 4 votes"


def test_flags_are_those_of_the_options_alone() -> None:
    more = line(60, 1.0, samples=4, choose="first")
    assert (
        more.flags
        == InferenceOptions(samples=4, choose="first").flags
        == "--samples 4 --choose first"
    )
    assert SolveOptions(samples=4, until_valid=True).flags == "--samples 4 --until-valid"


@pytest.mark.parametrize("name", ["until_valid", "sample"])
def test_an_unknown_option_is_refused(name: str) -> None:
    message = rf"^there is no option '{name}' here\. .*Known: batch_size, choose, "
    with pytest.raises(ConfigError, match=message + r"halt, .*\.$"):
        InferenceOptions.of(**{name: True})
    if name == "sample":
        with pytest.raises(ConfigError, match=message + r"effort, guesses, .*\.$"):
            trm.evaluate("absent", **{name: True})


@pytest.mark.parametrize("name", ["votes", "samples"])
def test_too_many_rollouts_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"--{name} 1000000: .*less than or equal to 10000"):
        InferenceOptions.of(**{name: 1_000_000})
