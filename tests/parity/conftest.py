"""``pytest tests/parity --reference DIR`` also tests the model files in another folder."""

from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reference", type=Path, help="another folder of reference vectors")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folders = [DATA]
    other = metafunc.config.getoption("--reference", None)
    if other:
        folders.append(other)
    for fixture in ("model_file", "stablemax_file"):
        if fixture not in metafunc.fixturenames:
            continue
        files = [f for d in folders for f in sorted(d.glob("*.safetensors"))]
        stable = fixture == "stablemax_file"
        chosen = [f for f in files if (f.stem == "stablemax") is stable]
        ids = [f.stem if f.parent == DATA else str(f) for f in chosen]
        metafunc.parametrize(fixture, chosen, ids=ids, scope="module")
