"""The model that comes with the package and fits a puzzle."""

from trm.errors import InputError
from trm.inference.model import Model, load
from trm.inference.solve_file import has_puzzle, read_puzzles
from trm.runs.checkpoint import read_config
from trm.runs.shipped import shipped_models

#: Bytes of a text that are enough to choose.
ENOUGH = 1 << 16


def fitting_model(start: str, device: str = "auto") -> Model:
    """The model of the package that reads a text of puzzles, or at least one of them.

    Models of puzzles of about this length are tried first.

    Args:
        start: the text, or the first lines of a long one.
        device: see :func:`trm.load`.

    Raises:
        InputError: if none does. The message is that of the model with puzzles of the nearest
            length.
        CheckpointError: if there are no such models.
    """
    shipped = shipped_models()
    if not shipped:
        return load(device=device)  # which says how to get one
    sizes = (len(start.strip().partition("\n")[0]), len("".join(start.split())))

    def distance(name: str) -> int:
        seq_len = read_config(shipped[name]).data.seq_len
        return min(abs(size - seq_len) for size in sizes)

    problems, partly = [], []
    for name in sorted(shipped, key=distance):
        model = load(name, device=device)
        try:
            read_puzzles(model, start)
        except InputError as error:
            problems.append((abs(len(start) - model.network.spec.seq_len), name, error))
            partly += [model] if has_puzzle(model, start) else []
        else:
            return model
    if partly:
        return partly[0]
    _, name, problem = min(problems, key=lambda one: one[0])
    raise InputError(
        f"there is no run in runs/, and of the models that come with trm ({', '.join(shipped)}; "
        f"--ckpt names another), {name} comes nearest: {problem}"
    ) from problem
