"""The commands import, export and push-hub, and published checkpoints in trm eval."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.hub import HubServer
from tests.hub.commands import Done, Online, refused, succeeded
from tests.made_checkpoints import files_of
from trm.tasks.registry import get_task

Checkpoint = Callable[..., Path]
PUBLISHED = Path(__file__).parents[1] / "parity" / "data" / "published_checkpoint"
EVAL = ("eval", "--json", "--device", "cpu")


@pytest.fixture(scope="session")
def sudoku_9x9(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few 9x9 puzzles, for which the published checkpoint was made."""
    task = get_task("sudoku")
    options = task.data_options(source="generate", size=9, num_train=1, num_test=6, num_aug=0)
    folder = tmp_path_factory.mktemp("sudoku_9x9") / "sudoku"
    task.build_data(folder, options, np.random.default_rng(0))
    return folder


@pytest.fixture
def published_files() -> dict[str, bytes]:
    """The files that the published trainer wrote."""
    return {name: (PUBLISHED / name).read_bytes() for name in ("step_65104", "all_config.yaml")}


def evaluated(done: Done) -> Any:
    """The result of ``eval --json``; stderr may have notes."""
    assert done.code == 0, done
    return json.loads(done.out)


def fetched(hub: HubServer) -> set[str]:
    """The files that were downloaded from repositories."""
    paths = (line.path for line in hub.requests if "/resolve/" in line.path)
    return {re.sub("^.*/resolve/[^/]+/", "", path) for path in paths}


def test_a_published_repository_is_evaluated_by_its_name(
    hub: HubServer, online: Online, sudoku_9x9: Path, published_files: dict[str, bytes]
) -> None:
    hub.add_repo("bob/trm", {**published_files, "README.md": b"# TRM", "wandb/log.txt": b"loss"})
    here, there = (online(*EVAL, "--data", sudoku_9x9, "--ckpt", n) for n in (PUBLISHED, "bob/trm"))
    ours, named = evaluated(here), evaluated(there)
    assert (named["checkpoint"], named["step"], named["task"]) == ("bob/trm", 65104, "sudoku")
    assert named["metrics"] == ours["metrics"]
    assert named["metrics"]["cell_accuracy"]["value"] > 0
    assert there.err == here.err.replace(str(PUBLISHED), "bob/trm")
    assert re.fullmatch(r"bob/trm: inferred task sudoku, from \S+; \S[^\n]+\n", there.err)
    assert fetched(hub) == set(published_files)


def test_of_several_steps_the_newest_is_fetched(
    hub: HubServer, online: Online, sudoku_9x9: Path, published_files: dict[str, bytes]
) -> None:
    files = {f"run/{name}": content for name, content in published_files.items()}
    older = {f"run/step_{step}": b"not asked for" for step in (9000, 50_000)}
    beside = {f"run/step_{name}": b"x" for name in ("65104_all_preds.0", "70000.png", "70000.json")}
    hub.add_repo("bob/trm", {**files, **older, **beside})
    found = evaluated(online(*EVAL, "--data", sudoku_9x9, "--ckpt", "bob/trm"))
    assert found["step"] == 65104
    assert fetched(hub) == {"run/step_65104", "run/all_config.yaml"}


def test_a_file_of_another_name_is_taken_for_one(
    hub: HubServer, online: Online, sudoku_9x9: Path, published_files: dict[str, bytes]
) -> None:
    hub.add_repo("bob/trm", {"weights.pt": published_files["step_65104"], "notes.txt": b"x"})
    done = online(*EVAL, "--data", sudoku_9x9, "--ckpt", "bob/trm")
    assert evaluated(done)["step"] == 0
    assert "step 0, as the file is not called step_N but 'weights.pt'" in done.err


def test_import_says_what_was_inferred(
    hub: HubServer, online: Online, published_files: dict[str, bytes], tmp_path: Path
) -> None:
    hub.add_repo("bob/trm", {"step_65104": published_files["step_65104"]}, tags=["v1"])
    *notes, last = succeeded(online("import", "bob/trm@v1", "--out", "mine")).splitlines()
    assert last == "mine: sudoku, step 65,104"
    assert "inferred: vocabulary of 11 tokens: sudoku" in notes
    assert all(note.startswith("inferred: ") for note in notes)
    config = json.loads((tmp_path / "mine" / "config.json").read_text())
    assert config["data"]["source"] == "published checkpoint bob/trm@v1"
    stored = load_file(tmp_path / "mine" / "model.safetensors")
    saved = torch.load(PUBLISHED / "step_65104", weights_only=True)
    assert sum(map(torch.numel, stored.values())) == sum(map(torch.numel, saved.values()))


def test_an_import_is_pushed_and_evaluated(
    hub: HubServer, online: Online, sudoku_9x9: Path, published_files: dict[str, bytes]
) -> None:
    hub.add_repo("bob/trm", published_files)
    expected = evaluated(online(*EVAL, "--data", sudoku_9x9, "--ckpt", "bob/trm"))
    succeeded(online("import", "bob/trm", "--out", "mine"))
    succeeded(online("push-hub", "--ckpt", "mine", "--repo", "alice/trm"))
    found = json.loads(succeeded(online(*EVAL, "--data", sudoku_9x9, "--ckpt", "alice/trm")))
    assert found["metrics"] == expected["metrics"]


