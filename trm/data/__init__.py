"""Data sets on disk, their augmentation, and the order in which batches come."""

from trm.data.augment import Augmentation, CellAugmentation, Drawn, Rows, draw_copies
from trm.data.batches import (
    Position,
    TrainStream,
    eval_batches,
    eval_rows,
    exploration,
    num_eval_examples,
)
from trm.data.dataset import Dataset, DatasetMeta, digest, open_dataset, read_meta, write
from trm.data.holdout import VALIDATION, held_out, with_held_out
from trm.data.join import join
from trm.data.published_layout import (
    PUBLISHED_ORDER,
    PublishedMeta,
    is_published,
    open_published,
    read_published_meta,
    write_published,
)
from trm.data.split import IGNORE_LABEL, PAD, Batch, Split

__all__ = [
    "IGNORE_LABEL",
    "PAD",
    "PUBLISHED_ORDER",
    "VALIDATION",
    "Augmentation",
    "Batch",
    "CellAugmentation",
    "Dataset",
    "DatasetMeta",
    "Drawn",
    "Position",
    "PublishedMeta",
    "Rows",
    "Split",
    "TrainStream",
    "digest",
    "draw_copies",
    "eval_batches",
    "eval_rows",
    "exploration",
    "held_out",
    "is_published",
    "join",
    "num_eval_examples",
    "open_dataset",
    "open_published",
    "read_meta",
    "read_published_meta",
    "with_held_out",
    "write",
    "write_published",
]
