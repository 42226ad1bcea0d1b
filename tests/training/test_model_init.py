"""The model that a run starts with: new, or with the weights of a checkpoint."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.hub import HubServer
from tests.hub.commands import Online, succeeded
from tests.made_checkpoints import files_of, write_checkpoint, write_named_data
from trm import build_data
from trm.checkpoints.open_checkpoint import open_checkpoint
from trm.checkpoints.tensors import PUZZLE_EMBEDDING
from trm.config import RunConfig
from trm.data import Dataset
from trm.errors import CheckpointError, ConfigError
from trm.models import TinyRecursiveModel
from trm.recipes import run_config
from trm.runs.checkpoint import read_config
from trm.runs.run_folder import find_checkpoint
from trm.runtime.process_group import ProcessGroup
from trm.tasks.registry import get_task
from trm.training.model_init import (
    build_model,
    check_initial_weights,
    load_initial_weights,
)
from trm.training.run_plan import plan_run
from trm.training.sharded_embedding import ShardedPuzzleEmbedding
from trm.training.train import train

Checkpoint = Callable[..., Path]
Tiny = Callable[..., RunConfig]
CPU = torch.device("cpu")
NAMES = ["<blank>", "a", "bb", "ccc", "d"]
#: Nothing moves, but for the weight average, which stays where it began.
STILL = ("optim.lr=0", "optim.puzzle_emb_lr=0", "train.max_steps=1", "train.eval_every_steps=1")
ATTENTION = ("model.mlp_t=false", "model.pos_encodings=rope")


@pytest.fixture
def named_data(mini_data: Path, tmp_path: Path) -> Path:
    return write_named_data(tmp_path / "named", mini_data, NAMES)


def opened(config: RunConfig) -> Dataset:
    return get_task(config.task).open_data(config.data_paths)


def begun(config: RunConfig, group: ProcessGroup | None = None) -> TinyRecursiveModel:
    """The model of a run, checked and filled."""
    dataset = opened(config)
    check_initial_weights(config, dataset)
    with torch.no_grad():
        more = () if group is None else (group,)
        model = build_model(config, dataset, CPU, *more)
        load_initial_weights(model, config, dataset, *more)
    return model


def is_equal(model: TinyRecursiveModel, weights: dict[str, torch.Tensor]) -> bool:
    state = model.state_dict()
    return state.keys() == weights.keys() and all(
        torch.equal(state[name], tensor) for name, tensor in weights.items()
    )


def test_it_has_the_weights_of_a_checkpoint(checkpoint: Checkpoint, tiny: Tiny) -> None:
    folder = checkpoint("c")
    saved = load_file(folder / "model.safetensors")
    config = tiny(f"train.init_from={folder}")
    assert is_equal(begun(config), saved)
    assert not is_equal(build_model(config, opened(config), CPU), saved)


def test_it_has_the_weights_of_a_published_checkpoint(
    checkpoint: Checkpoint, tiny: Tiny, tmp_path: Path
) -> None:
    from trm.checkpoints.published.checkpoint import export_published

    folder = checkpoint("c", "model.swiglu_multiple=256")
    export_published(folder, tmp_path / "theirs")
    config = tiny("model.swiglu_multiple=256", f"train.init_from={tmp_path / 'theirs'}")
    assert is_equal(begun(config), load_file(folder / "model.safetensors"))
    assert check_initial_weights(config, opened(config)) == []
    newer = tmp_path / "theirs" / "step_12"
    shutil.copy(tmp_path / "theirs" / "step_7", newer)
    assert check_initial_weights(config, opened(config)) == [
        f"--init-from {newer.parent}: step_12, the newest of 2 checkpoints."
    ]


def test_another_type_of_numbers(checkpoint: Checkpoint, tiny: Tiny) -> None:
    folder = checkpoint("c")
    model = begun(tiny(f"train.init_from={folder}", "model.forward_dtype=float64"))
    assert model.output_head.weight.dtype == torch.float64
    saved = load_file(folder / "model.safetensors")
    assert is_equal(model, {name: tensor.double() for name, tensor in saved.items()})


def test_it_may_begin_with_the_same_puzzles(
    checkpoint: Checkpoint, tiny: Tiny, named_data: Path
) -> None:
    folder = checkpoint("c", names=NAMES)
    table = load_file(folder / "model.safetensors")[PUZZLE_EMBEDDING]
    config = tiny(f"train.init_from={folder}", f"data.paths=['{named_data}']")
    model = begun(config)
    assert model.puzzle_embedding is not None
    assert torch.equal(model.puzzle_embedding.weight, table)
    sharded = config.model_copy(
        update={"train": config.train.model_copy(update={"shard_puzzle_embedding": True})}
    )
    shares = []
    for rank in range(2):
        part = begun(sharded, ProcessGroup(rank, 2)).puzzle_embedding
        assert isinstance(part, ShardedPuzzleEmbedding)
        shares.append(part.shard)
    assert [len(share) for share in shares] == [2, 3]
    assert torch.equal(torch.cat(shares), table)


@pytest.mark.parametrize("shards", ["true", "false"])
def test_other_puzzles_may_begin_with_the_mean(
    checkpoint: Checkpoint, tiny: Tiny, named_data: Path, shards: str
) -> None:
    folder = checkpoint("c", names=["<blank>", "x", "y"])
    saved = load_file(folder / "model.safetensors")
    settings = (f"train.init_from={folder}", f"data.paths=['{named_data}']")
    new = tiny(*settings)
    assert check_initial_weights(new, opened(new)) == [
        f"{folder} knows none of the 4 puzzle identifiers: their embeddings begin with the mean of "
        "all its puzzle embeddings."
    ]
    table = begun(new).puzzle_embedding
    assert table is not None
    mean = saved[PUZZLE_EMBEDDING].mean(dim=0)
    torch.testing.assert_close(table.weight[1:], mean.expand(4, -1))
    reset = tiny(
        *settings, "train.reset_puzzle_embedding=true", f"train.shard_puzzle_embedding={shards}"
    )
    assert check_initial_weights(reset, opened(reset)) == []
    groups = [ProcessGroup(rank, 2) for rank in range(2)] if shards == "true" else [None]
    for group in groups:
        model = begun(reset, group)
        table = model.puzzle_embedding
        assert table is not None
        rows = table.shard if isinstance(table, ShardedPuzzleEmbedding) else table.weight
        assert len(rows) == {None: 5, ProcessGroup(0, 2): 2, ProcessGroup(1, 2): 3}[group]
        torch.testing.assert_close(rows, saved[PUZZLE_EMBEDDING].mean(dim=0).expand(len(rows), -1))
        del saved[PUZZLE_EMBEDDING]
        others = {n: tensor for n, tensor in model.state_dict().items() if n != PUZZLE_EMBEDDING}
        assert all(torch.equal(others[name], saved[name]) for name in others)
        saved = load_file(folder / "model.safetensors")


@pytest.mark.parametrize("shards", [1, 2])
def test_puzzles_that_the_checkpoint_knows_keep_their_embedding(
    checkpoint: Checkpoint, tiny: Tiny, named_data: Path, shards: int
) -> None:
    folder = checkpoint("c", names=["<blank>", "d", "x", "a", "other"])
    table = load_file(folder / "model.safetensors")[PUZZLE_EMBEDDING]
    config = tiny(
        f"train.init_from={folder}", f"data.paths=['{named_data}']",
        f"train.shard_puzzle_embedding={'true' if shards > 1 else 'false'}",
    )  # fmt: skip
    mean = table.mean(dim=0)
    parts = []
    for rank in range(shards):
        found = begun(config, ProcessGroup(rank, shards)).puzzle_embedding
        assert found is not None
        parts.append(found.shard if isinstance(found, ShardedPuzzleEmbedding) else found.weight)
    expected = torch.stack((table[0], table[3], mean, mean, table[1]))  # <blank>, a, bb, ccc, d
    torch.testing.assert_close(torch.cat(parts), expected, rtol=0, atol=1e-7)
    assert check_initial_weights(config, opened(config)) == [
        f"3 of 5 puzzle embeddings are those of {folder}, the other 2 begin with the mean of all "
        "its puzzle embeddings. To reset all, give --reset-puzzle-embedding."
    ]


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    [
        ((), ATTENTION, r"lacks the tensor core\.layers\.0\.\S+, which this run asks for\."),
        (ATTENTION, (), r"lacks the tensor core\.layers\.0\.\S+, which this run asks for\."),
        (
            (), ("model.hidden_size=64",),
            r"answer_init is \(32,\), but this run makes it \(64,\)\.",
        ),
        ((), ("model.l_layers=1",), r"has the tensor core\.layers\.1\.\S+, for which this run has"),
        (
            ATTENTION, (*ATTENTION, "model.puzzle_emb_dim=0"),
            r"has the tensor puzzle_embedding\.weight, for which this run has no place\.",
        ),
        (
            (*ATTENTION, "model.puzzle_emb_dim=0"), ATTENTION,
            r"lacks the tensor puzzle_embedding\.weight, which this run asks for\.",
        ),
        (
            (), ("model.puzzle_emb_dim=16",),
            r"puzzle_embedding\.weight is \(1, 32\), but this run makes it \(1, 16\)\.",
        ),
    ],
    ids=["to attention", "to mlp", "width", "layers", "with a table", "without one", "narrow"],
)  # fmt: skip
@pytest.mark.parametrize("reset", ["true", "false"])
def test_another_network_is_refused(
    checkpoint: Checkpoint,
    tiny: Tiny,
    theirs: tuple[str, ...],
    ours: tuple[str, ...],
    message: str,
    reset: str,
) -> None:
    folder = checkpoint("c", *theirs)
    config = tiny(f"train.init_from={folder}", f"train.reset_puzzle_embedding={reset}", *ours)
    given = r"(--set model\.\w+=\S+ ?)+" if theirs != ours else "see its config.json"
    whole = rf"^{folder}:? {message}.*trained with: {given}\.$"
    with pytest.raises(CheckpointError, match=whole):
        check_initial_weights(config, opened(config))


def test_weights_of_another_task_with_such_puzzles(
    checkpoint: Checkpoint, tiny: Tiny, tmp_path: Path
) -> None:
    config = tiny()
    data = read_config(checkpoint("c")).data.model_copy(update={"task": "maze"})
    folder = write_checkpoint(tmp_path / "m", config.model_copy(update={"task": "maze"}), data)
    ours = tiny(f"train.init_from={folder}")
    assert is_equal(begun(ours), load_file(folder / "model.safetensors"))
    message = f"--init-from {folder} was trained for task maze."
    assert check_initial_weights(ours, opened(ours)) == [message]
    assert "376 of arc1's 400 evaluation tasks" in get_task("arc1").leak_of("arc2")


def test_other_puzzles_are_refused(checkpoint: Checkpoint, tiny: Tiny, tmp_path: Path) -> None:
    config = tiny()
    data = read_config(checkpoint("c")).data
    write_checkpoint(tmp_path / "long", config, data.model_copy(update={"seq_len": 36}))
    words = data.model_copy(update={"vocabulary": tuple("abcdef")})
    write_checkpoint(tmp_path / "words", config, words)
    for name, message in (
        ("long", "has puzzles of length 16, .*long was trained for 36"),
        ("words", r"has the vocabulary \(.*\), .*words was trained for \('a', "),
        ("none", "no such run or checkpoint"),
    ):
        config = tiny(f"train.init_from={tmp_path / name}")
        with pytest.raises(CheckpointError, match=message):
            check_initial_weights(config, opened(config))


def test_weights_that_fit_boards_of_any_size(tmp_path: Path) -> None:
    for size in (5, 6):
        build_data("maze", source="generate", size=size, num_train=4, num_test=2,
                   out=tmp_path / str(size))  # fmt: skip

    def of_mazes(size: int, **settings: object) -> RunConfig:
        small = {"model.hidden_size": 16, "model.forward_dtype": "float32"}
        named = {name.replace("_", ".", 1): value for name, value in settings.items()}
        return run_config("maze", model="conv", settings=small | named | {
            "data.paths": [str(tmp_path / str(size))]})  # fmt: skip

    one_step = {"train_max_steps": 1, "train_batch_size": 2, "train_device": "cpu"}
    train(of_mazes(5, **one_step), runs=tmp_path, name="five")
    folder = find_checkpoint(str(tmp_path / "maze/five"))
    six = of_mazes(6, train_init_from=str(folder))
    said = f"--init-from {folder} was trained on puzzles of 25 cells, these have 36."
    assert check_initial_weights(six, opened(six)) == [said]
    assert is_equal(begun(six), load_file(folder / "model.safetensors"))
    other = run_config("maze", settings={"train.init_from": str(folder),
                                         "data.paths": [str(tmp_path / "6")]})  # fmt: skip
    with pytest.raises(CheckpointError, match="is a model of kind conv, and this run has trm"):
        check_initial_weights(other, opened(other))
    wider = of_mazes(6, train_init_from=str(folder), model_hidden_size=32)
    with pytest.raises(CheckpointError, match=r"trained with: --set model\.hidden_size=16"):
        check_initial_weights(wider, opened(wider))


def train_arguments(data: Path, *assignments: str) -> list[str]:
    """A command line that trains what :func:`tiny` describes."""
    settings = (
        "model.hidden_size=32", "model.num_heads=2", "model.l_cycles=2", "model.halt_max_steps=3",
        "eval.max_examples=4", *assignments,
    )  # fmt: skip
    sets = [part for setting in settings for part in ("--set", setting)]
    return [
        "train", "sudoku", "--preset", "mini", "--batch-size", "8", "--device", "cpu",
        "--data", str(data), *sets,
    ]  # fmt: skip


def test_a_run_begins_with_a_checkpoint_of_the_hub(
    hub: HubServer, online: Online, checkpoint: Checkpoint, mini_data: Path, tmp_path: Path
) -> None:
    folder = checkpoint("c")
    hub.add_repo("alice/demo", files_of(folder), tags=["v1"])
    start = [*train_arguments(mini_data, *STILL), "--init-from", "alice/demo@v1"]
    succeeded(online(*start, "--run-name", "a"))
    found = open_checkpoint(tmp_path / "runs" / "sudoku" / "a")
    assert found.config.run.train.init_from == "alice/demo@v1"
    assert is_equal(found.model(), load_file(folder / "model.safetensors"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--set", "model.hidden_size=64"), "but this run makes it (64,)."),
        (("--set", "model.mlp_t=false"), "which this run asks for."),
        (("--data", "named"), "has 5 puzzle identifiers, "),
    ],
    ids=["width", "mixer", "puzzles"],
)
def test_what_does_not_fit_is_refused_before_there_is_a_run(
    fails: Callable[..., str],
    checkpoint: Checkpoint,
    named_data: Path,
    mini_data: Path,
    tmp_path: Path,
    more: tuple[str, ...],
    message: str,
) -> None:
    arguments = [*train_arguments(mini_data, *STILL), "--init-from", checkpoint("c")]
    if "--data" in more:
        arguments = [
            argument for argument in arguments if argument not in ("--data", str(mini_data))
        ]
    if width := [word for word in more if word.startswith("model.hidden_size=")]:
        arguments[arguments.index("model.hidden_size=32")] = width[0]
        more = ()
    assert message in fails(*arguments, *more)
    assert not (tmp_path / "runs").exists()


def test_a_reset_needs_something_to_reset(
    fails: Callable[..., str], mini_data: Path, tmp_path: Path
) -> None:
    message = fails(*train_arguments(mini_data), "--reset-puzzle-embedding")
    assert message == "--reset-puzzle-embedding needs --init-from CHECKPOINT. Give it too."
    assert not (tmp_path / "runs").exists()


def test_a_resumed_run_does_not_load_it_again(
    checkpoint: Checkpoint, tiny: Tiny, tmp_path: Path
) -> None:
    source = checkpoint("c")

    def fit(steps: int, resume: str = "auto", *more: str) -> Any:
        settings = (f"train.init_from={source}", "train.save_every_steps=2", *more)
        config = tiny(*settings, f"train.max_steps={steps}")
        return train(config, runs=tmp_path, name="a", resume=resume)

    assert fit(2).step == 2
    shutil.rmtree(source)
    assert fit(4).finished
    stored = json.loads((tmp_path / "sudoku" / "a" / "config.json").read_text())
    assert stored["train"]["init_from"] == str(source)
    with pytest.raises(ConfigError, match=r"was trained with train\.init_from = "):
        fit(6, "auto", "train.init_from=other/one")
    with pytest.raises(CheckpointError, match="c: no such run or checkpoint"):
        plan_run(tiny(f"train.init_from={source}"), runs=tmp_path, name="b")


@pytest.mark.parametrize(("theirs", "ours"), [(3, 1), (1, 3), (3, 2), (2, 3)])
def test_another_number_of_latents_takes_those_that_both_have(
    checkpoint: Checkpoint, tiny: Tiny, theirs: int, ours: int
) -> None:
    folder = checkpoint("theirs", f"model.num_latents={theirs}")
    config = tiny(f"model.num_latents={ours}", f"train.init_from={folder}")
    model, stored = begun(config), load_file(folder / "model.safetensors")
    drawn = build_model(config, opened(config), CPU)
    assert torch.equal(model.latent_init, stored["latent_init"])
    assert torch.equal(model.output_head.weight, stored["output_head.weight"])
    both = min(theirs, ours) - 1
    if both:
        assert torch.equal(model.other_latent_inits[:both], stored["other_latent_inits"][:both])
    if ours > 1:
        assert torch.equal(model.other_latent_inits[both:], drawn.other_latent_inits[both:])


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    [
        (("model.swiglu=silu",), ("model.swiglu=normed",),
         r"model\.swiglu = silu, this run has normed: .*Give --set model\.swiglu=silu\."),
        (("model.damping=0.5",), (), r"model\.damping = 0\.5, this run has 1\.0"),
        (ATTENTION, ("model.mlp_t=false", "model.pos_encodings=none"),
         r"model\.pos_encodings = rope, this run has none"),
        (ATTENTION, (*ATTENTION, "model.num_heads=1"), r"model\.num_heads = 2, this run has 1"),
    ],
    ids=["swiglu", "damping", "positions", "heads"],
)  # fmt: skip
def test_weights_that_would_mean_another_network_are_refused(
    checkpoint: Checkpoint, tiny: Tiny, theirs: tuple[str], ours: tuple[str], message: str
) -> None:
    folder = checkpoint("theirs", *theirs)
    with pytest.raises(CheckpointError, match=message):
        begun(tiny(*ours, f"train.init_from={folder}"))
