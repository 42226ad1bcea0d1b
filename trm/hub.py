"""The Hugging Face Hub: repositories fetched by name into the client's cache, and written to.

Everything goes through ``huggingface_hub``: its endpoint, its cache, its token, ``HF_HUB_OFFLINE``.
The token is its business alone: nothing here reads, prints or keeps it.
"""

import contextlib
import glob
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from trm.errors import HubError, TrmError

_PART = r"[A-Za-z0-9][\w.-]{0,95}"
_NAME = re.compile(rf"(?P<repo>{_PART}/{_PART})(@(?P<revision>[\w.-][\w./-]*))?", re.ASCII)


@dataclass(frozen=True)
class HubName:
    """A repository, and a branch, tag or commit of it; None is its main branch."""

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.repo if self.revision is None else f"{self.repo}@{self.revision}"


def parse_name(text: str) -> HubName | None:
    """``USER/NAME`` or ``USER/NAME@REVISION``; None if the text is neither.

    >>> parse_name("alice/sudoku@v1")
    HubName(repo='alice/sudoku', revision='v1')
    >>> parse_name("runs/sudoku/mine")
    """
    found = _NAME.fullmatch(text)
    if not found or ".." in text or "--" in found["repo"]:
        return None
    return HubName(found["repo"], found["revision"])


def pull(name: HubName, choose: Callable[[Sequence[str]], Iterable[str]]) -> Path:
    """Fetch files of a repository, or take them from the cache.

    Args:
        name: the repository.
        choose: from the names of all its files to those that are wanted.

    Returns:
        The folder in the cache that has them.

    Raises:
        HubError: if the repository cannot be had.
    """
    from huggingface_hub import HfApi, snapshot_download

    where: dict[str, Any] = {"repo_id": name.repo, "revision": name.revision}
    with _hub_errors(name):
        try:
            found = HfApi().model_info(**where)
        except Exception as error:
            if not _is_unreachable(error):
                raise
            # No pattern: whatever is there, for the client would ask for all of the repository.
            cached = Path(snapshot_download(**where, local_files_only=True, allow_patterns=[]))
            try:
                choose([path.relative_to(cached).as_posix() for path in cached.rglob("*")])
            except TrmError as missing:
                raise HubError(
                    f"{name} is not whole in the cache, and the Hub cannot be reached. Try with a "
                    "network."
                ) from missing
            return cached
        files = sorted(file.rfilename for file in found.siblings or ())
        _refuse_unsafe(files, name)
        wanted = [glob.escape(file) for file in choose(files)]
        return Path(snapshot_download(**where, allow_patterns=wanted))


def _refuse_unsafe(files: Iterable[str], name: HubName) -> None:
    for file in files:
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts or "\\" in file or ":" in path.parts[0]:
            raise HubError(
                f"{name} has a file named {file!r}, which would be written outside of its folder. "
                "Nothing was downloaded; do not use that repository."
            )


def push(
    folder: Path,
    name: HubName,
    *,
    message: str,
    private: bool = False,
    tag: str | None = None,
    replaces: Sequence[str] = (),
) -> str:
    """Write a folder to a repository as one commit; makes the repository if there is none.

    What an earlier attempt has uploaded already is not sent again.

    Args:
        folder: what to upload, all of it.
        name: the repository, and the branch of it.
        message: the commit's.
        private: only its owner may see a repository that is made.
        tag: mark the commit with it.
        replaces: patterns of files that are removed where the folder does not have them.

    Returns:
        The address of the commit.

    Raises:
        HubError: if it cannot be written.
    """
    from huggingface_hub import HfApi

    create_repository(name, private=private)
    api = HfApi()
    with _hub_errors(name, writes=True):
        if tag in {found.name for found in api.list_repo_refs(name.repo).tags}:
            raise HubError(f"{name.repo} has a tag {tag} already. Choose another --tag.")
        commit = api.upload_folder(
            repo_id=name.repo,
            folder_path=folder,
            revision=name.revision,
            commit_message=message,
            delete_patterns=list(replaces) or None,
        )
        if tag is not None:
            api.create_tag(name.repo, tag=tag, revision=commit.oid)
    return str(commit.commit_url)


