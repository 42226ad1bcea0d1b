"""How long a run will take, as its ``start`` record says it."""

from collections.abc import Mapping
from dataclasses import dataclass

from trm.tasks.base import Preset

#: A run of more seconds than this is too long for a CPU.
_DAY = 86_400.0


@dataclass(frozen=True)
class TimeEstimate:
    """How long a run will take.

    Attributes:
        step_flops: operations of a step, over all processes; the mean of the steps that are left.
        flops_per_s: operations a second, over all processes.
        step_s, run_s: seconds of a step, and of all steps and evaluations that are left.
    """

    step_flops: float
    flops_per_s: float
    step_s: float
    run_s: float

    @property
    def text(self) -> str:
        """A line for people.

        >>> TimeEstimate(5e9, 60e9, 0.083, 190).text
        'about 83 ms a step, 3 min in all (5.0 GFLOP a step at 60 GFLOP/s)'
        """
        step, run = _duration(self.step_s), _duration(self.run_s)
        flops, speed = (_flops(value) for value in (self.step_flops, self.flops_per_s))
        return f"about {step} a step, {run} in all ({flops} a step at {speed}/s)"

    def warning(self, device: str, presets: Mapping[str, Preset]) -> str | None:
        """What to say of a run that would take days on a CPU.

        Args:
            device: the kind of device.
            presets: the task's presets.
        """
        if device != "cpu" or self.run_s < _DAY:
            return None
        small = [f"--preset {name}" for name, preset in presets.items() if preset.for_cpu]
        ways = [*small, "a GPU", "fewer steps with --max-steps"]
        return (
            f"this run would take about {_duration(self.run_s)} on this CPU. "
            f"Use {', '.join(ways[:-1])}, or {ways[-1]}."
        )


def _duration(seconds: float) -> str:
    """A number of two digits or so, and its unit."""
    for factor, unit, least in ((86_400, "days", 2), (3600, "hours", 2), (60, "min", 2)):
        if seconds >= least * factor:
            return f"{seconds / factor:,.{seconds < 10 * factor and unit != 'min':d}f} {unit}"
    if seconds >= 1:
        return f"{seconds:.{seconds < 10:d}f} s"
    return f"{max(1.0, 1000 * seconds):.0f} ms"


def _flops(value: float) -> str:
    """A number of operations, such as ``5.0 GFLOP``."""
    units = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"))
    factor, unit = next((pair for pair in units if value >= pair[0]), units[-1])
    scaled = value / factor
    return f"{scaled:,.{scaled < 10:d}f} {unit}FLOP"
