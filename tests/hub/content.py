"""The routes of the small Hub that move content: downloads, and large files (git LFS)."""

import hashlib
import re
from urllib.parse import quote

from tests.hub.accounts import Store
from tests.hub.api import find_commit
from tests.hub.calls import Answer, Call, Refusal

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def resolve(store: Store, call: Call, name: str, revision: str, path: str) -> Answer:
    """A small file itself; for a large one, where the storage has it."""
    repo = store.readable(call, name)
    commit = find_commit(repo, revision)
    at = {"X-Repo-Commit": commit.oid}
    file = commit.files.get(path)
    if file is None:
        raise Refusal(404, "Entry not found", "EntryNotFound", headers=at)
    if not file.large:
        return _ranged(call, file.content, {**at, "ETag": f'"{file.etag}"'})
    linked = {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(len(file.content))}
    there = {"Location": f"{store.storage_url}/objects/{quote(name)}/{file.sha256}"}
    return Answer(302, b"Found", {**at, **linked, **there})


def lfs_batch(store: Store, call: Call, name: str) -> Answer:
    """Where to send large files; one that is there already has no actions."""
    repo = store.writable(call, name)
    objects = []
    for wanted in call.json()["objects"]:
        entry = {"oid": wanted["oid"], "size": wanted["size"], "authenticated": True}
        if wanted["oid"] not in repo.objects:
            there = f"{store.storage_url}/objects/{quote(name)}/{wanted['oid']}"
            verify = f"{store.url}/{quote(name)}.git/info/lfs/verify"
            entry["actions"] = {"upload": {"href": there}, "verify": {"href": verify}}
        objects.append(entry)
    return Answer.json({"transfer": "basic", "objects": objects})


def lfs_verify(store: Store, call: Call, name: str) -> Answer:
    repo, sent = store.writable(call, name), call.json()
    if len(repo.objects.get(sent["oid"], b"")) != sent["size"]:
        raise Refusal(404, "Object does not exist")
    return Answer.json({})


def put_object(store: Store, call: Call, name: str, oid: str) -> Answer:
    """The storage takes no token: on the real Hub, the signed address is the permission."""
    if hashlib.sha256(call.body).hexdigest() != oid:
        raise Refusal(400, "The content is not what its SHA-256 says")
    store.repos[name].objects[oid] = call.body
    return Answer()


def get_object(store: Store, call: Call, name: str, oid: str) -> Answer:
    content = store.repos[name].objects.get(oid)
    if content is None:
        raise Refusal(404, "Object does not exist")
    return _ranged(call, content, {"ETag": f'"{oid}"'})


def _ranged(call: Call, content: bytes, headers: dict[str, str]) -> Answer:
    """The content, or the part of it that was asked for."""
    headers = {**headers, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    found = _RANGE.fullmatch(call.headers.get("range", ""))
    if found is None:
        return Answer(200, content, headers)
    first, last, size = int(found[1]), int(found[2] or len(content) - 1), len(content)
    if first >= size:
        raise Refusal(416, "Range not satisfiable", headers={"Content-Range": f"bytes */{size}"})
    part = content[first : last + 1]
    headers["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{size}"
    return Answer(206, part, headers)
