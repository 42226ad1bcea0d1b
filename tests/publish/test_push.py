"""``trm push-hub``: what is on the Hub afterwards, what is refused, and uploads that break off."""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

import trm
from tests.hub import HubServer
from tests.hub.commands import Online, refused, succeeded
from tests.made_checkpoints import files_of
from trm.storage import temporary_folder

Checkpoint = Callable[..., Path]
COPIED = ("config.json", "evaluation.json", "model.safetensors")
STATE = ("training_state/progress.json", "training_state/weights.safetensors")
PUSH = ("push-hub", "--repo", "alice/demo", "--ckpt")


def on_hub(hub: HubServer, revision: str = "main", name: str = "alice/demo") -> dict[str, bytes]:
    """The files of a repository, but for the one that every new one has."""
    files = hub.repos[name].files(revision)
    del files[".gitattributes"]
    return files


def puts(hub: HubServer) -> list[int]:
    """The status of every large file that was sent, 0 where the connection was cut."""
    return [line.status for line in hub.requests if line.method == "PUT"]


def is_untouched(hub: HubServer, name: str = "alice/demo") -> bool:
    """Whether nothing was sent but questions."""
    sent = ("/commit/", "/preupload/", "/objects/", "/tag/", "/branch/")
    return not any(part in line.path for line in hub.requests for part in sent)


@pytest.mark.parametrize(
    ("more", "names", "expected"),
    [
        ((), None, COPIED),
        ((), ["<blank>", "p1"], (*COPIED, "identifiers.npy")),
        (("--with-training-state",), None, (*COPIED, *STATE)),
    ],
    ids=["plain", "named", "with its state"],
)
def test_the_files_are_those_of_the_checkpoint(
    hub: HubServer,
    online: Online,
    checkpoint: Checkpoint,
    more: tuple[str, ...],
    names: list[str] | None,
    expected: tuple[str, ...],
) -> None:
    here = files_of(checkpoint("c", names=names))
    text = succeeded(online(*PUSH, "c", *more))
    files = on_hub(hub)
    assert set(files) == {"README.md", "SHA256SUMS", *expected}
    assert {name: files[name] for name in expected} == {name: here[name] for name in expected}
    sums = dict(line.split("  ")[::-1] for line in files.pop("SHA256SUMS").decode().splitlines())
    assert sums == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    commit = hub.repos["alice/demo"].history()[0]
    assert commit.title == "Step 7"
    assert text.endswith(
        f"pushed c: {hub.url}/alice/demo/commit/{commit.oid}\nnext: trm eval --ckpt alice/demo\n"
    )
    listed = dict(re.findall(r"^(\S+) +([\d,]+)$", text, re.MULTILINE))
    assert listed == {name: f"{len(content):,}" for name, content in on_hub(hub).items()}
    assert not hub.repos["alice/demo"].private


