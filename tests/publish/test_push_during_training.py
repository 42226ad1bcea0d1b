"""``--push-to``: each new best checkpoint is pushed to the Hub while the run trains."""

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hub import HubServer
from tests.hub.commands import Done, Online, refused, succeeded
from tests.made_checkpoints import files_of

Checkpoint = Callable[..., Path]
Train = Callable[..., Done]
PUSHED = ("config.json", "evaluation.json", "model.safetensors")
RUN = Path("runs") / "sudoku" / "a"


@pytest.fixture
def train(online: Online, mini_data: Path) -> Train:
    """Train a small model for six steps, with an evaluation after each third."""
    settings = (
        "model.hidden_size=32", "model.num_heads=2", "model.l_cycles=2", "model.halt_max_steps=3",
        "eval.max_examples=8", "train.eval_every_steps=3",
    )  # fmt: skip

    def run(*more: str | Path, name: str = "a", token: str | None = "hf_alice") -> Done:
        given = {str(word).partition("=")[0] for word in more}
        sets = [("--set", one) for one in settings if one.partition("=")[0] not in given]
        steps = () if "--max-steps" in given else ("--max-steps", "6")
        return online(
            "train", "sudoku", "--preset", "mini", "--batch-size", "8", "--device", "cpu",
            "--data", mini_data, *steps, *itertools.chain(*sets), "--run-name", name, *more,
            token=token,
        )  # fmt: skip

    return run


def is_on_hub(hub: HubServer, best: Path, revision: str = "main") -> bool:
    """Whether the Hub has the files of a checkpoint."""
    here, there = files_of(best), hub.repos["alice/demo"].files(revision)
    return {"README.md", "SHA256SUMS"} < there.keys() and all(
        there[name] == here[name] for name in PUSHED
    )


def warnings(done: Done) -> list[str]:
    return re.findall(r"^warning: (.*)$", done.out, re.MULTILINE)


def test_the_best_is_on_the_hub(hub: HubServer, train: Train, tmp_path: Path) -> None:
    text = succeeded(train("--push-to", "alice/demo"))
    best = (tmp_path / RUN / "best").resolve()
    step = json.loads((best / "evaluation.json").read_text())["best_step"]
    assert best.name == f"step-{step:06d}"
    assert is_on_hub(hub, best)
    newest = hub.repos["alice/demo"].history()[0]
    assert newest.title == f"Step {step}, the best so far"
    assert f"pushed step {step}/6 url {hub.url}/alice/demo/commit/{newest.oid}\n" in text
    config = json.loads(newest.files["config.json"].content)
    assert (config["step"], config["run"]["train"]["max_steps"]) == (step, 6)
    assert not list((tmp_path / RUN).glob(".push-*"))


def test_without_evaluations_the_last_is_on_the_hub(hub: HubServer, train: Train) -> None:
    succeeded(train("--push-to", "alice/demo", "--set", "train.eval_every_steps=0"))
    assert hub.repos["alice/demo"].history()[0].title == "Step 6, the last"
    card = hub.repos["alice/demo"].files("main")["README.md"].decode()
    assert "It was not evaluated." in card


def test_a_branch_may_be_named(hub: HubServer, train: Train, tmp_path: Path) -> None:
    succeeded(train("--push-to", "alice/demo@try"))
    assert is_on_hub(hub, tmp_path / RUN / "best", "try")
    assert set(hub.repos["alice/demo"].files()) == {".gitattributes"}


def numbers(run: Path) -> dict[str, bytes]:
    """Every number of the last checkpoint."""
    files = files_of(run / "checkpoints" / "step-000006")
    return {name: content for name, content in files.items() if name.endswith(".safetensors")}


def test_a_hub_that_fails_does_not_change_a_run(
    hub: HubServer, train: Train, tmp_path: Path
) -> None:
    alone = succeeded(train(name="alone"))
    expected = numbers(tmp_path / "runs" / "sudoku" / "alone")
    assert len(expected) == 4
    assert "push" not in alone
    hub.add_repo("bob/demo", {})
    broken = {
        "no token": ("alice/demo", None, "the token for the Hub is missing or invalid. "),
        "not mine": ("bob/demo", "hf_alice", "your token may not write to bob/demo. "),
        "error": ("alice/demo", "hf_alice", "the Hub answered 500: a fault of the test. "),
        "stopped": ("alice/demo", "hf_alice", "the Hub cannot be reached (ConnectError). "),
    }
    for name, (repo, token, message) in broken.items():
        if name == "error":
            hub.fail_next("", 500, times=10**6)
        if name == "stopped":
            hub.stop()
        done = train("--push-to", repo, name=name.replace(" ", "-"), token=token)
        run = Path("runs") / "sudoku" / name.replace(" ", "-")
        succeeded(done)
        first, last = warnings(done)
        assert message in first
        assert last == (
            f"the best checkpoint was not pushed: trm push-hub --ckpt {run} --repo {repo}"
        )
        assert numbers(tmp_path / run) == expected
        assert re.search(rf"^done: best .*\nnext: trm eval --ckpt {run}$", done.out, re.MULTILINE)


