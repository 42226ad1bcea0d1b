"""Published checkpoints with random damage: the same numbers, or one line that refuses them."""

import json
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from trm.checkpoints.published.checkpoint import PublishedCheckpoint, read_published
from trm.errors import TrmError

SMALL = {
    "vocab_size": 6, "seq_len": 16, "rows": 3, "mlp_t": True, "pos_encodings": "none",
    "puzzle_emb_len": 1, "l_layers": 1, "hidden_size": 16, "num_heads": 1,
}  # fmt: skip
INSERTED = [
    b"\x00", b"\xff", b"[", b"{", b'"', b"&a ", b"*a ", b"\x1b[31m", b"\n", b"9" * 50, b"!!int ",
    b"- ", b": ", b"PK\x03\x04", b"\x80\x02", b"\xed\xa0\x80",
]  # fmt: skip


@pytest.fixture
def small(example: Callable[..., Any]) -> Any:
    """A checkpoint of 100 kB, with its settings and the names of its puzzles."""
    made = example(**SMALL)
    made.save({"ema": made.tensors, "step": 5, "optimizer": {"lr": [0.1]}})
    made.write_yaml(seed=5, data_paths=["data/sudoku"], arch={"num_heads": 1, "mlp_t": True})
    names = json.dumps(["<blank>", "a|||t0", "b|||t1"])
    (made.folder / "identifiers.json").write_text(names)
    return made


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Bytes that are flipped, replaced, removed, inserted and doubled, most near the ends."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 3, 20])):
        size = len(changed)
        near_end = size - 1 - min(rng.randrange(2500), size - 1)
        at = rng.choice([min(rng.randrange(3000), size - 1), near_end, rng.randrange(size)])
        match rng.randrange(5):
            case 0:
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                changed[at] = rng.randrange(256)
            case 2:
                del changed[at : at + rng.choice([1, 4, 50, size // 3])]
            case 3:
                changed[at:at] = rng.choice(INSERTED)
            case _:
                changed[at:at] = changed[at : at + rng.choice([1, 8, 100])]
        if not changed:
            break
    return bytes(changed)


def outcome(file: Path) -> PublishedCheckpoint | str:
    """The checkpoint, or the error that refuses it."""
    try:
        return read_published(file, "sudoku")
    except TrmError as error:
        text = str(error)
        assert "\n" not in text
        assert len(text) < 900
        return text


def test_a_damaged_torch_file_is_noticed(small: Any) -> None:
    rng, whole = random.Random(0), small.file.read_bytes()
    expected = {name: t.clone() for name, t in read_published(small.file).weights.items()}
    refused = 0
    for number in range(100):
        file = small.folder / f"copy_step_{number}"
        file.write_bytes(mutated(whole, rng))
        found = outcome(file)
        if isinstance(found, str):
            refused += 1
        else:
            assert all(torch.equal(found.weights[name], t) for name, t in expected.items())
        file.unlink()
    assert refused > 80


@pytest.mark.parametrize("name", ["all_config.yaml", "identifiers.json"])
def test_damaged_text_is_refused_in_one_line(small: Any, name: str) -> None:
    rng, file = random.Random(1), small.folder / name
    whole = file.read_bytes()
    refused = 0
    for _ in range(40):
        file.write_bytes(mutated(whole, rng))
        refused += isinstance(outcome(small.file), str)
    assert refused > 10


def rewritten(file: Path, change: Callable[[str, bytes], bytes], method: int) -> None:
    """Write the zip archive anew."""
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, part in parts.items():
            archive.writestr(name, change(name, part))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_numbers_are_not_taken_for_plain_ones(small: Any, method: int) -> None:
    rewritten(small.file, lambda _, part: part, method)
    assert "is compressed or encrypted, and torch.save does neither. Get it" in str(
        outcome(small.file)
    )


def test_a_flipped_weight_is_noticed(small: Any) -> None:
    content = bytearray(small.file.read_bytes())
    at = content.find(small.tensors["_orig_mod.model.inner.H_init"].numpy().tobytes())
    assert at > 0
    content[at + 5] ^= 1
    small.file.write_bytes(content)
    assert "does not have its checksum. Get it again" in str(outcome(small.file))


def test_a_file_without_checksums_is_read(small: Any) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        small.save(small.tensors)
    finally:
        torch.serialization.set_crc32_options(True)
    assert not isinstance(outcome(small.file), str)


@pytest.mark.parametrize("zipped", [True, False])
def test_more_numbers_than_the_file_has(small: Any, zipped: bool) -> None:
    small.save({"q_head.bias": torch.ones(77)})
    if zipped:
        rewritten(small.file, claim_gigabytes, zipfile.ZIP_STORED)
    else:
        torch.save(
            {"q_head.bias": torch.ones(77)}, small.file, _use_new_zipfile_serialization=False
        )
        small.file.write_bytes(claim_gigabytes("data.pkl", small.file.read_bytes()))
    assert "is damaged, cut short, or not a state_dict" in str(outcome(small.file))


def claim_gigabytes(name: str, part: bytes) -> bytes:
    """A pickle in which the number 77 has become 2,147,483,647."""
    number = b"J" + struct.pack("<i", 2**31 - 1)
    return part.replace(b"K\x4d", number) if name.endswith("data.pkl") else part


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("seed: 1\nlr: 1\nseed: 2", "it has 'seed' twice"),
        ("arch: {L_cycles: 1, L_cycles: 2}", "it has 'L_cycles' twice"),
        ("seed: " + "9" * 5000, "is damaged: Exceeds the limit"),
        ("? [1]\n: 2", "found unhashable key"),
        ("seed: 2001-99-99", "month must be in 1..12"),
        ("a: &a [*a]\nseed: *a", "seed = a list"),
    ],
)
def test_settings_that_yaml_reads_in_silence(small: Any, text: str, why: str) -> None:
    small.write_yaml(text)
    assert why in str(outcome(small.file))


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["a", "b"], "it has 2 names for 3 puzzle embeddings"),
        (["a", "b", "c" * 2000], "it has a name of 2,000 bytes"),
        (["a", "b", "\ud800"], "lone surrogate"),
        (["a", "b", 10**5000], "digits"),
    ],
)
def test_names_of_puzzles_that_do_not_fit(small: Any, names: list[Any], why: str) -> None:
    text = "[" + ", ".join(f'"{n}"' if isinstance(n, str) else "9" * 5000 for n in names) + "]"
    text = text.replace("\ud800", "\\ud800")
    (small.folder / "identifiers.json").write_text(text)
    found = str(outcome(small.file))
    assert "identifiers.json does not fit: " in found
    assert why in found


def test_the_example_itself_is_read(small: Any) -> None:
    found = read_published(small.file)
    assert found.names is not None
    assert found.config.run.train.seed == 5
