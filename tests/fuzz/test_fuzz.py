"""500 damaged inputs, the same in every run; ``make fuzz`` runs others and more."""

from pathlib import Path

import pytest

from tests.fuzz.fuzzer import FuzzCase, run_and_remove

SEED, COUNT, PARTS = 0, 500, 10
SIZE = COUNT // PARTS


@pytest.mark.parametrize("part", range(PARTS))
def test_no_damage_breaks_a_command(part: int, base: Path, tmp_path: Path) -> None:
    """A failure is made again, smaller, by ``make fuzz N=1 SEED=0 START=NUMBER``."""
    failures = {}
    for number in range(part * SIZE, (part + 1) * SIZE):
        case = FuzzCase.draw(SEED, number, base)
        done = run_and_remove(case, base, tmp_path / str(number))
        if done.problems:
            failures[number] = (case.command.line, case.mutations, done.problems, done.trace)
    assert failures == {}
