"""TensorBoard: event files in the run folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trm.config import RunConfig
from trm.trackers.base import Tracker, flat_settings, scalars

#: The metrics that TensorBoard's HPARAMS tab shows next to the settings.
_HPARAMS_METRICS = ("train/loss", "eval/exact_accuracy")


class TensorBoard(Tracker):
    """Writes event files to ``RUN/tensorboard``. Needs no server and no network."""

    name = "tensorboard"
    summary = "Event files in RUN/tensorboard. View them with tensorboard --logdir runs."
    library = "tensorboard"

    def start(self, run: Path, config: RunConfig, step: int) -> None:
        """Open a new event file. TensorBoard ignores steps after ``step`` in older files."""
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        folder = str(run / "tensorboard")
        self._writer: Any = SummaryWriter(folder, purge_step=step + 1)
        text = f"```json\n{config.model_dump_json(indent=2)}\n```"
        self._writer.add_text("config", text, step)
        # add_hparams would write them as a separate run in another folder.
        results = dict.fromkeys(_HPARAMS_METRICS, 0.0)
        *start, self._end = hparams(flat_settings(config), results)  # type: ignore[no-untyped-call]
        for summary in start:
            self._add(summary)

    def log(self, record: Mapping[str, Any]) -> None:
        """Write the metrics and flush, so that they survive a kill and show up at once."""
        if metrics := scalars(record):
            for name, value in metrics.items():
                self._writer.add_scalar(name, value, record["step"])
            self._writer.flush()

    def close(self, finished: bool) -> None:
        """Write what is still buffered."""
        if finished:
            self._add(self._end)
        self._writer.close()

    def _add(self, summary: Any) -> None:
        self._writer.file_writer.add_summary(summary)
