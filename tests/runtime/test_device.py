"""What training makes of ``auto`` on a device."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trm.config import ModelConfig, RunConfig
from trm.errors import ConfigError
from trm.models import PuzzleSpec, TinyRecursiveModel
from trm.runs import layout
from trm.runtime.device import default_dtype, resolve_dtype
from trm.training.plan import plan_run
from trm.training.train import train

CPU = torch.device("cpu")
TYPES = {"avx512_bf16": "bfloat16", "amx_bf16": "bfloat16", "avx512_f": "float32"}


@pytest.mark.parametrize("capability", TYPES)
def test_the_usual_type_is_one_that_the_processor_computes_in(
    capability: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True}, raising=False)
    assert default_dtype(CPU) == TYPES[capability]


def test_a_torch_that_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert default_dtype(CPU) == "float32"


def test_a_run_is_of_one_type(tiny: Callable[..., RunConfig], tmp_path: Path) -> None:
    config = tiny("model.forward_dtype=auto", "train.max_steps=1")
    planned = plan_run(config, runs=tmp_path, name="a")
    assert planned.config.model.forward_dtype == default_dtype(CPU)
    run = train(config, runs=tmp_path, name="a").run
    saved = RunConfig.model_validate_json((run / layout.CONFIG_FILE).read_text())
    assert saved.model.forward_dtype == default_dtype(CPU)
    longer = tiny("model.forward_dtype=auto", "train.max_steps=2")
    assert plan_run(longer, resume=str(run)).checkpoint is not None


def test_a_type_that_is_named_is_kept(tiny: Callable[..., RunConfig]) -> None:
    config = tiny("model.forward_dtype=float64")
    assert resolve_dtype(config, CPU) is config


def test_a_model_needs_a_type() -> None:
    with pytest.raises(ConfigError, match="forward_dtype is 'auto', which training decides"):
        TinyRecursiveModel(ModelConfig(forward_dtype="auto"), PuzzleSpec(6, 9))
