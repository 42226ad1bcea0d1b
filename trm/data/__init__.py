"""Data sets on disk, their augmentation, and the order in which batches come."""

from trm.data.augment import Augmentation, CellAugmentation
from trm.data.batches import Position, TrainStream, eval_batches, exploration, num_eval_examples
from trm.data.dataset import Dataset, DatasetMeta, digest, open_dataset, read_meta, write
from trm.data.split import IGNORE_LABEL, PAD, Batch, Split

__all__ = [
    "IGNORE_LABEL",
    "PAD",
    "Augmentation",
    "Batch",
    "CellAugmentation",
    "Dataset",
    "DatasetMeta",
    "Position",
    "Split",
    "TrainStream",
    "digest",
    "eval_batches",
    "exploration",
    "num_eval_examples",
    "open_dataset",
    "read_meta",
    "write",
]
