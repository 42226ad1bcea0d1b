"""Puzzles, and the settings of models that are small enough to be made in a test."""

from trm import settings
from trm.config import RunConfig
from trm.tasks.registry import get_task

ARC_ID = "007bbfb7"
MAZE = "S.#...#.#.#...#.#.#.....#.###....#.G"
SIX = "6.1523.326..4....2...15.3.....1542.."
SMALL = ("model.hidden_size=32", "model.num_heads=2", "model.h_cycles=1", "model.l_cycles=1",
         "model.halt_max_steps=3", "model.forward_dtype=float32")  # fmt: skip


def small_run(task: str) -> RunConfig:
    found = get_task(task)
    preset = found.presets["mini"].settings
    return settings.load(task, defaults=found.defaults, preset=preset, assignments=SMALL).config
