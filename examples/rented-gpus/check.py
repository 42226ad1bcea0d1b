"""Run the steps of the Dockerfile and of sky.yaml here, without Docker and SkyPilot, at toy size.

::

    python examples/rented-gpus/check.py

The Dockerfile is followed in a temporary folder: its files are copied, trm is installed from them,
and its entry point trains a few steps. Then the folder of that "machine" is removed, and the
commands of ``sky.yaml`` have to resume the run from what was kept. The Hugging Face command of the
documentation is parsed by ``hf jobs run --dry-run``, which contacts nobody.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "how-to" / "rented-gpus.md"
TOY = "sudoku --preset mini --set train.eval_every_steps=1000"
BUILD = "--preset mini --num-train 20 --num-test 5 --num-aug 2"


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def run(command: str, folder: Path, environment: dict[str, str]) -> str:
    """Run a command in a shell. Returns what it printed."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{command}\n{done.stdout}\nfailed with exit code {done.returncode}")
    return done.stdout


def follow_dockerfile(image: Path, environment: dict[str, str]) -> tuple[list[str], Path]:
    """Run the steps of the Dockerfile below ``image``. Returns its entry point and folder."""
    folder = image
    entry: list[str] = []

    def inside(path: str) -> Path:
        return image / path.lstrip("/") if path.startswith("/") else folder / path

    for name, rest in instructions((HERE / "Dockerfile").read_text()):
        if name == "WORKDIR":
            folder = inside(rest)
            folder.mkdir(parents=True, exist_ok=True)
        elif name == "COPY":
            *sources, target = rest.split()
            for source in map(ROOT.joinpath, sources):
                if source.is_dir():
                    shutil.copytree(source, inside(target))
                else:
                    into = inside(target)
                    into.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(source, into / source.name if target.endswith("/") else into)
        elif name == "RUN":
            run(rest, folder, environment)
        elif name == "ENTRYPOINT":
            entry = [str(inside(word)) if "/" in word else word for word in json.loads(rest)]
        elif name not in ("FROM", "ARG", "ENV", "CMD"):
            sys.exit(f"Dockerfile: {name} is not checked. Add it to {__file__}.")
    return entry, folder


def path_of_programs(folder: Path) -> str:
    """A PATH on which ``pip``, ``trm`` and ``hf`` are run by this Python."""
    folder.mkdir()
    for name, module in (("pip", "pip"), ("trm", "trm"), ("hf", "huggingface_hub.cli.hf")):
        file = folder / name
        file.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        file.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def main() -> None:
    """Check all files."""
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        packages = base / "packages"
        environment = os.environ | {
            "PATH": path_of_programs(base / "bin"),
            "PYTHONPATH": str(packages),
            "PIP_OPTIONS": f"--quiet --no-deps --no-build-isolation --target {packages}",
            "KEEP": str(base / "keep"),
            "BUILD": BUILD,
        }
        entry, folder = follow_dockerfile(base / "image", environment)
        printed = run(f"{shlex.join(entry)} {TOY} --max-steps 2", folder, environment)
        assert "run runs/sudoku/sudoku\n" in printed, printed
        shutil.rmtree(folder)  # the machine is taken away

        job = yaml.safe_load((HERE / "sky.yaml").read_text())
        assert job["envs"]["KEEP"] in job["file_mounts"], "KEEP is not mounted"
        assert job["workdir"] == ".", "the commands are those of a checkout"
        machine = base / "machine"
        shutil.copytree(HERE, machine / "examples" / "rented-gpus")
        toy = environment | {"TASK": "sudoku", "OPTIONS": TOY.partition(" ")[2] + " --max-steps 4"}
        printed = run(job["run"], machine, toy | {"HOME": str(base)})
        assert "run runs/sudoku/sudoku, from step 2\n" in printed, printed
        assert "data/sudoku: train" not in printed, f"the data were built again\n{printed}"

        text = PAGE.read_text().replace("\\\n", " ")
        (command,) = re.findall(r"^(hf jobs run .*)$", text, flags=re.M)
        assert "/train.sh sudoku --mlp-t" in command
        command = command.replace("hf jobs run", "hf jobs run --dry-run")
        printed = run(command, ROOT, environment | {"HF_HUB_OFFLINE": "1", "HF_TOKEN": "none"})
        assert "not submitted" in printed, printed
    print("examples/rented-gpus: the steps run, and the run is resumed")


if __name__ == "__main__":
    main()
