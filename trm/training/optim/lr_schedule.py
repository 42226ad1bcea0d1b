"""The learning rate: warm-up, then a schedule."""

import math

from trm.config import OptimConfig


def learning_rate_scale(
    step: int, config: OptimConfig, total_steps: int, time_share: float = 0.0
) -> float:
    """The factor for the learning rates at step 1, 2, ...: warm-up, then the schedule.

    Args:
        step: the step.
        config: the settings.
        total_steps: the length of the run.
        time_share: the share of the run's time that is over. The schedule, but not the warm-up,
            takes it if it is larger than the share of the steps.
    """
    at = max(float(step), time_share * total_steps)
    if step >= config.lr_warmup_steps:
        return _scheduled(at, config, total_steps)
    warm = step / config.lr_warmup_steps
    # Here only the share of time can put ``at`` past the warm-up.
    return warm if at < config.lr_warmup_steps else min(warm, _scheduled(at, config, total_steps))


def _scheduled(at: float, config: OptimConfig, total_steps: int) -> float:
    if config.lr_schedule == "constant":
        return 1.0
    if config.lr_schedule == "wsd":
        # Warmup-stable-decay (Hu et al. 2024): constant, then a line over the last steps.
        steps = max(1.0, config.lr_decay_share * total_steps)
        done = min(max(0.0, (at - (total_steps - steps)) / steps), 1.0)
        return 1.0 - (1.0 - config.lr_min_ratio) * done
    done = (at - config.lr_warmup_steps) / max(1, total_steps - config.lr_warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return config.lr_min_ratio + (1 - config.lr_min_ratio) * cosine
