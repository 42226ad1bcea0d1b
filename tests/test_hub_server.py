"""The small Hub of the tests, driven by the real client."""

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from tests.hub import HubServer
from tests.hub.client import evaluate_calls

Client = Callable[..., list[object]]


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def client(hub: HubServer, tmp_path: Path) -> Client:
    """Evaluate calls of the client in a process of its own; returns what each gave."""

    def evaluate(*calls: str, token: str | None = "hf_alice", **variables: str) -> list[object]:
        env = hub.environment(tmp_path / "home", token) | variables
        return evaluate_calls(calls, env, tmp_path)

    return evaluate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two large files (by their names) and two small ones."""
    made = tmp_path / "folder"
    (made / "data").mkdir(parents=True)
    (made / "README.md").write_bytes(b"# A model\n")
    (made / "config.json").write_bytes(b"{}")
    (made / "model.safetensors").write_bytes(b"w" * 300_000)
    (made / "data" / "inputs.npy").write_bytes(b"i" * 200_000)
    return made


def sent(hub: HubServer) -> list[tuple[int, int]]:
    """The status and the bytes of every large file that was sent."""
    return [(status, size) for method, _, status, size in hub.requests if method == "PUT"]


def test_a_folder_becomes_one_commit(hub: HubServer, client: Client, folder: Path) -> None:
    made, oid, tree, private = client(
        "api.create_repo('alice/new', private=True)",
        "api.upload_folder(repo_id='alice/new', folder_path='folder', commit_message='mine').oid",
        "[(f.path, f.size, f.lfs and f.lfs.sha256[:4]) for f in "
        "api.list_repo_tree('alice/new', recursive=True) if hasattr(f, 'size')]",
        "api.model_info('alice/new').private",
    )
    repo = hub.repos["alice/new"]
    assert made == f"{hub.url}/alice/new"
    assert repo.history()[0].oid == oid
    assert [commit.title for commit in repo.history()] == ["mine", "initial commit"]
    files = repo.files()
    assert files.pop(".gitattributes").startswith(b"*.safetensors filter=lfs")
    assert files == {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert {"model.safetensors", "data/inputs.npy"} == {
        path for path, file in repo.history()[0].files.items() if file.large
    }
    assert isinstance(tree, list)
    assert ["config.json", 2, None] in tree
    assert private is True
    assert repo.private
    assert sorted(sent(hub)) == [(200, 200_000), (200, 300_000)]
    assert hub.leaks == []


def test_files_are_replaced_and_removed(hub: HubServer, client: Client, folder: Path) -> None:
    hub.add_repo("alice/old", {"config.json": b"old", "gone.txt": b"x", "deep/gone.npy": b"x"})
    same = "api.upload_folder(repo_id='alice/old', folder_path='folder', delete_patterns='gone*')"
    client(same, same, "api.delete_folder('deep', repo_id='alice/old')")
    repo = hub.repos["alice/old"]
    assert repo.files()["config.json"] == b"{}"
    assert {"gone.txt", "deep/gone.npy"}.isdisjoint(repo.files())
    # What has not changed makes no commit.
    assert len(repo.history()) == 4


def test_a_revision_is_a_branch_a_tag_or_a_commit(hub: HubServer, client: Client) -> None:
    repo = hub.add_repo("bob/model", {"config.json": b"one"}, tags=["v1"])
    first = repo.history()[0].oid
    repo.commit({"config.json": b"two"})
    ask = "read(hf_hub_download('bob/model', 'config.json', revision={!r}))"
    assert client(*map(ask.format, ["v1", first, "main"]), token=None) == ["one", "one", "two"]
    assert client(
        "api.create_branch('bob/model', branch='pr/1', revision='v1')",
        "api.create_tag('bob/model', tag='v2', revision='pr/1')",
        "read(snapshot_download('bob/model', revision='pr/1') + '/config.json')",
        "[(ref.name, ref.target_commit) for ref in api.list_repo_refs('bob/model').tags]",
        "[file.path for file in api.get_paths_info('bob/model', ['config.json', 'none'])]",
        token="hf_bob",
    ) == [None, None, "one", [["v1", first], ["v2", first]], ["config.json"]]


def test_the_client_repeats_a_dropped_upload(hub: HubServer, client: Client, folder: Path) -> None:
    hub.add_repo("alice/model", {})
    hub.drop_upload(after_bytes=1000)
    (oid,) = client("api.upload_folder(repo_id='alice/model', folder_path='folder/data').oid")
    assert hub.repos["alice/model"].branches["main"] == oid
    assert sent(hub) == [(0, 1000), (200, 200_000)]


def test_what_a_failed_push_sent_is_not_sent_again(
    hub: HubServer, client: Client, folder: Path
) -> None:
    hub.add_repo("alice/model", {})
    push = "api.upload_folder(repo_id='alice/model', folder_path='folder').oid"
    hub.fail_next("/commit/", 503)
    assert client(push) == ["HfHubHTTPError 503"]
    assert sorted(sent(hub)) == [(200, 200_000), (200, 300_000)]
    assert len(hub.repos["alice/model"].history()) == 2
    hub.requests.clear()
    assert client(push) == [hub.repos["alice/model"].branches["main"]]
    assert sent(hub) == []
    assert hub.repos["alice/model"].files()["model.safetensors"] == b"w" * 300_000


def test_only_the_file_that_failed_is_sent_again(
    hub: HubServer, client: Client, folder: Path
) -> None:
    hub.add_repo("alice/model", {})
    push = "api.upload_folder(repo_id='alice/model', folder_path='folder').oid"
    oid = sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    hub.fail_next(f"PUT .*{oid}", 403)
    assert client(push, push)[0] == "RuntimeError"
    assert sorted(sent(hub)) == [(200, 200_000), (200, 300_000), (403, 300_000)]


def test_a_cut_download_goes_on_where_it_was(hub: HubServer, client: Client) -> None:
    size = 12 * 2**20  # the client keeps whole pieces of 10 MiB
    hub.add_repo("bob/model", {"model.bin": bytes(size)})
    hub.drop_download(after_bytes=11 * 2**20)
    assert client("os.path.getsize(hf_hub_download('bob/model', 'model.bin'))") == [size]
    fetched = [line.status for line in hub.requests if line.path.startswith("/objects/")]
    assert fetched == [200, 206]
    assert hub.leaks == []


def test_retry_after_is_waited_for(hub: HubServer, client: Client) -> None:
    hub.add_repo("bob/model", {})
    hub.fail_next("GET .*/tree/", 429, headers={"Retry-After": "0"})
    hub.fail_next("GET .*/model$", 429)
    found = client(
        "[f.path for f in api.list_repo_tree('bob/model')]", "api.model_info('bob/model')"
    )
    assert found == [[".gitattributes"], "HfHubHTTPError 429"]
    assert [line.status for line in hub.requests if "/tree/" in line.path] == [429, 200]


ADD = "operations=[CommitOperationAdd('new.txt', b'new')], commit_message='x'"
#: What each token gets for which call.
ANSWERS: dict[str | None, dict[str, str]] = {
    "hf_alice": {
        "api.model_info('bob/none')": "RepositoryNotFoundError 404",
        "api.model_info('bob/secret')": "RepositoryNotFoundError 404",
        "api.model_info('bob/model', revision='none')": "RevisionNotFoundError 404",
        "hf_hub_download('bob/model', 'none')": "RemoteEntryNotFoundError 404",
        "api.create_repo('alice/model')": "HfHubHTTPError 409",
        "api.create_repo('alice/model', exist_ok=True).repo_id": "alice/model",
        "api.create_repo('bob/new')": "HfHubHTTPError 403",
        "api.create_tag('alice/model', tag='v1')": "HfHubHTTPError 409",
        "api.create_branch('alice/model', branch='main')": "HfHubHTTPError 409",
        f"api.create_commit('bob/model', {ADD})": "HfHubHTTPError 403",
        f"api.create_commit('alice/model', {ADD}, revision='v1')": "RevisionNotFoundError 404",
        f"api.create_commit('alice/model', {ADD}, parent_commit='0' * 40)": "HfHubHTTPError 412",
        "api.delete_file('none', repo_id='alice/model')": "RemoteEntryNotFoundError 404",
    },
    None: {
        "api.whoami()": "LocalTokenNotFoundError",
        "api.model_info('bob/none')": "RepositoryNotFoundError 401",
        "snapshot_download('bob/secret')": "RepositoryNotFoundError 401",
        "api.create_repo('alice/new')": "HfHubHTTPError 401",
        f"api.create_commit('bob/model', {ADD})": "RepositoryNotFoundError 401",
    },
    "hf_wrong": {
        "api.whoami()": "HfHubHTTPError 401",
        "snapshot_download('bob/model')": "HfHubHTTPError 401",
    },
    "hf_read": {
        "api.whoami()['name']": "alice",
        "api.create_repo('alice/new')": "HfHubHTTPError 403",
        f"api.create_commit('alice/model', {ADD})": "HfHubHTTPError 403",
    },
    "hf_bob": {"read(hf_hub_download('bob/secret', 'config.json'))": "{}"},
}


@pytest.mark.parametrize("token", ANSWERS)
def test_who_may_do_what(hub: HubServer, client: Client, token: str | None) -> None:
    hub.add_repo("alice/model", {"config.json": b"{}"}, tags=["v1"])
    hub.add_repo("bob/model", {"config.json": b"{}"})
    hub.add_repo("bob/secret", {"config.json": b"{}"}, private=True)
    calls = ANSWERS[token]
    assert dict(zip(calls, client(*calls, token=token), strict=True)) == calls
    assert list(hub.repos) == ["alice/model", "bob/model", "bob/secret"]
    assert {len(repo.commits) for repo in hub.repos.values()} == {2}


def test_a_stopped_hub_leaves_the_cache(hub: HubServer, client: Client) -> None:
    hub.add_repo("bob/model", {"config.json": b"{}"})
    fetch = "read(snapshot_download('bob/model') + '/config.json')"
    assert client(fetch) == ["{}"]
    hub.stop()
    nothing = "snapshot_download('bob/none')"
    found = ["{}", "LocalEntryNotFoundError", "ConnectError"]
    assert client(fetch, nothing, "api.model_info('bob/model')") == found
    hub.start()
    assert client(fetch, "api.model_info('bob/model').id") == ["{}", "bob/model"]


def test_offline_mode_asks_nobody(hub: HubServer, client: Client) -> None:
    hub.add_repo("bob/model", {"config.json": b"{}"})
    fetch = "read(snapshot_download('bob/model') + '/config.json')"
    assert client(fetch) == ["{}"]
    hub.requests.clear()
    calls = (fetch, "snapshot_download('bob/none')", "api.model_info('bob/model')")
    found = ["{}", "LocalEntryNotFoundError", "OfflineModeIsEnabled"]
    assert client(*calls, HF_HUB_OFFLINE="1") == found
    assert hub.requests == []


def test_hostile_names_are_told_as_they_are(hub: HubServer, client: Client, tmp_path: Path) -> None:
    names = ["../../evil", "/etc/passwd", "a/../../b"]
    for number, name in enumerate(names):
        hub.add_repo(f"bob/evil{number}", {"config.json": b"{}", name: b"evil"})
    listed = "[file.rfilename for file in api.model_info('bob/evil{}').siblings][-1]"
    assert client(*(listed.format(number) for number in range(3))) == names
    fetched = (f"snapshot_download('bob/evil{number}')" for number in range(3))
    assert client(*fetched) == ["ValueError"] * 3
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert b"evil" not in written


def ask(url: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """One request that the client would never send."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with build_opener(ProxyHandler({})).open(Request(url, body, headers)) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