#: Two checkpoints become the best one after the other; the records are printed.
TWO = """
import os
import time
from pathlib import Path
from trm.publish.push_during_training import push_best

run, records = Path("run"), []

def listen(record):
    if record["event"] != "train":
        print(record["event"], record["step"], record.get("message", ""))
        records.append(record)

def wait(listener, count):
    while len(records) < count:
        listener({"event": "train", "step": 5})
        time.sleep(0.01)

with push_best(run, "alice/demo", listen) as listener:
    for count, name in enumerate(("step-000003", "step-000004"), 1):
        os.symlink(f"checkpoints/{name}", run / "new")
        os.replace(run / "new", run / "best")
        wait(listener, count)
    listener({"event": "end", "step": 5, "finished": END})
"""


@pytest.fixture
def two(checkpoint: Checkpoint) -> None:
    """The checkpoints of :data:`TWO`; the first one has what the other lacks."""
    checkpoint("run/checkpoints/step-000003", step=3, names=["<blank>", "p1"])
    checkpoint("run/checkpoints/step-000004", step=4)


@pytest.mark.usefixtures("two")
def test_each_new_best_takes_the_place_of_the_one_before(
    hub: HubServer, online: Online, tmp_path: Path
) -> None:
    text = online.program(TWO.replace("END", "True"))
    assert text.splitlines() == ["pushed 3 ", "pushed 4 ", "end 5 "]
    newest, before, _ = hub.repos["alice/demo"].history()
    assert (newest.title, before.title) == ("Step 4, the best so far", "Step 3, the best so far")
    assert {*PUSHED, "identifiers.npy"} < before.files.keys()
    assert "identifiers.npy" not in newest.files
    assert is_on_hub(hub, tmp_path / "run" / "best")
    assert not list((tmp_path / "run").glob(".*"))


@pytest.mark.usefixtures("two")
def test_what_failed_is_tried_again_with_the_next_best(
    hub: HubServer, online: Online, tmp_path: Path
) -> None:
    hub.fail_next("POST .*/commit/", 503)
    text = online.program(TWO.replace("END", "True"))
    assert text.splitlines() == [
        "warning 5 alice/demo cannot be written to: alice/demo: the Hub answered 503: a fault of "
        "the test. Try again.",
        "pushed 4 ",
        "end 5 ",
    ]
    assert is_on_hub(hub, tmp_path / "run" / "best")


@pytest.mark.usefixtures("two")
def test_the_last_best_is_tried_once_more_at_the_end(
    hub: HubServer, online: Online, tmp_path: Path
) -> None:
    hub.add_repo("alice/demo", {})
    hub.fail_next("POST .*/commit/", 403)
    hub.fail_next("POST .*/commit/", 500)
    first, second, *rest = online.program(TWO.replace("END", "True")).splitlines()
    assert first.startswith("warning 5 ")
    assert second.startswith("warning 5 ")
    assert first != second
    assert rest == ["end 5 ", "pushed 4 "]
    assert is_on_hub(hub, tmp_path / "run" / "best")


@pytest.mark.usefixtures("two")
def test_a_run_that_was_stopped_says_how_to_push(
    hub: HubServer, online: Online, tmp_path: Path
) -> None:
    hub.fail_next("POST .*/commit/", 500)
    hub.fail_next("POST .*/commit/", 503)
    *_, end, last = online.program(TWO.replace("END", "False")).splitlines()
    assert end == "end 5 "
    way = "trm push-hub --ckpt run --repo alice/demo"
    assert last == f"warning 5 the best checkpoint was not pushed: {way}"
    assert len(hub.repos["alice/demo"].history()) == 1
    (tmp_path / "run" / "last").symlink_to("checkpoints/step-000004")
    succeeded(online(*way.split()[1:]))
    assert is_on_hub(hub, tmp_path / "run" / "best")


@pytest.mark.usefixtures("two")
def test_a_damaged_best_is_not_pushed(hub: HubServer, online: Online, tmp_path: Path) -> None:
    weights = tmp_path / "run" / "checkpoints" / "step-000003" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    first, second, _ = online.program(TWO.replace("END", "True")).splitlines()
    assert re.match(r"warning 5 .*/step-000003/model.safetensors is damaged: its checksum", first)
    assert second == "pushed 4 "
    assert len(hub.repos["alice/demo"].history()) == 2


def test_a_resumed_run_pushes_the_earlier_best(
    hub: HubServer, train: Train, online: Online, tmp_path: Path
) -> None:
    succeeded(train())
    assert hub.requests == []
    step = "train.eval_every_steps=100"
    succeeded(train("--max-steps", "7", "--set", step, "--push-to", "alice/demo"))
    assert is_on_hub(hub, tmp_path / RUN / "best")


def test_an_invalid_name_is_refused_before_there_is_a_run(
    hub: HubServer, train: Train, tmp_path: Path
) -> None:
    message = "'demo' does not name a repository on the Hub. Give USER/NAME."
    assert refused(train("--push-to", "demo")) == message
    assert not (tmp_path / "runs").exists()
    assert hub.requests == []
