"""How a training run ended: what ``trm.train`` returns."""

from dataclasses import dataclass
from pathlib import Path

from trm.html_text import table_html


@dataclass(frozen=True)
class TrainResult:
    """How a run ended.

    Attributes:
        run: the run folder.
        step: the last step.
        finished: whether the run is complete, including its last evaluation.
        total_steps: the length of the run.
        headline: the metric that decides which checkpoint is best.
        best: the best value of that metric, at ``best_step``.
        ended_early: whether ``train.patience`` ended it before the last step.
        out_of_time: whether ``train.max_minutes`` ended it before the last step.
        split: what ``best`` was measured on, ``test`` or ``validation``.
    """

    run: Path
    step: int
    total_steps: int
    finished: bool
    headline: str | None
    best: float | None
    best_step: int | None
    ended_early: bool = False
    out_of_time: bool = False
    split: str = "test"

    def __repr__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in self._facts)
        return f"<TrainResult {self.run}: {facts}>"

    def _repr_html_(self) -> str:
        """For notebooks: how the run ended."""
        return table_html(f"TrainResult {self.run}", (), self._facts)

    @property
    def _facts(self) -> list[tuple[str, str]]:
        """How the run ended, and its best result."""
        state = "finished" if self.finished else "stopped"
        facts = [(state, f"at step {self.step} of {self.total_steps}")]
        if self.best is not None:
            facts.append((f"best {self.headline}", f"{self.best:.4f} at step {self.best_step}"))
        return facts
