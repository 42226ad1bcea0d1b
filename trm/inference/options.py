"""How long a model thinks, and in how many ways: what may be asked of a trained one."""

from collections.abc import Mapping
from typing import Any, Literal, Self, TypedDict

from pydantic import Field, ValidationError, model_validator

from trm.config import Frozen
from trm.errors import ConfigError

#: How the answer is chosen among several.
Choice = Literal["halt", "vote", "first"]
#: Standard deviation of what disturbs the latents, where several samples are taken; chosen on
#: held-out puzzles of small Sudokus (docs/experiments.md).
NOISE = 1.0
#: More of a kind nobody means to ask for; a hundred times as many copies are drawn to find them.
_MOST = 10_000
#: The halting probability that ends an example with the choice ``first``.
FIRST_HALT = 0.9


def flags_of(given: Mapping[str, Any]) -> str:
    """Settings as flags.

    >>> flags_of({"samples": 4, "until_valid": True})
    '--samples 4 --until-valid'
    """
    flags = {"--" + name.replace("_", "-"): value for name, value in given.items()}
    return " ".join(flag if value is True else f"{flag} {value}" for flag, value in flags.items())


class InferenceOptions(Frozen):
    """How answers come about. The defaults are the published way: one answer after all steps.

    A *rollout* is one way to an answer; each example has ``votes`` x ``samples`` of them.

    Attributes:
        steps: supervision steps at most; None: those that the model was trained with.
        samples: times that each copy is solved: the first undisturbed, the others with noise.
        noise: its standard deviation; None: :data:`NOISE`.
        choose: ``vote``: what most rollouts answer; ``halt``: the answer of the one whose halting
            probability is the highest; ``first``: that of the first one to halt, which ends all of
            them. None: ``halt`` where there are samples, else ``vote``.
        votes: symmetric copies of each example, the original included.
        halt: the halting probability above which a rollout ends; None: after all steps, and
            :data:`FIRST_HALT` for ``first``.
    """

    steps: int | None = Field(None, ge=1)
    samples: int = Field(1, ge=1, le=_MOST)
    noise: float | None = Field(None, ge=0, allow_inf_nan=False)
    choose: Choice | None = None
    votes: int = Field(1, ge=1, le=_MOST)
    halt: float | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.halt is not None and not 0 < self.halt < 1:
            raise ValueError(
                f"--halt {self.halt} is no probability to stop at. Give one such as 0.9."
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
    def of(cls, **given: Any) -> Self:
        """These settings, by the names of the flags.

        Raises:
            ConfigError: if one is out of range, or they do not go together.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors()[0]
            if not first["loc"]:
                raise ConfigError(first["msg"].removeprefix("Value error, ")) from None
            flag = "--" + str(first["loc"][0]).replace("_", "-")
            raise ConfigError(
                f"{flag} {first['input']}: {first['msg']}. Give another value."
            ) from None

    @property
    def rollouts(self) -> int:
        """Ways to an answer that each example has."""
        return self.votes * self.samples

    @property
    def settled(self) -> Self:
        """The same with what was left to the defaults filled in."""
        update: dict[str, Any] = {}
        if self.samples > 1 and self.noise is None:
            update["noise"] = NOISE
        if self.rollouts > 1 and self.choose is None:
            update["choose"] = "halt" if self.samples > 1 else "vote"
        if self.choose == "first" and self.halt is None:
            update["halt"] = FIRST_HALT
        return self.model_copy(update=update)

    @property
    def thinking(self) -> "InferenceOptions":
        """These settings alone, of something that has more."""
        return InferenceOptions(
            **{name: getattr(self, name) for name in InferenceOptions.model_fields}
        )

    @property
    def flags(self) -> str:
        """What to type after ``trm eval`` or ``trm solve``.

        >>> InferenceOptions(steps=32, samples=4, choose="first").flags
        '--steps 32 --samples 4 --choose first'
        """
        names = {*InferenceOptions.model_fields, "until_valid"}  # others may have more
        return flags_of(self.model_dump(include=names, exclude_defaults=True))

    @property
    def text(self) -> str:
        """What to add to a measurement, where answers came in another way than the published one.

        >>> InferenceOptions().text, InferenceOptions(votes=4, halt=0.9).text
        ('', ', 4 votes, halting at 0.9')
        >>> InferenceOptions(steps=32, samples=4).text
        ', 32 steps, 4 samples with noise 1, choose halt'
        """
        how, parts = self.settled, []
        if how.steps is not None:
            parts.append("1 step" if how.steps == 1 else f"{how.steps} steps")
        if how.votes > 1:
            parts.append(f"{how.votes} votes")
        if how.samples > 1:
            parts.append(f"{how.samples} samples with noise {how.noise:g}")
        if how.samples > 1 or how.choose not in (None, "vote"):
            parts.append(f"choose {how.choose}")
        if how.halt is not None:
            parts.append(f"halting at {how.halt:g}")
        return "".join(f", {part}" for part in parts)


class Solving(InferenceOptions):
    """How puzzles are solved whose answers nobody knows.

    Attributes:
        until_valid: end at the first step at which some rollout has a valid board, and take that.
    """

    until_valid: bool = False

    @model_validator(mode="after")
    def _ends_in_one_way(self) -> Self:
        if self.until_valid and (self.halt is not None or self.choose == "first"):
            other = "--halt" if self.choose != "first" else "--choose first"
            raise ValueError(
                f"--until-valid ends at a valid board, {other} at a likely one. Leave one of them "
                "out."
            )
        return self

    @property
    def given(self) -> "How":
        """The same as named arguments."""
        return How(
            steps=self.steps, samples=self.samples, noise=self.noise, choose=self.choose,
            votes=self.votes, halt=self.halt, until_valid=self.until_valid,
        )  # fmt: skip


class How(TypedDict, total=False):
    """The fields of :class:`Solving`, as named arguments of a call."""

    steps: int | None
    samples: int
    noise: float | None
    choose: Choice | None
    votes: int
    halt: float | None
    until_valid: bool


PUBLISHED = InferenceOptions()
