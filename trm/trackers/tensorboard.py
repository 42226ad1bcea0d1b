"""TensorBoard: event files in the run folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trm.config import RunConfig
from trm.trackers.base import Tracker, hyperparameters, numbers

#: The columns of results beside the settings in the tab HPARAMS.
_RESULTS = ("train/loss", "eval/exact_accuracy")


class TensorBoard(Tracker):
    """Writes ``RUN/tensorboard``; needs no server and no network."""

    name = "tensorboard"
    summary = "Event files in RUN/tensorboard; see them with tensorboard --logdir runs."
    library = "tensorboard"
    extra = "trm[tensorboard]"

    def start(self, run: Path, config: RunConfig, step: int) -> None:
        """Open a new event file; what older ones say of steps after ``step`` no longer counts."""
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        folder = str(run / "tensorboard")
        self._writer: Any = SummaryWriter(folder, purge_step=step + 1)
        text = f"```json\n{config.model_dump_json(indent=2)}\n```"
        self._writer.add_text("config", text, step)
        # Not add_hparams, which writes them as another run, in a folder of its own.
        results = dict.fromkeys(_RESULTS, 0.0)
        *begin, self._end = hparams(hyperparameters(config), results)  # type: ignore[no-untyped-call]
        for summary in begin:
            self._add(summary)

    def log(self, record: Mapping[str, Any]) -> None:
        """Write the numbers, at once: a run may be killed, and somebody may be watching."""
        if found := numbers(record):
            for name, value in found.items():
                self._writer.add_scalar(name, value, record["step"])
            self._writer.flush()

    def close(self, finished: bool) -> None:
        """Write what is left."""
        if finished:
            self._add(self._end)
        self._writer.close()

    def _add(self, summary: Any) -> None:
        self._writer.file_writer.add_summary(summary)
