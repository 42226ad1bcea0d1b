"""Evaluation, alone and of a trained run."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import trm
from tests.eval_batches import eval_batches
from trm.config import RunConfig, TRMConfig
from trm.data import write
from trm.errors import CheckpointError, DataError, InputError
from trm.evaluation.evaluate import evaluate
from trm.evaluation.loop import run_evaluation
from trm.inference.rollout_pool import Request, RolloutPool
from trm.models import PuzzleSpec, TinyRecursiveModel
from trm.runtime.process_group import ProcessGroup
from trm.tasks.base import Puzzle
from trm.tasks.metrics import AccuracyEvaluator, EvalBatch
from trm.tasks.sudoku.task import Sudoku
from trm.training.optim.ema import EMA, ema_weights
from trm.training.train import train


@pytest.fixture(scope="module")
def model(trained_run: Path) -> trm.Model:
    return trm.load(trained_run, device="cpu")


def test_report_agrees_with_the_saved_predictions(model: trm.Model, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "answers.npz"
    report = evaluate(model, save_predictions=file, batch_size=7)
    with np.load(file) as saved:
        exact = (saved["answers"] == saved["labels"]).all(axis=1)
        assert len(exact) == 100
        assert report.metrics["exact_accuracy"].value == pytest.approx(exact.mean())
        assert report.metrics["would_halt_at"].value == pytest.approx(saved["halt_steps"].mean())
        assert report.metrics["mean_steps"].value == saved["steps"].mean() == 8
        assert saved["examples"].tolist() == list(range(100))
    assert report.as_json()["metrics"]["valid_sudoku"]["count"] == 100


def test_numbers_do_not_depend_on_the_batch_size(model: trm.Model) -> None:
    first, second = (evaluate(model, batch_size=size).metrics for size in (100, 33))
    assert {n: m.value for n, m in first.items()} == pytest.approx(
        {n: m.value for n, m in second.items()}
    )


def test_progress_ends_at_the_number_of_examples(model: trm.Model) -> None:
    seen: list[tuple[int, int]] = []
    evaluate(model, batch_size=8, max_examples=20, on_progress=lambda *n: seen.append(n))
    assert seen == [(0, 20), (8, 20), (16, 20), (20, 20)]


def test_halt_step_is_the_first_at_which_the_head_says_so(model: trm.Model) -> None:
    split = Sudoku().open_data(model.config.data_paths).split("test")
    batch = next(eval_batches(split, 16))
    ((_, found, *_),) = RolloutPool(model.network, 16).answer([Request((batch,))])
    for row in range(16):
        steps = list(model.solve_steps(Puzzle(batch.inputs[row])))
        first = next((t.step for t in steps if t.halt_probability > 0.5), 8)
        assert found.halt_steps[row] == first


@dataclass(frozen=True)
class LoneProcess(ProcessGroup):
    """One of several processes, without the others: what it sends to the first is kept."""

    sent: list[Tensor] = field(default_factory=list)

    def gather_to_first(self, rows: Tensor, count: int) -> Tensor:
        self.sent.append(rows)
        return torch.zeros((count, *rows.shape[1:]), dtype=rows.dtype)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_all_processes_run_the_network_equally_often(model: trm.Model, size: int) -> None:
    """Also where a batch cannot be divided evenly, or has fewer examples than processes."""
    split = Sudoku().open_data(model.config.data_paths).split("test")
    whole: list[EvalBatch] = []
    how: dict[str, Any] = {"batch_size": 7, "max_examples": 17}
    run_evaluation(model.network, AccuracyEvaluator(), split, on_batch=whole.append, **how)
    shares, shapes = [], []
    for rank in range(size):
        rows: list[int] = []
        hook = model.network.register_forward_pre_hook(lambda _, given: rows.append(len(given[1])))  # noqa: B023
        group = LoneProcess(rank, size)
        run_evaluation(model.network, AccuracyEvaluator(), split, group=group, **how)
        hook.remove()
        shares.append(group.sent[::4])  # the answers to each batch
        shapes.append(rows)
    assert all(rows == shapes[0] for rows in shapes)
    assert len(shapes[0]) == 3 * 8
    for number, batch in enumerate(whole):
        gathered = torch.cat([share[number] for share in shares])
        assert np.array_equal(gathered.numpy(), batch.answers)


def test_data_of_another_length_is_refused(model: trm.Model, tmp_path: Path) -> None:
    options = Sudoku.data_options(source="generate", size=6, num_train=2, num_test=2, num_aug=0)
    Sudoku().build_data(tmp_path / "six", options, np.random.default_rng(0))
    with pytest.raises(CheckpointError, match=r"puzzles of length 36, .* was trained for 16"):
        evaluate(model, data=[str(tmp_path / "six")])


def test_data_that_is_not_there_is_refused(model: trm.Model, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such data folder"):
        evaluate(model, data=[str(tmp_path / "absent")])


def test_averaged_weights_go_in_and_out() -> None:
    config = TRMConfig(hidden_size=8, num_heads=2, puzzle_emb_len=1)
    network = TinyRecursiveModel(config, PuzzleSpec(4, 3))
    average = EMA(dict(network.named_parameters()), 0.5)
    own = network.output_head.weight.detach().clone()
    average.weights["output_head.weight"].zero_()
    with ema_weights(network, average):
        assert network.output_head.weight.abs().sum() == 0
    assert torch.equal(network.output_head.weight, own)


def with_names(source: Path, out: Path, names: list[str], test_names: list[str]) -> Path:
    """Ten puzzles of ``source`` to train on and four to test on, each with a name of these."""
    dataset = Sudoku().open_data([source])
    all_names = np.array([b"<blank>", *(name.encode() for name in names)])
    splits = {}
    for split_name, chosen in (("train", names[:10]), ("test", test_names)):
        split, count = dataset.split(split_name), len(chosen)
        splits[split_name] = replace(
            split, inputs=split.inputs[:count], labels=split.labels[:count],
            example_offsets=np.arange(count + 1), puzzle_offsets=np.arange(count + 1),
            symmetry=None, permutation=None,
            info={name: array[:count] for name, array in split.info.items()},
            identifiers=np.array([1 + names.index(name) for name in chosen], np.int32),
            names=all_names,
        )  # fmt: skip
    meta = dataset.meta.model_copy(update={"num_puzzle_identifiers": len(all_names)})
    write(out, meta, splits)
    return out


NAMES = [f"p{number}" for number in range(14)]


@pytest.fixture(scope="module")
def named_folder(mini_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_names(mini_data, tmp_path_factory.mktemp("named") / "d", NAMES, NAMES[10:])


@pytest.fixture
def named(tiny: Callable[..., RunConfig], named_folder: Path, tmp_path: Path) -> trm.Model:
    """A model whose answer depends on the name of the puzzle."""
    config = tiny(f"data.paths=['{named_folder}']", "train.max_steps=1", "optim.ema=false")
    model = trm.load(train(config, runs=tmp_path, name="a").run, device="cpu")
    table = model.network.puzzle_embedding
    assert table is not None
    generator = torch.Generator().manual_seed(0)
    table.weight.copy_(torch.randn(table.weight.shape, generator=generator) * 9)
    return model


def predictions(model: trm.Model, data: Path, tmp_path: Path) -> dict[str, Any]:
    evaluate(model, data=[str(data)], save_predictions=tmp_path / "p.npz", overwrite=True)
    with np.load(tmp_path / "p.npz") as saved:
        return {name: saved[name].tolist() for name in saved.files}


def test_puzzles_are_known_by_their_names(
    named: trm.Model, named_folder: Path, mini_data: Path, tmp_path: Path
) -> None:
    """Data in which the names have other numbers, and some are missing, give the same answers."""
    expected = predictions(named, named_folder, tmp_path)
    assert expected["names"] == [b"p10", b"p11", b"p12", b"p13"]
    assert expected["puzzle_identifiers"] == [11, 12, 13, 14]
    few = NAMES[10:][::-1]
    for number, names in enumerate((NAMES[::-1], few, ["other", *few])):
        folder = with_names(mini_data, tmp_path / str(number), names, NAMES[10:])
        found = predictions(named, folder, tmp_path)
        for name in ("answers", "halt_logits", "puzzle_identifiers", "names"):
            assert found[name] == expected[name]
    swapped = with_names(mini_data, tmp_path / "swapped", NAMES, NAMES[10:][::-1])
    assert predictions(named, swapped, tmp_path)["halt_logits"] != expected["halt_logits"]


def test_names_that_the_model_does_not_know_are_counted_and_named(
    named: trm.Model, mini_data: Path, tmp_path: Path
) -> None:
    names = [*NAMES[:10], "zz", "aa", "p12", "mm"]
    folder = with_names(mini_data, tmp_path / "other", names, names[10:])
    message = (
        r"/checkpoints/step-000001 does not know 3 of the 4 puzzle identifiers of \S+/other, such "
        r"as aa, mm, zz: it has no embedding for them\. Give the data that it was trained"
    )
    with pytest.raises(CheckpointError, match=message):
        evaluate(named, data=[str(folder)])


def test_a_model_without_names_knows_none(
    model: trm.Model, named_folder: Path, named: trm.Model, mini_data: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"has 15 puzzle identifiers, .* with 1\. Give"):
        evaluate(model, data=[str(named_folder)])
    assert evaluate(named, data=[str(mini_data)]).metrics["exact_accuracy"].count == 100


def test_a_puzzle_to_solve_is_known_by_its_name(named: trm.Model) -> None:
    tokens = named.parse("1234" + "." * 12)[0].tokens
    assert named.identifier(Puzzle(tokens, "p3")) == 4
    assert named.identifier(Puzzle(tokens, "<blank>")) == 0
    message = (
        r"^the model was not trained on a puzzle named 'p99', .* Give one of its 14, such as p13\.$"
    )
    with pytest.raises(InputError, match=message):
        list(named.solve_steps(Puzzle(tokens, "p99")))
    for name, shown in (("\ud800", r"'\\ud800'"), ("x" * 100_000, "'x{98}")):
        with pytest.raises(InputError, match=f"named {shown}, so it"):
            named.identifier(Puzzle(tokens, name))
    first, second = (list(named.solve_steps(Puzzle(tokens, name))) for name in ("p1", "p2"))
    assert first[-1].halt_probability != second[-1].halt_probability


def test_damaged_names_are_named(named: trm.Model) -> None:
    file = named.path / "identifiers.npy"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"/identifiers\.npy is damaged: .*Use another check"):
        trm.load(named.path)
