"""Weights & Biases: on their server, or in the run folder until ``wandb sync``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trm.config import RunConfig
from trm.storage import write_text
from trm.trackers.base import Tracker, numbers

#: In the run folder: the id by which a run that goes on is found again.
ID_FILE = "wandb/run-id.txt"


class WandB(Tracker):
    """One W&B run, which goes on when the run does.

    What the user set, in ``WANDB_*`` variables or with the ``wandb`` command, has its way.
    """

    name = "wandb"
    summary = "Weights & Biases; offline, in RUN/wandb, where nobody is logged in."
    library = "wandb"
    extra = "trm[wandb]"

    def start(self, run: Path, config: RunConfig, step: int) -> None:
        """Begin a W&B run, or go on with the one that the run folder names."""
        import wandb

        users = wandb.setup().settings
        ours: dict[str, Any] = {
            "project": "trm",
            "root_dir": str(run.resolve()),
            "run_name": f"{config.task}/{run.resolve().name}",
            "console": "off",  # a progress bar is no log
            "finish_timeout": 300.0,  # rather than wait for a network that is gone
            "finish_timeout_raises": True,
        }
        id_file = run / ID_FILE
        if step and id_file.is_file():
            ours |= {"run_id": id_file.read_text(encoding="utf-8").strip(), "resume": "allow"}
        # Asks nothing, for there may be nobody to answer.
        if users.mode == "online" and not wandb.login(prompt=False, verify=False):
            ours["mode"] = "offline"
        ours = {name: value for name, value in ours.items() if name not in users.model_fields_set}
        self._run = wandb.init(
            config=config.model_dump(mode="json"),
            reinit="create_new",  # leave a run that the calling program has open alone
            settings=wandb.Settings(**ours),
        )
        write_text(id_file, f"{self._run.id}\n")
        # W&B's own step only counts up; after an interruption ours goes back to the checkpoint.
        self._run.define_metric("step", hidden=True)
        for names in ("train/*", "eval/*"):
            self._run.define_metric(names, step_metric="step")

    def log(self, record: Mapping[str, Any]) -> None:
        """Log the numbers at the record's step."""
        if found := numbers(record):
            self._run.log({**found, "step": record["step"]})

    def close(self, finished: bool) -> None:
        """Upload what is left; a run that was stopped is marked as failed until it goes on."""
        self._run.finish(exit_code=0 if finished else 1)
