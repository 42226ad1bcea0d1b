"""Where the numbers of an evaluation come from."""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import trm
from tests.hub.commands import Done
from trm.evaluation.evaluate import evaluate
from trm.evaluation.provenance import subset_digest
from trm.runtime.environment import code_commit, device_name


@pytest.fixture(scope="module")
def model(trained_run: Path) -> trm.Model:
    return trm.load(trained_run, device="cpu")


def test_it_names_weights_puzzles_settings_and_machine(model: trm.Model) -> None:
    found = evaluate(model, max_examples=20, batch_size=7, steps=3).provenance
    assert found is not None
    assert found.command.endswith("--max-examples 20 --batch-size 7 --steps 3")
    assert (found.split_examples, found.copies, found.trained_steps) == (100, 1, 8)
    assert found.parameters == model.network.num_parameters
    assert found.data_command is not None
    assert found.data_command.startswith("trm build-data sudoku --preset mini --num-test 100")
    assert found.trained_on == trm.open_data(model.config.data_paths).meta.digest
    assert found.device == device_name(torch.device("cpu"))


def test_it_says_whether_the_rule_of_the_model_ended_answers(
    model: trm.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_own_rule(**options: Any) -> bool:
        found = evaluate(model, max_examples=20, **options).provenance
        assert found is not None
        return found.own_rule

    assert not by_own_rule()
    monkeypatch.setattr(type(model.network.config), "halts_in_evaluation", True)
    assert by_own_rule()
    assert not by_own_rule(halt=0.9)
    assert not by_own_rule(until_valid=True)
    assert not by_own_rule(samples=2, choose="first")  # which halts at a probability


def test_the_subset_is_that_of_the_puzzles(model: trm.Model) -> None:
    def subset(**options: Any) -> str:
        found = evaluate(model, **options).provenance
        assert found is not None
        assert found.complete
        return found.subset

    first = subset(max_examples=20)
    assert first == subset(max_examples=20, batch_size=3, votes=2)
    assert first != subset(max_examples=21)
    assert subset() == subset(max_examples=100) == subset_digest(np.arange(100), "test")


def test_resumed_answers_are_of_the_same_subset(model: trm.Model, tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    evaluate(model, max_examples=10, save_predictions=file)
    more = evaluate(model, max_examples=20, save_predictions=file).provenance
    plain = evaluate(model, max_examples=20).provenance
    assert more is not None
    assert plain is not None
    assert more.subset == plain.subset


def test_a_part_cut_by_time_says_so(model: trm.Model) -> None:
    found = evaluate(model, batch_size=10, max_minutes=1e-9).provenance
    assert found is not None
    assert not found.complete


def test_its_command_gives_the_same(trm_done: Done, trained_run: Path, trm: Any) -> None:
    first = json.loads(trm_done.out)
    again = trm(*shlex.split(first["provenance"]["command"])[1:], "--json", "--device", "cpu")
    second = json.loads(again.out)
    assert {**first, "speed": None} == {**second, "speed": None}


@pytest.fixture
def trm_done(trm: Any, trained_run: Path) -> Done:
    done: Done = trm(
        "eval", "--ckpt", trained_run, "--max-examples", "12", "--device", "cpu", "--json"
    )
    return done


def test_the_commit_is_that_of_the_checkout() -> None:
    commit = code_commit()
    if commit is not None:  # a checkout without Git has none
        assert len(commit.partition("+")[0]) == 40
