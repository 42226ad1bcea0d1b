"""A mutation fuzzer: small damages to the inputs and command lines of the table of commands.

``make fuzz N=10000 SEED=1`` runs many inputs, and writes the smallest of each kind of failure to a
folder, in the form of :mod:`tests.fuzz.cases`.
"""

import contextlib
import faulthandler
import os
import random
import shlex
import shutil
import stat
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

from tests.fuzz.cases import copy_tree
from tests.fuzz.commands import COMMANDS, Command, edit_words
from tests.fuzz.files import file_problems, listing, sign
from tests.fuzz.mutators import MUTATORS, edit_bytes, mutators_of
from tests.fuzz.sandbox import Outcome, Sandbox

#: The target of a mutation of the command line.
WORDS = ""
#: The folder below the one that is watched in which a command runs, so that ``..`` stays inside.
_INNER = "a/b"
#: Seconds after which the process ends.
_STUCK = 180


@dataclass(frozen=True)
class Mutation:
    """A damage: the file (or :data:`WORDS`), the mutator's name, the seed of its choices."""

    target: str
    mutator: str
    seed: int


@dataclass(frozen=True)
class FuzzCase:
    """An input: a command, and damages to what it reads.

    Attributes:
        signed: whether checksums and digests are written anew after the damages.
    """

    command: Command
    mutations: tuple[Mutation, ...]
    signed: bool

    @classmethod
    def draw(cls, seed: int, number: int, base: Path) -> "FuzzCase":
        """The input of this number."""
        rng = random.Random(f"{seed} {number}")
        command = rng.choices(COMMANDS, [command.weight for command in COMMANDS])[0]
        targets = _targets(command, base)
        mutations = []
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            target = WORDS if not targets or rng.random() < 0.25 else rng.choice(targets)
            name = "words" if target == WORDS else rng.choice(mutators_of(Path(target))).__name__
            mutations.append(Mutation(target, name, rng.randrange(2**32)))
        return cls(command, tuple(mutations), signed=rng.random() < 0.7)

    def prepare(self, base: Path, folder: Path) -> list[str]:
        """Write the inputs to a new folder; returns the words of the command line."""
        folder.mkdir(parents=True)
        for name, source in self.command.sources.items():
            copy_tree(base / source, folder / name)
        words = self.command.words
        for mutation in sorted(self.mutations, key=lambda one: one.target == WORDS):
            rng = random.Random(mutation.seed)
            if mutation.target == WORDS:
                words = edit_words(rng, words, list(self.command.sources), folder)
            else:
                _damage(rng, mutation.mutator, folder / mutation.target)
        if self.signed:
            sign(folder)
        return words

    def run(self, base: Path, folder: Path) -> Outcome:
        """Run the input in a new folder, and check all that it left."""
        inner = folder / _INNER
        words = self.prepare(base, inner)
        before = listing(folder)
        stdin = inner / "STDIN"
        is_file = stdin.exists() and stat.S_ISREG(stdin.stat().st_mode)
        with Sandbox(inner) as sandbox:
            done = sandbox.run(words, stdin.read_bytes() if is_file else b"")
        names = self.command.outputs.split()
        pairs = zip(self.command.words, words, strict=False)
        names += [new for old, new in pairs if old in names and new]  # it may have another name
        names += ["missing"]  # where a link leads that an input was replaced by
        outputs = [os.path.normpath(f"{_INNER}/{name}") for name in names]
        strict = all(mutation.target != WORDS for mutation in self.mutations)
        done.problems += file_problems(before, folder, outputs, strict=strict)
        return done


def _targets(command: Command, base: Path) -> list[str]:
    """The files that a command reads, by their names in its folder; the folders too."""
    targets = []
    for name, source in command.sources.items():
        if name == "fixed.toml":
            continue
        targets.append(name)
        for path in sorted((base / source).rglob("*")):
            inner = path.relative_to(base / source).as_posix()
            if "/best/" not in f"/{inner}" and "/last/" not in f"/{inner}" and ".lock" not in inner:
                targets.append(f"{name}/{inner}")
    return targets


