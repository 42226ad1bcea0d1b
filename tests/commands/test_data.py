"""The commands on data, ``build-data`` and ``inspect-data``, and what is trained on in what way."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Trm = Callable[..., Any]
Fails = Callable[..., str]
BUILD = "build-data sudoku --source generate --size 4 --num-train 30 --num-test 20 --num-aug 3"


def test_build_and_inspect(trm: Trm) -> None:
    built = trm(*BUILD.split(), "--out", "d")
    assert re.search(
        r"^d: train 30 puzzles \(120 with augm.*\), test 20 .* digest \w{12}$", built.out
    )
    shown = trm("inspect-data", "d", "--boards", "1")
    assert "as built" in shown.out
    assert re.search(r"^puzzles +30 +20\nwith augmentations +120 +20$", shown.out, re.M)
    assert shown.out.count("-----+-----") == 4


def test_inspect_as_text_is_what_solve_reads(trm: Trm) -> None:
    trm(*BUILD.split(), "--out", "d")
    lines = trm("inspect-data", "d", "--split", "test", "--boards", "5", "--text").out.split()
    assert len(lines) == 5
    assert all(re.fullmatch(r"[.1-4]{16}", line) for line in lines)


def test_inspect_notices_a_changed_file(trm: Trm, tmp_path: Path) -> None:
    trm(*BUILD.split(), "--out", "d")
    file = tmp_path / "d" / "test" / "labels.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert "the files have changed since" in trm("inspect-data", "d").out


def test_a_data_folder_is_not_overwritten_unasked(trm: Trm, fails: Fails, tmp_path: Path) -> None:
    trm(*BUILD.split(), "--out", "d")
    assert "d exists already" in fails(*BUILD.split(), "--out", "d")
    assert trm(*BUILD.split(), "--out", "d", "--overwrite", "--seed", "1").code == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("")
    assert "exists already" in fails(*BUILD.split(), "--out", "other", "--overwrite")
    assert (tmp_path / "other" / "thesis.txt").exists()


def test_no_permission_to_write(fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot write file/d: a file of that name is in the way" in fails(
        *BUILD.split(), "--out", "file/d"
    )


def test_data_of_another_task(fails: Fails, trm: Trm, tmp_path: Path) -> None:
    trm(*BUILD.split(), "--out", "d")
    file = tmp_path / "d" / "dataset.json"
    file.write_text(file.read_text().replace('"task": "sudoku"', '"task": "chess"'))
    assert "holds data of task 'chess', not 'sudoku'" in fails("train", "sudoku", "--data", "d")
    assert "unknown task 'chess'" in fails("inspect-data", "d")


TRAIN = (
    "train", "sudoku", "--preset", "mini", "--device", "cpu", "--batch-size", "4",
    "--set", "model.hidden_size=16", "--set", "model.num_heads=1", "--set",
    "train.log_every_steps=1", "--set", "model.halt_max_steps=2", "--set", "eval.max_examples=4",
    "--run-name", "a", "--max-steps", "3",
)  # fmt: skip


def test_the_whole_way_in_the_published_layout(trm: Trm, tmp_path: Path) -> None:
    built = trm(*BUILD.split(), "--layout", "published", "--out", "p")
    found = re.fullmatch(
        r"p: train 30 puzzles \(120 with augm.*\), test 20 .* digest (\w{12})\n", built.out
    )
    assert found, built
    assert [path.name for path in tmp_path.iterdir()] == ["p"]
    shown = trm("inspect-data", "p", "--boards", "1").out
    assert re.search(rf"^digest +{found[1]}\w{{4}}$", shown, re.M)
    assert re.search(r"^task +sudoku$", shown, re.M)
    assert re.search(r"^examples +120 +20$", shown, re.M)
    assert shown.count("-----+-----") == 4
    done = trm(*TRAIN, "--data", "p")
    assert done.out.splitlines()[-1].endswith("next: trm eval --ckpt runs/sudoku/a"), done
    report = json.loads(trm("eval", "--json").out)
    assert report["data"] == "p"
    assert report["metrics"]["exact_accuracy"]["count"] == 20
    trm(*BUILD.split(), "--out", "n")
    native = json.loads(trm("eval", "--data", "n", "--json").out)["metrics"]
    assert report["metrics"] == {name: native[name] for name in report["metrics"]}


def test_the_same_run_on_either_layout(trm: Trm, tmp_path: Path) -> None:
    """The same examples in the same order: the same weights."""
    weights = []
    for layout in ("native", "published"):
        trm(*BUILD.split(), "--layout", layout, "--out", layout)
        trm(*TRAIN, "--data", layout, "--out", f"runs-{layout}")
        weights.append((tmp_path / f"runs-{layout}/sudoku/a/last/model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_a_folder_of_the_published_layout_is_replaced_only_when_asked(
    trm: Trm, fails: Fails, tmp_path: Path
) -> None:
    published = (*BUILD.split(), "--layout", "published", "--out", "d")
    trm(*published)
    assert "d exists already. Name another --out, or replace it with --ov" in fails(*published)
    assert trm(*published, "--overwrite").code == 0
    assert trm(*BUILD.split(), "--out", "d", "--overwrite").code == 0
    assert (tmp_path / "d" / "dataset.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_no_permission_to_write_the_published_layout(fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = fails(*BUILD.split(), "--layout", "published", "--out", "file/d")
    assert message.startswith("cannot write file/d: a ")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_layout_that_is_none(fails: Fails) -> None:
    assert "'native', 'published'" in fails(*BUILD.split(), "--layout", "old", code=2)


def change_meta(folder: Path, **changes: Any) -> None:
    for split in ("train", "test"):
        file = folder / split / "dataset.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_published_puzzles_that_no_task_has(trm: Trm, fails: Fails, tmp_path: Path) -> None:
    trm(*BUILD.split(), "--layout", "published", "--out", "p")
    change_meta(tmp_path / "p", seq_len=17)
    stated = r"^p \(published layout\) has puzzles of 17 tokens of 6 kinds, "
    assert re.search(stated + "so it is not of task sudoku", fails("inspect-data", "p"))
    assert re.search(stated + "so it is not of task sudoku", fails(*TRAIN, "--data", "p"))
    change_meta(tmp_path / "p", task=None)  # as the published builders leave it
    assert re.search(stated + "which no installed task has", fails("inspect-data", "p"))


def test_a_published_folder_knows_its_task(trm: Trm, fails: Fails, tmp_path: Path) -> None:
    """A maze and a Sudoku of 4x4 have as many tokens, of as many kinds."""
    trm(*BUILD.split(), "--layout", "published", "--out", "p")
    message = "p holds data of task 'sudoku', not 'maze'. Build data: trm build-data maze"
    assert fails("train", "maze", "--data", "p") == message
    change_meta(tmp_path / "p", task="chess")
    assert "unknown task 'chess'" in fails("inspect-data", "p")


def test_folders_of_the_published_builders(trm: Trm, shared: Path) -> None:
    maze = trm("inspect-data", shared / "data/maze-30x30-hard-1k", "--boards", "0").out
    assert re.search(r"^task +maze$", maze, re.M)
    assert re.search(r"^puzzles +1,000 +500$", maze, re.M)
    arc = trm("inspect-data", shared / "reference/arc/built", "--boards", "0").out
    assert re.search(r"^task +arc\d$", arc, re.M)


def test_a_damaged_folder_of_the_published_layout(trm: Trm, fails: Fails, tmp_path: Path) -> None:
    trm(*BUILD.split(), "--layout", "published", "--out", "p")
    (tmp_path / "p" / "train" / "all__labels.npy").unlink()
    message = "p/train/all__labels.npy: no such file. Build the data again."
    assert fails("inspect-data", "p") == message
    assert fails(*TRAIN, "--data", "p") == message


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_boards_are_drawn_into_a_file(trm: Trm, tmp_path: Path, ending: str) -> None:
    trm(*BUILD.split(), "--out", "d")
    done = trm("inspect-data", "d", "--split", "test", "--boards", "1", "--save", f"b.{ending}")
    assert done.code == 0
    assert (tmp_path / f"b.{ending}").stat().st_size > 1000


def test_boards_that_cannot_be_drawn(trm: Trm, fails: Fails, tmp_path: Path) -> None:
    trm(*BUILD.split(), "--out", "d")
    assert "unknown file extension" in fails("inspect-data", "d", "--save", "b.gif")
    assert "no board was given" in fails("inspect-data", "d", "--boards", "0", "--save", "b.png")
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_what_a_data_set_lacks(trm: Trm, fails: Fails) -> None:
    trm(*BUILD.split(), "--out", "d")
    assert "d has no puzzle named '0a1b'" in fails("inspect-data", "d", "--task", "0a1b")
    assert "d has no 'validation' split" in fails("inspect-data", "d", "--split", "validation")


def test_the_answer_to_a_puzzle_is_drawn_into_a_file(
    trm: Trm, trained_run: Path, tmp_path: Path
) -> None:
    done = trm("solve", "123434122143.321", "--ckpt", trained_run, "--save", "s.svg")
    assert done.code == 0
    picture = (tmp_path / "s.svg").read_text()
    assert picture.count('id="board-') == 2


def test_training_on_new_copies(trm: Trm, fails: Fails, tmp_path: Path) -> None:
    trm(*BUILD.split(), "--out", "d")
    done = trm(*TRAIN, "--data", "d", "--augment", "online")
    assert done.code == 0, done
    config = json.loads((tmp_path / "runs/sudoku/a/config.json").read_text())
    assert config["data"]["augment"] == "online"
    longer = (*TRAIN[:-1], "5", "--data", "d")
    message = fails(*longer)
    assert "was trained with data.augment = online, now it is stored. To resume it" in message
    assert "from step 3" in trm(*longer, "--augment", "online").out
    resumed = trm("train", "sudoku", "--resume", "runs/sudoku/a", "--max-steps", "6")
    assert "train step 6/6" in resumed.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "--data d --augment onlin",
            r"^--augment: data\.augment = 'onlin': .*'stored' or 'online'",
        ),
        (
            "--data p --augment online",
            r"^data\.augment = online: p has .* Train on the stored ones",
        ),
        (
            "--data d --data p",
            r"^d and p cannot be joined: the layout native in the f",
        ),
        ("--data d --data absent", r"^absent: no such data folder"),
    ],
)
def test_what_cannot_be_trained_on(trm: Trm, fails: Fails, arguments: str, message: str) -> None:
    trm(*BUILD.split(), "--out", "d")
    trm(*BUILD.split(), "--layout", "published", "--out", "p")
    assert re.search(message, fails(*TRAIN, *arguments.split()))


def test_training_on_several_folders(trm: Trm) -> None:
    trm(*BUILD.split(), "--out", "a")
    trm(*BUILD.split(), "--out", "b", "--seed", "1")
    both = ("--data", "a", "--data", "b")
    text = trm(*TRAIN, *both).out
    assert "train step 3/3" in text, text
    report = json.loads(trm("eval", "--json").out)
    assert report["data"] == "a + b"
    assert report["metrics"]["exact_accuracy"]["count"] == 40
    named = json.loads(trm("eval", "--json", *both).out)
    assert named.pop("speed").keys() == report.pop("speed").keys()
    assert named == report


def test_an_unknown_solution_is_not_drawn(trm: Callable[..., Any], tmp_path: Path) -> None:
    task = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3, 3]]}]}
    (tmp_path / "tasks.json").write_text(json.dumps({"a": task, "b": task}))
    built = trm("build-data", "arc1", "--adapt-to", "./tasks.json", "--num-aug", "0")
    assert built.code == 0, built.err
    shown = trm("inspect-data", "data/arc1", "--split", "test", "--boards", "1", "--save", "x.svg")
    title, *boards = shown.out.splitlines()[-3:]
    assert title.startswith("test 0 a (solution unknown): ")
    assert [line.strip() for line in boards] == ["puzzle", "3 3"]
    assert "<!-- solution" not in (tmp_path / "x.svg").read_text()


def test_parts_are_named_by_repeated_flags(trm: Callable[..., Any], tmp_path: Path) -> None:
    task = {
        "train": [{"input": [[1]], "output": [[2]]}],
        "test": [{"input": [[3]], "output": [[4]]}],
    }
    for number, part in enumerate(("training", "more", "evaluation")):
        (tmp_path / part).mkdir()
        (tmp_path / part / f"{number}.json").write_text(json.dumps(task))
    flags = ("--training", "training", "--training", "more", "--no-concept", "--num-aug", "0")
    built = trm("build-data", "arc1", "--source", ".", *flags)
    assert built.out.startswith("data/arc1: train 3 puzzles")
