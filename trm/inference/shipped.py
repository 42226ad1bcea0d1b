"""The model that comes with the package and fits a puzzle."""

from trm.errors import InputError
from trm.inference.model import Model, load
from trm.inference.solve_file import read_puzzles
from trm.runs.shipped import shipped_models

#: Characters of a longer text that are enough to choose.
_ENOUGH = 1 << 16


def fitting_model(text: str, device: str = "auto") -> Model:
    """The first of the package's models that reads a text of puzzles.

    Raises:
        InputError: if none does. The message is that of the model with puzzles of the nearest
            length.
        CheckpointError: if there are no such models.
    """
    names = list(shipped_models())
    if not names:
        return load(device=device)  # which says how to get one
    start = text if len(text) <= _ENOUGH else text[:_ENOUGH].rpartition("\n")[0]
    problems = []
    for name in names:
        model = load(name, device=device)
        try:
            read_puzzles(model, start)
        except InputError as error:
            problems.append((abs(len(start) - model.network.spec.seq_len), name, error))
        else:
            return model
    _, name, problem = min(problems, key=lambda one: one[0])
    raise InputError(
        f"there is no run in runs/, and of the models that come with trm ({', '.join(names)}), "
        f"{name} comes nearest: {problem}"
    ) from problem
