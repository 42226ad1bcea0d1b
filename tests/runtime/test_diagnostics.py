"""``trm doctor`` says what is on this machine, what to do about it, and no secret."""

import importlib.metadata
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trm.runtime.diagnostics import Finding, diagnose, optional_packages

from tests.conftest import Result  # isort: skip


def findings() -> dict[str, Finding]:
    return {finding.name: finding for finding in diagnose()}


def test_versions_are_those_that_run(trm: Callable[..., Result]) -> None:
    shown = trm("doctor").out
    assert torch.__version__ in shown
    assert importlib.metadata.version("trm") in shown
    assert f"onnx {importlib.metadata.version('onnx')}" in shown


def test_a_token_is_present_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, trm: Callable[..., Result]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecretsecret")
    shown = trm("doctor").out
    assert "present" in shown
    assert "secret" not in shown


def test_what_can_be_improved_has_advice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TRM_MODEL__HIDDEN_SIZE", "64")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 10_000)
    found = findings()
    assert "XDG_CACHE_HOME" in found["cache"].advice
    assert "g++" in found["C++ compiler"].advice
    assert "OMP_NUM_THREADS=" in found["threads"].advice
    assert found["TRM_MODEL__HIDDEN_SIZE"].value == "64"


def test_missing_packages_of_an_extra_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version

    def without_wandb(name: str) -> str:
        if name in ("wandb", "adam-atan2"):
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without_wandb)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = findings()
    assert found["extra wandb"].advice == "To use it: pip install wandb"
    assert found["extra cuda"].advice == "Not needed without an NVIDIA GPU."
    assert optional_packages().keys() == {
        "cuda", "notebook", "onnx", "plot", "tensorboard", "trackio", "wandb", "web",
    }  # fmt: skip
