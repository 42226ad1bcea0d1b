"""The memory that a run needs."""

from trm.config import ModelConfig, OptimConfig, RunConfig, TrainConfig
from trm.models import PuzzleSpec
from trm.training.memory_estimate import estimate_memory


def config(**train: object) -> RunConfig:
    model = ModelConfig(mlp_t=True, pos_encodings="none")
    return RunConfig(task="t", model=model, train=TrainConfig.model_validate(train))


def test_memory_of_the_published_model() -> None:
    found = estimate_memory(config(batch_size=4), PuzzleSpec(11, 81))
    assert found.num_parameters == 5_028_866
    assert found.num_puzzle_numbers == 512
    assert found.state_bytes == 4 * (5 * 5_028_866 + 512)


def test_activations_grow_with_the_batch_and_weights_do_not() -> None:
    small, large = (estimate_memory(config(batch_size=n), PuzzleSpec(11, 81)) for n in (4, 8))
    shared = 2 * small.activation_bytes - large.activation_bytes  # casts of the weights
    assert 0 < shared < 4 * small.num_parameters
    assert large.state_bytes == small.state_bytes


def test_no_average_takes_less() -> None:
    without = config().model_copy(update={"optim": OptimConfig(ema=False)})
    spec = PuzzleSpec(11, 81)
    saved = estimate_memory(config(), spec).state_bytes - estimate_memory(without, spec).state_bytes
    assert saved == 4 * 5_028_866


def test_muon_remembers_one_number_of_a_weight_of_the_core() -> None:
    muon = config().model_copy(update={"optim": OptimConfig(optimizer="muon")})
    spec = PuzzleSpec(11, 81)
    saved = estimate_memory(config(), spec).state_bytes - estimate_memory(muon, spec).state_bytes
    others = 2 * 11 * 512 + 2 * 513  # embedding and heads
    assert saved == 4 * (5_028_866 - others)
