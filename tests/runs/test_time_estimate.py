"""What is said of how long a run will take."""

import pytest

from trm.runs.time_estimate import TimeEstimate
from trm.tasks.base import Preset

PRESETS = {"8gpu": Preset("Large."), "mini": Preset("Small.", for_cpu=True)}


@pytest.mark.parametrize(
    ("step_s", "run_s", "expected"),
    [
        (0.0004, 0.4, "about 1 ms a step, 400 ms in all"),
        (0.0832, 119.4, "about 83 ms a step, 119 s in all"),
        (2.14, 190, "about 2.1 s a step, 3 min in all"),
        (45.4, 7300, "about 45 s a step, 2.0 hours in all"),
        (600, 847 * 86_400, "about 10 min a step, 847 days in all"),
    ],
)
def test_times_are_rounded(step_s: float, run_s: float, expected: str) -> None:
    text = TimeEstimate(3.28e13, 6.1e10, step_s, run_s).text
    assert text == expected + " (33 TFLOP a step at 61 GFLOP/s)"


def test_days_on_a_cpu_are_a_warning_that_names_a_preset() -> None:
    long, short = (TimeEstimate(1, 1, 1, days * 86_400) for days in (3, 0.9))
    assert long.warning("cpu", PRESETS) == (
        "this run would take about 3.0 days on this CPU. Use --preset mini, a GPU, or fewer steps "
        "with --max-steps."
    )
    assert short.warning("cpu", PRESETS) is None
    assert long.warning("cuda", PRESETS) is None
