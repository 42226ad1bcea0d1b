"""Inference options: how long a trained model computes, and in how many ways it tries.

They are listed here once. The commands make their flags of these fields, and the Python calls take
them as keyword arguments.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from trm.config import Frozen, ModelConfig
from trm.errors import ConfigError, did_you_mean

#: How one answer is chosen among several.
Choice = Literal["halt", "vote", "first"]
#: The standard deviation of the noise, if there are several samples; chosen on held-out puzzles of
#: small Sudokus (docs/experiments.md).
NOISE = 1.0
#: The most steps and rollouts. To find symmetric copies, a hundred times as many are drawn.
_MOST = 10_000
#: The halting probability that ends an example with the choice ``first``.
FIRST_HALT = 0.9
#: The levels of effort, see :mod:`trm.inference.effort`.
MOST_EFFORT, DEFAULT_EFFORT = 3, 2


def flags_of(options: Mapping[str, Any]) -> str:
    """Options as flags.

    >>> flags_of({"samples": 4, "until_valid": True})
    '--samples 4 --until-valid'
    """
    flags = {"--" + name.replace("_", "-"): value for name, value in options.items()}
    return " ".join(flag if value is True else f"{flag} {value}" for flag, value in flags.items())


class InferenceOptions(Frozen):
    """How a model answers. The defaults are those of the paper: one answer after all steps.

    A *rollout* is one way to an answer; each example has ``votes`` x ``samples`` of them.

    Attributes:
        steps: supervision steps at most; None: those that the model was trained with.
        samples: how often each copy is solved: the first time without noise, then with noise.
        noise: the standard deviation of the noise; None: :data:`NOISE`.
        choose: ``vote``: the answer of most rollouts; ``halt``: the answer of the rollout with the
            highest halting probability; ``first``: the answer of the first rollout to halt, which
            ends all of them. None: ``halt`` if there are several samples, else ``vote``.
        votes: symmetric copies of each example, the original included.
        halt: the halting probability above which a rollout ends; None: after all steps or by the
            model's own rule, and :data:`FIRST_HALT` for ``first``.
    """

    steps: int | None = Field(
        None, ge=1, le=_MOST,
        description="Supervision steps at most. Default: as trained.",
        examples=["6,12,24"],
    )  # fmt: skip
    samples: int = Field(
        1, ge=1, le=_MOST, examples=["1,4,16"],
        description="Solve each puzzle N times, first without noise.",
    )  # fmt: skip
    noise: float | None = Field(
        None, ge=0, le=1000, allow_inf_nan=False,
        description=f"Standard deviation of the noise. Default: {NOISE}.",
        examples=["0.1,0.3"], json_schema_extra={"metavar": "S"},
    )  # fmt: skip
    choose: Choice | None = Field(
        None, examples=["halt,vote,first"],
        description="The most confident answer, the majority's, or the first confident one, "
        "which is fast.",
    )  # fmt: skip
    votes: int = Field(
        1, ge=1, le=_MOST, description="Solve N symmetric copies of each puzzle, and vote.",
        examples=["1,8"],
    )  # fmt: skip
    halt: float | None = Field(
        None, examples=["0.5,0.9"], json_schema_extra={"metavar": "P"},
        description="End above this halting probability; 0.9 is faster.",
    )  # fmt: skip

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.halt is not None and not 0 < self.halt < 1:
            raise ValueError(
                f"--halt {self.halt} is not between 0 and 1. Give a probability such as 0.9."
            )
        if self.rollouts > _MOST:
            raise ValueError(
                f"--votes {self.votes} and --samples {self.samples} are {self.rollouts:,} rollouts "
                f"of each puzzle. Take at most {_MOST:,}."
            )
        if self.noise is not None and self.samples == 1:
            raise ValueError(
                f"--noise {self.noise:g} disturbs all samples but the first, and there is one. "
                "Add --samples 2 or more."
            )
        if self.choose is not None and self.rollouts == 1:
            raise ValueError(
                f"--choose {self.choose} has one answer to choose from. Add --samples or --votes."
            )
        return self

    @classmethod
    def of(cls, **options: Any) -> Self:
        """Options by their names.

        Raises:
            ConfigError: if one is unknown or out of range, or they contradict each other.
        """
        try:
            return cls(**options)
        except ValidationError as error:
            first = error.errors()[0]
            if not first["loc"]:
                raise ConfigError(first["msg"].removeprefix("Value error, ")) from None
            name = str(first["loc"][0])
            flag = "--" + name.replace("_", "-")
            if first["type"] == "extra_forbidden":
                hint = did_you_mean(name, (*cls.model_fields, "batch_size"))
                raise ConfigError(f"there is no option {name!r} here. {hint}") from None
            raise ConfigError(
                f"{flag} {first['input']}: {first['msg']}. Give another value."
            ) from None

    @property
    def rollouts(self) -> int:
        """The number of rollouts of each example."""
        return self.votes * self.samples

    @property
    def resolved(self) -> Self:
        """The same options, with the defaults that depend on other options filled in."""
        update: dict[str, Any] = {}
        if self.samples > 1 and self.noise is None:
            update["noise"] = NOISE
        if self.rollouts > 1 and self.choose is None:
            update["choose"] = "halt" if self.samples > 1 else "vote"
        if self.choose == "first" and self.halt is None:
            update["halt"] = FIRST_HALT
        return self.model_copy(update=update)

    @property
    def options(self) -> "InferenceOptions":
        """These options alone, of a subclass that has more fields."""
        return InferenceOptions(
            **{name: getattr(self, name) for name in InferenceOptions.model_fields}
        )

    @property
    def flags(self) -> str:
        """The flags for ``trm eval`` or ``trm solve``.

        >>> InferenceOptions(steps=32, samples=4, choose="first").flags
        '--steps 32 --samples 4 --choose first'
        """
        names = set(SolveOptions.model_fields)  # subclasses may have more
        return flags_of(self.model_dump(include=names, exclude_defaults=True))

    @property
    def text(self) -> str:
        """What to write after a measurement; empty for the defaults.

        >>> InferenceOptions().text, InferenceOptions(votes=4, halt=0.9).text
        ('', ', 4 votes, halting at 0.9')
        >>> InferenceOptions(steps=32, samples=4).text
        ', 32 steps, 4 samples with noise 1, choose halt'
        """
        options, parts = self.resolved, []
        if options.steps is not None:
            parts.append("1 step" if options.steps == 1 else f"{options.steps} steps")
        if options.votes > 1:
            parts.append(f"{options.votes} votes")
        if options.samples > 1:
            parts.append(f"{options.samples} samples with noise {options.noise:g}")
        if options.samples > 1 or options.choose not in (None, "vote"):
            parts.append(f"choose {options.choose}")
        if options.halt is not None:
            parts.append(f"halting at {options.halt:g}")
        return "".join(f", {part}" for part in parts)


class SolveOptions(InferenceOptions):
    """How a model answers where the rules of the puzzle may help.

    Attributes:
        until_valid: end at the first step at which a rollout has a valid board, and take that.
        guesses: if the answer breaks the rules, solve this number of copies of the puzzle, each
            with one more cell filled in by a guess, until one of them is valid; see
            :mod:`trm.inference.guesses`.
        rounds: how often to guess, each time in the most promising copies.
        effort: while the answer breaks the rules, think longer, up to this level; see
            :mod:`trm.inference.effort`. None: 0 to evaluate; to solve, :data:`DEFAULT_EFFORT` if no
            other option is given and the task's rules can tell.
    """

    until_valid: bool = Field(False, description="End at the first valid board of any sample.")
    guesses: int = Field(
        0, ge=0, le=_MOST,
        description="If the answer is not valid, solve N copies, each with one more cell filled in "
        "by a guess (Sudoku).",
    )  # fmt: skip
    rounds: int = Field(
        1, ge=1, le=_MOST,
        description="With --guesses: the number of rounds. Each starts from the most promising "
        "copies of the one before.",
    )  # fmt: skip
    effort: int | None = Field(
        None, ge=0, le=MOST_EFFORT,
        description="Think longer while the answer is not valid: up to 3; 0: never. "
        f"Default: {DEFAULT_EFFORT} in trm solve (0 with other flags), 0 in trm eval.",
    )  # fmt: skip

    @property
    def options(self) -> "SolveOptions":
        """See :attr:`InferenceOptions.options`."""
        return SolveOptions(**{name: getattr(self, name) for name in SolveOptions.model_fields})

    @property
    def searches(self) -> bool:
        """Whether answers are tried until one keeps the rules."""
        return bool(self.until_valid or self.guesses or self.effort)

    @property
    def text(self) -> str:
        """See :attr:`InferenceOptions.text`.

        >>> SolveOptions(guesses=64, rounds=4).text, SolveOptions(effort=2).text
        (', 64 guesses in 4 rounds', ', effort 2')
        """
        rounds = f" in {self.rounds} rounds" if self.rounds > 1 else ""
        parts = [f"{self.guesses} guesses{rounds}"] if self.guesses else []
        parts += ["until valid"] if self.until_valid else []
        parts += [f"effort {self.effort}"] if self.effort else []
        return "".join(f", {part}" for part in parts) + super().text

    def uses_own_rule(self, config: ModelConfig) -> bool:
        """Whether answers end by the model's own rule: it has one, and no option says when."""
        return config.halts_in_evaluation and self.resolved.halt is None and not self.until_valid

    @property
    def says_how(self) -> bool:
        """Whether an option says how to think, so that effort does not decide it."""
        return bool(self._other_flags)

    @property
    def _other_flags(self) -> str:
        """The flags but ``--effort``."""
        names = set(SolveOptions.model_fields) - {"effort"}
        return flags_of(self.model_dump(include=names, exclude_defaults=True))

    @model_validator(mode="after")
    def _check_ways(self) -> Self:
        if self.effort and self.says_how:
            raise ValueError(
                f"--effort {self.effort} decides how to think, and so does "
                f"{self._other_flags}. Leave one out."
            )
        if self.guesses and self.effort is not None:
            raise ValueError(
                f"--guesses {self.guesses} and --effort {self.effort} are two ways to think "
                "longer. Leave one out."
            )
        if self.rounds > 1 and not self.guesses:
            raise ValueError(
                f"--rounds {self.rounds}: there is nothing to guess. Add --guesses 16."
            )
        if self.guesses and (self.rollouts > 1 or self.halt is not None):
            names = set(InferenceOptions.model_fields) - {"steps"}
            other = flags_of(self.model_dump(include=names, exclude_defaults=True))
            raise ValueError(
                f"--guesses {self.guesses} solves other copies than {other}. Leave one of them out."
            )
        if self.until_valid and (self.halt is not None or self.choose == "first"):
            other = "--halt" if self.choose != "first" else "--choose first"
            raise ValueError(
                f"--until-valid ends at a valid board, {other} at a likely one. Leave one of them "
                "out."
            )
        return self
