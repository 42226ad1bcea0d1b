"""Solve Sudokus with ``trm solve FILE --out`` at each effort, and check all answers by other means.

    pip install python-sat
    python benchmarks/answers.py --generate 10000 --ckpt sudoku-9x9
    python benchmarks/answers.py --puzzles test.csv --ckpt sudoku-9x9 --effort 0 2

A SAT solver, which knows the rules and nothing of trm, solves each puzzle. An answer that is marked
as valid has to be its solution, and the only one. The script fails if one is not. It prints, for
each effort and source, the share of puzzles solved, and the time as a multiple of that of the first
effort, with the start of the program.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path

import torch
from machine import describe_cpu
from pysat.solvers import Cadical153

from trm.tasks.metrics import wilson
from trm.tasks.registry import get_task


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--ckpt", default="sudoku-9x9")
    parser.add_argument("--puzzles", type=Path, help="a CSV file: question, and perhaps source")
    parser.add_argument("--generate", type=int, default=1000, help="else: how many to generate")
    parser.add_argument("--most", type=int, help="of each source, the first ones")
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--effort", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--json", type=Path, help="a file for the results")
    arguments = parser.parse_args()
    if arguments.most and not arguments.puzzles:
        parser.error("--most is for --puzzles")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.puzzles is None:
            rows = [(text, "generated") for text in generate(arguments, folder)]
        else:
            rows = list(read(arguments.puzzles, arguments.most))
        results = measure(rows, arguments, folder)
    print(f"{describe_cpu()}, {torch.get_num_threads()} threads; {arguments.ckpt}\n")
    print("| source | effort | solved | of | 95% interval | time |\n|---|---:|---:|---:|---|---:|")
    for row in results:
        low, high = row["interval"]
        print(
            f"| {row['source']} | {row['effort']} | {row['solved'] / row['count']:.4f} | "
            f"{row['count']:,} | {low:.4f} to {high:.4f} | {row['time']:.2f} |"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    wrong = sum(row["wrong"] for row in results)
    print(f"\n{wrong} answers marked as valid are wrong")
    if wrong:
        sys.exit(1)


def generate(arguments: argparse.Namespace, folder: Path) -> list[str]:
    """Minimal puzzles with one solution, as texts."""
    run("build-data", "sudoku", "--source", "generate", "--num-train", "1", "--num-aug", "0",
        "--num-test", str(arguments.generate), "--seed", str(arguments.seed),
        "--out", str(folder / "data"))  # fmt: skip
    task = get_task("sudoku")
    split = task.open_data([folder / "data"]).split("test")
    return [task.format(tokens) for tokens in split.inputs]


def read(file: Path, most: int | None) -> Iterator[tuple[str, str]]:
    """Puzzles and their sources."""
    seen: dict[str, int] = {}
    with file.open(newline="") as opened:
        for row in csv.DictReader(opened):
            source = row.get("source") or file.name
            seen[source] = seen.get(source, 0) + 1
            if most is None or seen[source] <= most:
                yield row["question"].replace("0", "."), source


def measure(
    rows: list[tuple[str, str]], arguments: argparse.Namespace, folder: Path
) -> list[dict[str, object]]:
    """Solve all puzzles at each effort; returns a record for each source and effort."""
    solutions: dict[str, str | None] = {}
    found, times = [], {}
    for source, effort in product(dict.fromkeys(source for _, source in rows), arguments.effort):
        puzzles = [text for text, own in rows if own == source]
        given, answers = folder / "puzzles.txt", folder / f"{len(times)}.csv"
        given.write_text("\n".join(puzzles) + "\n")
        began = time.perf_counter()
        run("solve", str(given), "--ckpt", arguments.ckpt, "--out", str(answers),
            "--effort", str(effort))  # fmt: skip
        times[source, effort] = time.perf_counter() - began
        with answers.open(newline="") as opened:
            answered = list(csv.DictReader(opened))
        assert [row["puzzle"] for row in answered] == puzzles
        valid = [row for row in answered if row["valid"] == "true"]
        for row in valid:
            if row["puzzle"] not in solutions:
                solutions[row["puzzle"]] = only_solution(row["puzzle"])
        wrong = sum(solutions[row["puzzle"]] != row["answer"] for row in valid)
        solved, count = len(valid) - wrong, len(puzzles)
        found.append({
            "source": source, "effort": effort, "solved": solved, "count": count, "wrong": wrong,
            "interval": wilson(solved, count),
            "time": times[source, effort] / times[source, arguments.effort[0]],
        })  # fmt: skip
        print(found[-1], file=sys.stderr)
    return found


def rules() -> list[list[int]]:
    """The rules of Sudoku as clauses. Variable 81 r + 9 c + d is true if cell (r, c) is d."""
    cells = list(product(range(9), range(9)))
    units = [[(r, c) for c in range(9)] for r in range(9)]
    units += [[(r, c) for r in range(9)] for c in range(9)]
    units += [[(3 * b + i, 3 * s + j) for i in range(3) for j in range(3)]
              for b in range(3) for s in range(3)]  # fmt: skip
    clauses = [[variable(*cell, d) for d in range(1, 10)] for cell in cells]
    for unit, digit in product(units, range(1, 10)):
        clauses += [[-variable(*a, digit), -variable(*b, digit)] for a, b in combinations(unit, 2)]
    for cell in cells:
        clauses += [[-variable(*cell, a), -variable(*cell, b)]
                    for a, b in combinations(range(1, 10), 2)]  # fmt: skip
    return clauses


def variable(row: int, column: int, digit: int) -> int:
    return 81 * row + 9 * column + digit


def only_solution(puzzle: str) -> str | None:
    """The solution of a puzzle, None if there is no or another one."""
    given = [variable(*divmod(i, 9), int(c)) for i, c in enumerate(puzzle) if c != "."]
    with Cadical153(bootstrap_with=RULES) as solver:
        if not solver.solve(assumptions=given):
            return None
        model = [literal for literal in solver.get_model() if literal > 0]
        solver.add_clause([-literal for literal in model])
        if solver.solve(assumptions=given):
            return None
    return "".join(str(1 + (literal - 1) % 9) for literal in sorted(model))


def run(*command: str) -> None:
    arguments = [sys.executable, "-m", "trm", *command, "--quiet"]
    subprocess.run(arguments, stdout=subprocess.DEVNULL, check=True)


RULES = rules()
if __name__ == "__main__":
    main()
