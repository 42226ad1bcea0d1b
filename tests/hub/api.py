"""The routes below ``/api`` of the small Hub: users, repositories, trees, references, commits."""

import base64
import json
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs

from tests.hub.accounts import Store
from tests.hub.calls import Answer, Call, Refusal
from tests.hub.repositories import Commit, Repository, StoredFile, is_large

_DATE = "2026-01-01T00:00:00.000Z"


def find_commit(repo: Repository, revision: str) -> Commit:
    """
    Raises:
        Refusal: 404, if there is no such branch, tag or commit.
    """
    commit = repo.find(revision)
    if commit is None:
        raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return commit


def whoami(store: Store, call: Call) -> Answer:
    account = store.known(call)
    token = {"displayName": "test", "role": "write" if account.may_write else "read"}
    return Answer.json(
        {
            "type": "user", "id": account.name, "name": account.name, "fullname": account.name,
            "isPro": False, "orgs": [], "auth": {"type": "access_token", "accessToken": token},
        }
    )  # fmt: skip


def validate_card(store: Store, call: Call) -> Answer:
    """The check of a README's header; every header is fine here."""
    return Answer.json({"errors": [], "warnings": []})


def create_repo(store: Store, call: Call) -> Answer:
    account, wanted = store.known(call), call.json()
    owner = wanted.get("organization") or account.name
    is_space = wanted.get("type") == "space"
    name = f"{'spaces/' * is_space}{owner}/{wanted['name']}"
    if is_space and wanted.get("sdk") != "static":
        raise Refusal(400, "This Hub has static Spaces only")
    if account.name != owner or not account.may_write:
        said = f'You don\'t have the rights to create a model under the namespace "{owner}"'
        raise Refusal(403, said)
    url = f"{store.url}/{name}"
    if name in store.repos:
        return Answer.json({"error": "You already created this model repo", "url": url}, 409)
    # Older clients send "private", newer ones "visibility".
    private = bool(wanted.get("private")) or wanted.get("visibility") == "private"
    store.repos[name] = Repository(name, private)
    return Answer.json({"url": url, "name": name, "id": name})


def model_info(store: Store, call: Call, name: str, revision: str = "main") -> Answer:
    repo = store.readable(call, name)
    commit = find_commit(repo, revision)
    siblings: list[dict[str, Any]] = [{"rfilename": path} for path in commit.files]
    if "blobs" in call.query:
        for sibling in siblings:
            entry = _file(sibling["rfilename"], commit.files[sibling["rfilename"]])
            sibling |= {"size": entry["size"], "blobId": entry["oid"]}
            if "lfs" in entry:
                lfs = entry["lfs"]
                sibling["lfs"] = {**lfs, "sha256": lfs["oid"]}
    return Answer.json(
        {
            "_id": name, "id": name, "modelId": name, "author": repo.owner, "sha": commit.oid,
            "private": repo.private, "gated": False, "disabled": False, "downloads": 0, "likes": 0,
            "tags": [], "siblings": siblings, "createdAt": _DATE, "lastModified": _DATE,
        }
    )  # fmt: skip


def tree(store: Store, call: Call, name: str, revision: str, folder: str = "") -> Answer:
    commit = find_commit(store.readable(call, name), revision)
    inside = f"{folder}/" if folder else ""
    files = {path: file for path, file in commit.files.items() if path.startswith(inside)}
    if folder and not files:
        raise Refusal(404, f"{folder} does not exist on {revision!r}", "EntryNotFound")
    entries = _folders(files) | {path: _file(path, file) for path, file in files.items()}
    deep = call.query.get("recursive", ["false"])[0].lower() in ("1", "true")
    return Answer.json(
        [
            entry
            for path, entry in sorted(entries.items())
            if path.startswith(inside) and (deep or "/" not in path.removeprefix(inside))
        ]
    )


def paths_info(store: Store, call: Call, name: str, revision: str) -> Answer:
    commit = find_commit(store.readable(call, name), revision)
    entries = _folders(commit.files) | {
        path: _file(path, file) for path, file in commit.files.items()
    }
    asked = parse_qs(call.body.decode()).get("paths", [])
    return Answer.json([entries[path] for path in asked if path in entries])


