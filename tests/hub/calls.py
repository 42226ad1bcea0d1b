"""A request to the small Hub, its answer, and a refusal with the Hub's own headers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote


@dataclass(frozen=True)
class Account:
    """Who sent a request."""

    name: str
    may_write: bool


@dataclass(frozen=True)
class Call:
    """One request; ``headers`` have names in lower case, ``path`` is as it was sent, quoted.

    ``storage`` tells the two halves of the Hub apart: large files are sent to and fetched from
    another port, which gets no token.
    """

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    storage: bool = False
    body: bytes = b""
    account: Account | None = None

    @property
    def readable_path(self) -> str:
        return unquote(self.path)

    def json(self) -> Any:
        return json.loads(self.body or b"{}")


@dataclass(frozen=True)
class Answer:
    """What is sent back; a HEAD request gets it without the body."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, content: Any, status: int = 200) -> "Answer":
        kind = {"Content-Type": "application/json; charset=utf-8"}
        return cls(status, json.dumps(content).encode(), kind)


@dataclass(eq=False)
class Refusal(Exception):  # noqa: N818
    """An error of the Hub: the client reads the two headers, people the body."""

    status: int
    message: str
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def answer(self) -> Answer:
        plain = Answer.json({"error": self.message}, self.status)
        said = {"X-Error-Message": self.message}
        if self.code is not None:
            said["X-Error-Code"] = self.code
        return Answer(self.status, plain.body, {**plain.headers, **said, **self.headers})