def _damage(rng: random.Random, mutator: str, path: Path) -> None:
    """Damage a file. Where an earlier damage keeps a mutator from reading it, change its bytes."""
    if not os.path.lexists(path):
        return
    if mutator == "rename_file":
        MUTATORS[mutator](rng, path)
    elif mutator == "replace_file" or path.is_symlink() or not path.is_file():
        MUTATORS["replace_file"](rng, path)
    else:
        with warnings.catch_warnings(action="ignore"):
            try:
                MUTATORS[mutator](rng, path)
            except Exception:
                edit_bytes(rng, path)


def kind_of(case: FuzzCase, outcome: Outcome) -> str:
    """The kind of a failure: its first problem, without what differs from input to input."""
    first = outcome.problems[0] if outcome.problems else ""
    if not first or first.startswith(("exception", "control")):
        return first
    return f"{first.split()[0]} in {case.command.words[0]}"


def shrink(case: FuzzCase, kind: str, base: Path, scratch: Path) -> FuzzCase:
    """Leave out every mutation without which an input still fails in the same way."""
    for mutation in case.mutations:
        rest = tuple(one for one in case.mutations if one is not mutation)
        smaller = replace(case, mutations=rest)
        if rest and kind_of(smaller, run_and_remove(smaller, base, scratch)) == kind:
            case = smaller
    smaller = replace(case, signed=False)
    again = run_and_remove(smaller, base, scratch)
    return smaller if kind_of(smaller, again) == kind else case


def run_and_remove(case: FuzzCase, base: Path, folder: Path) -> Outcome:
    """Run an input in a folder that is removed afterwards.

    The process ends with a traceback if not even a signal can interrupt the input.
    """
    faulthandler.dump_traceback_later(_STUCK, exit=True)
    try:
        return case.run(base, folder)
    finally:
        faulthandler.cancel_dump_traceback_later()
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)


def save(case: FuzzCase, outcome: Outcome, base: Path, folder: Path) -> None:
    """Write an input as a case of :mod:`tests.fuzz.cases`: ``cmd`` and the changed files."""
    work, original = (folder.with_name(f"{folder.name}.{name}") for name in ("work", "original"))
    words = case.prepare(base, work)
    replace(case, mutations=(), signed=False).prepare(base, original)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lines = [f"# {name} is BASE/{source}" for name, source in case.command.sources.items()]
    lines += [f"# failed: {problem}" for problem in outcome.problems]
    moves = []
    for old, new in zip(case.command.words, words, strict=False):
        if old in case.command.sources and old != new and os.path.lexists(work / new):
            moves += [shlex.join(["mkdir", "-p", str(Path(new).parent)])]
            moves += [shlex.join(["mv", "--", old, new])]
            (work / new).rename(work / old)
    stdin = " < STDIN" if "STDIN" in case.command.sources else ""
    lines += [*_write_changes(original, work, folder), *moves, shlex.join(["trm", *words]) + stdin]
    (folder / "cmd").write_bytes(os.fsencode("".join(f"{line}\n" for line in lines)))
    shutil.rmtree(work)
    shutil.rmtree(original)


def _write_changes(original: Path, work: Path, folder: Path) -> list[str]:
    """Copy the files of ``work`` that are new or changed; returns shell commands for the rest."""
    before, after = listing(original), listing(work)
    commands = []
    for name in sorted(before.keys() | after.keys()):
        path, quoted = work / name, shlex.quote(name)
        if before.get(name) == after.get(name) or not os.path.lexists(path.parent):
            continue
        if path.is_symlink():
            commands.append(f"ln -sfn {shlex.quote(str(path.readlink()))} {quoted}")
        elif path.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / name)
        else:
            commands.append(f"rm -rf {quoted}")
            if path.exists():
                commands.append(("mkdir -p " if path.is_dir() else "mkfifo ") + quoted)
    return commands