def test_a_run_means_its_best_and_none_the_newest_run(
    hub: HubServer, online: Online, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    run = tmp_path / "runs" / "sudoku" / "mine"
    for step, link in ((3, "best"), (9, "last")):
        checkpoint(f"runs/sudoku/mine/checkpoints/step-{step:06d}", step=step)
        (run / link).symlink_to(f"checkpoints/step-{step:06d}")
    (run / "metrics.jsonl").write_text("{}\n")
    best = files_of(run / "checkpoints" / "step-000003")
    for more in ((), ("--ckpt", run), ("--ckpt", run / "best")):
        succeeded(online("push-hub", "--repo", "alice/new", *more))
        assert on_hub(hub, name="alice/new")["model.safetensors"] == best["model.safetensors"]
        hub.repos.clear()
    succeeded(online(*PUSH, run / "last"))
    assert hub.repos["alice/demo"].history()[0].title == "Step 9"


def test_a_checkpoint_of_the_hub_is_copied(
    hub: HubServer, online: Online, checkpoint: Checkpoint
) -> None:
    here = files_of(checkpoint("c", names=["<blank>", "p1"]))
    succeeded(online(*PUSH, "c"))
    shutil.rmtree(checkpoint("c", step=9))
    succeeded(online("push-hub", "--ckpt", "alice/demo", "--repo", "alice/copy"))
    copied = on_hub(hub, name="alice/copy")
    for name in (*COPIED, "identifiers.npy"):
        assert copied[name] == here[name]


def test_a_branch_is_made_and_used(hub: HubServer, online: Online, checkpoint: Checkpoint) -> None:
    first, second = (files_of(checkpoint(f"c{step}", step=step)) for step in (1, 2))
    hub.add_repo("alice/demo", {"README.md": b"# mine"})
    text = succeeded(online(*PUSH, "c1", "--revision", "try"))
    assert text.endswith("next: trm eval --ckpt alice/demo@try\n")
    assert on_hub(hub) == {"README.md": b"# mine"}
    assert on_hub(hub, "try")["config.json"] == first["config.json"]
    succeeded(online("push-hub", "--repo", "alice/demo@try", "--ckpt", "c2"))
    assert on_hub(hub) == {"README.md": b"# mine"}
    assert on_hub(hub, "try")["config.json"] == second["config.json"]
    assert set(hub.repos["alice/demo"].branches) == {"main", "try"}


def test_a_tag_marks_what_was_pushed(
    hub: HubServer, online: Online, checkpoint: Checkpoint
) -> None:
    checkpoint("c1", step=1)
    checkpoint("c2", step=2)
    succeeded(online(*PUSH, "c1", "--tag", "v1"))
    repo = hub.repos["alice/demo"]
    assert repo.tags == {"v1": repo.branches["main"]}
    before = on_hub(hub)
    hub.requests.clear()
    message = refused(online(*PUSH, "c2", "--tag", "v1"))
    assert message == "alice/demo already has the tag v1. Choose another --tag."
    assert is_untouched(hub)
    assert on_hub(hub) == before
    succeeded(online(*PUSH, "c2", "--tag", "v2"))
    assert on_hub(hub, "v1") == before
    assert on_hub(hub, "v2") == on_hub(hub) != before


def test_a_private_repository(hub: HubServer, online: Online, checkpoint: Checkpoint) -> None:
    checkpoint("c")
    for _ in range(2):
        online(*PUSH, "c", "--private")
        assert hub.repos["alice/demo"].private
    assert len(on_hub(hub)) == 5
    hub.add_repo("alice/open", {})
    hub.requests.clear()
    message = refused(online("push-hub", "--repo", "alice/open", "--ckpt", "c", "--private"))
    assert message == (
        "alice/open exists and is public. Leave --private out, or change it in the settings of "
        "the repository."
    )
    assert is_untouched(hub)
    succeeded(online(*PUSH, "c", "--license", "apache-2.0"))
    assert hub.repos["alice/demo"].private


def test_what_the_next_checkpoint_lacks_does_not_stay(
    hub: HubServer, online: Online, checkpoint: Checkpoint
) -> None:
    checkpoint("c1", step=1, names=["<blank>", "p1"])
    checkpoint("c2", step=2, evaluated=False)
    hub.add_repo("alice/demo", {"photo.png": b"mine"})
    succeeded(online(*PUSH, "c1", "--with-training-state"))
    assert {"identifiers.npy", "evaluation.json", *STATE} < set(on_hub(hub))
    succeeded(online(*PUSH, "c2"))
    assert set(on_hub(hub)) == {
        "README.md", "SHA256SUMS", "config.json", "model.safetensors", "photo.png",
    }  # fmt: skip


def test_a_dry_run_writes_what_would_go_and_talks_to_nobody(
    hub: HubServer, online: Online, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    checkpoint("c")
    text = succeeded(online(*PUSH, "c", "--dry-run", token=None))
    assert text.endswith("hub/alice/demo holds the files of c for alice/demo\n")
    assert refused(online(*PUSH, "c", "--dry-run")) == (
        "hub/alice/demo exists already. Name another --out, or remove it."
    )
    more = ("--dry-run", "--out", "there", "--with-training-state", "--license", "gpl-3.0")
    succeeded(online(*PUSH, "c", *more))
    assert "license: gpl-3.0" in (tmp_path / "there" / "README.md").read_text()
    assert refused(online(*PUSH, "c", "--out", "elsewhere")) == (
        "--out is for --dry-run. Add it, or leave this one out."
    )
    assert hub.requests == []
    succeeded(online(*PUSH, "c"))
    assert on_hub(hub) == files_of(tmp_path / "hub" / "alice" / "demo")
    assert set(files_of(tmp_path / "there")) == {*on_hub(hub), *STATE}


def test_a_model_is_pushed_from_its_checkpoint(checkpoint: Checkpoint, tmp_path: Path) -> None:
    model = trm.load(checkpoint("c"))
    pushed = trm.push_hub(model, repo="alice/demo", dry_run=True, out=tmp_path / "there")
    assert pushed.folder == tmp_path / "there"
    assert pushed.files["model.safetensors"] == (model.path / "model.safetensors").stat().st_size


WRITES = "your token may not write to {}. Use a repository and a token that match."
LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN."


@pytest.mark.parametrize(
    ("token", "repo", "message"),
    [
        (None, "alice/demo", f"the token for the Hub is missing or invalid. {LOG_IN}"),
        ("hf_wrong", "alice/demo", f"the token for the Hub is missing or invalid. {LOG_IN}"),
        ("hf_read", "alice/new", WRITES.format("alice/new")),
        ("hf_read", "alice/demo", WRITES.format("alice/demo")),
        ("hf_alice", "bob/new", WRITES.format("bob/new")),
        ("hf_alice", "bob/demo", WRITES.format("bob/demo")),
        ("hf_alice", "demo", "'demo' does not name a repository on the Hub. Give USER/NAME."),
        ("hf_alice", "a/b/c", "'a/b/c' does not name a repository on the Hub. Give USER/NAME."),
    ],
)
def test_who_may_not_push(
    hub: HubServer,
    online: Online,
    checkpoint: Checkpoint,
    token: str | None,
    repo: str,
    message: str,
) -> None:
    for name in ("alice/demo", "bob/demo"):
        hub.add_repo(name, {"README.md": b"# mine"})
    checkpoint("c")
    assert refused(online("push-hub", "--ckpt", "c", "--repo", repo, token=token)) == message
    assert {name: set(on_hub(hub, name=name)) for name in hub.repos} == {
        "alice/demo": {"README.md"}, "bob/demo": {"README.md"}
    }  # fmt: skip


def test_what_cannot_be_pushed(
    hub: HubServer, online: Online, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    spoilt = checkpoint("spoilt") / "model.safetensors"
    spoilt.write_bytes(spoilt.read_bytes()[:-1] + b"\0\0")
    shutil.rmtree(checkpoint("stateless") / "training_state")
    (tmp_path / "stateless" / "SHA256SUMS").unlink()
    published = Path(__file__).parents[1] / "parity" / "data" / "published_checkpoint"
    for arguments, message in (
        (("none",), "none: no such run or checkpoint. See what is in runs/."),
        (
            ("spoilt",),
            "spoilt/model.safetensors is damaged: its checksum differs from SHA256SUMS. Use "
            "another checkpoint.",
        ),
        (
            ("stateless", "--with-training-state"),
            "stateless has no training_state. Leave --with-training-state out.",
        ),
        (
            (published,),
            f"{published} is a checkpoint of the published trainer. Import it first, then "
            f"push --ckpt imported: {shlex.join(['trm', 'import', str(published)])} --out imported",
        ),
        (
            ("stateless", "--repo", "alice/demo@a", "--revision", "b"),
            "'alice/demo@a' does not name a repository on the Hub. Give USER/NAME.",
        ),
    ):
        call = ("push-hub", "--ckpt") if "--repo" in arguments else PUSH
        assert refused(online(*call, *arguments)) == message
    assert hub.requests == []


@pytest.mark.parametrize(
    ("asked", "status", "headers", "message"),
    [
        (
            "POST .*/commit/", 429, {"Retry-After": "9"},
            "too many requests to the Hub (429). Try again in 9 seconds.",
        ),
        (
            "POST .*/commit/", 500, {},
            "alice/demo: the Hub answered 500: a fault of the test. Try again.",
        ),
        ("POST .*/create", 403, {}, WRITES.format("alice/demo")),
        (
            "POST .*/validate-yaml", 400, {},
            "alice/demo: the Hub answered 400: a fault of the test. Try again.",
        ),
        ("GET .*/refs", 401, {}, f"the token for the Hub is missing or invalid. {LOG_IN}"),
    ],
    ids=["429", "500", "403", "400", "401"],
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
    checkpoint("c")
    hub.fail_next(asked, status, headers=headers)
    assert refused(online(*PUSH, "c")) == message
    succeeded(online(*PUSH, "c"))
    assert len(on_hub(hub)) == 5


def test_an_upload_that_breaks_off_once_is_mended_by_itself(
    hub: HubServer, online: Online, checkpoint: Checkpoint
) -> None:
    here = files_of(checkpoint("c"))
    hub.drop_upload(after_bytes=20_000)
    assert online(*PUSH, "c").code == 0
    assert puts(hub) == [0, 200]
    assert on_hub(hub)["model.safetensors"] == here["model.safetensors"]


def test_after_a_failed_push_only_what_is_missing_is_sent(
    hub: HubServer, online: Online, checkpoint: Checkpoint
) -> None:
    here = files_of(checkpoint("c", names=["<blank>", "p1"]))
    push = (*PUSH, "c", "--with-training-state")
    weights = hashlib.sha256(here["model.safetensors"]).hexdigest()
    hub.fail_next(f"PUT .*{weights}", 403)
    assert refused(online(*push)) == WRITES.format("alice/demo")
    assert on_hub(hub) == {}
    assert sorted(puts(hub)) == [200, 200, 403]
    hub.requests.clear()
    hub.fail_next("POST .*/commit/", 503)
    assert "the Hub answered 503" in refused(online(*push))
    assert puts(hub) == [200]
    hub.requests.clear()
    succeeded(online(*push))
    assert puts(hub) == []
    assert {name: on_hub(hub)[name] for name in here if name != "SHA256SUMS"} == {
        name: content for name, content in here.items() if name != "SHA256SUMS"
    }


def test_the_same_from_python(hub: HubServer, online: Online, checkpoint: Checkpoint) -> None:
    checkpoint("c")
    program = """
import trm
done = trm.push_hub("c", repo="alice/demo", tag="v1")
print(done.repo, done.checkpoint, done.url, done.folder, sorted(done.files))
try:
    trm.push_hub("c", repo="bob/demo")
except trm.TrmError as error:
    print(error)
"""
    first, second = online.program(program).splitlines()
    oid = hub.repos["alice/demo"].tags["v1"]
    url = f"{hub.url}/alice/demo/commit/{oid}"
    assert first == f"alice/demo c {url} None {sorted(on_hub(hub))}"
    assert second == WRITES.format("bob/demo")


def test_only_regular_files_of_the_checkpoint_go(
    hub: HubServer, online: Online, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("mine")
    for name in ("evaluation.json", "training_state/progress.json", "training_state/x"):
        folder = checkpoint("c")
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(tmp_path / "secret")
        for more in (("--dry-run",), ()):
            message = refused(online(*PUSH, "c", "--with-training-state", *more))
            assert message == (
                f"c/{name} is a link to {tmp_path}/secret, which is not a part of the checkpoint. "
                "Replace it by the file."
            )
        shutil.rmtree(folder)
    assert hub.requests == []
    folder = checkpoint("c")
    (folder / "training_state" / "._progress.json").write_text("a side file")
    (folder / "notes.txt").write_text("mine")
    succeeded(online(*PUSH, "c", "--with-training-state"))
    assert set(on_hub(hub)) == {"README.md", "SHA256SUMS", *COPIED, *STATE}


def test_what_a_killed_push_left_is_removed_by_the_next(
    online: Online, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    checkpoint("c")
    program = """
import os, trm
from trm import hub
hub.push = lambda *arguments, **options: os._exit(9)
trm.push_hub("c", repo="alice/demo")
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path / "t")}
    (tmp_path / "t").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 9
    (left,) = (tmp_path / "t").iterdir()
    assert (left / "files" / "model.safetensors").is_file()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
        with temporary_folder() as folder:
            assert list((tmp_path / "t").iterdir()) == [folder]
