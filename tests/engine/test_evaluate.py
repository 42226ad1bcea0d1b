"""Evaluation, alone and of a trained run."""

from pathlib import Path

import numpy as np
import pytest
import torch

import trm
from trm.config import ModelConfig
from trm.data import eval_batches
from trm.engine.evaluate import answer, averaged
from trm.engine.optim import WeightAverage
from trm.engine.report import evaluate_model
from trm.errors import CheckpointError, DataError
from trm.models import PuzzleSpec, TinyRecursiveModel
from trm.tasks.base import Puzzle
from trm.tasks.sudoku.task import Sudoku


@pytest.fixture(scope="module")
def model(trained_run: Path) -> trm.Model:
    return trm.load(trained_run, device="cpu")


def test_report_agrees_with_the_saved_predictions(model: trm.Model, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "answers.npz"
    report = evaluate_model(model, save_predictions=file, batch_size=7)
    with np.load(file) as saved:
        exact = (saved["answers"] == saved["labels"]).all(axis=1)
        assert len(exact) == 100
        assert report.metrics["exact_accuracy"].value == pytest.approx(exact.mean())
        assert report.metrics["mean_steps"].value == pytest.approx(saved["halt_steps"].mean())
        assert saved["examples"].tolist() == list(range(100))
    assert report.as_json()["metrics"]["valid_sudoku"]["count"] == 100


def test_numbers_do_not_depend_on_the_batch_size(model: trm.Model) -> None:
    first, second = (evaluate_model(model, batch_size=size).metrics for size in (100, 33))
    assert {n: m.value for n, m in first.items()} == pytest.approx(
        {n: m.value for n, m in second.items()}
    )


def test_progress_ends_at_the_number_of_examples(model: trm.Model) -> None:
    seen: list[tuple[int, int]] = []
    evaluate_model(model, batch_size=8, max_examples=20, on_progress=lambda *n: seen.append(n))
    assert seen == [(8, 20), (16, 20), (20, 20)]


def test_halt_step_is_the_first_at_which_the_head_says_so(model: trm.Model) -> None:
    split = Sudoku().open_data(model.config.data_paths).split("test")
    batch = next(eval_batches(split, 16))
    found = answer(model.network, batch)
    for row in range(16):
        thoughts = list(model.think(Puzzle(batch.inputs[row])))
        first = next((t.step for t in thoughts if t.halt_probability > 0.5), 8)
        assert found.halt_steps[row] == first


def test_data_of_another_length_is_refused(model: trm.Model, tmp_path: Path) -> None:
    options = Sudoku.data_options(source="generate", size=6, num_train=2, num_test=2, num_aug=0)
    Sudoku().build_data(tmp_path / "six", options, np.random.default_rng(0))
    with pytest.raises(CheckpointError, match=r"puzzles of length 36, .* was trained for 16"):
        evaluate_model(model, data=[str(tmp_path / "six")])


def test_data_that_is_not_there_is_refused(model: trm.Model, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such data folder"):
        evaluate_model(model, data=[str(tmp_path / "absent")])


def test_averaged_weights_go_in_and_out() -> None:
    config = ModelConfig(hidden_size=8, num_heads=2, puzzle_emb_len=1)
    network = TinyRecursiveModel(config, PuzzleSpec(4, 3))
    average = WeightAverage(dict(network.named_parameters()), 0.5)
    own = network.output_head.weight.detach().clone()
    average.average["output_head.weight"].zero_()
    with averaged(network, average):
        assert network.output_head.weight.abs().sum() == 0
    assert torch.equal(network.output_head.weight, own)
