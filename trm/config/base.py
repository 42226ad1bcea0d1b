"""What all settings have in common."""

from pydantic import BaseModel, ConfigDict, ValidationError

#: The newest configuration that this version writes and reads.
FORMAT_VERSION = 1


class Frozen(BaseModel):
    """A settings group: immutable, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def first_problem(error: ValidationError) -> str:
    """The first thing wrong with a stored file, as one line: where, and what."""
    first = error.errors()[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
