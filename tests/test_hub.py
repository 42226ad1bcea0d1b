"""Repositories by name: parsing, downloads, and every way they can fail."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub import HubServer
from tests.hub.commands import Commands, Done, Online, refused, succeeded
from tests.made_checkpoints import files_of
from trm.errors import HubError
from trm.hub_names import HubName, parse_name

Checkpoint = Callable[..., Path]
EVAL = ("eval", "--json", "--device", "cpu", "--max-examples", "20", "--ckpt")
DOWNLOAD = re.compile("/resolve/[^/]+/(.+)")


@pytest.mark.parametrize(
    ("text", "repo", "revision", "file"),
    [
        ("alice/demo", "alice/demo", None, None),
        ("A-1/de.mo_2", "A-1/de.mo_2", None, None),
        ("alice/demo@v1.0", "alice/demo", "v1.0", None),
        ("alice/demo@refs/pr/1", "alice/demo", "refs/pr/1", None),
        ("alice/demo/step_30", "alice/demo", None, "step_30"),
        ("alice/demo/deep/step 30.pt@try/2", "alice/demo", "try/2", "deep/step 30.pt"),
    ],
)
def test_names(text: str, repo: str, revision: str | None, file: str | None) -> None:
    found = parse_name(text)
    assert found == HubName(repo, revision, file)
    assert str(found) == text
    assert parse_name(text.replace("@", "/@") if revision else f"{text}/") == found


DEMO = "alice/demo"
ADDRESSES = {
    "https://huggingface.co/alice/demo": HubName(DEMO),
    "http://huggingface.co/alice/demo/": HubName(DEMO),
    "huggingface.co/alice/demo": HubName(DEMO),
    "HTTPS://HF.co/alice/demo.git": HubName(DEMO),
    "https://www.huggingface.co/alice/demo?library=trm#files": HubName(DEMO),
    "https://huggingface.co/alice/demo/tree/main": HubName(DEMO, "main"),
    "https://huggingface.co/alice/demo/tree/main/": HubName(DEMO, "main"),
    "https://huggingface.co/alice/demo/tree/v1/deep/": HubName(DEMO, "v1", "deep"),
    "https://huggingface.co/alice/demo/blob/main/step_30": HubName(DEMO, "main", "step_30"),
    "https://hf.co/alice/demo/resolve/v1/a%20b/step_30.pt?download=true": HubName(
        DEMO, "v1", "a b/step_30.pt"
    ),
    "https://huggingface.co/alice/demo/tree/refs%2Fpr%2F1": HubName(DEMO, "refs/pr/1"),
    "https://huggingface.co/alice/demo/blob/refs/pr/1/step_30": HubName(
        DEMO, "refs/pr/1", "step_30"
    ),
    "https://huggingface.co/alice/demo/commit/7465c6c": HubName(DEMO, "7465c6c"),
    "https://huggingface.co": None,
    "https://example.com/alice/demo": None,
    "https://huggingface.co@example.com/alice/demo": None,
    "https://huggingface.co.example.com/alice/demo": None,
}


@pytest.mark.parametrize("text", ADDRESSES)
def test_addresses(text: str) -> None:
    assert parse_name(text) == ADDRESSES[text]


@pytest.mark.parametrize(
    "text",
    [
        "https://huggingface.co/alice", "https://huggingface.co/", "hf.co//",
        "https://huggingface.co/datasets/alice/demo", "https://huggingface.co/spaces/alice",
        "https://huggingface.co/alice/demo/discussions/1", "https://huggingface.co/alice/demo/tree",
        "https://huggingface.co/alice/demo/blob/main/../../x", "https://huggingface.co/al--ice/demo",
        "https://huggingface.co/alice/demo/blob/main/%2e%2e/x", "https://hf.co/alice/demo/blob/a%0ab",
        "https://huggingface.co/alice/demo/blob/main/a%0ab", "https://huggingface.co/~/demo",
    ],
)  # fmt: skip
def test_other_addresses_on_the_hub(text: str) -> None:
    with pytest.raises(HubError, match=r" is not the address of a model on the Hub\. Give USER/"):
        parse_name(text)


def test_the_address_of_another_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "http://127.0.0.1:8000/alice/demo/tree/v1"
    assert parse_name(text) is None
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:8000")
    assert parse_name(text) == HubName(DEMO, "v1")


@pytest.mark.parametrize(
    "text",
    [
        "", "demo", "/alice/demo", "./demo", "../demo", "alice/..", "alice/",
        "alice/demo@", "alice/demo@a b", "alice/demo@../x", "alice/demo@@v1", "al--ice/demo",
        "ali ce/demo", "alice/démo", "alice/demo\n", "http://hub/alice", "@v1", "a" * 97 + "/b",
        "~/demo", "-alice/demo", "alice/demo/a\nb", "alice/demo//x", "alice/demo/a\\b",
    ],
)  # fmt: skip
def test_what_is_no_name(text: str) -> None:
    assert parse_name(text) is None


def evaluated(done: Done) -> Any:
    """The result of ``eval --json`` without its speed."""
    found = json.loads(succeeded(done))
    del found["speed"]
    return found


def downloads(hub: HubServer) -> list[str]:
    """The files that were downloaded, sorted by name."""
    found = (DOWNLOAD.search(line.path) for line in hub.requests if line.method == "GET")
    large = [line.path for line in hub.requests if line.path.startswith("/objects/")]
    return sorted([file[1] for file in found if file] + ["large"] * len(large))


def test_a_name_means_main_a_branch_a_tag_or_a_commit(
    hub: HubServer, online: Online, checkpoint: Checkpoint
) -> None:
    repo = hub.add_repo("alice/demo", files_of(checkpoint("1", step=1)), tags=["v1"])
    first = repo.history()[0].oid
    repo.branches["try/2"] = first
    repo.commit(files_of(checkpoint("2", step=2)), branch="try/2")
    repo.commit(files_of(checkpoint("3", step=3)))
    named = {"": 3, "@main": 3, "@v1": 1, "@try/2": 2, f"@{first}": 1}
    for revision, step in named.items():
        found = evaluated(online(*EVAL, f"alice/demo{revision}", token=None))
        assert (found["checkpoint"], found["step"]) == (f"alice/demo{revision}", step)


def test_the_numbers_are_those_of_the_checkpoint_here(
    hub: HubServer, online: Online, checkpoint: Checkpoint
) -> None:
    here = checkpoint("here", "model.halt_max_steps=8")
    hub.add_repo("alice/demo", files_of(here))
    local, remote = (evaluated(online(*EVAL, name)) for name in (here, "alice/demo"))
    assert local["metrics"]["cell_accuracy"]["value"] > 0
    assert local.pop("checkpoint") == str(here)
    assert remote.pop("checkpoint") == "alice/demo"
    command = local["provenance"].pop("command").replace(str(here), "alice/demo")
    assert remote["provenance"].pop("command") == command
    assert remote == local


def test_only_what_is_used_is_fetched_and_only_once(
    hub: HubServer, online: Online, checkpoint: Checkpoint
) -> None:
    files = files_of(checkpoint("c", names=["<blank>", "p1"]))
    assert {"training_state/weights.safetensors", "SHA256SUMS"} < set(files)
    repo = hub.add_repo("alice/demo", {**files, "README.md": b"# demo", "photo.png": b"\0"})
    program = "import trm; print(trm.load('alice/demo', device='cpu').checkpoint.step)"
    assert online.program(program) == "7\n"
    needed = ["config.json", "evaluation.json", "identifiers.npy", "model.safetensors"]
    assert sorted({name for name in downloads(hub) if name != "large"} | set(needed)) == needed
    assert downloads(hub).count("large") == 2
    hub.requests.clear()
    assert online.program(program) == "7\n"
    assert downloads(hub) == []
    repo.commit({"config.json": files["config.json"].replace(b'"step": 7', b'"step": 8')})
    assert online.program(program) == "8\n"
    assert downloads(hub) == ["config.json"]


@pytest.fixture(scope="session")
def offline_process(hub_server: HubServer, hub_home: Path) -> Iterator[Commands]:
    env = {**hub_server.environment(hub_home), "HF_HUB_OFFLINE": "1"}
    with Commands(env) as process:
        yield process


ABSENT = (
    "alice/none is neither here nor in the cache of the Hub, and the Hub cannot be reached ({}). "
    "Correct the name, or go online."
)


def test_offline_the_cache_is_used(
    hub: HubServer,
    online: Online,
    offline_process: Commands,
    checkpoint: Checkpoint,
    tmp_path: Path,
) -> None:
    hub.add_repo("alice/demo", files_of(checkpoint("c")), tags=["v1"])
    found = evaluated(online(*EVAL, "alice/demo"))
    hub.requests.clear()

    offline = Online(offline_process, tmp_path)
    assert evaluated(offline(*EVAL, "alice/demo")) == found
    assert refused(offline(*EVAL, "alice/none")) == ABSENT.format("HF_HUB_OFFLINE is set")
    assert "alice/demo@v1 is neither here nor in the cache" in refused(
        offline(*EVAL, "alice/demo@v1")
    )
    pushed = refused(offline("push-hub", "--ckpt", "c", "--repo", "alice/new"))
    assert pushed == "alice/new: HF_HUB_OFFLINE is set, so nothing can be uploaded. Unset it."
    assert hub.requests == []


def test_without_an_answer_the_cache_is_used(
    hub: HubServer, online: Online, checkpoint: Checkpoint
) -> None:
    hub.add_repo("alice/demo", files_of(checkpoint("c")))
    found = evaluated(online(*EVAL, "alice/demo"))
    hub.stop()
    assert evaluated(online(*EVAL, "alice/demo")) == found
    assert refused(online(*EVAL, "alice/none")) == ABSENT.format("ConnectError")
    pushed = refused(online("push-hub", "--ckpt", "c", "--repo", "alice/new"))
    assert pushed == "alice/new: the Hub cannot be reached (ConnectError). Try again."


def test_a_half_fetched_repository_is_not_taken_for_a_whole_one(
    hub: HubServer, online: Online, checkpoint: Checkpoint
) -> None:
    hub.add_repo("alice/demo", files_of(checkpoint("c")))
    hub.fail_next("GET .*/objects/", 403)
    assert "your token may not read alice/demo" in refused(online(*EVAL, "alice/demo"))
    hub.stop()
    message = "alice/demo is incomplete in the cache, and the Hub cannot be reached (ConnectError)."
    assert message in refused(online(*EVAL, "alice/demo"))
    hub.start()
    assert evaluated(online(*EVAL, "alice/demo"))["step"] == 7


def test_a_download_that_breaks_off_is_taken_up_again(
    hub: HubServer, online: Online, checkpoint: Checkpoint
) -> None:
    hub.add_repo("alice/demo", files_of(checkpoint("c")))
    hub.drop_download(after_bytes=50_000, pattern="GET .*/objects/")
    done = online(*EVAL, "alice/demo")
    assert json.loads(done.out)["step"] == 7
    assert downloads(hub).count("large") == 2


MISSING = (
    "bob/{}: no such repository on the Hub and no such file or folder here, or it is private and "
    "your token has no access. Correct the name. Log in with `hf auth login`, or set HF_TOKEN."
)
UNKNOWN = (
    "the token for the Hub is missing or invalid. Log in with `hf auth login`, or set HF_TOKEN."
)


@pytest.mark.parametrize(
    ("token", "name", "message"),
    [
        (None, "bob/none", MISSING.format("none")),
        ("hf_alice", "bob/none", MISSING.format("none")),
        (None, "bob/secret", MISSING.format("secret")),
        ("hf_alice", "bob/secret", MISSING.format("secret")),
        ("hf_wrong", "bob/demo", UNKNOWN),
        (
            "hf_alice",
            "bob/demo@v2",
            "bob/demo has no revision 'v2'. Give a branch, tag or commit.",
        ),
        (
            "hf_alice",
            "bob/empty",
            "bob/empty holds no TRM: neither model.safetensors with config.json nor a file step_N "
            "of the published trainer. Name another repository or file.",
        ),
    ],
)
def test_a_repository_that_cannot_be_had(
    hub: HubServer, online: Online, token: str | None, name: str, message: str
) -> None:
    hub.add_repo("bob/demo", {"config.json": b"{}", "model.safetensors": b""}, tags=["v1"])
    hub.add_repo("bob/secret", {"config.json": b"{}"}, private=True)
    hub.add_repo("bob/empty", {"README.md": b"# weights follow", "model.safetensors": b"w"})
    assert refused(online(*EVAL, name, token=token)) == message
    assert downloads(hub) == []


def test_a_private_repository_is_read_with_its_token(
    hub: HubServer, online: Online, checkpoint: Checkpoint
) -> None:
    hub.add_repo("alice/demo", files_of(checkpoint("c")), private=True)
    for token in ("hf_alice", "hf_read"):
        assert evaluated(online(*EVAL, "alice/demo", token=token))["step"] == 7


@pytest.mark.parametrize(
    ("asked", "status", "headers", "message"),
    [
        ("GET /api/", 429, {"Retry-After": "7"}, "to the Hub (429). Try again in 7 seconds."),
        ("GET /api/", 429, {}, "too many requests to the Hub (429). Try again in a few minutes."),
        ("GET /api/", 500, {}, "alice/demo: the Hub answered 500: a fault of the test. Try again."),
        ("GET /api/", 503, {}, "alice/demo: the Hub answered 503: a fault of the test. Try again."),
        ("GET /api/", 403, {}, "your token may not read alice/demo. Ask its owner for access."),
        (
            "GET /api/", 403, {"X-Error-Code": "GatedRepo"},
            "alice/demo is gated. Ask its owner for access on its page. Log in with",
        ),
        ("GET .*/config.json", 500, {}, "alice/demo: the Hub answered 500: a fault of the test."),
        ("GET .*/objects/", 404, {}, "alice/demo: the Hub answered 404: "),
    ],
    ids=range(8),
)  # fmt: skip
def test_what_the_hub_says_is_passed_on(
    hub: HubServer,
    online: Online,
    checkpoint: Checkpoint,
    asked: str,
    status: int,
    headers: dict[str, str],
    message: str,
) -> None:
    hub.add_repo("alice/demo", files_of(checkpoint("c")))
    hub.fail_next(asked, status, headers=headers)
    assert message in refused(online(*EVAL, "alice/demo"))
    assert evaluated(online(*EVAL, "alice/demo"))["step"] == 7


@pytest.mark.parametrize(
    "name", ["../../evil", "/etc/evil", "a/../../evil", "..\\evil", "C:/evil", "a\\..\\..\\evil"]
)
def test_a_file_that_would_go_elsewhere(
    hub: HubServer, online: Online, checkpoint: Checkpoint, hub_home: Path, name: str
) -> None:
    hub.add_repo("bob/evil", {**files_of(checkpoint("c")), name: b"evil"})
    message = f"bob/evil has a file named {name!r}, which would be written outside of its folder. "
    assert message in refused(online(*EVAL, "bob/evil"))
    assert downloads(hub) == []
    assert not any(path.is_file() for path in hub_home.rglob("*evil*"))


def test_what_is_here_goes_before_the_hub(
    hub: HubServer, online: Online, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    checkpoint("alice/demo", step=3)
    hub.add_repo("alice/demo", files_of(checkpoint("c", step=4)))
    hub.add_repo("alice/other", files_of(tmp_path / "c"))
    assert evaluated(online(*EVAL, "alice/demo"))["step"] == 3
    assert hub.requests == []
    assert evaluated(online(*EVAL, "alice/other"))["step"] == 4
    (tmp_path / "alice").rename(tmp_path / "elsewhere")
    assert evaluated(online(*EVAL, "alice/demo"))["step"] == 4


@pytest.mark.parametrize(
    "name", ["here/x/step_3", "bob/x/folder", "runs/x", "runs/x/step_3", "/bob/x"]
)
def test_a_local_path_that_is_missing_is_not_searched_on_the_hub(
    hub: HubServer, online: Online, tmp_path: Path, name: str
) -> None:
    (tmp_path / "here").mkdir()
    assert f"{name}: no such run or checkpoint" in refused(online(*EVAL, name))
    assert hub.requests == []


def test_a_file_or_folder_of_a_repository(
    hub: HubServer, online: Online, checkpoint: Checkpoint
) -> None:
    new, old = (files_of(checkpoint(name, step=step)) for name, step in (("n", 9), ("o", 5)))
    deep = {f"old/{name}": content for name, content in old.items()}
    hub.add_repo("alice/demo", {**new, **deep}, tags=["v1"])
    steps = {
        "alice/demo/model.safetensors": 9,
        "alice/demo/old/model.safetensors@v1": 5,
        "alice/demo/old@v1": 5,
        f"{hub.url}/alice/demo/tree/main/old": 5,
        f"{hub.url}/alice/demo": 9,
    }
    for name, step in steps.items():
        found = evaluated(online(*EVAL, name))
        assert (found["checkpoint"], found["step"]) == (name, step)
    for name in ("alice/demo/step_3", "alice/demo/README.md@v1"):
        assert f"{name} holds no TRM: " in refused(online(*EVAL, name))
