"""Runs that hold training puzzles out, to evaluate on them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import trm
from trm.config import RunConfig
from trm.data import write
from trm.errors import ConfigError, DataError, InputError
from trm.evaluation.evaluate import evaluate
from trm.evaluation.predictions import Predictions
from trm.runs import layout
from trm.runs.checkpoint import read_evaluation
from trm.tasks.registry import get_task
from trm.training.run_plan import plan_run
from trm.training.train import train

from tests.made_checkpoints import write_named_data  # isort: skip

Tiny = Callable[..., RunConfig]
SHARE = "data.validation_share=0.1"


def fit(config: RunConfig, folder: Path, **plan: Any) -> Path:
    return train(config, runs=folder, name="a", **plan).run


def lines(run: Path, event: str) -> list[dict[str, Any]]:
    records = map(json.loads, (run / layout.METRICS_FILE).read_text().splitlines())
    return [record for record in records if record["event"] == event]


@pytest.fixture(scope="module")
def held_out_run(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run ``trained_run``, but with a tenth of its 1000 puzzles held out."""
    config = RunConfig.model_validate_json((trained_run / layout.CONFIG_FILE).read_text())
    data = config.data.model_copy(update={"validation_share": 0.1})
    shorter = config.train.model_copy(update={"max_steps": 60, "eval_every_steps": 60})
    few = config.eval.model_copy(update={"max_examples": 100})
    config = config.model_copy(update={"data": data, "train": shorter, "eval": few})
    return fit(config, tmp_path_factory.mktemp("runs"))


def test_an_evaluation_says_what_it_looked_at(held_out_run: Path, trained_run: Path) -> None:
    for run, split, examples in ((held_out_run, "validation", 100), (trained_run, "test", 100)):
        found = read_evaluation(run / layout.BEST)
        assert found is not None
        assert (found.split, found.examples) == (split, examples)
        assert {record["split"] for record in lines(run, "eval")} == {split}


def test_an_evaluation_of_before_is_of_the_test_split(held_out_run: Path, tmp_path: Path) -> None:
    old = json.loads((held_out_run / "best/evaluation.json").read_text())
    del old["split"], old["since_best"]
    (tmp_path / "evaluation.json").write_text(json.dumps(old))
    found = read_evaluation(tmp_path)
    assert found is not None
    assert (found.split, found.since_best) == ("test", 0)


def test_the_test_split_is_not_looked_at(tiny: Tiny, mini_data: Path, tmp_path: Path) -> None:
    """It may as well not be there."""
    dataset = get_task("sudoku").open_data([mini_data])
    write(tmp_path / "data", dataset.meta, {"train": dataset.split("train")})
    where = f"data.paths=['{tmp_path / 'data'}']"
    run = fit(tiny(SHARE, where), tmp_path)
    assert [record["split"] for record in lines(run, "eval")] == ["validation"]
    with pytest.raises(DataError, match="has no 'test' split, only train"):
        fit(tiny(where), tmp_path / "without")


def test_only_what_is_trained_on_counts_for_the_length(tiny: Tiny) -> None:
    config = tiny(SHARE, "train.max_steps=none", "train.epochs=4", "train.batch_size=10")
    planned = plan_run(config, name="a")
    assert planned.total_steps == 4 * 900 // 10
    assert planned.dataset.split("validation").num_groups == 100


@pytest.mark.parametrize("augment", ["stored", "online"])
def test_no_step_has_a_puzzle_that_is_held_out(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, augment: str
) -> None:
    from trm.training import loop

    seen: list[np.ndarray] = []
    to_device = loop.to_device

    def note(batch: Any, device: torch.device) -> Any:
        seen.append(batch.examples)
        return to_device(batch, device)

    monkeypatch.setattr(loop, "to_device", note)
    config = tiny("data.validation_share=0.99", f"data.augment={augment}")
    planned = plan_run(config, runs=tmp_path, name="a")
    train(config, plan=planned)
    kept, held = (planned.dataset.split(name) for name in ("train", "validation"))
    assert set(np.concatenate(seen)) == set(range(10))
    assert not {row.tobytes() for row in kept.inputs} & {row.tobytes() for row in held.inputs}


def test_the_share_may_not_change(tiny: Tiny, tmp_path: Path) -> None:
    fit(tiny(), tmp_path)
    message = r"data\.validation_share = 0\.0, now it is 0\.1\. To resume it with its own"
    with pytest.raises(ConfigError, match=message):
        fit(tiny(SHARE, "train.max_steps=9"), tmp_path)


def test_puzzles_with_embeddings_of_their_own_are_refused(
    tiny: Tiny, mini_data: Path, tmp_path: Path
) -> None:
    write_named_data(tmp_path / "named", mini_data, ["<blank>", "p"], ["p"])
    with pytest.raises(
        ConfigError, match=r"named have identifiers, and the embedding of a validation"
    ):
        fit(tiny(SHARE, f"data.paths=['{tmp_path / 'named'}']"), tmp_path)


