"""The names of published checkpoints are the same in a folder and on the Hub."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.hub import HubServer
from tests.hub.commands import Online
from trm.checkpoints.open_checkpoint import open_checkpoint
from trm.checkpoints.published.file_names import files_to_download, step_in_name
from trm.errors import CheckpointError

STEPS = {
    "step_65104": 65104, "step-65104": 65104, "step65104": 65104, "step-65104.pt": 65104,
    "run/step_7": 7, "x_step_21700_y": 21700, "model.pt": None, "step_.ckpt": None,
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_the_step_in_a_name(name: str) -> None:
    assert step_in_name(PurePosixPath(name)) == STEPS[name]


@pytest.mark.parametrize("name", STEPS)
def test_a_name_is_accepted_in_a_folder_and_on_the_hub(
    example: Callable[..., Any], name: str
) -> None:
    made = example(mlp_t=True, pos_encodings="none", name=name)
    top = made.file.parents[name.count("/")]
    for path in (made.file, top):
        assert open_checkpoint(path).config.step == (STEPS[name] or 0)
    chosen = files_to_download([name, "README.md"], "bob/trm")
    assert chosen is not None
    assert chosen.files == (name,)


@pytest.mark.parametrize("name", ["step-65104", "step_65104"])
def test_a_repository_with_such_a_name_is_opened(
    hub: HubServer, online: Online, example: Callable[..., Any], name: str
) -> None:
    made = example(mlp_t=True, pos_encodings="none", name=name)
    hub.add_repo("bob/trm", {name: made.file.read_bytes()})
    program = "import trm; print(trm.load('bob/trm', device='cpu').checkpoint.step)"
    assert online.program(program) == "65104\n"


@pytest.mark.parametrize(
    ("names", "path", "expected", "note"),
    [
        (["step_9", "step-10", "step_8.pt"], None, ["step-10"], "step-10, the newest of 3 "),
        (["step_1", "model.pt"], None, ["step_1"], "step_1, the newest of 2 "),
        (["b.pt", "notes"], None, ["b.pt"], None),
        (
            ["a/step_2", "a/all_config.yaml", "identifiers.json", "b.yaml", "b/all_config.yaml"],
            None, ["a/step_2", "a/all_config.yaml", "identifiers.json"], None,
        ),
        (["step_9", "step_10_all_preds.0", "step_11.png", ".c/step_12"], None, ["step_9"], None),
        (["step_11.png", ".c/step_12", "step_10_all_preds.0", "._step_3"], None, [], None),
        (["step_1", f"step_{'9' * 5000}"], None, ["step_1"], None),
        ([], None, [], None),
        (["step_1", "step_2", "all_config.yaml"], "step_1", ["step_1", "all_config.yaml"], None),
        (["odd", "step_2"], "odd", ["odd"], None),
        (["a/step_1", "a/step_2", "step_3"], "a", ["a/step_2"], "step_2, the newest of 2 "),
        (["step_1"], "missing", [], None),
    ],
)  # fmt: skip
def test_the_files_that_are_downloaded(
    names: list[str], path: str | None, expected: list[str], note: str | None
) -> None:
    chosen = files_to_download(names, "bob/trm", path)
    assert list(chosen.files if chosen else ()) == expected
    assert (chosen.note if chosen else None) == (f"{note}checkpoints" if note else None)


@pytest.mark.parametrize(
    ("names", "of_step"),
    [
        (["step_30_att", "step_30_mlp"], "of step 30: step_30_att, step_30_mlp. Name the one to"),
        (["step_10", "best/step_10.pt", "step_9"], "of step 10: best/step_10.pt, step_10. Name"),
        (["b.pt", "a.pt"], "without a step in their names: a.pt, b.pt. Name the one to use, such"),
    ],
)
def test_several_of_the_same_step(
    example: Callable[..., Any], names: list[str], of_step: str
) -> None:
    for name in names:
        made = example(mlp_t=True, pos_encodings="none", name=name)
    folder = next(path for path in made.file.parents if path.name == "published")
    for place, choose in (
        (str(folder), lambda: open_checkpoint(folder)),
        ("bob/trm", lambda: files_to_download(names, "bob/trm")),
    ):
        with pytest.raises(CheckpointError) as caught:
            choose()
        assert f"{place} has 2 checkpoints {of_step}" in str(caught.value)


def test_many_of_the_same_step_are_not_all_listed() -> None:
    with pytest.raises(CheckpointError, match=r" has 900 checkpoints .*: 0\.pt, .* and 895 more\."):
        files_to_download([f"{number}.pt" for number in range(900)], "bob/trm")


def test_a_folder_and_a_repository_agree_on_the_newest(
    example: Callable[..., Any], tmp_path: Path
) -> None:
    names = ["step_2", "step-30", "step_4.pt", ".cache/step_50", "z.pt", "step_60_all_preds.0"]
    for name in names:
        example(mlp_t=True, pos_encodings="none", name=name)
    chosen, opened = files_to_download(names, "bob/trm"), open_checkpoint(tmp_path / "published")
    assert chosen is not None
    assert [opened.path.name] == [*chosen.files] == ["step-30"]
    assert opened.notes[0] == chosen.note == "step-30, the newest of 4 checkpoints"


def test_a_checkpoint_of_a_repository_by_its_file(
    hub: HubServer, online: Online, example: Callable[..., Any]
) -> None:
    made = example(mlp_t=True, pos_encodings="none", name="step_3")
    content = made.file.read_bytes()
    hub.add_repo("bob/trm", {"step_3": content, "deep/x_step_4": content, "step_5": content})
    program = (
        "import trm; model = trm.load('{}', device='cpu');"
        "print(model.checkpoint.step, model.notes[0])"
    )
    for name, step in {
        "bob/trm/step_3": "3 vocabulary of 11 tokens: sudoku\n",
        "bob/trm/deep/x_step_4@main": "4 vocabulary of 11 tokens: sudoku\n",
        f"{hub.url}/bob/trm/tree/main/deep": "4 vocabulary of 11 tokens: sudoku\n",
        f"{hub.url}/bob/trm/blob/main/step_3": "3 vocabulary of 11 tokens: sudoku\n",
        "bob/trm": "5 step_5, the newest of 3 checkpoints\n",
    }.items():
        assert online.program(program.format(name)) == step
