"""Effort: how a puzzle is tried again while its answer breaks the rules."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from trm.inference.options import DEFAULT_EFFORT, SolveOptions
from trm.inference.solution import Solution, SolutionStep

#: What is tried at each level of effort, from 1; ``steps`` is a multiple of the model's own. The
#: order is the cheapest on validation puzzles (docs/experiments.md).
_LEVELS: tuple[dict[str, Any], ...] = (
    {"steps": 4},
    {"steps": 4, "samples": 8},
    {"steps": 8, "samples": 16, "votes": 2},
)
#: The same where a cell can be filled in by a guess.
_LEVELS_WITH_GUESSES: tuple[dict[str, Any], ...] = (
    {"steps": 1, "guesses": 16, "rounds": 2},
    {"steps": 1, "guesses": 64, "rounds": 4},
    {"steps": 1, "guesses": 256, "rounds": 8},
)


@dataclass(frozen=True)
class Attempt:
    """One try at a puzzle.

    Attributes:
        steps: the supervision steps, computed as they are taken.
        num_steps: their number at most.
        options: how they are computed.
        level: of effort; 0 for the first try, and for guesses that were asked for.
    """

    steps: Iterable[SolutionStep]
    num_steps: int
    options: SolveOptions = field(default_factory=SolveOptions)
    level: int = 0


def options_of_levels(
    options: SolveOptions, own_steps: int, *, can_guess: bool
) -> list[SolveOptions]:
    """The options of the first try, then those of each level of effort.

    Args:
        options: as given. Options that say how to think allow one try; guesses come after a single
            pass.
        own_steps: the supervision steps that the model was trained with.
        can_guess: whether a cell can be filled in by a guess.
    """
    if options.guesses:
        once = options.model_copy(update={"guesses": 0, "rounds": 1})
        return [once, options.model_copy(update={"until_valid": True})]
    effort = options.effort
    if effort is None:
        effort = 0 if options.says_how else DEFAULT_EFFORT
    levels = (_LEVELS_WITH_GUESSES if can_guess else _LEVELS)[:effort]
    again = [level | {"steps": own_steps * level["steps"]} for level in levels]
    return [options, *(SolveOptions(until_valid=True, **level) for level in again)]


def choose_solution(tried: Sequence[Solution]) -> Solution:
    """The last of several tries if its answer is valid, else the first one.

    Its ``effort`` is the level that was needed, or the one after which none was valid.
    """
    best = tried[0] if tried[-1].valid is False else tried[-1]
    return replace(best, effort=tried[-1].effort)
