"""How long a run will take, from counted arithmetic and a speed."""

import pytest
import torch

from trm.config import RunConfig, TrainConfig, TRMConfig
from trm.models import PuzzleSpec
from trm.models.flops import eval_step_flops, train_step_flops
from trm.runs.time_estimate import TimeEstimate
from trm.training.time_estimate import estimate_time, measure_speed

SPEC = PuzzleSpec(11, 81)
MODEL = TRMConfig(hidden_size=32, num_heads=2, swiglu_multiple=16, puzzle_emb_len=1)
CPU = torch.device("cpu")


def estimate(start: int = 0, total: int = 100, speed: float = 1e9, **train: object) -> TimeEstimate:
    """On a kind of device without a measured share."""
    settings = {"batch_size": 8, "eval_every_steps": 30, **train}
    config = RunConfig(task="t", model=MODEL, train=TrainConfig.model_validate(settings))
    return estimate_time(
        config,
        SPEC,
        speed,
        device="other",
        total=total,
        start=start,
        eval_every=config.train.eval_every_steps or 0,
        num_examples=50,
    )


STEP = 8 * train_step_flops(MODEL, SPEC)
EVALUATION = 50 * 16 * eval_step_flops(MODEL, SPEC)


@pytest.mark.parametrize(
    ("start", "evaluations"), [(0, 4), (29, 4), (30, 3), (90, 1), (99, 1), (100, 0)]
)
def test_all_steps_and_evaluations_that_are_left_count(start: int, evaluations: int) -> None:
    found = estimate(start)
    assert (found.step_flops, found.flops_per_s) == (STEP, 1e9)
    assert found.step_s == pytest.approx(STEP / 1e9)
    left = (100 - start) * STEP + evaluations * EVALUATION
    assert found.run_s == pytest.approx(left / 1e9)


def test_twice_the_speed_takes_half_the_time() -> None:
    assert estimate(speed=2e9).run_s == pytest.approx(estimate().run_s / 2)


def test_a_curriculum_makes_the_mean_step_cheaper() -> None:
    shallow, deep = estimate(depth_curriculum=[[0.5, 1, 1]]), estimate()
    late = estimate(start=50, depth_curriculum=[[0.5, 1, 1]])
    assert shallow.step_flops < deep.step_flops == late.step_flops


def test_a_run_of_many_steps_and_cycles_is_estimated_as_well() -> None:
    assert estimate(total=10**9).run_s > 1e6


def test_the_speed_is_measured_without_drawing_numbers() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    model = MODEL.model_copy(update={"l_cycles": 256})  # no effect on the time
    assert measure_speed(model, SPEC, CPU, 4) > 1e5
    assert torch.equal(torch.rand(3), expected)
