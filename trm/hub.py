"""The Hugging Face Hub: download from a repository, and upload to it.

Everything goes through ``huggingface_hub``: its endpoint, cache, token and ``HF_HUB_OFFLINE``.
Nothing here reads, prints or stores the token.
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
    """A repository, and a branch, tag or commit of it; None for its main branch."""

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.repo if self.revision is None else f"{self.repo}@{self.revision}"


def parse_name(text: str) -> HubName | None:
    """Parse ``USER/NAME`` or ``USER/NAME@REVISION``; None if the text is neither.

    >>> parse_name("alice/sudoku@v1")
    HubName(repo='alice/sudoku', revision='v1')
    >>> parse_name("runs/sudoku/mine")
    """
    match = _NAME.fullmatch(text)
    if not match or ".." in text or "--" in match["repo"]:
        return None
    return HubName(match["repo"], match["revision"])


def pull(name: HubName, choose: Callable[[Sequence[str]], Iterable[str]]) -> Path:
    """Download files of a repository into the cache of ``huggingface_hub``.

    Without a connection the cache is used as it is.

    Args:
        name: the repository.
        choose: takes the names of all its files, and returns those to download.

    Returns:
        The folder in the cache that contains them.

    Raises:
        HubError: if the repository cannot be read.
    """
    from huggingface_hub import HfApi, snapshot_download

    repo: dict[str, Any] = {"repo_id": name.repo, "revision": name.revision}
    with _hub_errors(name):
        try:
            info = HfApi().model_info(**repo)
        except Exception as error:
            if not _is_unreachable(error):
                raise
            # No patterns: with patterns the client would require all of their files.
            cached = Path(snapshot_download(**repo, local_files_only=True, allow_patterns=[]))
            try:
                choose([path.relative_to(cached).as_posix() for path in cached.rglob("*")])
            except TrmError as missing:
                raise HubError(
                    f"{name} is incomplete in the cache, and the Hub cannot be reached. Go online."
                ) from missing
            return cached
        files = sorted(file.rfilename for file in info.siblings or ())
        for file in files:
            path = PurePosixPath(file)
            if path.is_absolute() or ".." in path.parts or "\\" in file or ":" in path.parts[0]:
                raise HubError(
                    f"{name} has a file named {file!r}, which would be written outside of its "
                    "folder. Nothing was downloaded; do not use that repository."
                )
        patterns = [glob.escape(file) for file in choose(files)]
        return Path(snapshot_download(**repo, allow_patterns=patterns))


def push(
    folder: Path,
    name: HubName,
    *,
    message: str,
    private: bool = False,
    tag: str | None = None,
    replaces: Sequence[str] = (),
) -> str:
    """Upload a folder to a repository as one commit.

    A missing repository is created. Files that an earlier attempt uploaded are not sent again.

    Args:
        folder: the folder.
        name: the repository and its branch.
        message: of the commit.
        private: create a repository that only its owner can see.
        tag: the tag of the commit.
        replaces: patterns of files to remove from the repository if the folder lacks them.

    Returns:
        The URL of the commit.

    Raises:
        HubError: if the upload fails.
    """
    from huggingface_hub import HfApi

    create_repository(name, private=private)
    api = HfApi()
    with _hub_errors(name, writes=True):
        if tag in {existing.name for existing in api.list_repo_refs(name.repo).tags}:
            raise HubError(f"{name.repo} already has the tag {tag}. Choose another --tag.")
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
    """Create a repository and its branch if they are missing.

    Args:
        name: the repository and its branch.
        private: create a repository that only its owner can see.

    Raises:
        HubError: if it cannot be created, or should be private and exists as a public one.
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
    """Turn an error of the client into a :class:`HubError`."""
    try:
        yield
    # The client raises RuntimeError for a failed upload, and ValueError for an invalid model card.
    except (_http_error(), OSError, RuntimeError, ValueError) as error:
        raise HubError(_message(_cause(error), name, writes)) from error


def _cause(error: BaseException) -> BaseException:
    """The error from the connection or the Hub itself, which the client may wrap in another one."""
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    causes = (link for link in chain if _status(link) is not None or _is_unreachable(link))
    return next(causes, chain[-1])


def _message(error: BaseException, name: HubName, writes: bool) -> str:
    from huggingface_hub import errors

    log_in = "Log in with `hf auth login`, or set HF_TOKEN"
    status = _status(error)
    if isinstance(error, errors.LocalTokenNotFoundError):
        return f"no token for the Hub was found. {log_in}."
    if isinstance(error, errors.OfflineModeIsEnabled) and writes:
        return f"{name}: HF_HUB_OFFLINE is set, so nothing can be uploaded. Unset it."
    if isinstance(error, errors.OfflineModeIsEnabled | errors.LocalEntryNotFoundError):
        return f"{name} is not in the cache, and the Hub cannot be reached. Go online."
    if isinstance(error, errors.GatedRepoError):
        return f"{name.repo} is gated. Ask its owner for access on its page. {log_in}."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{name.repo} has no revision {name.revision!r}. Give a branch, tag or commit."
    if status == 401 and (writes or not isinstance(error, errors.RepositoryNotFoundError)):
        return f"the token for the Hub is missing or invalid. {log_in}."
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"{name.repo}: no such repository on the Hub and no such file or folder here, or it is "
            f"private and your token has no access. Correct the name. {log_in}."
        )
    if status == 403 and writes:
        return f"your token may not write to {name.repo}. Use a repository and a token that match."
    if status == 403:
        return f"your token may not read {name.repo}. Ask its owner for access."
    if status == 429:
        seconds = getattr(error, "response").headers.get("Retry-After", "")  # noqa: B009
        delay = f"{seconds} seconds" if seconds.isdecimal() else "a few minutes"
        return f"too many requests to the Hub (429). Try again in {delay}."
    if _is_unreachable(error):
        return f"{name}: the Hub cannot be reached ({type(error).__name__}). Try again."
    reason = " ".join(str(getattr(error, "server_message", None) or error).split()).rstrip(".")
    source = "" if status is None else f"the Hub answered {status}: "
    return f"{name}: {source}{reason}. Try again."


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _is_unreachable(error: BaseException) -> bool:
    """Whether the Hub did not answer, or ``HF_HUB_OFFLINE`` is set."""
    no_answer = isinstance(error, _http_error() | ConnectionError | TimeoutError)
    return no_answer and _status(error) is None


def _http_error() -> type[Exception]:
    """The base of the errors of the client's HTTP library, whichever library that is."""
    from huggingface_hub import errors

    http_error: type[Exception] = errors.HTTPError  # type: ignore[attr-defined,unused-ignore]
    return http_error
