"""Names and addresses of repositories on the Hugging Face Hub, and of files in them."""

import os
import re
from dataclasses import dataclass
from urllib.parse import unquote

from trm.errors import HubError

_REPO = r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}"
_FILE = r"[^/\\\x00-\x1f\x7f]+(?:/[^/\\\x00-\x1f\x7f]+)*"
_REVISION = r"[\w.-][\w./-]*"
_NAME = re.compile(
    rf"(?P<repo>{_REPO})(/(?P<file>[^@]+?))?/?(@(?P<revision>{_REVISION}))?", re.ASCII
)
#: The hosts of the Hub; that of ``HF_ENDPOINT`` is one more.
_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
#: What stands between a repository and a revision in an address.
_PAGES = ("blob", "resolve", "raw", "tree", "commit", "commits")


@dataclass(frozen=True)
class HubName:
    """A repository, or a file or folder in it.

    Attributes:
        repo: ``USER/NAME``.
        revision: a branch, tag or commit; None for the main branch.
        file: the path of a file or folder in the repository; None for the repository.
    """

    repo: str
    revision: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        path = self.repo if self.file is None else f"{self.repo}/{self.file}"
        return path if self.revision is None else f"{path}@{self.revision}"


def parse_name(text: str) -> HubName | None:
    """Parse ``USER/NAME[/FILE][@REVISION]`` or an address; None if the text is neither.

    >>> parse_name("alice/sudoku@v1")
    HubName(repo='alice/sudoku', revision='v1', file=None)
    >>> parse_name("https://huggingface.co/alice/sudoku/blob/main/step_30")
    HubName(repo='alice/sudoku', revision='main', file='step_30')
    >>> parse_name("sudoku")

    Raises:
        HubError: for an address on the Hub that is not that of a model.
    """
    if is_address(text):
        name = _parse_address(text)
        if name is None:
            raise HubError(
                f"{text} is not the address of a model on the Hub. Give USER/NAME, or "
                "https://huggingface.co/USER/NAME/blob/REVISION/FILE."
            )
        return name
    match = _NAME.fullmatch(text)
    if not match or ".." in text or "--" in match["repo"]:
        return None
    if match["file"] is not None and not re.fullmatch(_FILE, match["file"]):
        return None
    return HubName(match["repo"], match["revision"], match["file"])


def is_address(text: str) -> bool:
    """Whether a text is the address of a page on the Hub, with or without ``https://``."""
    host, slash, _ = _without_scheme(text).partition("/")
    endpoint = _without_scheme(os.environ.get("HF_ENDPOINT", "")).partition("/")[0]
    return slash != "" and host.lower() in {*_HOSTS, endpoint.lower()} - {""}


def _without_scheme(address: str) -> str:
    return re.sub(r"^https?://", "", address, count=1, flags=re.IGNORECASE)


def _parse_address(text: str) -> HubName | None:
    path = re.split(r"[?#]", _without_scheme(text), maxsplit=1)[0]
    _, *parts = [unquote(part) for part in path.split("/") if part]
    repo, rest = "/".join(parts[:2]).removesuffix(".git"), parts[2:]
    if rest and (rest[0] not in _PAGES or len(rest) == 1):
        return None
    length = 3 if rest[1:2] == ["refs"] else 1  # refs/pr/1
    revision, file = "/".join(rest[1 : 1 + length]), "/".join(rest[1 + length :])
    texts = ((_REPO, repo), (f"({_REVISION})?", revision), (f"({_FILE})?", file))
    valid = all(re.fullmatch(pattern, value, re.ASCII) for pattern, value in texts)
    if not valid or ".." in "/".join(parts) or "--" in repo or parts[0] in ("datasets", "spaces"):
        return None
    return HubName(repo, revision or None, file or None)
