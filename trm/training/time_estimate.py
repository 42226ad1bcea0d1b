"""How long a run will take: its arithmetic, and the speed of this device."""

import functools
import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from trm.config import ModelConfig, RunConfig
from trm.data import num_eval_examples
from trm.models import Depth, PuzzleSpec, RecursiveModel, create_model
from trm.models.flops import eval_step_flops, train_step_flops
from trm.runs.checkpoint import puzzle_spec
from trm.runs.time_estimate import TimeEstimate
from trm.training.clock import now
from trm.training.run_plan import RunPlan
from trm.training.schedule import depth_at, eval_examples

#: The speed of whole training steps, relative to the measured speed of the network: measured on a
#: CPU, see docs/reference/speed.md. Nothing has been measured on other kinds of device.
_SHARE = {"cpu": 0.9}
#: Measure with more examples until a call takes this many seconds; then for at least these
#: seconds, or three times if that takes fewer than the last ones.
_LONG, _MIN_SECONDS, _MOST_SECONDS = 0.03, 0.05, 0.3
_MOST_POINTS = 1000


def estimate_run(
    plan: RunPlan,
    device: torch.device,
    num_processes: int,
    start: int,
    *,
    measures_alone: bool = False,
) -> TimeEstimate:
    """Measure the speed of a device, and estimate the time of a run.

    Args:
        plan: the run.
        device: of this process.
        num_processes: that train together.
        start: the steps that are done.
        measures_alone: whether the other processes do not measure now. On a CPU each of them will
            have a part of its speed.
    """
    config = plan.config
    spec = puzzle_spec(plan.dataset.meta, config.model)
    most = config.train.batch_size // num_processes // config.train.accumulate
    speed = measure_speed(config.model, spec, device, most)
    every = plan.schedule.eval_every
    found = estimate_time(
        config,
        spec,
        speed if measures_alone and device.type == "cpu" else speed * num_processes,
        device=device.type,
        total=plan.total_steps,
        start=start,
        eval_every=every,
        num_examples=num_eval_examples(
            plan.dataset.split(config.eval_split), eval_examples(config, every)
        ),
    )
    if config.train.max_minutes is None:
        return found
    left = max(0.0, 60 * config.train.max_minutes - (now() - plan.began))
    return replace(found, run_s=min(found.run_s, left))


def estimate_time(
    config: RunConfig,
    spec: PuzzleSpec,
    network_flops_per_s: float,
    *,
    device: str,
    total: int,
    start: int = 0,
    eval_every: int = 0,
    num_examples: int = 0,
) -> TimeEstimate:
    """Count the arithmetic of the steps and evaluations that are left.

    Args:
        config, spec: of the run.
        network_flops_per_s: the speed of the network in all processes together, see
            :func:`measure_speed`.
        device: the kind of device.
        total: the length of the run in steps.
        start: the steps that are done.
        eval_every: the steps between evaluations, 0 without any.
        num_examples: the examples of an evaluation.
    """
    steps = max(0, total - start)
    points = range(start, total, -(-steps // _MOST_POINTS) or 1)
    depths = [depth_at(step / total, config.train.depth_curriculum) for step in points]
    example = statistics.fmean(
        train_step_flops(config.model, spec, depth) for depth in depths or [None]
    )
    step_flops = example * config.train.batch_size
    evaluations = -(-total // eval_every) - start // eval_every if steps and eval_every else 0
    evaluation = num_examples * config.model.halt_max_steps * eval_step_flops(config.model, spec)
    share = _SHARE.get(device, 1.0)
    return TimeEstimate(
        step_flops=step_flops,
        flops_per_s=share * network_flops_per_s,
        step_s=step_flops / network_flops_per_s / share,
        run_s=(steps * step_flops / share + evaluations * evaluation) / network_flops_per_s,
    )


def measure_speed(config: ModelConfig, spec: PuzzleSpec, device: torch.device, most: int) -> float:
    """Operations per second of the network on a device, without a gradient and not compiled.

    Takes a fraction of a second, and is measured once per process. The state of the random number
    generators does not change.

    Args:
        config, spec: of the model.
        device: where to measure.
        most: examples at once, at most: those that a training step has.
    """
    return _measured(config, replace(spec, num_puzzle_identifiers=1), device, most)


@functools.lru_cache(maxsize=16)
def _measured(config: ModelConfig, spec: PuzzleSpec, device: torch.device, most: int) -> float:
    with torch.random.fork_rng(devices=[]):
        model = create_model(config, spec, init_weights=False).to(device)
    for weight in itertools.chain(model.parameters(), model.buffers()):
        # What was in that memory may be slow to compute with.
        weight.data = torch.full_like(weight, 0.01)
    shallow = None if config.cycles is None else Depth(1, 1)
    count, call = 1, _step(model, 1, shallow)
    _seconds(call)  # loads what the device needs
    while count < most and min(_seconds(call) for _ in range(2)) < _LONG:
        count = min(2 * count, most)
        call = _step(model, count, shallow)
    times: list[float] = []
    while sum(times) < _MIN_SECONDS or (len(times) < 3 and sum(times) < _MOST_SECONDS):
        times.append(_seconds(call))
    # The mean, as other work on the machine slows training down too.
    return count * eval_step_flops(config, spec, shallow) / statistics.fmean(times)


def _step(model: RecursiveModel, count: int, depth: Depth | None) -> Callable[[], Tensor]:
    """A function that takes a supervision step with some examples."""
    state = model.initial_state(count)
    embedded = torch.ones_like(state[0])

    def call() -> Tensor:
        with torch.no_grad():
            logits: Tensor = model(state, embedded, depth).logits
            return logits

    return call


def _seconds(call: Callable[[], Tensor]) -> float:
    began = time.perf_counter()
    call()[0, 0, 0].item()  # waits for any kind of device
    return time.perf_counter() - began
