"""The selection of SwiGLU kernels, and the Triton kernel against the plain version.

Without a GPU, Triton's interpreter runs the kernel, and a test compiles it for a GPU.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from trm.config import TRMConfig
from trm.errors import ConfigError
from trm.models.layers import select_glu, silu_glu

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="GPU")
#: Allowed difference: a few roundings, and the order of the sums.
TOLERANCES = {
    "float32": {"rtol": 1e-5, "atol": 1e-5},
    "float16": {"rtol": 4e-3, "atol": 1e-4},
    "bfloat16": {"rtol": 3e-2, "atol": 1e-3},
}
PLACES = [
    pytest.param(("cpu", "float32", "float16"), id="interpreter"),
    pytest.param(("cuda", "bfloat16", "float16"), id="gpu", marks=needs_gpu),
]


def program(folder: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    """The results that ``kernel_program.py`` saved."""
    command = [sys.executable, str(Path(__file__).with_name("kernel_program.py")), *arguments]
    process = subprocess.run(
        [*command, str(folder / "results.pt")],
        env={**os.environ, "TRM_KERNELS": "triton", "TRITON_CACHE_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    results: dict[str, Any] = torch.load(folder / "results.pt", map_location="cpu")
    return results


@pytest.fixture(scope="module", params=PLACES)
def results(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    place: tuple[str, ...] = request.param
    interpreted = str(int(place[0] == "cpu"))
    folder = tmp_path_factory.mktemp("kernels")
    return program(folder, "results", *place, TRITON_INTERPRET=interpreted)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return program(tmp_path_factory.mktemp("kernels"), "assembly", TRITON_INTERPRET="0")


@pytest.mark.parametrize("name", [None, "plain"])
def test_the_plain_version_is_chosen_by_default(
    name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name is not None:
        monkeypatch.setenv("TRM_KERNELS", name)
    assert select_glu(TRMConfig()) is silu_glu


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tritn", "unknown kernels 'tritn'. Did you mean 'triton'? Known: plain, triton."),
        ("", "unknown kernels ''. Known: plain, triton."),
    ],
)
def test_an_unknown_choice_is_refused(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRM_KERNELS", name)
    with pytest.raises(ConfigError) as error:
        select_glu(TRMConfig())
    assert str(error.value) == f"environment TRM_KERNELS: {message}"


def test_triton_has_to_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRM_KERNELS", "triton")
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "trm.models.kernels", raising=False)
    with pytest.raises(ConfigError, match=r"^environment TRM_KERNELS: .* pip install triton, "):
        select_glu(TRMConfig())


@needs_triton
def test_the_kernel_computes_what_the_plain_version_does(results: dict[str, Any]) -> None:
    for dtype, cases in results["products"].items():
        assert len(cases) == 25
        for *where, actual, expected in cases:
            close = torch.allclose(actual, expected, **TOLERANCES[dtype])
            assert close, (dtype, where, (actual - expected).abs().max())
            assert actual.is_contiguous() or where[1] == "features, of any strides", where


@needs_triton
@pytest.mark.parametrize("name", ["mlp", "attention"])
def test_a_model_computes_the_same_as_with_the_plain_version(
    results: dict[str, Any], name: str
) -> None:
    """Two layers call the kernel in each SwiGLU, in 2 steps x 2 cycles x 3 applications."""
    plain, triton = (results["models"][name, False, kernels] for kernels in ("plain", "triton"))
    assert plain["calls"] == 0
    assert triton["calls"] == 2 * 2 * 3 * 2 * (2 if name == "mlp" else 1)
    tolerance = 1e-4 if triton["logits"].dtype == torch.float32 else 0.1
    torch.testing.assert_close(triton["logits"], plain["logits"], rtol=0, atol=tolerance)


@needs_triton
@pytest.mark.parametrize("name", ["mlp", "attention"])
def test_the_plain_version_is_used_with_a_gradient(results: dict[str, Any], name: str) -> None:
    answering = results["models"][name, False, "triton"]
    plain, triton = (results["models"][name, True, kernels] for kernels in ("plain", "triton"))
    assert triton["calls"] == answering["calls"] / 2  # only the first of two cycles has no gradient
    tolerance = 1e-4 if triton["logits"].dtype == torch.float32 else 0.1
    for actual, expected in zip(triton["gradients"], plain["gradients"], strict=True):
        assert expected.any()
        torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)


@needs_triton
def test_the_plain_version_is_used_on_a_cpu(compiled: dict[str, Any]) -> None:
    assert (compiled["same"], compiled["calls"]) == (True, 0)


@needs_triton
def test_the_kernel_compiles_for_an_h100(compiled: dict[str, Any]) -> None:
    """It uses tensor cores, and at most the shared memory of a block."""
    assert len(compiled["assembly"]) == 8
    for name, report in compiled["assembly"].items():
        assert report["program"] == b"\x7fELF", name
        assert report["products"] > 0, name
        assert report["shared memory"] <= 227 * 1024, name
