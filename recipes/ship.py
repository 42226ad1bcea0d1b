"""Write a run's best checkpoint into the package: bfloat16 weights, settings, what it solves.

python recipes/ship.py runs/sudoku/nine sudoku-9x9 data/generated
"""

import json
import shutil
import sys

import torch
from safetensors.torch import load_file, save_file

import trm
from trm.runs.checkpoint import Evaluation
from trm.runs.run_folder import find_checkpoint
from trm.runs.shipped import FOLDER, shipped_models


def ship(run: str, name: str, *data: str) -> None:
    """Ship a run under a name, measured on the test split of these data folders."""
    source, target = find_checkpoint(run), FOLDER / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    weights = load_file(source / "model.safetensors")
    rounded = {key: value.to(torch.bfloat16) for key, value in weights.items()}
    save_file(rounded, target / "model.safetensors")
    (target / "model.safetensors").chmod(0o644)
    config = json.loads((source / "config.json").read_text())
    config["run"]["data"]["paths"] = None
    if config["run"]["train"]["init_from"] not in shipped_models():
        config["run"]["train"]["init_from"] = None  # a folder of this machine
    config["run"]["model"]["forward_dtype"] = "auto"
    sources = config["data"]["source"].split(" + ")
    config["data"]["source"] = " + ".join(map(_without_folder, sources))
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    report = trm.evaluate(name, data=data)
    headline = next(iter(report.metrics))
    measured = Evaluation(
        step=config["step"],
        examples=report.metrics[headline].count or 0,
        headline=headline,
        metrics={key: float(metric) for key, metric in report.metrics.items()},
        intervals={key: m.interval for key, m in report.metrics.items() if m.interval},
        best=float(report.metrics[headline]),
        best_step=config["step"],
    )
    (target / "evaluation.json").write_text(measured.model_dump_json(indent=2) + "\n")
    size = (target / "model.safetensors").stat().st_size
    sys.stdout.write(f"{target}: {size:,} bytes, {report.metrics[headline]}\n")


def _without_folder(source: str) -> str:
    """A source of data without the folder that it was in on this machine."""
    return "/".join(source.split("/")[-2:])


if __name__ == "__main__":
    ship(*sys.argv[1:])
