"""Compare this package with the published code: paired steps, and whole runs.

    python benchmarks/equivalence.py --reference FOLDER --json equivalence.json
    python benchmarks/equivalence.py --reference FOLDER --json F --config sudoku-mlp --seeds 5
    python benchmarks/equivalence.py --table equivalence.json --plot equivalence.png

``--reference`` is a checkout of the published code. Its own trainer runs, on a CPU; see
``published.py`` for what stands in for CUDA. Both codes read one data folder of the published
layout.

Paired steps are in float64, from equal weights, with equal batches and exploration draws. The
difference of two tensors is the largest one of their numbers, divided by the largest number. Whole
runs have a seed each, and nothing in common but the data.

What the file of ``--json`` has already is not measured again. It is written after each run.
"""

import argparse
import datetime
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import machine
import torch
from cases import CASES, Case
from paired_runs import gradient_differences, pair_with_published
from published import add_to_path
from rows import command_line, write_json
from whole_runs import SIDES, last_values, make_run, permutation_test, spread

from trm.data import Dataset
from trm.errors import TrmError
from trm.pictures.figures import check_extension, check_matplotlib, plot_style, save_figure
from trm.show.plots import COLORS

#: The columns of the table of paired steps, with the kinds in each.
COLUMNS = {
    "logits": ("logits",),
    "losses": ("losses",),
    "gradients": ("gradients", "puzzle gradients"),
    "states": ("states",),
    "weights": ("weights", "average"),
    "puzzle embedding": ("puzzle embedding",),
    "learning rates": ("learning rates",),
    "evaluation": ("evaluation logits",),
    "accuracies": ("metrics",),
    "halting, rows": ("halting", "rows", "evaluation rows"),
}
#: The curves of whole runs, and their names.
CURVES = {
    "losses": "training loss",
    "halting_losses": "halting loss of training",
    "evaluations": "whole answers",
    "cell_accuracies": "cell accuracy",
    "evaluation_losses": "evaluation loss",
    "evaluation_halting_losses": "halting loss of evaluation",
}
#: The tables of whole runs, with the curves in each.
RUNS_TABLES = (
    ("evaluations", "cell_accuracies"),
    ("losses", "evaluation_losses"),
    ("halting_losses", "evaluation_halting_losses"),
)
#: Those of the picture, and how many configurations are side by side.
_DRAWN = {name: CURVES[name] for name in ("losses", "cell_accuracies")}
_PANELS = 5


def main() -> None:
    arguments = parse()
    try:
        if arguments.plot:
            check_extension(arguments.plot)
            check_matplotlib()
        results = load(arguments)
        if arguments.reference:
            measure_missing(arguments, results)
        print(tables(results))
        if arguments.plot:
            plot(results, arguments.plot)
    except TrmError as error:
        sys.exit(f"error: {error}")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--reference", type=Path, help="a checkout of the published code")
    parser.add_argument("--config", nargs="+", choices=CASES, default=list(CASES), metavar="NAME",
                        help=f"configurations: {', '.join(CASES)}; default: all")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=3, help="whole runs of each code; 0: none")
    parser.add_argument("--steps", type=int, default=400, help="steps of a whole run")
    parser.add_argument("--paired-steps", type=int, default=100, help="paired steps; 0: none")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32",
                        help="type of the activations in whole runs")  # fmt: skip
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    parser.add_argument("--table", type=Path, metavar="JSON", help="only print an earlier file")
    parser.add_argument("--plot", type=Path, help="write a picture of the whole runs")
    arguments = parser.parse_args(argv)
    if (arguments.reference is None) == (arguments.table is None):
        parser.error("give --reference FOLDER to measure, or --table JSON to print")
    for name, least in (("seeds", 0), ("steps", 1), ("paired_steps", 0)):
        if (value := getattr(arguments, name)) < least:
            flag = name.replace("_", "-")
            parser.error(f"--{flag} is {value}; give {least} or more")
    return arguments


