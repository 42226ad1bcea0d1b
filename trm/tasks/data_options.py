"""The options of ``trm build-data`` for every task."""

from pathlib import Path

from pydantic import Field, field_validator

from trm.config import LARGEST_SEED, Frozen

#: Augmented copies of a puzzle, at most.
MAX_COPIES = 1_000_000


class DataOptions(Frozen):
    """The options of ``trm build-data`` for every task; subclasses add their own as fields.

    Each field becomes a flag, and its description becomes the help text.
    """

    source: str = Field("generate", description="Where the puzzles come from.")
    seed: int = Field(0, ge=0, le=LARGEST_SEED, description="Seed of all random numbers.")

    @field_validator("*", mode="before")
    @classmethod
    def _can_be_recorded(cls, value: object) -> object:
        """Take a path where text is expected, and refuse one that is not UTF-8.

        ``dataset.json`` has every option.
        """
        if isinstance(value, list | tuple):
            return tuple(map(cls._can_be_recorded, value))
        if not isinstance(value, str | Path):
            return value
        try:
            str(value).encode()
        except UnicodeEncodeError:
            raise ValueError("it is not UTF-8 text") from None
        return str(value)
