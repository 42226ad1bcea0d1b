"""What the commands do, as calls; ``import trm`` has them."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trm.errors import InputError
from trm.plugins import get_task, installed_tasks

if TYPE_CHECKING:
    from trm.config import RunConfig
    from trm.data import Dataset, DatasetMeta
    from trm.engine.report import Report
    from trm.engine.solve import Model
    from trm.engine.track import Listener
    from trm.engine.train import Outcome
    from trm.tasks.base import DataOptions, Task
    from trm.tasks.metrics import Evaluator
    from trm.tasks.predictions import Predictions
    from trm.tasks.thinking import Choice

Layout = Literal["native", "published"]


def build_data(
    task: str,
    *,
    out: str | Path | None = None,
    preset: str | None = None,
    layout: Layout = "native",
    overwrite: bool = False,
    **options: Any,
) -> "DatasetMeta":
    """Build a data set, whole or not at all: ``trm build-data``.

    Args:
        task: the task's name.
        out: the data folder, ``data/TASK`` if left out.
        preset: a named set of options.
        layout: ``published`` writes every augmented example out, as the published trainer reads it.
        overwrite: replace a data set that is there.
        options: those of the task, such as ``num_train=1000`` or ``source="hub"``.

    Raises:
        ConfigError: for an unknown option or a value out of range.
        InputError: if ``out`` is there, or a source cannot be used.
        StorageError: if the disk is full or the place may not be written.
    """
    found = get_task(task)
    folder = Path(out) if out is not None else Path("data") / found.name
    return build_chosen(found, folder, layout, overwrite, found.options(preset, **options))


def build_chosen(
    task: "Task", folder: Path, layout: Layout, overwrite: bool, options: "DataOptions"
) -> "DatasetMeta":
    """Build a data set with options that are settled; see :func:`build_data`."""
    import numpy as np

    from trm import data

    if folder.exists():
        ours = (folder / "dataset.json").is_file() or data.is_published(folder)
        if not (overwrite and ours):
            way_out = ", or replace it with --overwrite." if ours else "."
            raise InputError(f"{folder} exists already. Name another --out{way_out}")
    build = task.build_data if layout == "native" else task.build_published
    return build(folder, options, np.random.default_rng(options.seed))


def open_data(folder: str | Path, *more: str | Path, task: str | None = None) -> "Dataset":
    """Open a data set, or several, joined: what ``trm inspect-data`` looks at.

    Args:
        folder: a data folder.
        more: others of the same task.
        task: whose they are; told by the first folder if left out.

    Raises:
        DataError: if one is none, incomplete, or of another task.
    """
    found = task_of(Path(folder)) if task is None else get_task(task)
    return found.open_data([folder, *more])


def task_of(folder: Path) -> "Task":
    """The task that a data folder belongs to.

    Raises:
        DataError, InputError: if it is none, or of no installed task.
    """
    from trm import data

    if not data.is_published(folder):
        return get_task(data.read_meta(folder).task)
    stated = data.read_published_meta(folder)
    if stated.task is not None:
        return get_task(stated.task)
    for installed in installed_tasks().values():
        if installed.task.published_meta(stated.vocab_size, stated.seq_len) is not None:
            return installed.task
    raise InputError(
        f"{folder} (published layout) has puzzles of {stated.seq_len} tokens of "
        f"{stated.vocab_size} kinds, which no installed task has. See trm tasks."
    )


def run_config(
    task: str | None = None,
    *,
    preset: str | None = None,
    mlp_t: bool = False,
    config_file: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> "RunConfig":
    """The settings of a run, from all their sources: ``trm config``.

    Args:
        task: the task's name; that in ``config_file`` if left out.
        preset: a named set of settings; that in ``config_file`` if left out.
        mlp_t: mix tokens with an MLP, without positions.
        config_file: a TOML file, such as a recipe.
        settings: by dotted name, such as ``{"train.max_steps": 1000}``; these win.

    Raises:
        ConfigError: for an unknown name or a value out of range, naming its source.
    """
    from trm.recipes import resolve

    flags = {name: (value, "settings") for name, value in (settings or {}).items()}
    file = None if config_file is None else Path(config_file)
    return resolve(task, preset, mlp_t, file, flags=flags).config


def train(
    config: "RunConfig",
    *,
    runs: str | Path = "runs",
    name: str | None = None,
    resume: str = "auto",
    push_to: str | None = None,
    listen: "Listener" = lambda record: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> "Outcome":
    """Train a model in this process: ``trm train``.

    Started by torchrun or Slurm it is one of several processes that train together, a GPU each;
    ``trm train`` starts them itself.

    Args:
        config: what :func:`run_config` gives.
        runs: run folders are ``RUNS/TASK/NAME``.
        name: the run's name, None for a new one.
        resume: ``auto`` goes on with a run of that name, ``never`` refuses to, anything else is
            the run folder to go on with.
        push_to: push each new best checkpoint to this repository of the Hub.
        listen: hears every record, in the first process.
        should_stop: asked after each step; true ends the run with a checkpoint.

    Raises:
        ConfigError, DataError, CheckpointError: if it cannot start.
        TrainingError: if it went wrong on the way.
    """
    from trm.engine import launch
    from trm.engine.device import pick_device
    from trm.engine.distributed import ALONE, group_of, joined
    from trm.publish.background import pushing

    task = get_task(config.task)
    group = group_of(os.environ) or ALONE
    with joined(group, pick_device(config.train.device, group.local_rank)):
        plan = launch.plan(
            config, task, runs_folder=Path(runs), name=name, resume=resume, group=group
        )
        with pushing(plan.folder, push_to if group.is_first else None, listen) as heard:
            return launch.train(plan, task, group=group, listen=heard, should_stop=should_stop)


def evaluate(
    checkpoint: "Model | str | Path | None" = None,
    *,
    data: Sequence[str | Path] = (),
    split: str = "test",
    task: str | None = None,
    batch_size: int | None = None,
    max_examples: int | None = None,
    steps: int | None = None,
    samples: int = 1,
    noise: float | None = None,
    choose: "Choice | None" = None,
    votes: int = 1,
    halt: float | None = None,
    reset_puzzle_embedding: bool = False,
    save_predictions: str | Path | None = None,
    device: str = "auto",
) -> "Report":
    """Measure a trained model on the puzzles of a data set: ``trm eval``.

    Args:
        checkpoint: what :func:`trm.load` takes or gives.
        data: data folders; those it was trained on if left out.
        split: ``validation`` for the training puzzles that the model's run held out.
        task: of a published checkpoint that does not say which it was trained for.
        batch_size: that of the run if left out.
        max_examples: look at so many, chosen once and for all, instead of all.
        steps: supervision steps at most; those that it was trained with if left out.
        samples: solve each puzzle so often, all but the first time with noise.
        noise: its standard deviation.
        choose: ``halt``, the surest answer, ``vote``, the majority's, ``first``, the first sure.
        votes: solve so many symmetric copies of each puzzle.
        halt: end at the first step whose halting probability is above this, not after all.
        reset_puzzle_embedding: give every puzzle the mean of the model's puzzle embeddings.
        save_predictions: write every answer to this ``.npz`` file.
        device: where, for a model that is not loaded yet.

    Raises:
        ConfigError: for a value out of range, or values that do not go together.
        DataError, CheckpointError: if there is no such data, or the model was not made for it.
        InputError: if its run held nothing out, or not of this data.
        HubError: if it cannot be fetched.
    """
    from trm.engine.report import evaluate_model
    from trm.engine.solve import Model, load
    from trm.tasks.thinking import Thinking

    thinking = Thinking.of(
        steps=steps, samples=samples, noise=noise, choose=choose, votes=votes, halt=halt
    )
    if not isinstance(checkpoint, Model):
        checkpoint = load(checkpoint, task=task, device=device)
    return evaluate_model(
        checkpoint,
        data=[str(folder) for folder in data],
        split=split,
        batch_size=batch_size,
        max_examples=max_examples,
        thinking=thinking,
        reset_puzzle_embedding=reset_puzzle_embedding,
        save_predictions=None if save_predictions is None else Path(save_predictions),
    )


def vote(predictions: Sequence[str | Path], *, data: Sequence[str | Path] = ()) -> "Evaluator":
    """Vote again over saved predictions; several files make an ensemble: ``trm vote``.

    Args:
        predictions: files of :func:`evaluate`.
        data: data folders; those the predictions were made on if left out.

    Returns:
        An evaluator that has judged the votes: its ``result()``, ``per_task()``, ``submission()``.

    Raises:
        InputError: if the predictions are of several tasks, or cannot be read.
    """
    from trm.tasks.predictions import Predictions

    return vote_saved({str(path): Predictions.load(Path(path)) for path in predictions}, data)


def vote_saved(files: "Mapping[str, Predictions]", data: Sequence[str | Path] = ()) -> "Evaluator":
    """Vote over predictions, by the names of their files; see :func:`vote`."""
    from trm.tasks import predictions as saved

    names = list(dict.fromkeys(found.about.task for found in files.values()))
    if len(names) != 1:
        raise InputError(f"predictions of several tasks ({', '.join(names)}). Give those of one.")
    task, first = get_task(names[0]), next(iter(files.values()))
    paths = [str(folder) for folder in data] or first.about.data
    return saved.vote(task, task.open_data(paths), files)
