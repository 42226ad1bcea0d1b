"""What one request may ask for."""

from dataclasses import dataclass

from trm.errors import InputError
from trm.inference.options import DEFAULT_EFFORT, SolveOptions


@dataclass(frozen=True)
class Limits:
    """Bounds of requests.

    Attributes:
        body_bytes: of a request.
        body_seconds: how long a request may take to arrive.
        steps: supervision steps of a solve, in all rounds.
        rollouts: votes x samples of a solve, or guesses.
        seconds: how long a solve may take.
        waiting: solves that may wait for the one that runs.
        send_seconds: how long a client may take to read a line.
    """

    body_bytes: int = 256 * 1024
    body_seconds: float = 10
    steps: int = 512
    rollouts: int = 64
    seconds: float = 60
    waiting: int = 4
    send_seconds: float = 20

    def check(self, options: SolveOptions) -> None:
        """Check the options of a solve.

        Raises:
            InputError: if they ask for too much.
        """
        steps = (options.steps or 1) * options.rounds
        if steps > self.steps:
            raise InputError(f"{steps:,} steps are too many here. {self._most('steps')}")
        if (options.effort or 0) > DEFAULT_EFFORT:
            raise InputError(
                f"effort {options.effort} is too much here. Take at most {DEFAULT_EFFORT}; the "
                "command trm solve takes more."
            )
        if options.rollouts > self.rollouts:
            raise InputError(
                f"{options.votes} votes x {options.samples} samples are {options.rollouts:,} "
                f"rollouts, too many here. {self._most('rollouts')}"
            )
        if options.guesses > self.rollouts:
            raise InputError(
                f"{options.guesses:,} guesses are too many here. {self._most('rollouts')}"
            )

    def _most(self, what: str) -> str:
        return f"Take at most {getattr(self, what):,}; the command trm solve takes more."
