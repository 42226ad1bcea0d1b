"""A checkpoint of the published trainer gives the same numbers as in the published code.

``expected.safetensors`` holds the outputs of the published code, in float32 on the CPU.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

from trm.checkpoints.open_checkpoint import open_checkpoint
from trm.checkpoints.published.checkpoint import export_published, import_published, read_published
from trm.checkpoints.published.file_names import YAML_FILE
from trm.checkpoints.published.tensor_names import PREFIX
from trm.models import TinyRecursiveModel

FOLDER = Path(__file__).parent / "data" / "published_checkpoint"
FILE = FOLDER / "step_65104"
Make = Callable[[Path], Path]


def state_dict(file: Path) -> dict[str, Tensor]:
    loaded: dict[str, Tensor] = torch.load(file, weights_only=True)
    return loaded


def unchanged(_: Path) -> Path:
    return FOLDER


def without_prefixes(folder: Path) -> Path:
    shutil.copy(FOLDER / YAML_FILE, folder)
    bare = {name.removeprefix(PREFIX): tensor for name, tensor in state_dict(FILE).items()}
    torch.save(bare, folder / "model.pt")
    return folder


def without_settings(folder: Path) -> Path:
    return Path(shutil.copy(FILE, folder))


def exported(folder: Path) -> Path:
    import_published(FOLDER, folder / "ours")
    return export_published(folder / "ours", folder / "theirs").parent


@pytest.fixture(
    scope="module",
    params=[unchanged, without_prefixes, without_settings, exported],
    ids=lambda make: make.__name__,
)
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> TinyRecursiveModel:
    """The imported model."""
    make: Make = request.param
    folder = tmp_path_factory.mktemp(make.__name__)
    task = "sudoku" if make is without_settings else None
    import_published(make(folder), folder / "imported", task=task)
    return open_checkpoint(folder / "imported").model()


def outputs(model: TinyRecursiveModel, batch: dict[str, Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits and halting logits after each supervision step."""
    with torch.no_grad():
        embedded = model.embed(
            batch["batch.inputs"], model.puzzle_vectors(batch["batch.puzzle_identifiers"])
        )
        state = model.initial_state(len(embedded))
        for _ in range(model.config.halt_max_steps):
            state, logits, halt_logits, _ = model(state, embedded)
            yield logits, halt_logits


def test_outputs_equal_those_of_the_published_code(model: TinyRecursiveModel) -> None:
    expected = load_file(FOLDER / "expected.safetensors")
    steps = dict(enumerate(outputs(model, expected), start=1))
    assert len(steps) == 16
    for step in (1, 2, 16):
        for name, actual in zip(("logits", "halt_logits"), steps[step], strict=True):
            torch.testing.assert_close(actual, expected[f"step{step}.{name}"], atol=1e-4, rtol=0)


def test_an_export_has_the_same_tensors_as_the_published_file(tmp_path: Path) -> None:
    file = exported(tmp_path) / FILE.name
    published, export = state_dict(FILE), state_dict(file)
    assert list(export) == list(published)
    for name, tensor in published.items():
        assert (export[name].dtype, export[name].shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(export[name], tensor)


def test_an_export_has_the_same_settings_as_the_published_file(tmp_path: Path) -> None:
    export = read_published(exported(tmp_path))
    published = read_published(FOLDER)
    assert export.config.run == published.config.run
    assert export.config.step == 65104


def test_an_export_has_the_same_keys_as_the_published_file(tmp_path: Path) -> None:
    def keys(file: Path, *path: str) -> set[str]:
        values = yaml.safe_load(file.read_text())
        for name in path:
            values = values[name]
        return set(values)

    export, published = exported(tmp_path) / YAML_FILE, FOLDER / YAML_FILE
    for path in ((), ("arch",), ("arch", "loss")):
        assert keys(export, *path) == keys(published, *path)