def test_what_a_run_held_out_can_be_looked_at_again(held_out_run: Path, tmp_path: Path) -> None:
    noted = read_evaluation(held_out_run / layout.BEST)
    assert noted is not None
    model = trm.load(held_out_run, device="cpu")
    file = tmp_path / "p.npz"
    report = evaluate(model, split="validation", max_examples=noted.examples, save_predictions=file)
    metrics = {name: value for name, value in noted.metrics.items() if name != "answer_loss"}
    assert {name: m.value for name, m in report.metrics.items()} == metrics  # files keep no losses
    assert report.as_json()["split"] == "validation"
    about = Predictions.load(file).info
    assert (about.split, about.validation_share) == ("validation", 0.1)
    voted = trm.vote([file]).result()
    assert {name: m.value for name, m in voted.items()} == metrics
    evaluate(model, max_examples=100, save_predictions=tmp_path / "test.npz")
    with pytest.raises(InputError, match=r"test\.npz and \S+p\.npz answer different examples\."):
        trm.vote([file, tmp_path / "test.npz"])


def test_a_time_limit_takes_the_same_copies_of_all_puzzles(
    held_out_run: Path, tmp_path: Path
) -> None:
    model, file = trm.load(held_out_run, device="cpu"), tmp_path / "p.npz"
    how: Any = {"split": "validation", "save_predictions": file, "steps": 1, "batch_size": 60}
    for done, copies in ((60, [1]), (120, [1, 2])):
        report = evaluate(model, copies=2, max_minutes=1e-6, **how)
        assert (report.num_examples, len(report.remarks)) == (done, 1)
        seen, counts = np.unique(np.load(file)["examples"], return_counts=True)
        assert (len(seen), sorted(set(counts))) == (min(done, 100), copies)
    report = evaluate(model, copies=2, **how)
    assert (report.num_examples, report.remarks) == (200, ())
    many = evaluate(model, copies=10**6, max_minutes=1e-6, **how).remarks
    assert many[0] == "100 of 100 puzzles have fewer than 1,000,000 copies: all are taken"
    assert many[1].startswith("answered 260 of ")


def test_a_run_that_held_nothing_out(trained_run: Path) -> None:
    message = r"was trained without holding puzzles out\. Train with validation_share=0\.1, or"
    with pytest.raises(InputError, match=message):
        trm.evaluate(trained_run, split="validation", device="cpu")


def test_other_data_than_it_was_trained_on(held_out_run: Path, tmp_path: Path) -> None:
    small = {"source": "generate", "size": 4, "num_train": 20, "num_test": 2, "num_aug": 0}
    trm.build_data("sudoku", out=tmp_path / "d", **small)
    message = r"/d has digest \w{12}, \S+ held puzzles out of data of digest \w{12}\. Give the data"
    with pytest.raises(InputError, match=message):
        trm.evaluate(held_out_run, data=[tmp_path / "d"], split="validation", device="cpu")


def test_there_are_two_splits_to_evaluate_on(held_out_run: Path) -> None:
    with pytest.raises(InputError, match=r"^split 'train' is neither test nor validation\. Give"):
        trm.evaluate(held_out_run, split="train", device="cpu")


def test_answers_of_before_are_to_the_test_split(trained_run: Path, tmp_path: Path) -> None:
    file = tmp_path / "p.npz"
    report = trm.evaluate(trained_run, max_examples=9, save_predictions=file, device="cpu")
    with np.load(file) as saved:
        arrays = dict(saved)
    about = json.loads(arrays["about"].tobytes())
    del about["split"], about["validation_share"]
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(file, **arrays)
    assert trm.vote([file]).result() == report.metrics


def test_a_sweep_of_what_was_held_out(held_out_run: Path, tmp_path: Path) -> None:
    how: Any = {"samples": (1, 2), "max_examples": 20, "out": tmp_path / "s.json"}
    found = trm.sweep_eval(held_out_run, split="validation", device="cpu", **how)
    assert json.loads((tmp_path / "s.json").read_text())["split"] == found.split == "validation"
    model = trm.load(held_out_run, device="cpu")
    for line in found.lines:
        report = evaluate(model, split="validation", max_examples=20, **line.options.model_dump())
        assert report.metrics == line.metrics
    with pytest.raises(InputError, match="a sweep of the validation split, not of the test split"):
        trm.sweep_eval(model, **how)


def test_of_what_was_held_out_as_many_are_looked_at_as_in_training(held_out_run: Path) -> None:
    model = trm.load(held_out_run, device="cpu")
    noted = read_evaluation(held_out_run / layout.BEST)
    assert noted is not None
    report = evaluate(model, split="validation")
    assert (report.num_examples, noted.examples) == (100, 100)
    assert {name: metric.value for name, metric in report.metrics.items()} == noted.metrics
