"""Checkpoints of the published trainer: imported into trm, and exported from it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from trm.checkpoints.open_checkpoint import open_checkpoint
from trm.checkpoints.published.checkpoint import export_published, import_published, read_published
from trm.errors import CheckpointError, InputError
from trm.models.puzzle_embedding import mean_puzzle_embedding
from trm.runs.checkpoint import read_config, read_puzzle_names, verify_checksums

MLP = {"mlp_t": True, "pos_encodings": "none"}
ARC = {"task": "arc1", "vocab_size": 12, "seq_len": 900}


def change(folder: Path, **model: Any) -> None:
    """Other settings of the model in a checkpoint's ``config.json``."""
    file = folder / "config.json"
    config = json.loads(file.read_text())
    config["run"]["model"] |= model
    file.write_text(json.dumps(config))


def test_tensors_that_share_memory(example: Callable[..., Any], tmp_path: Path) -> None:
    made = example(**MLP)
    head, token = (
        f"_orig_mod.model.inner.{n}" for n in ("lm_head.weight", "embed_tokens.embedding_weight")
    )
    made.save({**made.tensors, head: made.tensors[token]})
    import_published(made.file, tmp_path / "imported")
    stored = load_file(tmp_path / "imported" / "model.safetensors")
    assert torch.equal(stored["output_head.weight"], stored["embedding.token.weight"])


def test_an_import_is_a_whole_checkpoint(example: Callable[..., Any], tmp_path: Path) -> None:
    made, out = example(**MLP), tmp_path / "imported"
    found = import_published(made.folder, out, source="somebody/something")
    assert {file.name for file in out.iterdir()} == {
        "model.safetensors", "config.json", "SHA256SUMS",
    }  # fmt: skip
    verify_checksums(out)
    assert read_config(out) == found.config
    assert found.config.data.source == "somebody/something"
    network = open_checkpoint(out).model()
    assert all(torch.equal(t, found.weights[n]) for n, t in network.state_dict().items())
    with pytest.raises(
        InputError, match=r"imported exists already\. Name another --out, or remove it"
    ):
        import_published(made.folder, out)


def test_a_failed_import_leaves_nothing(example: Callable[..., Any], tmp_path: Path) -> None:
    made = example(**ARC)
    with pytest.raises(CheckpointError, match="--task"):
        import_published(made.file, tmp_path / "imported")
    assert [path.name for path in tmp_path.iterdir()] == ["published"]


