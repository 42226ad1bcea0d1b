"""The length of a run, and the steps at which it evaluates, saves and logs."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from trm.config import RunConfig
from trm.data import Split
from trm.models import Depth, Passes, get_model_class
from trm.runs.checkpoint import Progress


def total_steps(config: RunConfig, split: Split) -> int:
    """The length of the run in steps: ``max_steps``, or the number of batches in the epochs.

    As published, an epoch is one puzzle of each group, with the mean number of examples.
    """
    each = split.mean_puzzle_examples(config.data.max_pairs)
    examples = config.train.epochs * split.num_groups * each
    return config.train.max_steps or max(1, int(examples / config.train.batch_size))


def depth_at(done: float, curriculum: Iterable[tuple[float, int, int]]) -> Depth | None:
    """The depth of the recursion after a share ``done`` of the run, None for the model's own.

    Progressive depth (CGAR, Qasim and Zhang 2025, arXiv 2511.08653): shallow steps are cheap, and
    there is little to refine at first.
    """
    return next((Depth(*cycles) for share, *cycles in curriculum if done < share), None)


def eval_examples(config: RunConfig, steps: int) -> int:
    """The number of examples of an evaluation after ``steps`` training steps.

    An evaluation takes at most as long as these steps: an example costs ``halt_max_steps`` forward
    passes there. At the published depth of a TRM, each is 0.6 of a training step.
    """
    passes = get_model_class(config.model.kind).passes(config.model) or Passes(1, 1)
    training = passes.forward + 2 * passes.learned + passes.trials  # a gradient costs two more
    trained = steps * config.train.batch_size
    affordable = math.ceil(trained / (passes.forward / training * config.model.halt_max_steps))
    return config.eval.max_examples or affordable


def is_out_of_patience(progress: Progress, patience: int | None) -> bool:
    """Whether the last ``patience`` evaluations have found no new best."""
    return patience is not None and progress.since_best >= patience


@dataclass(frozen=True)
class Schedule:
    """The steps at which a run evaluates, saves and logs.

    Attributes:
        eval_every: 0 for a run without evaluations.
    """

    total: int
    eval_every: int
    save_every: int
    log_every: int

    @classmethod
    def from_config(cls, config: RunConfig, total: int, *, can_measure: bool = True) -> "Schedule":
        """The schedule of a run of ``total`` steps.

        Args:
            config: the settings.
            total: the length of the run.
            can_measure: whether any output is known of the split that evaluations use.
        """
        train = config.train
        every = min(train.eval_every_steps or max(math.ceil(total / 10), 100), total)
        save_every = train.save_every_steps or min(every, 1000)
        evaluates = can_measure and train.eval_every_steps != 0
        return cls(total, every if evaluates else 0, save_every, train.log_every_steps)

    def evaluates(self, step: int) -> bool:
        """Whether to evaluate after this step."""
        return self.eval_every > 0 and (step % self.eval_every == 0 or step == self.total)

    def saves(self, step: int) -> bool:
        """Whether to save after this step."""
        return self.evaluates(step) or step % self.save_every == 0 or step == self.total
