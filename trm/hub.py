"""The Hugging Face Hub: download from a repository, and upload to it.

Everything goes through ``huggingface_hub``: its endpoint, cache, token and ``HF_HUB_OFFLINE``.
Nothing here reads, prints or stores the token.
"""

import contextlib
import glob
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import urlsplit

from trm.errors import HubError, TrmError
from trm.hub_names import HubName

Kind = Literal["model", "space"]
#: An upload may take this many times as long as a download before its answer begins.
_PATIENCE_FOR_WRITES = 6
_XET_STATUS = re.compile(r"HTTP status \w+ error \((\d{3})\b")
#: What the client raises when it takes an answer apart that has another form than it expects.
_MALFORMED = (TypeError, LookupError, AttributeError, AssertionError, RecursionError)


class Choice(Protocol):
    """The files of a repository that are used, and anything else about them."""

    @property
    def files(self) -> Sequence[str]:
        """Their names."""


AnyChoice = TypeVar("AnyChoice", bound=Choice)


def pull(name: HubName, choose: Callable[[Sequence[str]], AnyChoice]) -> tuple[Path, AnyChoice]:
    """Download files of a repository into the cache of ``huggingface_hub``.

    Without a connection the cache is used as it is.

    Args:
        name: the repository.
        choose: takes the names of all its files, and returns those to download.

    Returns:
        The folder in the cache that contains them, and the choice.

    Raises:
        HubError: if the repository cannot be read.
    """
    client = _client()
    repo: dict[str, Any] = {"repo_id": name.repo, "revision": name.revision}
    with _hub_errors(name):
        try:
            info = client.HfApi().model_info(**repo)
            files = sorted(file.rfilename for file in info.siblings or ())
            if not all(isinstance(file, str) for file in files):
                raise TypeError("a file has a name that is not text")
        except Exception as error:
            if not _is_unreachable(error):
                raise
            unreachable: Exception | None = error
        else:
            unreachable = None
    if unreachable is not None:
        return _from_cache(name, choose, unreachable)
    for file in files:
        if not _stays_inside(file):
            raise HubError(
                f"{name.repo} has a file named {file!r}, which would be written outside of its "
                "folder. Nothing was downloaded; do not use that repository."
            )
    choice = choose(files)
    patterns = [glob.escape(file) for file in choice.files]
    with _hub_errors(name):
        return Path(client.snapshot_download(**repo, allow_patterns=patterns)), choice


def download_data(repo: str, file: str) -> Path:
    """Download a file of a dataset into the cache of ``huggingface_hub``, or find it there.

    The Hub is asked once: the client's own download would repeat a request that gets no answer.

    Raises:
        HubError: if the Hub cannot be read, and the file is not in the cache.
    """
    client = _client()
    with _hub_errors(HubName(repo)):
        try:
            client.HfApi().dataset_info(repo)
        except Exception:
            cached = client.try_to_load_from_cache(repo, file, repo_type="dataset")
            if not isinstance(cached, str):
                raise
            return Path(cached)
        return Path(client.hf_hub_download(repo, file, repo_type="dataset"))


def _stays_inside(file: str) -> bool:
    """Whether a file of a repository has a name that stays inside of the repository's folder."""
    path = PurePosixPath(file)
    anchored = path.is_absolute() or not path.parts or ":" in path.parts[0]
    return not anchored and ".." not in path.parts and "\\" not in file


def _from_cache(
    name: HubName, choose: Callable[[Sequence[str]], AnyChoice], unreachable: Exception
) -> tuple[Path, AnyChoice]:
    """The cache, and the choice among the files in it.

    Args:
        name: the repository.
        choose: see :func:`pull`.
        unreachable: why the Hub cannot be asked.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    with _hub_errors(name):
        try:
            # No patterns: with patterns the client would require all of their files.
            folder = Path(
                snapshot_download(
                    name.repo, revision=name.revision, local_files_only=True, allow_patterns=[]
                )
            )
        except LocalEntryNotFoundError as error:
            raise HubError(
                f"{name} is neither here nor in the cache of the Hub, and the Hub cannot be "
                f"reached ({_why_unreachable(unreachable)}). Correct the name, or go online."
            ) from error
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    try:
        return folder, choose(files)
    except TrmError as error:
        raise HubError(
            f"{name} is incomplete in the cache, and the Hub cannot be reached "
            f"({_why_unreachable(unreachable)}). Go online."
        ) from error


def cached_repository(folder: Path) -> Path | None:
    """The folder of the repository in the cache of ``huggingface_hub`` that a folder belongs to.

    The files of a downloaded revision are links to others in there. None for a folder elsewhere.
    """
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE).resolve()
    folder = folder.resolve()
    if not folder.is_relative_to(cache) or folder == cache:
        return None
    return cache / folder.relative_to(cache).parts[0]


def push(
    folder: Path,
    name: HubName,
    *,
    message: str,
    private: bool = False,
    tag: str | None = None,
    replaces: Sequence[str] = (),
    kind: Kind = "model",
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
        kind: of repository. A Space is one of static files.

    Returns:
        The URL of the commit.

    Raises:
        HubError: if the upload fails.
    """
    create_repository(name, private=private, kind=kind)
    api = _client().HfApi()
    with _hub_errors(name, writes=True):
        if tag in {
            existing.name for existing in api.list_repo_refs(name.repo, repo_type=kind).tags
        }:
            raise HubError(f"{name.repo} already has the tag {tag}. Choose another --tag.")
        commit = api.upload_folder(
            repo_id=name.repo,
            repo_type=kind,
            folder_path=folder,
            revision=name.revision,
            commit_message=message,
            delete_patterns=list(replaces) or None,
        )
        if tag is not None:
            api.create_tag(name.repo, tag=tag, revision=commit.oid, repo_type=kind)
    return str(commit.commit_url)


