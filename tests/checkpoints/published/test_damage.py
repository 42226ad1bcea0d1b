"""Published checkpoints that are damaged, hostile or of another network: one line, nothing run."""

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from trm.checkpoints.published.checkpoint import export_published, import_published, read_published
from trm.checkpoints.published.tensor_names import PREFIX
from trm.errors import CheckpointError, PluginError

MLP = {"mlp_t": True, "pos_encodings": "none"}
LAYER = "L_level.layers.1."


def refusal(path: Path, task: str | None = "sudoku") -> str:
    """The one line that refuses a checkpoint."""
    with pytest.raises(CheckpointError) as caught:
        read_published(path, task)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 600
    assert "weights_only" not in text
    return text


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("how", ["zip", "before 1.6", "bare", "bare, protocol 2", "in tensors"])
def test_a_pickle_that_wants_to_run_code(
    example: Callable[..., Any], tmp_path: Path, how: str
) -> None:
    made, mark = example(**MLP), tmp_path / "ran"
    hostile = {**made.tensors, "x": Touch(mark)} if how == "in tensors" else Touch(mark)
    if how.startswith("bare"):
        protocol = 2 if how.endswith("2") else 4
        made.file.write_bytes(pickle.dumps(hostile, protocol=protocol))
    else:
        torch.save(hostile, made.file, _use_new_zipfile_serialization=how != "before 1.6")
    text = refusal(made.file)
    assert "nothing in it was run" in text
    if not how.startswith("bare"):  # torch stops before it reads the class
        assert "would run code to be read (" in text
    assert not mark.exists()
    if how != "before 1.6":
        return
    torch.load(made.file, weights_only=False)  # what it would have done
    assert mark.exists()


def test_a_pickled_model_is_no_state_dict(example: Callable[..., Any]) -> None:
    made = example(**MLP)
    made.save(torch.nn.Linear(2, 2))
    assert "would run code to be read (torch.nn.modules.linear.Linear)" in refusal(made.file)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0002, 0.01, 0.5, 0.999])
def test_cut_short(example: Callable[..., Any], share: float, zipped: bool) -> None:
    made = example(**MLP)
    torch.save(made.tensors, made.file, _use_new_zipfile_serialization=zipped)
    whole = made.file.read_bytes()
    made.file.write_bytes(whole[: max(60, int(share * len(whole)))])
    assert "cut short, or not a state_dict" in refusal(made.file)


