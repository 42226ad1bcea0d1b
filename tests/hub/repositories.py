"""What the small Hub keeps: repositories with their commits, branches, tags and large files."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

#: What the real Hub keeps outside of git: these suffixes, files from 10 MiB, and binary content.
LARGE_SUFFIXES = (".safetensors", ".npy", ".npz", ".bin", ".pt", ".pth", ".ckpt", ".zip", ".gz")
LARGE_BYTES = 10 * 2**20
_ATTRIBUTES = "".join(f"*{end} filter=lfs diff=lfs merge=lfs -text\n" for end in LARGE_SUFFIXES)


def is_large(path: str, size: int, sample: bytes) -> bool:
    """Whether a file is stored by its SHA-256 (git LFS) and not in git itself."""
    return path.endswith(LARGE_SUFFIXES) or size >= LARGE_BYTES or b"\0" in sample


@dataclass(frozen=True)
class StoredFile:
    content: bytes
    large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def pointer(self) -> bytes:
        """What git has in place of a large file."""
        lines = ["version https://git-lfs.github.com/spec/v1", f"oid sha256:{self.sha256}"]
        return "\n".join([*lines, f"size {len(self.content)}", ""]).encode()

    @property
    def blob(self) -> str:
        """The name of the file in git."""
        kept = self.pointer if self.large else self.content
        return hashlib.sha1(b"blob %d\0" % len(kept) + kept).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.large else self.blob


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str | None
    title: str
    files: Mapping[str, StoredFile]
    description: str = ""


@dataclass
class Repository:
    """A model; a new one has one commit with a ``.gitattributes``, as on the real Hub."""

    name: str
    private: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    #: Large files by their SHA-256: all that were uploaded, whether a commit names them or not.
    objects: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first = {".gitattributes": StoredFile(_ATTRIBUTES.encode(), large=False)}
        self._add(first, "initial commit", "main", None)

    @property
    def owner(self) -> str:
        return self.name.split("/")[-2]

    def find(self, revision: str) -> Commit | None:
        """The commit of a branch, a tag, or the first seven digits or more of a commit."""
        oid = self.branches.get(revision) or self.tags.get(revision)
        if oid is None and len(revision) >= 7:
            oid = next((name for name in self.commits if name.startswith(revision)), None)
        return None if oid is None else self.commits[oid]

    def files(self, revision: str = "main") -> dict[str, bytes]:
        """The content of every file at a branch, tag or commit."""
        commit = self.find(revision)
        if commit is None:
            raise KeyError(revision)
        return {path: file.content for path, file in commit.files.items()}

    def history(self, branch: str = "main") -> list[Commit]:
        """The commits of a branch, the newest first."""
        found: list[Commit] = []
        oid: str | None = self.branches[branch]
        while oid is not None:
            found.append(self.commits[oid])
            oid = found[-1].parent
        return found

    def commit(
        self,
        changes: Mapping[str, bytes | StoredFile | None],
        title: str = "a commit",
        branch: str = "main",
        description: str = "",
    ) -> Commit:
        """Add, replace or (None) remove files on a branch."""
        files = dict(self.commits[self.branches[branch]].files)
        for path, change in changes.items():
            if change is None:
                del files[path]
            elif isinstance(change, StoredFile):
                files[path] = change
            else:
                files[path] = StoredFile(change, is_large(path, len(change), change[:512]))
            if change is not None and files[path].large:
                self.objects[files[path].sha256] = files[path].content
        return self._add(files, title, branch, self.branches[branch], description)

    def _add(
        self,
        files: Mapping[str, StoredFile],
        title: str,
        branch: str,
        parent: str | None,
        description: str = "",
    ) -> Commit:
        tree = sorted((path, file.blob) for path, file in files.items())
        written = repr((self.name, len(self.commits), parent, title, tree))
        oid = hashlib.sha1(written.encode()).hexdigest()
        self.commits[oid] = Commit(oid, parent, title, files, description)
        self.branches[branch] = oid
        return self.commits[oid]
