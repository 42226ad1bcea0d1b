"""Datasets on disk, their augmentation, and the order of batches."""

from trm.data.augmentation import (
    Augmentation,
    BatchTransforms,
    CellAugmentation,
    Transforms,
    draw_copies,
    identity_permutations,
    random_permutations,
)
from trm.data.batches import (
    Position,
    TrainStream,
    eval_indices,
    eval_rows,
    exploration_min_steps,
    num_eval_examples,
    rows_of,
)
from trm.data.concat import concat_datasets
from trm.data.dataset import (
    Dataset,
    DatasetMeta,
    SplitCounts,
    digest,
    open_dataset,
    read_meta,
    write,
)
from trm.data.published_layout import (
    PUBLISHED_ORDER,
    PublishedMeta,
    is_published,
    open_published,
    read_published_meta,
    write_published,
)
from trm.data.split import IGNORE_LABEL, PAD, Batch, Split
from trm.data.validation import VALIDATION, train_validation_split, with_validation_split

__all__ = [
    "IGNORE_LABEL",
    "PAD",
    "PUBLISHED_ORDER",
    "VALIDATION",
    "Augmentation",
    "Batch",
    "BatchTransforms",
    "CellAugmentation",
    "Dataset",
    "DatasetMeta",
    "Position",
    "PublishedMeta",
    "Split",
    "SplitCounts",
    "TrainStream",
    "Transforms",
    "concat_datasets",
    "digest",
    "draw_copies",
    "eval_indices",
    "eval_rows",
    "exploration_min_steps",
    "identity_permutations",
    "is_published",
    "num_eval_examples",
    "open_dataset",
    "open_published",
    "random_permutations",
    "read_meta",
    "read_published_meta",
    "rows_of",
    "train_validation_split",
    "with_validation_split",
    "write",
    "write_published",
]
