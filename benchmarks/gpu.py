"""Run every measurement for one GPU: ``make bench-gpu``.

    python benchmarks/gpu.py --reference FOLDER
    python benchmarks/gpu.py --device cpu --tiny

The most important measurements come first: training and evaluation with the published batches
(``speed.py``), where the time goes (``profiler.py``), then the largest batches that fit in memory.
Two files named after the device hold the numbers; they are written after each row. After
``--minutes`` no new row starts, and the missing rows are listed. Run the same command to resume.
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
from rows import KERNELS, PHASES, require_device

#: Rounds of ``speed.py``. A GPU needs fewer than a CPU: its step times vary less.
ROUNDS = "5"
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    arguments = parse()
    require_device(arguments.device)
    slug = re.sub(r"[^a-z0-9]+", "-", machine.device_name(arguments.device).lower()).strip("-")
    common = [
        "--resume", "--device", arguments.device, *(["--tiny"] if arguments.tiny else []),
        "--dtype", "bfloat16", "--only", *arguments.only, "--phase", *arguments.phase,
        "--kernels", *arguments.kernels,
    ]  # fmt: skip
    speed_flags = [*common, "--rounds", ROUNDS, "--json", str(arguments.results / f"{slug}.json")]
    if arguments.reference:
        speed_flags += ["--reference", str(arguments.reference)]
    profiler_flags = [*common, "--json", str(arguments.results / f"{slug}-profile.json")]
    end = time.monotonic() + 60 * arguments.minutes

    def remaining_minutes() -> list[str]:
        return ["--minutes", str(max(0.0, end - time.monotonic()) / 60)]

    failed = speed.measure_all(speed.parse([*speed_flags, *remaining_minutes()]))["failed"]
    profiles = profiler.measure_all(profiler.parse([*profiler_flags, *remaining_minutes()]))
    speeds = speed.measure_all(speed.parse([*speed_flags, *remaining_minutes(), "--batch", "max"]))
    speed.show(speeds)
    print()
    profiler.show(profiles)
    if failed := [*failed, *profiles["failed"], *speeds["failed"]]:
        sys.exit(f"failed: {', '.join(dict.fromkeys(failed))}")


def parse() -> argparse.Namespace:
    names = [model.name for model in MODELS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument(
        "--tiny",
        action="store_true",
        help="tiny models, to try the script; the numbers mean nothing",
    )
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="MODEL")
    parser.add_argument("--phase", nargs="+", choices=PHASES, default=PHASES)
    parser.add_argument("--kernels", nargs="+", choices=KERNELS, default=KERNELS[:1])
    parser.add_argument("--reference", type=Path, help="a checkout of the published code")
    parser.add_argument(
        "--minutes", type=float, default=7.0, help="start no new row after this many minutes"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    return parser.parse_args()


if __name__ == "__main__":
    main()
