"""The learning rate: warm-up, then a schedule."""

import math

from trm.config import OptimConfig


def learning_rate_scale(step: int, config: OptimConfig, total_steps: int) -> float:
    """What the learning rates are multiplied with at step 1, 2, ...: warm-up, then the schedule."""
    if step < config.lr_warmup_steps:
        return step / config.lr_warmup_steps
    if config.lr_schedule == "constant":
        return 1.0
    if config.lr_schedule == "wsd":
        return 1.0 - (1.0 - config.lr_min_ratio) * _decayed(step, config, total_steps)
    done = (step - config.lr_warmup_steps) / max(1, total_steps - config.lr_warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return config.lr_min_ratio + (1 - config.lr_min_ratio) * cosine


def _decayed(step: int, config: OptimConfig, total_steps: int) -> float:
    """How far a warmup-stable-decay schedule is on its way down, 0 to 1 (Hu et al. 2024)."""
    steps = max(1.0, config.lr_decay_share * total_steps)
    return min(max(0.0, (step - (total_steps - steps)) / steps), 1.0)