def test_what_cannot_be_imported(
    hub: HubServer,
    online: Online,
    checkpoint: Checkpoint,
    published_files: dict[str, bytes],
    tmp_path: Path,
) -> None:
    hub.add_repo("alice/ours", files_of(checkpoint("ours")))
    hub.add_repo("bob/trm", published_files)
    (tmp_path / "there").mkdir()
    for source, out, message in (
        ("bob/trm", "there", "there exists already. Name another --out, or remove it."),
        ("alice/ours", "new", "alice/ours is already a checkpoint of trm. Use it as it is."),
        ("ours", "new", "ours is already a checkpoint of trm. Use it as it is."),
        ("bob/none", "new", "bob/none: no such repository on the Hub"),
        ("nowhere", "new", "nowhere: no such run or checkpoint."),
    ):
        assert message in refused(online("import", source, "--out", out))
    assert not (tmp_path / "new").exists()
    assert list((tmp_path / "there").iterdir()) == []


def test_a_checkpoint_of_the_hub_is_exported(
    hub: HubServer, online: Online, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    ours = checkpoint("ours", "model.swiglu_multiple=256", names=["<blank>", "p1"])
    hub.add_repo("alice/ours", files_of(ours))
    export = ("export", "--ckpt", "alice/ours", "--format", "published", "--out", "exported")
    assert succeeded(online(*export)) == "wrote exported\n"
    assert set(files_of(tmp_path / "exported")) == {"step_7", "all_config.yaml", "identifiers.json"}
    config = yaml.safe_load((tmp_path / "exported" / "all_config.yaml").read_text())
    assert config["arch"]["hidden_size"] == 32
    assert "exported exists already." in refused(online(*export))
    back = ("import", "exported", "--out", "back", "--task", "sudoku")
    assert succeeded(online(*back)).endswith("back: sudoku, step 7\n")
    before, after = (load_file(p / "model.safetensors") for p in (ours, tmp_path / "back"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_an_export_without_a_way_out(
    hub: HubServer,
    online: Online,
    checkpoint: Checkpoint,
    published_files: dict[str, bytes],
    tmp_path: Path,
) -> None:
    hub.add_repo("bob/trm", published_files)
    checkpoint("ours")
    for source, kind, message in (
        ("bob/trm", "onnx", "bob/trm is a checkpoint of the published trainer. Import it first:"),
        (PUBLISHED, "published", f"{PUBLISHED} is a checkpoint of the published trainer. Import"),
        ("ours", "published", "model.swiglu_multiple is 16, which makes a SwiGLU"),
    ):
        done = online("export", "--ckpt", source, "--format", kind, "--out", "out")
        assert message in refused(done)
    assert not (tmp_path / "out").exists()


def test_all_checkpoints_of_a_manifest(
    hub: HubServer,
    online: Online,
    checkpoint: Checkpoint,
    sudoku_9x9: Path,
    published_files: dict[str, bytes],
    tmp_path: Path,
) -> None:
    hub.add_repo("alice/ours", files_of(checkpoint("ours")), tags=["v1"])
    hub.add_repo("bob/trm", published_files)
    (tmp_path / "all.toml").write_text(f"""
[[checkpoint]]
ckpt = "alice/ours@v1"
reported = 0.25
max_examples = 20

[[checkpoint]]
ckpt = "bob/trm"
name = "exported"
task = "sudoku"
data = ["{sudoku_9x9}"]
reported = 0.874
metric = "cell_accuracy"
""")
    both = ("eval", "--all", "all.toml", "--device", "cpu")
    found = evaluated(online(*both, "--json"))
    single = [
        evaluated(online(*EVAL, *more))
        for more in (
            ("--ckpt", "alice/ours", "--max-examples", "20"),
            ("--ckpt", "bob/trm", "--data", sudoku_9x9),
        )
    ]
    assert [one["metrics"] for one in found] == [one["metrics"] for one in single]
    assert [(one["name"], one["reported"]) for one in found] == [
        ("alice/ours@v1", 0.25), ("exported", 0.874)
    ]  # fmt: skip
    *_, first, second = online(*both).out.splitlines()
    assert re.match(r"alice/ours@v1 +sudoku +7 +exact_accuracy .* 20 +0\.2500$", first)
    value = single[1]["metrics"]["cell_accuracy"]["value"]
    assert re.match(rf"exported +sudoku +65,?104 +cell_accuracy +{value:.4f} .* 0\.8740", second)
    hub.fail_next("GET /api/models/bob/trm", 404, headers={"X-Error-Code": "RepoNotFound"})
    broken = online(*both)  # what was measured before is shown all the same
    assert broken.code == 1
    assert re.search(r"alice/ours@v1 +sudoku +7 +exact_accuracy ", broken.out)
    error = r"trm: error: bob/trm: no such repository on the Hub.*\n"
    assert re.fullmatch(error, broken.err)