def create_repository(name: HubName, *, private: bool = False) -> None:
    """Make a repository, and the branch of it, where there is none.

    Args:
        name: the repository.
        private: only its owner may see it.

    Raises:
        HubError: if it cannot be made, or is there and everybody can see it.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with _hub_errors(name, writes=True):
        api.create_repo(name.repo, private=private, exist_ok=True)
        if private and not api.model_info(name.repo).private:
            raise HubError(
                f"{name.repo} exists and is public. Leave --private out, or change it in the "
                "settings of the repository."
            )
        if name.revision is not None:
            api.create_branch(name.repo, branch=name.revision, exist_ok=True)


@contextlib.contextmanager
def _hub_errors(name: HubName, *, writes: bool = False) -> Iterator[None]:
    """Turn what the client raises into one line."""
    from huggingface_hub import errors

    http_error: type[Exception] = errors.HfHubHTTPError.__mro__[1]  # of its HTTP library
    try:
        yield
    # An upload that failed is a RuntimeError, a card that is refused a ValueError.
    except (http_error, OSError, RuntimeError, ValueError) as error:
        raise HubError(_message(_cause(error), name, writes)) from error


def _cause(error: BaseException) -> BaseException:
    """What the Hub answered, or that it did not, where the client wraps that into another error."""
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    told = (link for link in chain if _status(link) is not None or _is_unreachable(link))
    return next(told, chain[-1])


def _message(error: BaseException, name: HubName, writes: bool) -> str:
    from huggingface_hub import errors

    log_in = "Log in with `hf auth login`, or set HF_TOKEN"
    status = _status(error)
    if isinstance(error, errors.LocalTokenNotFoundError):
        return f"no token of the Hub was found. {log_in}."
    if isinstance(error, errors.OfflineModeIsEnabled) and writes:
        return f"{name}: HF_HUB_OFFLINE is set, so nothing is written. Unset it."
    if isinstance(error, errors.OfflineModeIsEnabled | errors.LocalEntryNotFoundError):
        return f"{name} is not in the cache, and the Hub cannot be reached. Try with a network."
    if isinstance(error, errors.GatedRepoError):
        return f"{name.repo} is gated. Ask its owner for access on its page. {log_in}."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{name.repo} has no revision {name.revision!r}. Give a branch, tag or commit of it."
    if status == 401 and (writes or not isinstance(error, errors.RepositoryNotFoundError)):
        return f"the Hub knows no such token, or there is none. {log_in}."
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"{name.repo}: no such repository on the Hub, nor a file or folder here; or it is "
            f"private and yours is no token for it. Correct the name. {log_in}."
        )
    if status == 403 and writes:
        return f"your token may not write to {name.repo}. Use a repository, and a token, that may."
    if status == 403:
        return f"your token may not read {name.repo}. Ask its owner for access."
    if status == 429:
        return f"the Hub asks for fewer requests (429). Try again in {_wait(error)}."
    if _is_unreachable(error):
        return f"{name}: the Hub cannot be reached ({type(error).__name__}). Try again."
    said = " ".join(str(getattr(error, "server_message", None) or error).split()).rstrip(".")
    answered = "" if status is None else f"the Hub answered {status}: "
    return f"{name}: {answered}{said}. Try again."


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _wait(error: BaseException) -> str:
    after: str = getattr(error, "response").headers.get("Retry-After", "")  # noqa: B009
    return f"{after} seconds" if after.isdecimal() else "some minutes"


def _is_unreachable(error: BaseException) -> bool:
    """Whether there was no answer at all; ``HF_HUB_OFFLINE`` counts as that."""
    from huggingface_hub import errors

    http_error: type[Exception] = errors.HfHubHTTPError.__mro__[1]
    no_answer = isinstance(error, http_error | ConnectionError | TimeoutError)
    return no_answer and _status(error) is None
