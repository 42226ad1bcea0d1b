"""Torch files that hold a state dict next to other things, as other trainers save them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from trm.checkpoints.published.checkpoint import PublishedCheckpoint, read_published
from trm.checkpoints.published.tensor_names import PREFIX, published_name
from trm.errors import CheckpointError

MLP = {"mlp_t": True, "pos_encodings": "none"}
#: What the average of the published code lacks: it averages parameters, and these are buffers.
BUFFERS = ("H_init", "L_init", "puzzle_emb.weights")
#: What trainers save next to the weights.
REST = {
    "optimizer": {"state": {0: {"exp_avg": torch.ones(3, dtype=torch.float64), "step": 7}},
                  "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.95), "params": [0]}]},
    "scheduler": None, "args": {"lr": 0.1, "names": ["a", "b"]}, "best": 0.5, 3: torch.ones(2),
    "metrics": [1, 2.5, "three"], "rng": torch.zeros(8, dtype=torch.uint8),
}  # fmt: skip


def changed(tensors: dict[str, Tensor], prefix: str = PREFIX, by: float = 0) -> dict[str, Tensor]:
    """The same state dict with another prefix, and something added to its numbers."""
    return {prefix + name.removeprefix(PREFIX): t + by for name, t in tensors.items()}


def same(found: PublishedCheckpoint, tensors: dict[str, Tensor]) -> bool:
    """Whether the weights are those of a published state dict."""
    by_name = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    return all(
        torch.equal(tensor, by_name[published_name(name)]) for name, tensor in found.weights.items()
    )


@pytest.mark.parametrize(
    "name", ["model", "model_state_dict", "state_dict", "module", "network", "anything"]
)
@pytest.mark.parametrize("prefix", [PREFIX, "module.", "_orig_mod.module.model.inner."])
def test_a_state_dict_next_to_other_things(
    example: Callable[..., Any], name: str, prefix: str
) -> None:
    made = example(**MLP)
    made.save({**REST, name: changed(made.tensors, prefix), "step": 12})
    found = read_published(made.file)
    assert same(found, made.tensors)
    assert found.notes[0] == f"weights: {name!r} in the file"
    assert found.config.step == 7


def test_a_state_dict_two_levels_down(example: Callable[..., Any]) -> None:
    made = example(**MLP)
    made.save({**REST, "checkpoint": {"model": made.tensors, "step": 3}})
    found = read_published(made.file)
    assert same(found, made.tensors)
    assert found.notes[0] == "weights: 'checkpoint.model' in the file"


@pytest.mark.parametrize(
    "average", ["ema", "ema_model", "model_ema", "ema.shadow", "shadow_params", "averaged_model"]
)
def test_an_average_is_taken_before_the_weights(example: Callable[..., Any], average: str) -> None:
    made = example(**MLP)
    outer, _, inner = average.partition(".")
    ema = changed(made.tensors, "module.", by=1)
    value = {inner: ema, "decay": 0.999} if inner else {**ema, "n_averaged": torch.tensor(5)}
    made.save({**REST, "model": made.tensors, outer: value})
    found = read_published(made.file)
    assert same(found, changed(made.tensors, by=1))
    assert found.notes[0] == (
        f"weights: {average!r} in the file and not 'model', as the published code evaluates the "
        "average"
    )


def test_what_an_average_lacks_comes_from_the_weights(example: Callable[..., Any]) -> None:
    made = example(**MLP)
    of_parameters = {
        name: tensor + 1 for name, tensor in made.tensors.items() if not name.endswith(BUFFERS)
    }
    made.save({"ema": of_parameters, "model": made.tensors})
    found = read_published(made.file)
    assert same(found, {**made.tensors, **of_parameters})
    assert found.notes[0].endswith("; from 'model' the 3 tensors that it lacks")
    made.save({"ema": of_parameters})
    del of_parameters[PREFIX + "lm_head.weight"]
    made.save({"ema": of_parameters, "model": of_parameters})
    with pytest.raises(CheckpointError, match=r"these are not puzzles of|lacks the tensor"):
        read_published(made.file)


def test_the_usual_one_of_several(example: Callable[..., Any]) -> None:
    made = example(**MLP)
    other = changed(made.tensors, by=2)
    made.save({"teacher": other, "model": made.tensors})
    assert same(read_published(made.file), made.tensors)
    for content, names in (
        ({"teacher": other, "student": made.tensors}, "'teacher', 'student'"),
        ({"ema_0.9": other, "ema_0.99": other, "model": other}, "'ema_0.9', 'ema_0.99'"),
    ):
        made.save(content)
        message = rf"step_7 holds several state dicts: {names}\. Save the one to use to a file of"
        with pytest.raises(CheckpointError, match=message):
            read_published(made.file)


@pytest.mark.parametrize("step", [1234, torch.tensor(1234)])
@pytest.mark.parametrize("name", ["step", "global_step"])
def test_the_step_of_a_file_without_one_in_its_name(
    example: Callable[..., Any], name: str, step: object
) -> None:
    made = example(**MLP, name="model.pt")
    made.save({"model": made.tensors, name: step})
    found = read_published(made.file)
    assert found.config.step == 1234
    assert "step 1,234, as the file says" in found.notes
    for damaged in (-1, True, "9", 2**60, torch.ones(2), [1], None):
        made.save({"model": made.tensors, name: damaged})
        assert read_published(made.file).config.step == 0


@pytest.mark.parametrize(
    "content",
    [
        {"model": {"encoder.weight": torch.ones(2)}, "optimizer": {}},
        {"model": {3: torch.ones(2)}},
        {"a": {"b": {"c": {"q_head.bias": torch.ones(2)}}}},
    ],
)
def test_a_file_without_a_trm(example: Callable[..., Any], content: object) -> None:
    made = example(**MLP)
    made.save(content)
    with pytest.raises(CheckpointError, match=r"has '\w+', which is not a tensor of a TRM\."):
        read_published(made.file)


def test_another_network_in_a_wrapper_is_named(example: Callable[..., Any]) -> None:
    made = example(**MLP)
    layer = {"X_level.layers.0.mlp.down_proj.weight": torch.ones(2)}
    made.save({"model": {**made.tensors, **layer}, "config": {"arch": "hrm"}})
    with pytest.raises(CheckpointError) as caught:
        read_published(made.file)
    assert "has 'X_level.layers.0.mlp.down_proj.weight', which is not a tens" in str(caught.value)
