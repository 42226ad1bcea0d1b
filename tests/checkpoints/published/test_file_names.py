"""The names of published checkpoints are the same in a folder and on the Hub."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.hub import HubServer
from tests.hub.commands import Online
from trm.checkpoints.open_checkpoint import open_checkpoint
from trm.checkpoints.published.file_names import files_to_download, step_in_name

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
    assert files_to_download([name, "README.md"]) == [name]


@pytest.mark.parametrize("name", ["step-65104", "step_65104"])
def test_a_repository_with_such_a_name_is_opened(
    hub: HubServer, online: Online, example: Callable[..., Any], name: str
) -> None:
    made = example(mlp_t=True, pos_encodings="none", name=name)
    hub.add_repo("bob/trm", {name: made.file.read_bytes()})
    program = "import trm; print(trm.load('bob/trm', device='cpu').checkpoint.step)"
    assert online.program(program) == "65104\n"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["step_9", "step-10", "step_8.pt"], ["step-10"]),
        (["step_10", "best/step_10.pt"], ["step_10"]),
        (["step_1", "model.pt"], ["step_1"]),
        (["b.pt", "a.pt", "notes"], ["b.pt"]),
        (["a/step_2", "a/all_config.yaml", "identifiers.json", "b.yaml"],
         ["a/step_2", "a/all_config.yaml", "identifiers.json"]),
        (["step_9", "step_10_all_preds.0", "step_11.png", ".cache/step_12"], ["step_9"]),
        (["README", "step_11.png", ".cache/step_12", "step_10_all_preds.0"], []),
        ([], []),
    ],
)  # fmt: skip
def test_the_files_that_are_downloaded(names: list[str], expected: list[str]) -> None:
    assert files_to_download(names) == expected


def test_a_folder_and_a_repository_agree_on_the_newest(
    example: Callable[..., Any], tmp_path: Path
) -> None:
    names = ["step_2", "step-30", "step_4.pt", ".cache/step_50", "z.pt", "step_60_all_preds.0"]
    for name in names:
        example(mlp_t=True, pos_encodings="none", name=name)
    newest = open_checkpoint(tmp_path / "published").path
    assert [newest.name] == files_to_download(names) == ["step-30"]
