"""The base class of all settings and stored metadata."""

import math
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

#: The version of the file formats that this version of trm writes, and the newest one it reads.
FORMAT_VERSION = 1
#: The most steps, epochs, evaluations or examples in all.
MOST_STEPS = 1_000_000_000
#: The most examples at a time.
MOST_EXAMPLES = 1_000_000
#: numpy and torch take seeds of 63 bits.
LARGEST_SEED = 2**63 - 1


class Frozen(BaseModel):
    """An immutable model that rejects unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        for text in value if isinstance(value, list | tuple) else (value,):
            if isinstance(text, str) and "\0" in text:
                raise ValueError("it has a NUL character, which no name may have")
        return value


class SettingsGroup(Frozen):
    """Settings that people choose. Numbers are finite."""

    model_config = ConfigDict(allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _large_numbers_are_whole(cls, value: Any) -> Any:
        """1e30 is compared with the bound of an integer; pydantic only says that it is large."""
        is_large = isinstance(value, float) and math.isfinite(value) and abs(value) >= 2**53
        return int(value) if is_large else value


def first_problem(error: ValidationError) -> str:
    """The first error of a validation as one line: the field and the problem."""
    first = error.errors()[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
