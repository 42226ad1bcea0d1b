"""The base class of all settings and stored metadata."""

from pydantic import BaseModel, ConfigDict, ValidationError

#: The version of the file formats that this version of trm writes, and the newest one it reads.
FORMAT_VERSION = 1


class Frozen(BaseModel):
    """An immutable model that rejects unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def first_problem(error: ValidationError) -> str:
    """The first error of a validation as one line: the field and the problem."""
    first = error.errors()[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
