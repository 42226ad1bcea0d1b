"""What is decided before a run starts: its length, its data and its folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trm.config import RunConfig, TrainConfig
from trm.data import DatasetMeta, Split, write
from trm.errors import ConfigError, DataError, TrmWarning
from trm.tasks.sudoku.task import Sudoku
from trm.training.run_plan import RunPlan, plan_run
from trm.training.schedule import eval_examples, total_steps
from trm.training.train import train

from tests.made_checkpoints import write_named_data  # isort: skip

Tiny = Callable[..., RunConfig]


def build(out: Path, *, published: bool = False, seed: int = 0, **options: int) -> Path:
    """Twelve puzzles of 4x4 to train on and four to test on."""
    chosen = {"source": "generate", "size": 4, "num_train": 12, "num_test": 4, "num_aug": 2}
    task = Sudoku()
    make = task.build_published if published else task.build_data
    make(out, task.options(**chosen | options), np.random.default_rng(seed))
    return out


def plan(config: RunConfig, *folders: Path, task: Sudoku | None = None, **more: str) -> RunPlan:
    """Plan a run on these folders."""
    data = config.data.model_copy(update={"paths": tuple(map(str, folders))})
    config = config.model_copy(update={"data": data}) if folders else config
    return plan_run(config, task, **{"name": "a", **more})


def test_length_of_a_run(tiny: Tiny) -> None:
    config = tiny("train.max_steps=none", "train.epochs=50000", "train.batch_size=768")
    split = Sudoku().open_data(config.data_paths).split("train")
    assert total_steps(config, split) == 50_000 * 1000 // 768
    assert total_steps(tiny(), split) == 6


@given(
    examples=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4)), min_size=1, max_size=6),
    epochs=st.integers(1, 100_000),
    batch_size=st.integers(1, 5000),
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_length_is_the_published_one(
    examples: list[tuple[int, int]], epochs: int, batch_size: int
) -> None:
    """``int(epochs * total_groups * mean_puzzle_examples / global_batch_size)`` there."""
    counts, copies = (np.array(numbers) for numbers in zip(*examples, strict=True))
    tokens = np.ones((counts.sum(), 2), np.uint8)
    example_offsets, puzzle_offsets = (
        np.concatenate(([0], np.cumsum(n))) for n in (counts, copies)
    )
    split = Split(tokens, tokens, example_offsets, puzzle_offsets)
    train = TrainConfig(epochs=epochs, batch_size=batch_size)
    rows, puzzles = int((counts * copies).sum()), int(copies.sum())
    mean_puzzle_examples = rows / puzzles
    expected = int(epochs * len(counts) * mean_puzzle_examples / batch_size)
    assert total_steps(RunConfig(task="toy", train=train), split) == max(expected, 1)


def test_the_published_layout_makes_runs_of_the_same_length(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("train.max_steps=none", "train.epochs=100", "train.batch_size=7")
    native, published = (
        build(tmp_path / name, published=name == "published") for name in ("native", "published")
    )
    assert plan(config, native).total_steps == plan(config, published).total_steps == 1200 // 7


def test_an_evaluation_takes_no_longer_than_the_training_before_it() -> None:
    published = RunConfig(task="sudoku")
    assert eval_examples(published, 6510) > 422_786
    assert eval_examples(published, 1) == 80
    explicit = published.model_copy(
        update={"eval": published.eval.model_copy(update={"max_examples": 7})}
    )
    assert eval_examples(explicit, 6510) == 7


def test_several_folders_are_one_data_set(tiny: Tiny, tmp_path: Path) -> None:
    folders = [build(tmp_path / "a"), build(tmp_path / "b", seed=1, num_train=8)]
    config = tiny("train.max_steps=none", "train.epochs=4", "train.batch_size=8")
    planned = plan(config, *folders)
    assert planned.dataset.split("train").num_groups == 20
    assert planned.dataset.split("test").num_groups == 8
    assert planned.total_steps == 10


def test_a_folder_that_trains_on_what_another_tests_on(tiny: Tiny, tmp_path: Path) -> None:
    first = build(tmp_path / "a")
    dataset = Sudoku().open_data([first])
    write(tmp_path / "b", dataset.meta, {"train": dataset.split("test")})
    with pytest.raises(DataError, match=r"/b trains on 4 of the test examples of \S+/a, so an"):
        plan(tiny(), first, tmp_path / "b")


class Plain(Sudoku):
    """Sudoku as if it had no symmetries."""

    def augmentation(self, meta: DatasetMeta, split: str) -> None:  # type: ignore[override]
        return None


def test_new_copies_need_symmetries(tiny: Tiny) -> None:
    message = r"^data\.augment = online: task sudoku has no symmetries\. Unset it\.$"
    with pytest.raises(ConfigError, match=message):
        plan(tiny("data.augment=online"), task=Plain())
    plan(tiny(), task=Plain())


def test_new_copies_of_puzzles_with_a_name_each_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    write_named_data(tmp_path / "named", build(tmp_path / "a"), ["<blank>", "p1"], ["p1"])
    message = (
        r"online: \S+/named has an identifier for each stored copy, or only .* Train on the st"
    )
    with pytest.raises(ConfigError, match=message):
        plan(tiny("data.augment=online"), tmp_path / "named")
    plan(tiny(), tmp_path / "named")


def test_new_copies_of_copies_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    copies = build(tmp_path / "copies", published=True)
    with pytest.raises(ConfigError, match="or only copies that are augmented already"):
        plan(tiny("data.augment=online"), copies)
    plan(tiny(), copies)
    plan(tiny("data.augment=online"), build(tmp_path / "alone", published=True, num_aug=0))


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".."])
def test_a_run_name_is_the_name_of_a_folder(tiny: Tiny, name: str) -> None:
    with pytest.raises(ConfigError, match=r"is not a folder name\. Give a name such as"):
        plan(tiny(), name=name)


def test_a_plan_can_be_handed_to_another_process(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny("train.max_steps=2"), runs=tmp_path, name="a")
    planned = plan_run(tiny("data.validation_share=0"), runs=tmp_path, name="a")
    found = RunPlan.from_json(planned.to_json())
    assert found.checkpoint == planned.checkpoint == tmp_path / "sudoku/a/checkpoints/step-000002"
    for field in ("task", "config", "total_steps", "folder", "damaged"):
        assert getattr(found, field) == getattr(planned, field)
    assert found.dataset.meta == planned.dataset.meta


def test_a_plan_names_damaged_checkpoints(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("train.max_steps=2", "train.save_every_steps=1")
    run = train(config, runs=tmp_path, name="a").run
    (run / "last/model.safetensors").write_bytes(b"")
    planned = plan_run(tiny(), runs=tmp_path, name="a")
    found = RunPlan.from_json(planned.to_json())
    assert found.checkpoint == run / "checkpoints/step-000001"
    assert found.damaged == planned.damaged
    (warning,) = found.warnings
    assert warning.endswith("is set aside as damaged-step-000002; the one before it is used.")
    records: list[Any] = []
    assert train(found.config, plan=found, listen=records.append).finished
    assert [(r["event"], r["step"]) for r in records[:2]] == [("warning", 1), ("start", 1)]
    assert (run / "checkpoints/damaged-step-000002").is_dir()


def test_a_run_that_was_killed_before_its_first_checkpoint_says_so(
    tiny: Tiny, tmp_path: Path
) -> None:
    plan_run(tiny(), runs=tmp_path, name="a")  # no word of a new run
    (tmp_path / "sudoku/a").mkdir(parents=True)
    (tmp_path / "sudoku/a/config.json").write_text("{}")
    with pytest.warns(TrmWarning, match="a ended before its first checkpoint, so it starts again"):
        assert plan_run(tiny(), runs=tmp_path, name="a").checkpoint is None


def test_slow_steps_are_recorded_before_their_number_is_due(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trm.training.step_metrics._MOST_SECONDS", 0.0)
    found: list[Any] = []
    train(tiny("train.max_steps=3"), runs=tmp_path, name="a", listen=found.append)
    assert [record["step"] for record in found if record["event"] == "train"] == [1, 2, 3]


def test_a_run_resumes_from_a_checkpoint_that_is_newer_than_its_plan(
    tiny: Tiny, tmp_path: Path
) -> None:
    """As in processes that their launcher starts again, with the plan of the first time."""
    planned = plan_run(tiny(), runs=tmp_path, name="a")
    assert planned.checkpoint is None
    train(tiny("train.max_steps=2"), runs=tmp_path, name="a")
    records: list[Any] = []
    assert train(planned.config, plan=planned, listen=records.append).step == 6
    assert records[0]["step"] == 2
    with pytest.raises(ConfigError, match="has reached step 6 of 6 already"):
        train(planned.config, plan=planned)