def test_a_token_in_a_wrong_place_is_seen(hub: HubServer) -> None:
    repo = hub.add_repo("bob/model", {"config.json": b"{}", "model.bin": b"weights"})
    info = f"{hub.url}/api/models/bob/model"
    assert ask(info, Authorization="Bearer hf_alice")[0] == 200
    assert hub.leaks == []
    ask(f"{info}?token=hf_alice")
    ask(info, X_Note="hf_bob")
    ask(f"{hub.url}/api/validate-yaml", b'{"content": "hf_read"}')
    (oid,) = repo.objects
    ask(f"{hub.storage_url}/objects/bob/model/{oid}", Authorization="Bearer hf_bob")
    repo.commit({"notes.txt": b"my token is hf_bob"})
    assert hub.leaks == [
        "GET /api/models/bob/model: path",
        "GET /api/models/bob/model: x-note",
        "POST /api/validate-yaml: body",
        f"GET /objects/bob/model/{oid}: authorization",
        "a file of bob/model",
    ]


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [("bytes=2-", 206, b"234"), ("bytes=1-2", 206, b"12"), ("bytes=5-", 416, None)],
)
def test_a_part_of_a_file(hub: HubServer, asked: str, status: int, content: bytes | None) -> None:
    hub.add_repo("bob/model", {"digits.txt": b"01234"})
    answer = ask(f"{hub.url}/bob/model/resolve/main/digits.txt", Range=asked)
    assert answer[0] == status
    assert content in (answer[1], None)