def _file(path: str, file: StoredFile) -> dict[str, Any]:
    entry = {"type": "file", "path": path, "oid": file.blob, "size": len(file.content)}
    if file.large:
        size, pointer = len(file.content), len(file.pointer)
        entry["lfs"] = {"oid": file.sha256, "size": size, "pointerSize": pointer}
    return entry


def _folders(files: Any) -> dict[str, dict[str, Any]]:
    """The folders of the files; a repository with hostile names may have one named ``..``."""
    parts = [path.split("/")[:-1] for path in files]
    names = {"/".join(part[:depth]) for part in parts for depth in range(1, len(part) + 1)}
    empty = {"type": "directory", "oid": "0" * 40, "size": 0}
    return {name: {**empty, "path": name} for name in names}


def refs(store: Store, call: Call, name: str) -> Answer:
    repo = store.readable(call, name)

    def listed(kind: str, found: dict[str, str]) -> list[dict[str, str]]:
        return [
            {"name": ref, "ref": f"refs/{kind}/{ref}", "targetCommit": oid}
            for ref, oid in found.items()
        ]

    heads, tags = listed("heads", repo.branches), listed("tags", repo.tags)
    return Answer.json({"branches": heads, "tags": tags, "converts": [], "pullRequests": []})


def create_branch(store: Store, call: Call, name: str, branch: str) -> Answer:
    repo = store.writable(call, name)
    start = find_commit(repo, call.json().get("startingPoint") or "main")
    if branch in repo.branches:
        raise Refusal(409, f"Reference already exists: refs/heads/{branch}")
    repo.branches[branch] = start.oid
    return Answer.json({}, 201)


def create_tag(store: Store, call: Call, name: str, revision: str) -> Answer:
    repo = store.writable(call, name)
    commit, tag = find_commit(repo, revision), call.json()["tag"]
    if tag in repo.tags:
        raise Refusal(409, f"Tag reference exists already: refs/tags/{tag}")
    repo.tags[tag] = commit.oid
    return Answer.json({}, 201)


def preupload(store: Store, call: Call, name: str, revision: str) -> Answer:
    """How each file is to be sent, and what the repository has in its place."""
    commit = find_commit(store.writable(call, name), revision)
    files = []
    for file in call.json()["files"]:
        large = is_large(file["path"], file["size"], base64.b64decode(file["sample"]))
        mode = "lfs" if large else "regular"
        answer = {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
        if file["path"] in commit.files:
            answer["oid"] = commit.files[file["path"]].etag
        files.append(answer)
    return Answer.json({"files": files})


def commit(store: Store, call: Call, name: str, branch: str) -> Answer:
    repo = store.writable(call, name)
    if branch not in repo.branches:
        raise Refusal(404, f"Invalid rev id: {branch}", "RevisionNotFound")
    lines = [json.loads(line) for line in call.body.splitlines()]
    header = next(line["value"] for line in lines if line["key"] == "header")
    if header.get("parentCommit") not in (None, repo.branches[branch]):
        raise Refusal(412, "A commit has happened since. Please refresh and try again.")
    changes: dict[str, bytes | StoredFile | None] = {}
    for line in lines:
        if line["key"] != "header":
            changes |= _change(repo, branch, line["key"], line["value"])
    made = repo.commit(changes, header["summary"], branch, header.get("description", ""))
    url = f"{store.url}/{name}/commit/{made.oid}"
    return Answer.json({"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": ""})


def _change(
    repo: Repository, branch: str, key: str, value: dict[str, Any]
) -> dict[str, bytes | StoredFile | None]:
    """What one line of a commit adds (its content) or removes (None)."""
    path, files = value["path"], repo.commits[repo.branches[branch]].files
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise Refusal(400, f"Invalid path: {path}")
    if key == "file":
        return {path: StoredFile(base64.b64decode(value["content"]), large=False)}
    if key == "lfsFile":
        if value["oid"] not in repo.objects:
            raise Refusal(400, f"LFS pointer pointed to a file that does not exist: {path}")
        return {path: StoredFile(repo.objects[value["oid"]], large=True)}
    if key == "deletedFile":
        gone = [path] if path in files else []
    else:
        gone = [file for file in files if file.startswith(path.rstrip("/") + "/")]
    if not gone:
        raise Refusal(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
    return dict.fromkeys(gone)