def load(arguments: argparse.Namespace) -> dict[str, Any]:
    """The earlier results, or new ones without configurations."""
    file = arguments.table or arguments.json
    if file is not None and (arguments.table or file.exists()):
        results: dict[str, Any] = json.loads(file.read_text())
        for name, found in results["configurations"].items():
            runs = [run for side in SIDES for run in found.get("runs", {}).get(side, [])]
            if missing := [curve for curve in CURVES if any(curve not in run for run in runs)]:
                sys.exit(
                    f"error: {file} is of an earlier version: its runs of {name} have no "
                    f"{missing[0]}. Measure again, with another --json."
                )
        return results
    return {
        "machine": machine.describe_cpu(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": command_line(arguments),
        "configurations": {},
    }


def measure_missing(arguments: argparse.Namespace, results: dict[str, Any]) -> None:
    """Measure what the results do not have, and write the file after each part."""
    add_to_path(arguments.reference)

    def save(message: str) -> None:
        if arguments.json:
            write_json(arguments.json, results)
        print(message, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.config:
            case = CASES[name]
            found = results["configurations"].setdefault(name, {})
            dataset = case.open_data(Path(folder) / name)
            if arguments.paired_steps and is_missing(found, "paired", arguments.paired_steps, ""):
                found["paired"] = measure_pair(arguments, case, dataset)
                save(f"{name}: {arguments.paired_steps} paired steps")
            settings = arguments.steps, arguments.dtype
            if arguments.seeds and is_missing(found, "runs", *settings):
                found["runs"] = dict(zip(("steps", "dtype"), settings, strict=True))
                found["runs"] |= {"commit": machine.commit(), **{side: [] for side in SIDES}}
            for seed in range(arguments.seeds):
                for side in SIDES:
                    runs = found["runs"][side]
                    if any(run["seed"] == seed for run in runs):
                        continue
                    runs.append(make_run(side, arguments.reference, case, dataset,
                                         arguments.steps, seed, arguments.dtype))  # fmt: skip
                    save(f"{name}: {side}, seed {seed}: {runs[-1]['evaluations'][-1][1]:.4f}")


def is_missing(found: dict[str, Any], part: str, steps: int, dtype: str) -> bool:
    """Whether a part has not been measured.

    Exits with an error if it was measured with other settings.
    """
    if part not in found:
        return True
    stored = found[part]["steps"], found[part].get("dtype", "")
    if stored != (steps, dtype):
        sys.exit(
            f"error: the file has {part} with {stored[0]} steps {stored[1]}, not {steps} {dtype}. "
            "Give the same settings, or another --json."
        )
    return False


def measure_pair(arguments: argparse.Namespace, case: Case, dataset: Dataset) -> dict[str, Any]:
    """The largest differences of paired steps, and those of gradients in narrower types."""
    steps = arguments.paired_steps
    run = replace(case, batch_size=case.paired_batch_size).run_config(steps)
    compared = pair_with_published(arguments.reference, run, dataset, steps)
    found = compared.pairing
    return {
        "steps": steps,
        "commit": machine.commit(),
        "rows": steps * run.train.batch_size,
        "halted_early": found.halted_early,
        "patched": compared.patched,
        **asdict(found.differences),
        "control": asdict(compared.control),
        "gradients": gradient_differences(arguments.reference, run, dataset),
    }


def tables(results: dict[str, Any]) -> str:
    """All tables, with the machine."""
    setup = f"torch {results['torch']}, threads: {results['threads']}"
    parts = [f"{results['machine']}; {setup}"]
    cases = results["configurations"]
    paired = {name: case["paired"] for name, case in cases.items() if "paired" in case}
    runs = {name: case["runs"] for name, case in cases.items() if "runs" in case}
    if paired:
        parts += [paired_table(paired), gradient_table(paired)]
    whole = {name: found for name, found in runs.items() if all(found[side] for side in SIDES)}
    if whole:
        parts += runs_tables(whole)
    return "\n\n".join(parts)


def paired_table(paired: dict[str, Any]) -> str:
    """The largest difference of each kind, between the codes and in the control."""
    lines = [["configuration", "compared with", "halted early", *COLUMNS]]
    for name, found in paired.items():
        early = f"{found['halted_early']} of {found['rows']}"
        # An evaluation follows the last step.
        first = {k: v for k, v in found["first"].items() if not k.startswith("evaluation")}
        rows = {
            (name, "published, first step", early): first,
            ("", f"published, {found['steps']} steps", ""): found["largest"],
            ("", "itself, rounded", ""): found["control"]["largest"],
        }
        lines += [[*cells, *difference_cells(values)] for cells, values in rows.items()]
    return markdown(lines)


def difference_cells(differences: dict[str, float]) -> list[str]:
    """The largest difference in each column."""
    each = ([differences.get(kind) for kind in kinds] for kinds in COLUMNS.values())
    found = ([value for value in values if value is not None] for values in each)
    return [show_difference(max(values, default=None)) for values in found]


def show_difference(value: float | None) -> str:
    """One digit of a difference."""
    if value is None:
        return "none"
    return "equal" if value == 0 else f"{value:.0e}"


def gradient_table(paired: dict[str, Any]) -> str:
    """The gradients of the first step in narrower types."""
    lines = [["configuration", "type", "between the codes", "trm to float64",
              "published to float64"]]  # fmt: skip
    for name, found in paired.items():
        for dtype, norms in found["gradients"].items():
            values = (f"{norms[key]:.2g}" for key in
                      ("between", "ours to float64", "published to float64"))  # fmt: skip
            lines.append([name, dtype, *values])
    return markdown(lines)


def runs_tables(whole: dict[str, Any]) -> list[str]:
    """What ran, and the last accuracies and losses: mean, range and permutation test."""
    lines = [["configuration", "steps", "activations", "runs of each code", "whole answers"]]
    for name, found in whole.items():
        counts = sorted({len(found[side]) for side in SIDES})
        runs = " or ".join(map(str, counts))
        headline = found["ours"][0]["headline"]
        lines.append([name, str(found["steps"]), found["dtype"], runs, headline])
    return [markdown(lines), *(runs_table(whole, curves) for curves in RUNS_TABLES)]


def runs_table(whole: dict[str, Any], curves: Sequence[str]) -> str:
    """One row for each configuration, with three columns for each curve."""
    names = [f"{CURVES[curve]}, {side}" for curve in curves for side in ("trm", "published", "p")]
    lines = [["configuration", *names]]
    for name, found in whole.items():
        cells = [name]
        for curve in curves:
            ours, theirs = (last_values(found[side], curve) for side in SIDES)
            p = permutation_test(ours, theirs)
            cells += [show_values(ours), show_values(theirs), f"{p:.2f}"]
        lines.append(cells)
    return markdown(lines)


def show_values(values: list[float]) -> str:
    """The mean and the range."""
    return f"{statistics.fmean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def markdown(lines: list[list[str]]) -> str:
    """A table; the first line has the names of the columns."""
    head, *body = lines
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *body))