def create_repository(name: HubName, *, private: bool = False, kind: Kind = "model") -> None:
    """Create a repository and its branch if they are missing.

    Args:
        name: the repository and its branch.
        private: create a repository that only its owner can see.
        kind: of repository; see :func:`push`.

    Raises:
        HubError: if it cannot be created, or should be private and exists as a public one.
    """
    api = _client().HfApi()
    with _hub_errors(name, writes=True):
        sdk = "static" if kind == "space" else None
        api.create_repo(name.repo, private=private, exist_ok=True, repo_type=kind, space_sdk=sdk)
        if private and not api.repo_info(name.repo, repo_type=kind).private:
            raise HubError(
                f"{name.repo} exists and is public. Leave --private out, or change it in the "
                "settings of the repository."
            )
        if name.revision is not None:
            api.create_branch(name.repo, branch=name.revision, exist_ok=True, repo_type=kind)


def _client() -> Any:
    """The module ``huggingface_hub``, whose requests do not wait for ever.

    Raises:
        HubError: if ``HF_ENDPOINT`` is not an address.
    """
    endpoint = os.environ.get("HF_ENDPOINT", "")
    try:
        urlsplit(endpoint).port  # noqa: B018
    except ValueError as error:
        raise HubError(
            f"HF_ENDPOINT is {endpoint!r}, which is not an address: {error}. Correct or unset it."
        ) from error
    import huggingface_hub

    hooks = huggingface_hub.get_session().event_hooks["request"]
    if _limit_waiting not in hooks:
        hooks.append(_limit_waiting)
    return huggingface_hub


@contextlib.contextmanager
def _hub_errors(name: HubName, *, writes: bool = False) -> Iterator[None]:
    """Turn an error of the client into a :class:`HubError`."""
    try:
        yield
    except (json.JSONDecodeError, UnicodeDecodeError, *_MALFORMED) as error:
        raise HubError(
            f"{name}: the Hub gave an answer that its client cannot read ({type(error).__name__}). "
            "Try again, and check HF_ENDPOINT if it is set."
        ) from error
    # The client raises RuntimeError for a failed upload, and ValueError for an invalid model card.
    except (_http_error(), OSError, RuntimeError, ValueError) as error:
        raise HubError(_message(_cause(error), name, writes)) from error


def _limit_waiting(request: Any) -> None:
    """Give a request the timeouts that the client leaves out: it would wait for ever by default."""
    limits = request.extensions.setdefault("timeout", {})
    seconds = _timeout(writes=request.method not in ("GET", "HEAD"))
    for part in ("connect", "read", "write", "pool"):
        if limits.get(part) is None:
            limits[part] = seconds


def _timeout(*, writes: bool) -> int:
    """The seconds to wait for an answer."""
    from huggingface_hub import constants

    return constants.HF_HUB_ETAG_TIMEOUT * (_PATIENCE_FOR_WRITES if writes else 1)


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
    if isinstance(error, errors.OfflineModeIsEnabled):
        return f"{name} is not complete in the cache, and HF_HUB_OFFLINE is set. Unset it."
    if isinstance(error, errors.LocalEntryNotFoundError):
        return f"{name} is not complete in the cache, and the Hub cannot be reached. Go online."
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
        reason = _why_unreachable(error, writes=writes)
        return f"{name}: the Hub cannot be reached ({reason}). Try again."
    reason = " ".join(str(getattr(error, "server_message", None) or error).split()).rstrip(".")
    source = "" if status is None else f"the Hub answered {status}: "
    return f"{name}: {source}{reason}. Try again."


def _status(error: BaseException) -> int | None:
    """The status that the Hub answered with; its storage (Xet) has it only in the text."""
    in_text = _XET_STATUS.search(str(error)) if isinstance(error, ConnectionError) else None
    if in_text is not None:
        return int(in_text[1])
    return getattr(getattr(error, "response", None), "status_code", None)


def _is_unreachable(error: BaseException) -> bool:
    """Whether the Hub did not answer, or ``HF_HUB_OFFLINE`` is set."""
    no_answer = isinstance(error, _http_error() | ConnectionError | TimeoutError)
    return no_answer and _status(error) is None


def _why_unreachable(error: BaseException, *, writes: bool = False) -> str:
    kind = type(error).__name__
    if kind == "OfflineModeIsEnabled":
        return "HF_HUB_OFFLINE is set"
    if "Timeout" in kind:
        return f"no answer in {_timeout(writes=writes)} s; HF_HUB_ETAG_TIMEOUT sets another time"
    return kind


def _http_error() -> type[Exception]:
    """The base of the errors of the client's HTTP library, whichever library that is."""
    from huggingface_hub import errors

    http_error: type[Exception] = errors.HTTPError  # type: ignore[attr-defined,unused-ignore]
    return http_error
