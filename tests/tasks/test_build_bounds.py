"""A dataset that cannot fit, or cannot be described, is refused before it is built."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from trm.datasets import build_data
from trm.errors import ConfigError, InputError
from trm.tasks.build_size import check_build_size

HUGE = 10**18


def test_what_fits_passes(tmp_path: Path) -> None:
    check_build_size(tmp_path / "not/yet/there", memory=1000, disk=1000, advice="Lower it.")


@pytest.mark.parametrize(
    ("memory", "disk", "place"),
    [
        (HUGE, 0, r"this machine has [\d.,]+ GiB of memory"),
        (0, HUGE, r"the disk of .*/d has [\d.,]+ [MG]iB"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, memory: int, disk: int, place: str) -> None:
    message = rf"^the dataset would take about 931,322,574\.6 GiB, but {place}.*\. Lower it\.$"
    with pytest.raises(InputError, match=message):
        check_build_size(tmp_path / "d", memory=memory, disk=disk, advice="Lower it.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "--num-aug 1000000000",
            "--num-aug: num_aug = 1000000000: Input should be less than or equal",
        ),
        ("--num-aug 1000000 --num-train 1000000", "the dataset would take about "),
        (
            "--num-aug 0 --num-train 2000000",
            "2,001,000 puzzles were asked for, but at most 1,000,000",
        ),
        (
            "--num-aug 0 --num-train 99999999999",
            "--num-train: num_train = 99999999999: Input should",
        ),
        (
            "--seed 99999999999999999999",
            "--seed: seed = 99999999999999999999: Input should be less",
        ),
        ("--size 1000000000", "--size: size = 1000000000: Input should be less than or equal to 9"),
    ],
)
def test_every_number_is_bounded(
    fails: Callable[..., str], tmp_path: Path, arguments: str, message: str
) -> None:
    said = fails("build-data", "sudoku", "--source", "generate", "--out", "d", *arguments.split())
    assert said.startswith(message)
    assert not (tmp_path / "d").exists()


def test_a_path_that_is_not_utf_8_is_refused() -> None:
    message = r"^--source: source = '.udcff': it is not UTF-8 text\. Give another value\.$"
    with pytest.raises(ConfigError, match=message):
        build_data("sudoku", source=os.fsdecode(b"\xff"))


@pytest.mark.parametrize("task", ["sudoku", "maze", "arc1"])
def test_a_path_that_cannot_be_asked_about_is_one_line(
    fails: Callable[..., str], task: str
) -> None:
    said = fails("build-data", task, "--source", "x" * 5000)
    assert "File name too long" in said
    assert "--debug" not in said