def plot(results: dict[str, Any], file: Path) -> None:
    """Draw the whole runs: the mean and the range over seeds.

    Each configuration has two panels below each other, of the loss and the cell accuracy.
    """
    cases = results["configurations"].items()
    whole = {name: case["runs"] for name, case in cases if case.get("runs", {}).get("published")}
    if not whole:
        sys.exit("error: there are no whole runs to plot. Measure some with --seeds 1 or more.")
    columns = min(len(whole), _PANELS)
    bands = -(-len(whole) // columns)
    with plot_style():
        from matplotlib.figure import Figure

        figure = Figure((2.3 * columns, 3.6 * bands), layout="constrained")
        axes = figure.subplots(2 * bands, columns, squeeze=False)
        for axis in axes.flat:
            axis.set_visible(False)
        for number, (name, found) in enumerate(whole.items()):
            band, column = divmod(number, columns)
            for row, (curve, title) in enumerate(_DRAWN.items()):
                axis = axes[2 * band + row][column]
                axis.set_visible(True)
                for side, color in zip(SIDES, COLORS, strict=False):
                    steps, means, least, most = zip(*spread(found[side], curve), strict=True)
                    axis.plot(steps, means, color=color)
                    axis.fill_between(steps, least, most, color=color, alpha=0.25, linewidth=0)
                axis.set_ylabel(title if column == 0 else "")
            axes[2 * band][column].set_title(name, fontsize=10)
        figure.supxlabel("training step", fontsize=10)
        lines = axes[0][0].get_lines()
        figure.legend(lines, ["trm", "published code"], loc="outside upper left", ncols=2)
        save_figure(file, figure, dpi=110)


if __name__ == "__main__":
    main()
