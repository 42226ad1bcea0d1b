"""Who may do what on the small Hub, with the answers that the real one gives."""

from dataclasses import dataclass, field

from tests.hub.calls import Account, Call, Refusal
from tests.hub.repositories import Repository


@dataclass
class Store:
    """Tokens and repositories, and who may read and write them."""

    #: From a token to the name of its user; those of ``read_only`` may not write.
    tokens: dict[str, str]
    read_only: dict[str, str]
    repos: dict[str, Repository] = field(default_factory=dict)
    #: Where the two halves of the Hub listen.
    url: str = ""
    storage_url: str = ""

    def account(self, authorization: str | None) -> Account | None:
        """Whose token an ``Authorization`` header has; None without one.

        Raises:
            Refusal: 401, for a token that is nobody's.
        """
        if authorization is None:
            return None
        token = authorization.removeprefix("Bearer ")
        name = self.tokens.get(token) or self.read_only.get(token)
        if name is None:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return Account(name, may_write=token in self.tokens)

    def known(self, call: Call) -> Account:
        """The sender.

        Raises:
            Refusal: 401, if there is none.
        """
        if call.account is None:
            raise anonymous(call)
        return call.account

    def readable(self, call: Call, name: str) -> Repository:
        """A repository that the sender may see.

        Raises:
            Refusal: 401 for a sender without a token and 404 for the others, whether the
                repository is missing or somebody else's private one.
        """
        repo = self.repos.get(name)
        hidden = repo is not None and repo.private
        if repo is None or (hidden and (call.account is None or call.account.name != repo.owner)):
            if call.account is None:
                raise anonymous(call)
            raise Refusal(404, "Repository not found", "RepoNotFound")
        return repo

    def writable(self, call: Call, name: str) -> Repository:
        """A repository that the sender may change.

        Raises:
            Refusal: as :meth:`readable`, and 403 for somebody else's or a token that only reads.
        """
        account = self.known(call)
        repo = self.readable(call, name)
        if not account.may_write:
            raise Refusal(403, "You must use a write token to upload to a repository")
        if account.name != repo.owner:
            raise Refusal(403, "Authorization error.")
        return repo


def anonymous(call: Call) -> Refusal:
    """The refusal of a request without a token.

    The client takes every 401 from ``https://.../api/models/`` and ``/resolve/`` for a missing
    repository. Its pattern asks for https, so over http the code has to say it.
    """
    about_repo = call.path.startswith("/api/models/") or "/resolve/" in call.path
    code = "RepoNotFound" if about_repo else None
    return Refusal(401, "Invalid username or password.", code)
