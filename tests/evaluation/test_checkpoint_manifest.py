"""Lists of checkpoints in TOML."""

from pathlib import Path

import pytest

from trm.errors import InputError
from trm.evaluation.checkpoint_manifest import ManifestEntry, read_manifest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "all.toml"


def test_every_field_is_read(file: Path) -> None:
    file.write_text(
        """
[[checkpoint]]
ckpt = "runs/sudoku/a"

[[checkpoint]]
ckpt = "runs/arc1/b"
name = "TRM-Att"
task = "arc1"
reset_puzzle_embedding = true
data = ["data/arc1", "data/more"]
split = "validation"
metric = "pass@2"
reported = 0.446
steps = 32
samples = 4
noise = 0.2
choose = "first"
votes = 8
halt = 0.9
max_examples = 100
copies = 3
batch_size = 32
"""
    )
    plain, full = read_manifest(file)
    assert plain == ManifestEntry(ckpt="runs/sudoku/a")
    assert (plain.name, plain.data, plain.metric, plain.reported) == ("", (), None, None)
    assert plain.split == "test"
    assert (plain.votes, plain.halt, plain.max_examples, plain.batch_size) == (1, None, None, None)
    assert full.model_dump() == {
        "ckpt": "runs/arc1/b", "name": "TRM-Att", "data": ("data/arc1", "data/more"),
        "task": "arc1", "reset_puzzle_embedding": True, "metric": "pass@2", "reported": 0.446,
        "split": "validation", "steps": 32, "samples": 4, "noise": 0.2, "choose": "first",
        "votes": 8, "halt": 0.9, "max_examples": 100, "copies": 3, "batch_size": 32,
        "until_valid": False, "guesses": 0, "rounds": 1, "effort": None,
    }  # fmt: skip


def refused(file: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_manifest(file)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(file))
    return message.removeprefix(str(file))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('ckpt = "b"\nname = 3', "checkpoint 2: name: Input should be a valid string. Correct it."),
        ('ckpt = "b"\ncolour = 3', "checkpoint 2: colour: Extra inputs are not permitted. Correct"),
        ('name = "b"', "checkpoint 2: ckpt: Field required. Correct it."),
        ('ckpt = "b"\nreported = 44.6', "reported: Input should be less than or equal to 1. C"),
        ('ckpt = "b"\nreported = -1', "reported: Input should be greater than or equal to 0."),
        ('ckpt = "b"\nvotes = 0', "votes: Input should be greater than or equal to 1. Correct it."),
        (
            'ckpt = "b"\nhalt = 1.5',
            "checkpoint 2: --halt 1.5 is not between 0 and 1. Give a probability such as 0.9. "
            "Correct it.",
        ),
        ('ckpt = "b"\nbatch_size = 0', "batch_size: Input should be greater than 0. Correct it."),
        ('ckpt = "b"\ndata = "data/b"', "checkpoint 2: data: Input should be a valid tuple. Corr"),
    ],
)
def test_an_entry_that_cannot_be_used_is_numbered(file: Path, line: str, message: str) -> None:
    file.write_text(f'[[checkpoint]]\nckpt = "a"\n[[checkpoint]]\n{line}\n')
    assert message in refused(file)


@pytest.mark.parametrize(
    "text",
    ["", "checkpoint = []", 'checkpoint = "a"', '[checkpoint]\nckpt = "a"', '[[run]]\nckpt = "a"',
     'title = "x"\n[[checkpoint]]\nckpt = "a"'],
)  # fmt: skip
def test_a_file_of_something_else_says_what_it_must_hold(file: Path, text: str) -> None:
    file.write_text(text)
    expected = " must hold [[checkpoint]] tables, each with a ckpt, and nothing else."
    assert refused(file) == expected


def test_entries_that_are_no_tables(file: Path) -> None:
    file.write_text("checkpoint = [3]")
    assert ": checkpoint 1: " in refused(file)


@pytest.mark.parametrize("content", [b"[[checkpoint", b"a = \n", b"\xff\xfe", b'a = "x\ny"'])
def test_what_is_not_toml_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert refused(file).startswith(" is damaged: it is not ")


def test_no_file_and_a_folder(file: Path, tmp_path: Path) -> None:
    assert refused(file) == ": no such file. Name a correct TOML file."
    with pytest.raises(InputError, match=r"^cannot read \S+: it is not a regular file\. Name a"):
        read_manifest(tmp_path)
