"""Lists of checkpoints to evaluate, as TOML."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from trm.config import first_problem
from trm.errors import InputError
from trm.inference.options import SolveOptions
from trm.reading import FileReader


class ManifestEntry(SolveOptions):
    """One ``[[checkpoint]]`` of a manifest, and its inference options.

    Attributes:
        ckpt: a run or checkpoint, here or on the Hub; None for the newest run.
        name: its name in the table.
        task: the task of a published checkpoint that does not name it.
        split: ``validation`` for the puzzles that its run held out.
        reported: the value that its authors report, as a share.
    """

    ckpt: str | None
    name: str = ""
    task: str | None = None
    reset_puzzle_embedding: bool = False
    data: tuple[str, ...] = ()
    split: Literal["test", "validation"] = "test"
    metric: str | None = None
    reported: float | None = Field(None, ge=0, le=1)
    max_examples: int | None = Field(None, gt=0)
    copies: int | None = Field(None, gt=0)
    batch_size: int | None = Field(None, gt=0)


def read_manifest(path: Path) -> list[ManifestEntry]:
    """The checkpoints that a manifest names.

    Raises:
        InputError: if the file is missing, is not TOML, or has an entry that cannot be used.
    """
    raw = FileReader(InputError, "Name a correct TOML file.").toml(path)
    entries = raw.get("checkpoint")
    if not isinstance(entries, list) or not entries or raw.keys() != {"checkpoint"}:
        raise InputError(
            f"{path} must hold [[checkpoint]] tables, each with a ckpt, and nothing else."
        )
    checked = []
    for number, entry in enumerate(entries, 1):
        try:
            checked.append(ManifestEntry.model_validate(entry))
        except ValidationError as error:
            reason = first_problem(error).removeprefix("Value error, ").rstrip(".")
            raise InputError(f"{path}: checkpoint {number}: {reason}. Correct it.") from error
    return checked
