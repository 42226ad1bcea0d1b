"""Weights & Biases: on its server, or in the run folder for ``wandb sync``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trm.config import RunConfig
from trm.storage import write_text
from trm.trackers.base import Tracker, scalars

#: File in the run folder with the W&B run id, which a resumed run needs.
ID_FILE = "wandb/run-id.txt"


class WandB(Tracker):
    """Logs to one W&B run. A resumed run continues it.

    The user's own settings, from ``WANDB_*`` variables or the ``wandb`` command, take priority.
    """

    name = "wandb"
    summary = "Weights & Biases. Without a login, offline in RUN/wandb."
    library = "wandb"

    def start(self, run: Path, config: RunConfig, step: int) -> None:
        """Start a W&B run, or resume the one whose id is in the run folder."""
        import wandb

        user_settings = wandb.setup().settings
        settings: dict[str, Any] = {
            "project": "trm",
            "root_dir": str(run.resolve()),
            "run_name": f"{config.task}/{run.resolve().name}",
            "console": "off",  # do not log the progress bar
            "finish_timeout": 300.0,  # do not wait forever for the network
            "finish_timeout_raises": True,
        }
        id_file = run / ID_FILE
        if step and id_file.is_file():
            settings |= {"run_id": id_file.read_text(encoding="utf-8").strip(), "resume": "allow"}
        # No prompt: the run may be unattended.
        if user_settings.mode == "online" and not wandb.login(prompt=False, verify=False):
            settings["mode"] = "offline"
        for name in user_settings.model_fields_set:
            settings.pop(name, None)
        self._run = wandb.init(
            config=config.model_dump(mode="json"),
            reinit="create_new",  # leave the calling program's own open run alone
            settings=wandb.Settings(**settings),
        )
        write_text(id_file, f"{self._run.id}\n")
        # W&B's own step can only increase, but a resumed run goes back to its checkpoint's step.
        self._run.define_metric("step", hidden=True)
        for names in ("train/*", "eval/*"):
            self._run.define_metric(names, step_metric="step")

    def log(self, record: Mapping[str, Any]) -> None:
        """Log the metrics at the record's step."""
        if metrics := scalars(record):
            self._run.log({**metrics, "step": record["step"]})

    def close(self, finished: bool) -> None:
        """Upload what is left. A stopped run is marked as failed until it is resumed."""
        self._run.finish(exit_code=0 if finished else 1)