def nested() -> Tensor:
    """A tensor whose rows have several lengths, which torch warns about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.nested.nested_tensor([torch.zeros(1), torch.zeros(2)])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ([1, 2], "holds a list, not a state_dict"),
        ({}, "lacks the tensor"),
        ({"model": {"a": torch.zeros(3)}}, "has 'model', which is not a tensor of a TRM"),
        ({3: torch.zeros(3)}, "has 3, which is not a tensor of a TRM"),
        ({"q_head.bias": 3.0}, "q_head.bias is a float, not a tensor"),
        ({"q_head.bias": torch.zeros(2, device="meta")}, "without numbers of its own"),
        ({"q_head.bias": torch.zeros(2).to_sparse()}, "without numbers of its own"),
        ({"q_head.bias": nested()}, "without numbers of its own"),
        ({"q_head.bias": torch.zeros(2, dtype=torch.float64)}, "of type torch.float64"),
        ({"q_head.bias": torch.zeros(2, dtype=torch.complex64)}, "of type torch.complex64"),
        ({"q_head.bias": torch.zeros(2).to(torch.float8_e5m2)}, "of type torch.float8_e5m2"),
        ({"q_head.bias": torch.zeros(1).expand(10**9)}, "is smaller than the tensors it describes"),
        ({"q_head.bias": torch.zeros(2), "inner.q_head.bias": torch.zeros(2)}, "twice"),
        ({"L_level.layers.0.conv.weight": torch.zeros(2)}, "L_level.layers.0.conv.weight"),
        ({"X_level.layers.0.mlp.down_proj.weight": torch.zeros(2)}, "X_level.layers.0.mlp"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_content(example: Callable[..., Any], content: object, why: str) -> None:
    made = example(**MLP)
    made.save(content)
    assert why in refusal(made.file)


NAMES = [
    "H_init", "L_init", "embed_tokens.embedding_weight", "lm_head.weight", "q_head.weight",
    "q_head.bias", LAYER + "mlp_t.gate_up_proj.weight", LAYER + "mlp.down_proj.weight",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_tensor_that_is_missing(example: Callable[..., Any], name: str) -> None:
    made = example(**MLP)
    made.write_yaml(arch={"name": "recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1"})
    made.save({n: t for n, t in made.tensors.items() if n != PREFIX + name})
    if name == "H_init":  # all the tensors of another model are there
        assert "has the tensors of a model of kind singlez" in refusal(made.file)
        return
    assert f"lacks the tensor {name}," in refusal(made.file)


@pytest.mark.parametrize("name", NAMES)
def test_a_tensor_of_another_shape(example: Callable[..., Any], name: str) -> None:
    made = example(**MLP)
    tensor: Tensor = made.tensors[PREFIX + name]
    made.save({**made.tensors, PREFIX + name: torch.cat((tensor, tensor))})
    text = refusal(made.file)
    # Of the embedding's rows the vocabulary is counted.
    assert name in text or (name.startswith("embed_tokens") and "22 kinds of tokens" in text)
    made.save({**made.tensors, PREFIX + name: tensor[None]})
    assert name in refusal(made.file)


@pytest.mark.parametrize("name", [*NAMES, "puzzle_emb.weights"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite(example: Callable[..., Any], name: str, value: float) -> None:
    made = example(**MLP)
    tensor = made.tensors[PREFIX + name].clone()
    tensor.view(-1)[1] = value
    made.save({**made.tensors, PREFIX + name: tensor})
    assert f"the tensor {name} has numbers that are not finite" in refusal(made.file)


@pytest.mark.parametrize(
    ("arch", "why"),
    [
        (
            {"name": "recursive_reasoning.hrm@HierarchicalReasoningModel_ACTV1"},
            "says that it is of kind hrm",
        ),
        (
            {"name": "recursive_reasoning.trm_singlez@TinyRecursiveReasoningModel_ACTV1"},
            "kind singlez",
        ),
        ({"name": "recursive_reasoning.ttt@TTT"}, "a network that trm does not have. It has trm@"),
        ({"name": ["x"]}, "arch.name is a list, a network that"),
        ({"H_layers": 4}, "arch.H_layers is 4, and recursive_reasoning.trm@TinyRecursiveReasoning"),
        ({"loss": {"loss_type": "hinge"}}, "loss_type is 'hinge'; trm has stablemax_cross_entropy"),
        ({"loss": 3}, "arch.loss is not a mapping of names to values"),
        ({"H_cycles": "many"}, "arch.H_cycles = 'many': Input should be a valid integer"),
        ({"H_cycles": 0}, "arch.H_cycles = 0: Input should be greater than 0"),
        (
            {"H_cycles": 2**60},
            "arch.H_cycles = a huge number: Input should be less than",
        ),
        (
            {"rope_theta": float("inf")},
            "arch.rope_theta = inf: Input should be less than or",
        ),
        (
            {"pos_encodings": "alibi"},
            "arch.pos_encodings = 'alibi': Input should be 'rope', 'rope2",
        ),
        ({"forward_dtype": "int8"}, "arch.forward_dtype = 'int8': Input should be"),
        (
            {"hidden_size": 64},
            "H_init is (32,), but the configuration makes it (64,). Correct all_config",
        ),
        ({"hidden_size": 2**52, "num_heads": 1}, "Input should be less than or equal to 65536"),
        ({"L_layers": 3}, "lacks the tensor L_level.layers.2.mlp_t.gate_up_proj.weight"),
        ({"L_layers": 10**9}, "arch.L_layers = 1000000000: Input should be less than or"),
        ({"L_layers": 1}, "has the tensor L_level.layers.1."),
        ({"mlp_t": False}, "lacks the tensor L_level.layers.0.self_attn.qkv_proj.weight"),
        ({"pos_encodings": "learned"}, "lacks the tensor embed_pos.embedding_weight"),
        (
            {"expansion": 9},
            "L_level.layers.0.mlp_t.gate_up_proj.weight is (1024, 97), but the configuration",
        ),
        ({"puzzle_emb_ndim": 0}, "11 kinds of tokens and 97 cells"),
        (
            {"puzzle_emb_ndim": 64},
            "puzzle_emb.weights is (1, 32), but the configuration makes it (1, 64)",
        ),
        ({"puzzle_emb_len": 15}, "11 kinds of tokens and 97 cells"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_settings_that_do_not_fit(
    example: Callable[..., Any], arch: dict[str, Any], why: str
) -> None:
    made = example(**MLP)
    made.write_yaml(arch=arch)
    assert why in refusal(made.file)


MERGES = "".join(f"a{n}: &a{n}\n  <<: [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: b: c", "mapping values are not allowed here"),
        ("- 1\n- 2", "it is not a mapping of names to values"),
        ("arch: 3", "arch is not a mapping of names to values"),
        ("\x00", "special characters are not allowed"),
        ("a: !!int ''", "string index out of range"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("[" * 5000, "it is nested too deeply"),
        ("lr: 1\n" * 20_000, "it has 120,000 bytes, more than 100,000"),
        (f"a0: &a0 {{k: v}}\n{MERGES}", "is damaged: could not determine a constructor"),
        ("lr: .nan", "lr = nan"),
        ("lr: -1", "lr = -1: Input should be greater than or equal to 0. Correct it"),
        ("seed: 0x" + "f" * 5000, "seed = a huge number: Input should be less than or equal to"),
        ("data_paths: {a: 1}", "data_paths = a dict: Input should be"),
        ("epochs: [1]", "epochs = a list: Input should be a valid integer"),
        ("seq_len: -3", "seq_len = -3: Input should be greater than 0"),
    ],
    ids=range(15),
)
def test_a_file_of_settings_that_is_none(example: Callable[..., Any], text: str, why: str) -> None:
    made = example(**MLP)
    made.write_yaml(text)
    found = refusal(made.file)
    assert "all_config.yaml" in found
    assert why in found


def test_aliases_are_not_written_out(example: Callable[..., Any]) -> None:
    lists = "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    made = example(**MLP)
    made.write_yaml(f"a0: &a0 [x]\n{lists}seed: *a59\n")
    assert "seed = a list: Input should be a valid integer" in refusal(made.file)


def test_bytes_that_are_no_text(example: Callable[..., Any]) -> None:
    made = example(**MLP)
    (made.folder / "all_config.yaml").write_bytes(b"\xff\xfe\xfa")
    assert "all_config.yaml is damaged" in refusal(made.file)


def test_heads_that_do_not_fit(example: Callable[..., Any]) -> None:
    made = example(hidden_size=36, num_heads=2)
    text = refusal(made.file)
    assert "hidden_size 36 is not divisible by num_heads" in text
    assert (
        "Write the settings that it was trained with into an all_config.yaml in its folder" in text
    )


def test_a_task_that_is_not_installed(example: Callable[..., Any]) -> None:
    made = example(**MLP)
    with pytest.raises(PluginError, match=r"unknown task 'sudokoo'\. Did you mean 'sudoku'"):
        read_published(made.file, "sudokoo")
    other = example(vocab_size=77)
    assert "not puzzles of any installed task" in refusal(other.file, None)


def test_a_damaged_checkpoint_of_ours_is_not_exported(
    example: Callable[..., Any], tmp_path: Path
) -> None:
    import_published(example(**MLP).file, tmp_path / "imported")
    weights = tmp_path / "imported" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="is damaged or cut short"):
        export_published(tmp_path / "imported", tmp_path / "back")
    with pytest.raises(CheckpointError, match="no such file"):
        export_published(tmp_path / "published", tmp_path / "back")
    assert {path.name for path in tmp_path.iterdir()} == {"published", "imported"}
