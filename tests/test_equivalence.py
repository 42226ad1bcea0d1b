"""``benchmarks/equivalence.py`` finds differences between two codes, and keeps its results.

``PUBLISHED_CODE=FOLDER pytest tests/test_equivalence.py`` also compares with the published code in
a checkout of it.
"""

import importlib
import json
import math
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from trm.config import OptimConfig, RunConfig
from trm.data import Dataset, TrainStream
from trm.training.optim.adam_atan2 import AdamAtan2

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
REFERENCE = os.environ.get("PUBLISHED_CODE")
STEPS = 3


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import a module of the benchmarks."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


@pytest.fixture
def case(module: Callable[[str], ModuleType]) -> Any:
    """A tiny configuration."""
    small = {"source": "generate", "size": 4, "num_train": 12, "num_test": 6, "num_aug": 1}
    model = {"hidden_size": 16, "h_cycles": 1, "l_cycles": 1}
    stored = module("cases").CASES["sudoku-mlp"]
    return replace(stored, data=small, model={**stored.model, **model}, batch_size=4)


@pytest.fixture
def dataset(case: Any, tmp_path: Path) -> Dataset:
    opened: Dataset = case.open_data(tmp_path / "data")
    return opened


def compare_with_itself(
    module: Callable[[str], ModuleType], dataset: Dataset, run: RunConfig, other: RunConfig
) -> Any:
    """The differences of this package from itself, with other settings on the other side."""
    pairs, sides = module("paired_runs"), module("paired_sides")
    weights = pairs.initial_weights(run, dataset)
    both = [sides.OwnSide(settings, dataset, STEPS) for settings in (run, other)]
    for side in both:
        side.load(weights)
    stream = TrainStream(dataset.split("train"), run.train.batch_size, seed=0)
    names = ("inputs", "labels", "puzzle_identifiers")
    batches = [
        {name: torch.from_numpy(getattr(batch, name)) for name in names}
        for _, batch in zip(range(STEPS), stream, strict=False)
    ]
    return pairs.compare(*both, batches, run, STEPS, batches[0]).differences


def test_equal_codes_do_not_differ(
    module: Callable[[str], ModuleType], case: Any, dataset: Dataset
) -> None:
    run = case.run_config(STEPS, dtype="float64")
    found = compare_with_itself(module, dataset, run, run)
    kinds = {kind for kinds in module("equivalence").COLUMNS.values() for kind in kinds}
    assert kinds - {"evaluation rows"} <= found.largest.keys()
    assert set(found.largest.values()) == {0.0}


@pytest.mark.parametrize(
    ("setting", "value", "first", "not_yet"),
    [
        ("weight_decay", 0.2, ("weights",), ("losses", "gradients", "puzzle embedding")),
        ("puzzle_emb_lr", 1e-3, ("learning rates", "puzzle embedding"), ("logits", "weights")),
        ("ema_rate", 0.5, ("average",), ("weights", "losses")),
    ],
)
def test_a_difference_is_found_where_it_begins(
    module: Callable[[str], ModuleType], case: Any, dataset: Dataset, setting: str, value: float,
    first: tuple[str, ...], not_yet: tuple[str, ...],
) -> None:  # fmt: skip
    run = case.run_config(STEPS, dtype="float64")
    other = run.model_copy(update={"optim": run.optim.model_copy(update={setting: value})})
    found = compare_with_itself(module, dataset, run, other)
    assert all(found.first[kind] > 1e-6 for kind in first)
    assert all(found.first[kind] == 0 for kind in not_yet)
    assert found.largest["evaluation logits"] > 1e-6
    assert found.largest["halting"] == found.largest["rows"] == 0


def test_sides_with_other_tensors_are_refused(module: Callable[[str], ModuleType]) -> None:
    pairs = module("paired_runs")
    one = {"losses": {"loss": torch.zeros(2)}}
    with pytest.raises(ValueError, match="only one side has losses: other"):
        pairs.Differences().add(1, one, {"losses": {**one["losses"], "other": torch.zeros(2)}})
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\) differ"):
        pairs.Differences().add(1, one, {"losses": {"loss": torch.zeros(3)}})


def test_differences_are_relative_to_the_largest_number(
    module: Callable[[str], ModuleType],
) -> None:
    difference = module("paired_runs").difference
    assert difference(torch.tensor([1.0, 8.0]), torch.tensor([2.0, 8.0])) == 1 / 8
    assert difference(torch.zeros(2), torch.zeros(2)) == 0
    assert difference(torch.tensor([math.nan]), torch.tensor([1.0])) == math.inf


def test_the_stand_in_for_the_fused_optimizer_updates_alike(
    module: Callable[[str], ModuleType],
) -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(5, dtype=torch.float64, generator=generator)
    config = OptimConfig(lr=0.01, weight_decay=0.3, beta1=0.8, beta2=0.9)
    ours, theirs = (start.clone().requires_grad_() for _ in range(2))
    own = AdamAtan2({"weight": ours}, config)
    stand_in = module("published").AdamATan2([theirs], 0.01, (0.8, 0.9), 0.3)
    for _ in range(4):
        gradient = torch.randn(5, dtype=torch.float64, generator=generator)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        own.step(1.0)
        stand_in.step()
    assert not torch.allclose(ours, start)
    torch.testing.assert_close(ours, theirs, atol=1e-15, rtol=0)