def test_what_the_hub_cannot_do_is_told(hub: HubServer) -> None:
    status, said = ask(f"{hub.url}/api/models/bob/model/discussions")
    assert (status, json.loads(said)["error"]) == (
        404, "No such page: GET /api/models/bob/model/discussions",
    )  # fmt: skip
    status, said = ask(f"{hub.url}/api/repos/create", b"no JSON", Authorization="Bearer hf_bob")
    assert status == 500
    assert b"JSONDecodeError" in said


def test_nothing_of_the_outside_reaches_the_client(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_developer")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    env = hub.environment(tmp_path)
    assert {"HF_TOKEN", "HF_HUB_OFFLINE", "https_proxy"}.isdisjoint(env)
    assert env["HF_ENDPOINT"] == hub.url
    assert "PATH" in env
    assert hub.environment(tmp_path, "hf_bob")["HF_TOKEN"] == "hf_bob"


def test_an_endpoint_can_be_passed(hub: HubServer, client: Client) -> None:
    hub.add_repo("bob/model", {"config.json": b"{}"})
    calls = (
        f"HfApi(endpoint={hub.url!r}).model_info('bob/model').id",
        f"read(hf_hub_download('bob/model', 'config.json', endpoint={hub.url!r}))",
        "api.model_info('bob/model')",
    )
    nowhere = "http://127.0.0.1:1"
    assert client(*calls, HF_ENDPOINT=nowhere) == ["bob/model", "{}", "ConnectError"]
