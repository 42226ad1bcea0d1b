"""Checkpoints of the other models of the published code: read, with and without their settings."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from trm.checkpoints.open_checkpoint import open_checkpoint
from trm.checkpoints.published.checkpoint import export_published, import_published, read_published
from trm.checkpoints.published.tensor_names import to_published
from trm.checkpoints.published.yaml_config import write_yaml
from trm.config import RunConfig
from trm.errors import CheckpointError
from trm.models import RecursiveModel, create_model
from trm.runs.checkpoint import CheckpointConfig
from trm.tasks.registry import get_task

SMALL = {"hidden_size": 32, "swiglu_multiple": 256, "forward_dtype": "float32"}
KINDS: dict[str, dict[str, Any]] = {
    "hrm": {"h_layers": 1, "l_layers": 3, "num_heads": 4},
    "hrm with an MLP": {"h_layers": 1, "l_layers": 2, "mlp_t": True, "pos_encodings": "none"},
    "singlez": {"l_layers": 1, "num_heads": 4},
    "singlez that continues": {"act_continue": True, "mlp_t": True, "pos_encodings": "none"},
    "hier6": {"l_layers": 1, "l_cycles": 4, "pos_encodings": "learned"},
    "transformer": {"h_layers": 2},  # 12 heads of 2 do not fill 32
    "transformer that halts in evaluations": {"act_enabled": False, "act_inference": True},
    "transformer of one step": {"h_layers": 1, "halt_max_steps": 1},
}


@pytest.fixture(params=KINDS)
def published(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, RecursiveModel]:
    """A file as the published trainer writes it, and the model that is in it."""
    settings = {"kind": request.param.split()[0], **SMALL, **KINDS[request.param]}
    run = RunConfig.model_validate({"task": "sudoku", "model": settings})
    data = get_task("sudoku").published_data_meta(11, 81)
    assert data is not None
    config = CheckpointConfig(step=7, run=run, data=data)
    model = create_model(run.model, config.spec, generator=torch.Generator().manual_seed(0))
    file = tmp_path / "published" / "step_7"
    file.parent.mkdir()
    torch.save(to_published(model.state_dict()), file)
    (file.parent / "all_config.yaml").write_text(write_yaml(config))
    return file, model


def logits(model: RecursiveModel) -> Tensor:
    tokens = torch.arange(162, dtype=torch.int32).view(2, 81) % 11
    with torch.no_grad():
        state = model.initial_state(2)
        vectors = model.puzzle_vectors(torch.zeros(2, dtype=torch.int32))
        for _ in range(2):
            output = model(state, model.embed(tokens, vectors))
            state = output.state
    found: Tensor = output.logits
    return found


def test_it_is_read_with_its_settings(published: tuple[Path, RecursiveModel]) -> None:
    file, model = published
    found = read_published(file)
    own = found.config.run.model.model_copy(update={"puzzle_emb_dim": None})
    assert own == model.config
    opened = open_checkpoint(str(file))
    assert torch.equal(logits(opened.model()), logits(model))


def test_its_tensors_show_its_kind(published: tuple[Path, RecursiveModel]) -> None:
    file, model = published
    (file.parent / "all_config.yaml").unlink()
    found = read_published(file, "sudoku")
    assert found.config.run.model.kind == model.config.kind
    if model.config.kind != "trm":
        assert any(note.startswith(f"{model.config.kind}: ") for note in found.notes)


def test_it_is_imported_and_exported_unchanged(
    published: tuple[Path, RecursiveModel], tmp_path: Path
) -> None:
    file, model = published
    import_published(file, tmp_path / "imported")
    again = export_published(tmp_path / "imported", tmp_path / "exported")
    before, after = (torch.load(path, weights_only=True) for path in (file, again))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(logits(open_checkpoint(str(again)).model()), logits(model))


def test_what_the_published_code_cannot_express_is_refused(tmp_path: Path) -> None:
    run = RunConfig.model_validate(
        {"task": "sudoku", "model": {"kind": "transformer", "act_continue": True}}
    )
    data = get_task("sudoku").published_data_meta(11, 81)
    assert data is not None
    with pytest.raises(
        CheckpointError, match=r"model\.act_continue is True, and the published code"
    ):
        write_yaml(CheckpointConfig(step=1, run=run, data=data))
