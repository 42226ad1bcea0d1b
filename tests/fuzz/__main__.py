"""Run many inputs: ``python -m tests.fuzz N [--seed S]``; see :mod:`tests.fuzz.fuzzer`."""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.base import build_base
from tests.fuzz.fuzzer import FuzzCase, kind_of, run_and_remove, save, shrink


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("count", type=int, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="The number of the first input.")
    parser.add_argument("--out", type=Path, default=Path("fuzz"), help="Folder of the failures.")
    parser.add_argument("--base", type=Path, help="An existing BASE.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trm-fuzz-") as temporary:
        scratch = Path(temporary)
        base = given.base or scratch / "base"
        if given.base is None:
            build_base(base)
        return _run(given, base.resolve(), scratch)


def _run(given: argparse.Namespace, base: Path, scratch: Path) -> int:
    kinds: Counter[str] = Counter()
    started = time.monotonic()
    for number in range(given.start, given.start + given.count):
        (given.out / "now").parent.mkdir(parents=True, exist_ok=True)
        (given.out / "now").write_text(f"{number}\n")
        case = FuzzCase.draw(given.seed, number, base)
        folder = scratch / str(number)
        outcome = run_and_remove(case, base, folder)
        kind = kind_of(case, outcome)
        if kind:
            kinds[kind] += 1
        if kind and kinds[kind] == 1:
            small = case if "HangError" in kind else shrink(case, kind, base, folder)
            name = "-".join("".join(c if c.isalnum() else " " for c in kind).split())[:80]
            target = given.out / f"{name}-{given.seed}-{number}"
            save(small, outcome, base, target)
            print(f"{kind}\n    {target}", flush=True)
            (target / "trace").write_text(outcome.trace or outcome.err, errors="backslashreplace")
        done = number + 1 - given.start
        if done % 500 == 0:
            rate = (time.monotonic() - started) / done
            print(f"{done} inputs, {sum(kinds.values())} failed, {rate:.3f} s each", flush=True)
    for kind, count in kinds.most_common():
        print(f"{count:6} {kind}")
    print(f"{given.count} inputs of seed {given.seed}: {sum(kinds.values())} failed")
    return 1 if kinds else 0


sys.exit(main())