@pytest.mark.parametrize(
    "settings",
    [
        MLP,
        {**ARC, "rows": 4, "task": "arc2"},
        {"vocab_size": 6, "seq_len": 16},
        {"task": "maze", "vocab_size": 6, "seq_len": 36},
        {"pos_encodings": "learned", "forward_dtype": "bfloat16"},
        {"pos_encodings": "none", "puzzle_emb_dim": 20},
        {**MLP, "puzzle_emb_dim": 0, "puzzle_emb_len": 0},
        {
            "hidden_size": 64, "l_layers": 1, "num_heads": 2, "expansion": 6.0, "rope_theta": 100.0,
            "rms_norm_eps": 1e-4, "h_cycles": 1, "l_cycles": 2, "puzzle_emb_len": 2,
            "puzzle_emb_dim": 100, "halt_max_steps": 3, "halt_exploration_prob": 0.5,
            "forward_dtype": "float16",
        },
    ],
    ids=["mlp", "arc2", "4x4", "small maze", "bfloat16", "no positions", "no embedding", "all"],
)  # fmt: skip
def test_there_and_back(
    example: Callable[..., Any], tmp_path: Path, settings: dict[str, Any]
) -> None:
    made = example(**settings)
    made.write_yaml(seq_len=made.seq_len)
    first = import_published(made.file, tmp_path / "imported", task=settings.get("task", "sudoku"))
    change(tmp_path / "imported", **made.model.model_dump())  # no tensor shows all of these
    file = export_published(tmp_path / "imported", tmp_path / "back")
    assert file == tmp_path / "back" / "step_7"
    exported = torch.load(file, weights_only=True)
    assert list(exported) == list(made.tensors)
    for name, tensor in made.tensors.items():
        assert exported[name].dtype == tensor.dtype
        assert torch.equal(exported[name], tensor)
    second = read_published(tmp_path / "back")
    assert second.config.run.model == made.model
    assert second.config.data.seq_len == made.seq_len
    assert second.config.run.optim == first.config.run.optim
    assert second.config.data == first.config.data
    assert all(torch.equal(second.weights[n], t) for n, t in first.weights.items())


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ({"forward_dtype": "float64"}, r"model\.forward_dtype is float64.*Export a model of"),
        ({"swiglu": "normed"}, r"model\.swiglu is normed, .*no such setting.*trained with silu"),
        ({"state_init": "random"}, r"model\.state_init is random, .*trained with fixed"),
        ({"damping": 0.95}, r"model\.damping is 0\.95, .*trained with 1\.0"),
        ({"swiglu_multiple": 16}, r"model\.swiglu_multiple is 16.*rounds to 256.*=256"),
        ({"hidden_size": 16}, r"answer_init is \(32,\)"),
    ],
)
def test_what_cannot_be_exported(
    example: Callable[..., Any], tmp_path: Path, model: dict[str, Any], why: str
) -> None:
    import_published(example(**MLP).file, tmp_path / "imported")
    change(tmp_path / "imported", **model)
    with pytest.raises(CheckpointError, match=why):
        export_published(tmp_path / "imported", tmp_path / "back")
    assert {path.name for path in tmp_path.iterdir()} == {"published", "imported"}


def test_a_width_that_is_rounded_to_the_same_is_exported(
    example: Callable[..., Any], tmp_path: Path
) -> None:
    import_published(example(hidden_size=96).file, tmp_path / "imported")
    change(tmp_path / "imported", swiglu_multiple=16)
    file = export_published(tmp_path / "imported", tmp_path / "back")
    assert read_published(file).config.run.model.swiglu_multiple == 256


def test_only_the_first_of_several_latents_is_exported(
    checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    imported = checkpoint("imported", "model.num_latents=3", "model.swiglu_multiple=256")
    file = export_published(imported, tmp_path / "back")
    found, stored = read_published(file).weights, load_file(imported / "model.safetensors")
    assert stored.keys() - found.keys() == {"other_latent_inits"}
    assert torch.equal(found["latent_init"], stored["latent_init"])


def test_an_export_replaces_nothing(example: Callable[..., Any], tmp_path: Path) -> None:
    import_published(example(**MLP).file, tmp_path / "imported")
    with pytest.raises(InputError, match="exists already"):
        export_published(tmp_path / "imported", tmp_path / "published")


def test_a_puzzle_embedding_of_another_size_begins_with_the_mean() -> None:
    table = torch.arange(12.0).view(4, 3)
    found = mean_puzzle_embedding(table, 5)
    assert torch.equal(found, torch.tensor([[4.5, 5.5, 6.5]]).repeat(5, 1))


def test_names_of_the_puzzle_embeddings(example: Callable[..., Any], tmp_path: Path) -> None:
    made = example(**ARC, rows=3)
    file = made.folder / "identifiers.json"
    file.write_text(json.dumps(["<blank>", "a|||t0", "é"]))
    import_published(made.file, tmp_path / "imported", task="arc1")
    names = read_puzzle_names(tmp_path / "imported")
    assert names is not None
    assert names.tolist() == [b"<blank>", b"a|||t0", "é".encode()]
    export_published(tmp_path / "imported", tmp_path / "back")
    back = tmp_path / "back" / "identifiers.json"
    assert json.loads(back.read_text()) == json.loads(file.read_text())
    for text in ('["a"]', '{"a": 1}', "[1, 2, 3]", "[" * 100_000, "no"):
        file.write_text(text)
        with pytest.raises(CheckpointError, match=r"identifiers\.json does not fit: .+"):
            read_published(made.file, "arc1")
