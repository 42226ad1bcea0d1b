"""The batches of an evaluation."""

from collections.abc import Iterator

from trm.data import Batch, Split, eval_indices, eval_rows


def eval_batches(split: Split, batch_size: int, max_examples: int | None = None) -> Iterator[Batch]:
    """The batches of :func:`trm.data.eval_indices`."""
    for examples, puzzles in eval_indices(split, batch_size, eval_rows(split, max_examples)):
        yield split.make_batch(examples, puzzles)
