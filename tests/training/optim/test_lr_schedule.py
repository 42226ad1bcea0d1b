"""The learning rate over a run."""

import pytest

from trm.config import OptimConfig
from trm.training.optim.lr_schedule import learning_rate_scale


@pytest.mark.parametrize(
    ("step", "expected"),
    [(1, 0.1), (5, 0.5), (10, 1.0), (60, 0.6), (110, 0.2), (500, 0.2)],
)
def test_learning_rate_warms_up_and_falls_along_a_cosine(step: int, expected: float) -> None:
    config = OptimConfig(lr_warmup_steps=10, lr_min_ratio=0.2)
    assert learning_rate_scale(step, config, 110) == pytest.approx(expected)


@pytest.mark.parametrize("step", [10, 60, 110])
def test_a_constant_learning_rate_stays_after_warm_up(step: int) -> None:
    config = OptimConfig(lr_warmup_steps=10, lr_schedule="constant", lr_min_ratio=0.2)
    assert learning_rate_scale(step, config, 110) == 1.0


@pytest.mark.parametrize(
    ("step", "expected"), [(5, 0.5), (10, 1.0), (75, 1.0), (80, 1.0), (90, 0.6), (100, 0.2)]
)
def test_wsd_is_stable_until_it_falls_along_a_line(step: int, expected: float) -> None:
    config = OptimConfig(lr_warmup_steps=10, lr_schedule="wsd", lr_min_ratio=0.2)
    assert learning_rate_scale(step, config, 100) == pytest.approx(expected)


def test_wsd_that_would_never_fall_is_refused() -> None:
    with pytest.raises(ValueError, match="lr_min_ratio 1"):
        OptimConfig(lr_schedule="wsd")


def test_published_learning_rate_stays_after_warm_up() -> None:
    config = OptimConfig()
    assert learning_rate_scale(1000, config, 65_104) == 0.5
    assert {learning_rate_scale(n, config, 65_104) for n in (2000, 30_000, 65_104)} == {1.0}