def test_permutations_of_runs(module: Callable[[str], ModuleType]) -> None:
    runs = module("whole_runs")
    assert runs.permutation_test([1, 2, 3], [4, 5, 6]) == 2 / 20
    assert runs.permutation_test([0.5, 0.5], [0.5, 0.5]) == 1
    assert runs.permutation_test([1, 4], [2, 3]) == 1
    curves = [{"losses": [[10, 1.0], [20, 0.5]]}, {"losses": [[10, 3.0], [20, 0.7]]}]
    assert runs.spread(curves, "losses") == [(10, 2, 1, 3), (20, pytest.approx(0.6), 0.5, 0.7)]


def test_results_are_kept_and_not_measured_again(
    module: Callable[[str], ModuleType], case: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    equivalence, runs = module("equivalence"), module("whole_runs")
    made: list[tuple[str, int]] = []

    def make_run(side: str, folder: Path, case: Any, dataset: Dataset, *settings: Any) -> Any:
        steps, seed, dtype = settings
        made.append((side, seed))
        run = case.run_config(steps, seed=seed, dtype=dtype)
        return {"seed": seed, **runs._train_ours(run, dataset)}

    def measure_pair(*_: Any) -> dict[str, Any]:
        made.append(("pair", 0))
        values = {"losses": 1e-15, "halting": 0.0}
        return {"steps": 2, "rows": 8, "halted_early": 3, "first": values, "largest": values,
                "control": {"largest": values}, "gradients": {}}  # fmt: skip

    monkeypatch.setattr(equivalence, "make_run", make_run)
    monkeypatch.setattr(equivalence, "measure_pair", measure_pair)
    monkeypatch.setitem(equivalence.CASES, "sudoku-mlp", case)
    (tmp_path / "pretrain.py").touch()
    monkeypatch.setattr(sys, "path", list(sys.path))
    file = tmp_path / "found.json"

    def run(*arguments: str) -> str:
        made.clear()
        command = ["equivalence.py", *arguments]
        monkeypatch.setattr(sys, "argv", command)
        equivalence.main()
        return capsys.readouterr().out

    measure = ("--reference", str(tmp_path), "--json", str(file), "--config", "sudoku-mlp")
    short = ("--steps", "10", "--paired-steps", "2")
    run(*measure, *short, "--seeds", "1")
    assert made == [("pair", 0), ("ours", 0), ("published", 0)]
    printed = run(*measure, *short, "--seeds", "2")
    assert made == [("ours", 1), ("published", 1)]
    found = json.loads(file.read_text())["configurations"]["sudoku-mlp"]["runs"]
    assert found["ours"] == found["published"]  # it is the same code
    assert [step for step, _ in found["ours"][0]["evaluations"]] == [3, 6, 9, 10]
    assert "| sudoku-mlp | published, first step | 3 of 8 | none | 1e-15 |" in printed
    assert "| sudoku-mlp | 10 | float32 | 2 | exact_accuracy |" in printed
    assert printed.count(" | 1.00 |") == 6
    picture = tmp_path / "curves.png"
    assert run("--table", str(file), "--plot", str(picture)) == printed
    assert not made
    assert picture.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit, match="has runs with 10 steps float32, not 20 float32"):
        run(*measure, "--steps", "20", "--paired-steps", "2", "--seeds", "1")
    file.write_text(file.read_text().replace("evaluation_losses", "other_losses"))
    with pytest.raises(SystemExit, match=r"have no evaluation_losses\. Measure again"):
        run("--table", str(file))


@pytest.mark.parametrize("name", ["equivalence", "equivalence-bfloat16"])
def test_the_page_has_the_tables_of_the_files(
    module: Callable[[str], ModuleType], name: str
) -> None:
    equivalence = module("equivalence")
    root = Path(__file__).parents[1]
    page = (root / "docs" / "explanation" / "equivalence.md").read_text()
    found = json.loads((root / "benchmarks" / f"{name}.json").read_text())["configurations"]
    for table in equivalence.runs_tables({case: parts["runs"] for case, parts in found.items()}):
        assert table in page


def test_a_folder_without_the_published_code(
    module: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    equivalence = module("equivalence")
    monkeypatch.setattr(sys, "argv", ["equivalence.py", "--reference", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"error: .* has no pretrain\.py\. Name a checkout"):
        equivalence.main()


@pytest.mark.skipif(REFERENCE is None, reason="needs PUBLISHED_CODE, a checkout of it")
@pytest.mark.parametrize("name", ["sudoku-mlp", "sudoku-att", "hrm", "hier6", "trm-continue"])
def test_paired_steps_of_the_published_code(
    module: Callable[[str], ModuleType], case: Any, dataset: Dataset, name: str
) -> None:
    assert REFERENCE is not None
    case = replace(module("cases").CASES[name], batch_size=8)
    run = case.run_config(STEPS)
    found = module("paired_runs").pair_with_published(Path(REFERENCE), run, dataset, STEPS)
    largest = found.pairing.differences.largest
    assert largest.pop("metrics") < 1e-6  # accuracies are float32 here
    assert max(largest.values()) < 1e-10
    assert largest["halting"] == largest["rows"] == largest["evaluation rows"] == 0
    assert bool(found.patched) == (name == "trm-continue")


@pytest.mark.skipif(REFERENCE is None, reason="needs PUBLISHED_CODE, a checkout of it")
def test_a_whole_run_of_the_published_code(
    module: Callable[[str], ModuleType], case: Any, dataset: Dataset
) -> None:
    assert REFERENCE is not None
    run = module("whole_runs").make_run(
        "published", Path(REFERENCE), case, dataset, 12, 0, "float32"
    )
    assert [step for step, _ in run["losses"]] == [10]
    assert [step for step, _ in run["evaluations"]] == [3, 6, 9, 12]
    assert 0 < run["losses"][0][1] < 5
