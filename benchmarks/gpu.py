"""All that is measured on one GPU, in one command: ``make bench-gpu``.

    python benchmarks/gpu.py --reference FOLDER
    python benchmarks/gpu.py --device cpu --tiny

The most important first: training and evaluation with the published batches (``speed.py``), where
the time goes (``profiler.py``), then the largest batches that there is memory for. The numbers are
in two files named after the device, written after each row. After ``--minutes`` nothing more is
begun, what is left is named, and the same command goes on there.
"""

import argparse
import re
import sys
import time
from pathlib import Path

import machine
import profiler
import speed
from flops import MODELS
from rows import KERNELS, PHASES, need_device

#: Of ``speed.py``: ten steps each on a GPU, whose times differ less than those of a CPU.
ROUNDS = "5"
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    arguments = parse()
    need_device(arguments.device)
    slug = re.sub(r"[^a-z0-9]+", "-", machine.name(arguments.device).lower()).strip("-")
    common = [
        "--resume", "--device", arguments.device, *(["--tiny"] if arguments.tiny else []),
        "--dtype", "bfloat16", "--only", *arguments.only, "--phase", *arguments.phase,
        "--kernels", *arguments.kernels,
    ]  # fmt: skip
    timed = [*common, "--rounds", ROUNDS, "--json", str(arguments.results / f"{slug}.json")]
    if arguments.reference:
        timed += ["--reference", str(arguments.reference)]
    profiled = [*common, "--json", str(arguments.results / f"{slug}-profile.json")]
    end = time.monotonic() + 60 * arguments.minutes

    def left() -> list[str]:
        return ["--minutes", str(max(0.0, end - time.monotonic()) / 60)]

    failed = speed.measure_all(speed.parse([*timed, *left()]))["failed"]
    profiles = profiler.measure_all(profiler.parse([*profiled, *left()]))
    speeds = speed.measure_all(speed.parse([*timed, *left(), "--batch", "max"]))
    speed.show(speeds)
    print()
    profiler.show(profiles)
    if failed := [*failed, *profiles["failed"], *speeds["failed"]]:
        sys.exit(f"failed: {', '.join(dict.fromkeys(failed))}")


def parse() -> argparse.Namespace:
    names = [model.name for model in MODELS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="try it out; measures nothing")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="MODEL")
    parser.add_argument("--phase", nargs="+", choices=PHASES, default=PHASES)
    parser.add_argument("--kernels", nargs="+", choices=KERNELS, default=KERNELS[:1])
    parser.add_argument("--reference", type=Path, help="a checkout of the published code")
    parser.add_argument("--minutes", type=float, default=7.0, help="begin no row after so many")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    return parser.parse_args()


if __name__ == "__main__":
    main()
